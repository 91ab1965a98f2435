//! What is told of one item of a job alone: its line among those that failed, and what was said in the log while it was run.

use std::fs::File;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::Problem;
use super::looks::Look;
use crate::store::jobs::JobRow;

/// Which item is asked about; all of them when nothing is said.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfItem {
    /// One item that failed, by its number there.
    item: Option<u64>,
    /// Any item, by where it begins: its first byte in its input, or the first row of a picture's part.
    offset: Option<u64>,
    /// The name of that input; may be left out when there is one.
    source: Option<String>,
}

/// An item, as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The one of this number.
    Number(u64),
    /// The one that begins there.
    At(Place),
}

/// Where an item begins: in which input, and at which byte or row of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    source: String,
    offset: u64,
}

impl OfItem {
    /// The item that is asked about, of this job.
    pub(super) fn of(self, job: &JobRow) -> Result<Option<Item>, Problem> {
        let bad = |text: &str| Problem::bad("bad-request", text);
        match self {
            Self { item: None, offset: None, source: None } => Ok(None),
            Self { item: Some(number), offset: None, source: None } => Ok(Some(Item::Number(number))),
            Self { item: None, offset: Some(offset), source } => {
                let only = || match job.spec.inputs.as_slice() {
                    [only] => Ok(only.name.clone()),
                    _ => Err(bad("say in which input the item begins: source=NAME")),
                };
                Ok(Some(Item::At(Place { source: source.map_or_else(only, Ok)?, offset })))
            }
            _ => Err(bad("say either item, or offset and, where there are several inputs, source")),
        }
    }
}

/// Where a failed item begins, when a line is about it.
pub(super) fn found(item: &Item, line: &[u8]) -> Option<Place> {
    // One that is being written is told when it is whole.
    let told: Value = serde_json::from_slice(line).ok()?;
    // What has no bytes is found by its row.
    let offset = told["offset"].as_u64().or(told["row"].as_u64())?;
    let place = Place { source: told["source"].as_str()?.to_owned(), offset };
    let is_it = match item {
        Item::Number(number) => told["item"].as_u64() == Some(*number),
        Item::At(at) => place == *at,
    };
    is_it.then_some(place)
}

/// The line of a failed item, and where it begins, among the lines of all that failed.
pub(super) async fn failed(look: &Look, lines: File, item: Item) -> Result<Option<(Vec<u8>, Place)>, Problem> {
    let looked = look.lines(lines, (item, None), |(item, its), line| {
        *its = found(item, line).map(|place| (line.to_vec(), place));
        if its.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    Ok(looked.await?.1)
}

/// What was said in a log while an item was run: the lines that name its place, each with those that go on with it.
pub(super) fn said(log: &str, at: &Place) -> String {
    // As a run writes it; a kernel's own words never stand at the beginning of a line.
    let head = format!("[{}:{}] ", at.source, at.offset);
    let mut is_its = false;
    let its = log.split_inclusive('\n').filter(|line| {
        is_its = if line.starts_with("    ") { is_its } else { line.starts_with(&head) };
        is_its
    });
    its.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: &str, offset: u64) -> Place {
        Place { source: source.into(), offset }
    }

    #[test]
    fn an_item_has_its_lines_and_no_others() {
        let log = "[kernel] info begins\n[a:1] info one\n    [b:1] more\n[a:12] warn two\n[b:1] info other\n\
                   [a:1] error again\nwarning: a:1\n    of the run\n[a:1] info cut o";
        assert_eq!(said(log, &at("a", 1)), "[a:1] info one\n    [b:1] more\n[a:1] error again\n[a:1] info cut o");
        assert_eq!(said(log, &at("b", 1)), "[b:1] info other\n");
        assert_eq!(said(log, &at("a", 2)), "");
    }

    #[test]
    fn a_failed_item_is_found_by_its_number_and_by_its_place() {
        let lines = "{\"item\": 1, \"source\": \"a\", \"offset\": 4}\n{\"item\": 12, \"source\": \"b\", \"offset\": 4}\n\
                     {\"item\": null, \"source\": \"p.png\", \"offset\": null, \"row\": 64}\n{\"item\": 2, \"sou";
        let found = |item: &Item| lines.split_inclusive('\n').find_map(|line| found(item, line.as_bytes()));
        assert_eq!(found(&Item::Number(12)), Some(at("b", 4)));
        assert_eq!(found(&Item::Number(2)), None, "it is not whole");
        assert_eq!(found(&Item::At(at("a", 4))), Some(at("a", 4)));
        assert_eq!(found(&Item::At(at("p.png", 64))), Some(at("p.png", 64)));
        assert_eq!(found(&Item::At(at("p.png", 4))), None);
    }
}
