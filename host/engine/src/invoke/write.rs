//! From the result of a function to JSON, by its type.

use std::fmt::Write as _;

use taskhost_protocol::fault::Fault;
use wasmtime::component::Val;

use super::base64;
use super::shape::Shape;
use crate::exchange::within;

/// Bytes of text between two looks at the limit.
const STEP: usize = 4096;

/// A text that is written up to a limit.
pub(crate) struct Writer<'a> {
    text: &'a mut Vec<u8>,
    limit: u64,
}

/// So that numbers are written without a detour.
impl std::fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.text.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<'a> Writer<'a> {
    /// Writes into `text`, which is emptied first.
    pub(crate) fn new(text: &'a mut Vec<u8>, limit: u64) -> Self {
        text.clear();
        Self { text, limit }
    }

    /// Writes the result of a function; `null` when it has none.
    pub(crate) fn result(&mut self, shape: Option<&Shape>, result: Option<&Val>) -> Result<(), Fault> {
        match (shape, result) {
            (None, None) => self.value(None, None),
            (Some(Shape::Result { ok, .. }), Some(Val::Result(Ok(value)))) => {
                self.value(ok.as_deref(), value.as_deref())
            }
            (Some(Shape::Result { err, .. }), Some(Val::Result(Err(value)))) => {
                Err(failed(err.as_deref(), value.as_deref()))
            }
            (shape, result) => self.value(shape, result),
        }
    }

    /// Writes a value; `null` when there is none.
    pub(super) fn value(&mut self, shape: Option<&Shape>, value: Option<&Val>) -> Result<(), Fault> {
        within(self.text.len() as u64, self.limit)?;
        let (Some(shape), Some(value)) = (shape, value) else { return self.plain("null") };
        match (shape, value) {
            (Shape::Bool, Val::Bool(value)) => self.plain(if *value { "true" } else { "false" }),
            (Shape::Integer(_), Val::S8(value)) => self.display(value),
            (Shape::Integer(_), Val::U8(value)) => self.display(value),
            (Shape::Integer(_), Val::S16(value)) => self.display(value),
            (Shape::Integer(_), Val::U16(value)) => self.display(value),
            (Shape::Integer(_), Val::S32(value)) => self.display(value),
            (Shape::Integer(_), Val::U32(value)) => self.display(value),
            (Shape::Integer(_), Val::S64(value)) => self.display(value),
            (Shape::Integer(_), Val::U64(value)) => self.display(value),
            (Shape::Float32, Val::Float32(value)) => self.float(f64::from(*value), value),
            (Shape::Float64, Val::Float64(value)) => self.float(*value, value),
            (Shape::Char, Val::Char(value)) => self.string(value.encode_utf8(&mut [0; 4])),
            (Shape::String, Val::String(value)) => self.string(value),
            (Shape::Bytes, Val::List(values)) => self.bytes(values),
            (Shape::List(element), Val::List(values)) => {
                self.list(values, |writer, value| writer.value(Some(element), Some(value)))
            }
            (Shape::Tuple(parts), Val::Tuple(values)) => {
                self.list(parts.iter().zip(values), |writer, (part, value)| writer.value(Some(part), Some(value)))
            }
            (Shape::Record(fields), Val::Record(values)) => {
                self.brackets(b"{}", fields.iter().zip(values), |writer, ((name, field), (_, value))| {
                    writer.string(name)?;
                    writer.text.push(b':');
                    writer.value(Some(field), Some(value))
                })
            }
            (Shape::Variant(cases), Val::Variant(name, value)) => {
                let case = cases.iter().find(|case| case.0 == *name);
                self.case(name, case.and_then(|case| case.1.as_ref()), value.as_deref())
            }
            (Shape::Result { ok, .. }, Val::Result(Ok(value))) => self.case("ok", ok.as_deref(), value.as_deref()),
            (Shape::Result { err, .. }, Val::Result(Err(value))) => self.case("err", err.as_deref(), value.as_deref()),
            (Shape::Enum(_), Val::Enum(name)) => self.string(name),
            (Shape::Flags(_), Val::Flags(names)) => self.list(names, |writer, name| writer.string(name)),
            (Shape::Option(_), Val::Option(None)) => self.plain("null"),
            (Shape::Option(inner), Val::Option(Some(value))) if inner.has_null() => {
                self.case("some", Some(inner), Some(value))
            }
            (Shape::Option(inner), Val::Option(Some(value))) => self.value(Some(inner), Some(value)),
            _ => Err(Fault::Contract(format!("its result is not of its type: a {shape} was expected"))),
        }
    }

    fn plain(&mut self, text: &str) -> Result<(), Fault> {
        self.text.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn display(&mut self, value: &impl std::fmt::Display) -> Result<(), Fault> {
        write!(self, "{value}").expect("memory takes everything");
        Ok(())
    }

    /// The shortest number that is read as the same value again; a name for what JSON has no number for.
    fn float(&mut self, value: f64, as_is: &impl std::fmt::Debug) -> Result<(), Fault> {
        if value.is_nan() {
            self.plain("\"NaN\"")
        } else if value.is_infinite() {
            self.plain(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" })
        } else {
            write!(self, "{as_is:?}").expect("memory takes everything");
            Ok(())
        }
    }

    fn string(&mut self, value: &str) -> Result<(), Fault> {
        self.text.push(b'"');
        let bytes = value.as_bytes();
        let mut from = 0;
        // Few strings have anything to be escaped.
        for (at, byte) in bytes.iter().enumerate() {
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                0..=0x1f => b"",
                _ => continue,
            };
            self.text.extend_from_slice(&bytes[from..at]);
            from = at + 1;
            if escape.is_empty() {
                write!(self, "\\u{byte:04x}").expect("memory takes everything");
            } else {
                self.text.extend_from_slice(escape);
            }
            if at % STEP == 0 {
                within(self.text.len() as u64, self.limit)?;
            }
        }
        self.text.extend_from_slice(&bytes[from..]);
        self.text.push(b'"');
        Ok(())
    }

    /// Writes a `list<u8>`.
    pub(super) fn plain_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        within(self.text.len() as u64, self.limit)?;
        self.base64(bytes, |byte| *byte)
    }

    fn bytes(&mut self, values: &[Val]) -> Result<(), Fault> {
        self.base64(values, |value| if let Val::U8(byte) = value { *byte } else { 0 })
    }

    fn base64<T>(&mut self, values: &[T], byte: impl Fn(&T) -> u8 + Copy) -> Result<(), Fault> {
        self.text.push(b'"');
        // Whole groups, so that the pieces can be put together.
        for piece in values.chunks(STEP * 3) {
            base64::encode(piece.iter().map(byte), self.text);
            within(self.text.len() as u64, self.limit)?;
        }
        self.text.push(b'"');
        Ok(())
    }

    /// `"name"`, or `{"name":value}` for a case that has a value.
    fn case(&mut self, name: &str, shape: Option<&Shape>, value: Option<&Val>) -> Result<(), Fault> {
        if value.is_none() {
            return self.string(name);
        }
        self.text.push(b'{');
        self.string(name)?;
        self.text.push(b':');
        self.value(shape, value)?;
        self.text.push(b'}');
        Ok(())
    }

    fn list<T>(
        &mut self,
        values: impl IntoIterator<Item = T>,
        each: impl FnMut(&mut Self, T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.brackets(b"[]", values, each)
    }

    fn brackets<T>(
        &mut self,
        [open, close]: &[u8; 2],
        values: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.text.push(*open);
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text.push(b',');
            }
            each(self, value)?;
        }
        self.text.push(*close);
        Ok(())
    }
}

/// The function returned an error: what it is, as the message of the item. A string is the message itself.
fn failed(shape: Option<&Shape>, value: Option<&Val>) -> Fault {
    let text = match value {
        None => "the function returned an error, and says no more".to_owned(),
        Some(Val::String(text)) => text.clone(),
        value => {
            let mut text = Vec::new();
            // What is longer than a message is cut anyway.
            let _ = Writer::new(&mut text, taskhost_protocol::limits::TEXT_BYTES as u64).value(shape, value);
            String::from_utf8_lossy(&text).into_owned()
        }
    };
    Fault::Failed(text)
}
