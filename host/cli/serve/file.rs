//! A file of settings: TOML, one key for each, and where in the file each stands.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

/// A place in a file, counted from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A setting in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key_at: Place,
    pub(super) value_at: Place,
    /// As they would be typed.
    pub(super) values: Vec<String>,
}

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {why}")]
pub(super) struct Wrong {
    place: Place,
    why: String,
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|sign| *sign != '\n').count() + 1;
    Place { line, column }
}

/// The settings of a file.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Entry>, Wrong> {
    let table = DeTable::parse(text).map_err(|error| Wrong {
        place: place(text, error.span().map_or(0, |span| span.start)),
        why: error.message().to_owned(),
    })?;
    let mut entries = BTreeMap::new();
    for (key, value) in table.get_ref().iter() {
        let (key_at, value_at) = (place(text, key.span().start), place(text, value.span().start));
        let key = key.get_ref().to_string();
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().map(|value| word(value.get_ref())).collect(),
            value => word(value).map(|word| vec![word]),
        };
        let values = values.ok_or_else(|| Wrong { place: value_at, why: format!("{key} is no table and no date") })?;
        entries.insert(key, Entry { key_at, value_at, values });
    }
    Ok(entries)
}

/// A value as it would be typed.
fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_that_an_editor_shows() {
        let entries = parse("# ä\nb = 1\n  c = [ 'x', 2, true ]\n").unwrap_or_else(|wrong| panic!("{wrong}"));
        let found = &entries["c"];
        assert_eq!((found.key_at.to_string(), found.value_at.to_string()), ("3:3".into(), "3:7".into()));
        assert_eq!(found.values, ["x", "2", "true"]);
    }
}
