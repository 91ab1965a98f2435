//! One JSON object as what SQLite stores, its names in the order in which they stand.

use std::fmt;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A row.
#[derive(Debug, PartialEq)]
pub(super) struct Row(pub(super) Vec<(String, Value)>);

/// What stands in one column of it.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Value {
    /// The type of a column that is made for such a value, with a space in front. Of nothing nothing is known.
    pub(super) fn affinity(&self) -> &'static str {
        match self {
            Self::Null => "",
            Self::Integer(_) => " INTEGER",
            Self::Real(_) => " REAL",
            Self::Text(_) => " TEXT",
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
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

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row: Vec<(String, Value)> = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    // SQLite takes names that differ in case alone for the same.
                    if row.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
                        return Err(A::Error::custom(format!("the column `{name}` is there twice")));
                    }
                    if name.contains('\0') {
                        return Err(A::Error::custom("the name of a column has a zero byte in it"));
                    }
                    row.push((name, value));
                }
                Ok(Row(row))
            }
        }
        from.deserialize_map(Names)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(Value::Integer(truth.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Integer(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                let too_large = |_| E::custom(format!("{number} is larger than any integer of SQLite, {}", i64::MAX));
                i64::try_from(number).map(Value::Integer).map_err(too_large)
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Real(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value::Text(text))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            // What has parts is kept as JSON, which SQLite has functions for.
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
                let json = serde_json::Value::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(Value::Text(json.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                let json = serde_json::Value::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Value::Text(json.to_string()))
            }
        }
        from.deserialize_any(Any)
    }
}
