//! For whoever tries random bytes on the codec: a type made of bytes, and what must hold for any line of it.

use taskhost_protocol::fault::Fault;

use super::integer::Integer;
use super::read;
use super::shape::{Function, Shape};
use super::write::Writer;

/// Levels of a type made of bytes.
const LEVELS: u32 = 4;

/// Bytes that arguments and results may take.
const ROOM: u64 = 1 << 20;

/// Takes the first bytes of `data` for a type, which end at a 0, and the rest for a line of JSON with one argument of it.
/// Either that is refused, or the argument is written and read as the same argument again. Gives what was written.
///
/// # Panics
/// When that does not hold.
#[doc(hidden)]
#[must_use]
pub fn there_and_back(data: &[u8]) -> Option<Vec<u8>> {
    let end = data.iter().position(|byte| *byte == 0)?;
    let (mut choices, line) = (data[..end].iter().copied(), &data[end + 1..]);
    let shape = shape(&mut choices, LEVELS);
    let function = Function { params: vec![("x".into(), shape.clone())], result: None };
    let mut first = Vec::new();
    read::arguments(&function, line, ROOM, &mut first).ok()?;
    let mut text = vec![];
    // In front of it comes the bracket of the list of arguments.
    match Writer::new(&mut text, ROOM).value(Some(&shape), first.first()) {
        Ok(()) => {}
        Err(Fault::OutputLimit { .. }) => return None,
        Err(other) => panic!("a value is not of the type that it was read by: {other}"),
    }
    let again = [b"[", text.as_slice(), b"]"].concat();
    let mut second = Vec::new();
    if let Err(problem) = read::arguments(&function, &again, u64::MAX, &mut second) {
        panic!("what was written cannot be read: {}", problem.0);
    }
    assert!(first == second, "what was written is read as something else");
    Some(text)
}

fn shape(choices: &mut impl Iterator<Item = u8>, levels: u32) -> Shape {
    let choice = choices.next().unwrap_or(0);
    let mut inner = || shape(&mut *choices, levels.saturating_sub(1));
    let name = |index: u32| format!("n{index}");
    match choice % if levels == 0 { 15 } else { 21 } {
        0 => Shape::Bool,
        1 => Shape::Integer(Integer::S8),
        2 => Shape::Integer(Integer::U8),
        3 => Shape::Integer(Integer::S16),
        4 => Shape::Integer(Integer::U16),
        5 => Shape::Integer(Integer::S32),
        6 => Shape::Integer(Integer::U32),
        7 => Shape::Integer(Integer::S64),
        8 => Shape::Integer(Integer::U64),
        9 => Shape::Float32,
        10 => Shape::Float64,
        11 => Shape::Char,
        12 => Shape::String,
        13 => Shape::Enum((0..3).map(name).collect()),
        14 => Shape::Flags((0..3).map(name).collect()),
        15 => Shape::list_of(inner()),
        16 => Shape::Option(Box::new(inner())),
        17 => Shape::Tuple(vec![inner(), inner()]),
        18 => Shape::Record((0..2).map(|index| (name(index), inner())).collect()),
        19 => Shape::Variant(vec![(name(0), Some(inner())), (name(1), None), (name(2), Some(inner()))]),
        _ => Shape::Result { ok: Some(Box::new(inner())), err: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(choices: &[u8], line: &str) -> Option<String> {
        let written = there_and_back(&[choices, &[0], line.as_bytes()].concat())?;
        Some(String::from_utf8(written).expect("JSON is UTF-8"))
    }

    #[test]
    fn bytes_make_types() {
        assert_eq!(back(&[6], "7").as_deref(), Some("7"));
        assert_eq!(back(&[6], "-7"), None);
        assert_eq!(back(&[15, 12], "[[\"a\"]]").as_deref(), Some("[\"a\"]"));
        assert_eq!(back(&[18, 12, 16, 10], "{\"n0\":\"\"}").as_deref(), Some("{\"n0\":\"\",\"n1\":null}"));
        assert_eq!(back(&[], "true").as_deref(), Some("true"));
    }
}
