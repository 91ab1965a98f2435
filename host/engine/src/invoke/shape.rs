//! A type of the component model, as far as its values can be written as JSON.

use std::fmt;

use super::integer::Integer;

/// Parts of which the types of one function may consist. The compiler allows types whose text would have megabytes;
/// each part costs memory in every worker.
const PARTS: usize = 10_000;

/// Levels of types within types. Reading, writing and calling recurse as deep.
const LEVELS: usize = 100;

/// Why a function cannot be called that may wait for something.
pub(crate) const ASYNC: &str = "it is asynchronous, which is not supported";

/// Bytes to which a type is cut in a message.
const TEXT_BYTES: usize = 200;

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    Integer(Integer),
    Float32,
    Float64,
    Char,
    String,
    /// `list<u8>`.
    Bytes,
    List(Box<Shape>),
    Tuple(Vec<Shape>),
    Record(Vec<(String, Shape)>),
    Variant(Vec<(String, Option<Shape>)>),
    Enum(Vec<String>),
    Flags(Vec<String>),
    Option(Box<Shape>),
    Result {
        ok: Option<Box<Shape>>,
        err: Option<Box<Shape>>,
    },
}

/// The type of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) params: Vec<(String, Shape)>,
    pub(crate) result: Option<Shape>,
}

/// What of a type keeps its values from being written as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unwritable(pub(crate) &'static str);

impl Unwritable {
    pub(crate) const RESOURCE: Self = Self("has a resource in it, which is a handle and no data");
    pub(crate) const FUTURE: Self = Self("has a future in it, which is no data yet");
    pub(crate) const STREAM: Self = Self("has a stream in it, which is no data yet");
    pub(crate) const NEWER: Self = Self("has a type of a newer component model in it");
    const LARGE: Self = Self("has a type of more than 10000 parts");
    const DEEP: Self = Self("has a type of more than 100 levels");

    /// The refusal of a function, for something at `place`: a parameter or the result.
    pub(crate) fn at(&self, place: &str) -> String {
        format!("{place} {}", self.0)
    }
}

/// Counts the parts of a function's types, and how deep they lie.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    count: usize,
    depth: usize,
}

impl Parts {
    /// Makes the shape of one part, which may have others in it.
    pub(crate) fn within(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<Shape, Unwritable>,
    ) -> Result<Shape, Unwritable> {
        if self.count >= PARTS {
            return Err(Unwritable::LARGE);
        }
        if self.depth >= LEVELS {
            return Err(Unwritable::DEEP);
        }
        self.count += 1;
        self.depth += 1;
        let shape = make(self);
        self.depth -= 1;
        shape
    }
}

impl Shape {
    /// A list of these.
    pub(crate) fn list_of(element: Self) -> Self {
        match element {
            Self::Integer(Integer::U8) => Self::Bytes,
            element => Self::List(Box::new(element)),
        }
    }

    /// Whether `null` is one of its values.
    pub(crate) fn has_null(&self) -> bool {
        matches!(self, Self::Option(_))
    }

    /// Whether its values are written as arrays.
    pub(crate) fn is_array(&self) -> bool {
        match self {
            Self::Bytes | Self::List(_) | Self::Tuple(_) | Self::Flags(_) => true,
            Self::Option(inner) => inner.is_array(),
            _ => false,
        }
    }
}

/// The type in the notation of WIT, cut to a length that fits in a message. Names of records and variants are not known.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write(self, &mut text);
        if text.len() > TEXT_BYTES {
            text.truncate(text.floor_char_boundary(TEXT_BYTES));
            text.push('…');
        }
        f.write_str(&text)
    }
}

fn write(shape: &Shape, text: &mut String) {
    // What follows is cut off anyway.
    if text.len() > TEXT_BYTES {
        return;
    }
    match shape {
        Shape::Bool => text.push_str("bool"),
        Shape::Integer(integer) => text.push_str(integer.name()),
        Shape::Float32 => text.push_str("f32"),
        Shape::Float64 => text.push_str("f64"),
        Shape::Char => text.push_str("char"),
        Shape::String => text.push_str("string"),
        Shape::Bytes => text.push_str("list<u8>"),
        Shape::List(element) => of("list", [element.as_ref()], text),
        Shape::Tuple(parts) => of("tuple", parts, text),
        Shape::Option(inner) => of("option", [inner.as_ref()], text),
        Shape::Record(fields) => braces("record", fields, text, |(name, field), text| {
            text.push_str(name);
            text.push_str(": ");
            write(field, text);
        }),
        Shape::Variant(cases) => braces("variant", cases, text, |(name, payload), text| {
            text.push_str(name);
            if let Some(payload) = payload {
                text.push('(');
                write(payload, text);
                text.push(')');
            }
        }),
        Shape::Enum(names) => braces("enum", names, text, |name, text| text.push_str(name)),
        Shape::Flags(names) => braces("flags", names, text, |name, text| text.push_str(name)),
        Shape::Result { ok: None, err: None } => text.push_str("result"),
        Shape::Result { ok, err } => {
            text.push_str("result<");
            match ok {
                Some(ok) => write(ok, text),
                None => text.push('_'),
            }
            if let Some(err) = err {
                text.push_str(", ");
                write(err, text);
            }
            text.push('>');
        }
    }
}

fn of<'a>(around: &str, parts: impl IntoIterator<Item = &'a Shape>, text: &mut String) {
    text.push_str(around);
    text.push('<');
    separated(parts, text, write);
    text.push('>');
}

fn braces<T>(around: &str, parts: &[T], text: &mut String, each: impl Fn(&T, &mut String)) {
    text.push_str(around);
    text.push_str(" { ");
    separated(parts, text, each);
    text.push_str(" }");
}

fn separated<T>(parts: impl IntoIterator<Item = T>, text: &mut String, each: impl Fn(T, &mut String)) {
    for (index, part) in parts.into_iter().enumerate() {
        if text.len() > TEXT_BYTES {
            return;
        }
        if index > 0 {
            text.push_str(", ");
        }
        each(part, text);
    }
}
