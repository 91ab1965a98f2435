//! An example of the line that a function takes.

use super::shape::{Function, Shape};

/// Longest example in bytes: longer ones explain nothing.
const BYTES: usize = 1000;

/// A line with arguments; empty when it would be too long to be of use.
pub(crate) fn line(function: &Function) -> String {
    let mut text = String::new();
    match function.params.as_slice() {
        // The shortest of the forms that are allowed.
        [(_, only)] if is_written_bare(only) => value(only, &mut text),
        params => list("[]", params, &mut text, |(_, shape), text| value(shape, text)),
    }
    if text.len() > BYTES { String::new() } else { text }
}

fn is_written_bare(shape: &Shape) -> bool {
    match shape {
        Shape::Record(_) | Shape::Bytes => true,
        Shape::Variant(cases) => cases.first().is_some_and(|case| case.1.is_none()),
        Shape::Option(inner) => !matches!(**inner, Shape::Record(_)) && !inner.has_null() && is_written_bare(inner),
        Shape::Result { .. } => false,
        shape => !shape.is_array(),
    }
}

fn value(shape: &Shape, text: &mut String) {
    if text.len() > BYTES {
        return;
    }
    match shape {
        Shape::Bool => text.push_str("true"),
        Shape::Integer(_) => text.push('1'),
        Shape::Float32 | Shape::Float64 => text.push_str("1.5"),
        Shape::Char => text.push_str("\"a\""),
        Shape::String => text.push_str("\"text\""),
        Shape::Bytes => text.push_str("\"AQID\""),
        Shape::List(element) => list("[]", [element.as_ref()], text, value),
        Shape::Tuple(parts) => list("[]", parts, text, value),
        Shape::Record(fields) => list("{}", fields, text, |(name, field), text| named(name, field, text)),
        Shape::Variant(cases) => match cases.first() {
            Some((name, payload)) => case(name, payload.as_ref(), text),
            None => text.push_str("null"),
        },
        Shape::Enum(names) => string(names.first().map_or("", String::as_str), text),
        Shape::Flags(names) => list("[]", names.first(), text, |name, text| string(name, text)),
        Shape::Option(inner) if inner.has_null() => case("some", Some(inner), text),
        Shape::Option(inner) => value(inner, text),
        Shape::Result { ok, .. } => case("ok", ok.as_deref(), text),
    }
}

fn list<T>(brackets: &str, parts: impl IntoIterator<Item = T>, text: &mut String, each: impl Fn(T, &mut String)) {
    let (open, close) = brackets.split_at(1);
    text.push_str(open);
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        each(part, text);
    }
    text.push_str(close);
}

fn case(name: &str, payload: Option<&Shape>, text: &mut String) {
    match payload {
        Some(payload) => list("{}", [payload], text, |payload, text| named(name, payload, text)),
        None => string(name, text),
    }
}

fn named(name: &str, shape: &Shape, text: &mut String) {
    string(name, text);
    text.push_str(": ");
    value(shape, text);
}

/// Names of the component model need no escapes.
fn string(name: &str, text: &mut String) {
    text.push('"');
    text.push_str(name);
    text.push('"');
}
