//! One JSON object as the values that it has, its names in the order in which they stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A row.
#[derive(Debug, PartialEq)]
pub(super) struct Row(pub(super) Vec<(String, Cell)>);

/// What stands in one column of it.
#[derive(Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Truth(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Cell>),
    Object(Vec<(String, Cell)>),
}

impl Cell {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Truth(_) => "true or false",
            Self::Whole(_) => "a whole number",
            Self::Number(_) => "a number with a fraction",
            Self::Text(_) => "a text",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, such as {\"name\": \"wing\", \"mass\": 12.5}")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Row, A::Error> {
                members(map).map(Row)
            }
        }
        from.deserialize_map(Names)
    }
}

fn members<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(String, Cell)>, A::Error> {
    let mut members: Vec<(String, Cell)> = Vec::new();
    while let Some((name, cell)) = map.next_entry::<String, Cell>()? {
        if members.iter().any(|(other, _)| *other == name) {
            return Err(A::Error::custom(format!("the name `{name}` is there twice")));
        }
        members.push((name, cell));
    }
    Ok(members)
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Cell;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Cell, E> {
                Ok(Cell::Truth(truth))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
                Ok(Cell::Whole(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Cell, E> {
                let too_large =
                    |_| E::custom(format!("{number} is larger than the largest whole number, {}", i64::MAX));
                i64::try_from(number).map(Cell::Whole).map_err(too_large)
            }

            fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
                Ok(Cell::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
                Ok(Cell::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Cell, E> {
                Ok(Cell::Text(text))
            }

            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell, A::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = seq.next_element()? {
                    cells.push(cell);
                }
                Ok(Cell::List(cells))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cell, A::Error> {
                members(map).map(Cell::Object)
            }
        }
        from.deserialize_any(Any)
    }
}
