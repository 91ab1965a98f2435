//! What is wrong with an argument: where, what was expected, what came.

use std::fmt::Write as _;

use taskhost_protocol::fault::Fault;

/// Bytes of a value that a message shows.
const SHOWN: usize = 60;

/// One step from an argument to what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// A field of a record or a case of a variant.
    Name(&'a str),
    /// An element, counted from 0.
    Index(usize),
}

/// The way to a value, as a list that lies on the stack of those who read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    /// All of the line.
    Line,
    /// An argument.
    Argument(&'a str),
    /// Something in something.
    In(&'a Path<'a>, Step<'a>),
}

impl<'a> Path<'a> {
    pub(crate) fn field(&'a self, name: &'a str) -> Self {
        Self::In(self, Step::Name(name))
    }

    pub(crate) fn element(&'a self, index: usize) -> Self {
        Self::In(self, Step::Index(index))
    }

    /// As people write it: `argument shape.corners[3].x`; nothing for the whole line.
    fn text(&self) -> String {
        let mut steps = Vec::new();
        let mut at = self;
        let mut text = loop {
            match at {
                Self::Line => break String::new(),
                Self::Argument(name) => break format!("argument {name}"),
                Self::In(outer, step) => {
                    steps.push(*step);
                    at = outer;
                }
            }
        };
        for step in steps.into_iter().rev() {
            let _ = match step {
                Step::Name(name) => write!(text, ".{}", shown(name)),
                Step::Index(index) => write!(text, "[{index}]"),
            };
        }
        text
    }

    /// A problem at this place.
    #[cold]
    pub(crate) fn problem(&self, what: impl AsRef<str>) -> Problem {
        let place = self.text();
        let what = what.as_ref();
        Problem(if place.is_empty() { what.to_owned() } else { format!("{place}: {what}") })
    }

    /// Something else came.
    #[cold]
    pub(crate) fn expected(&self, wanted: impl std::fmt::Display, came: impl std::fmt::Display) -> Problem {
        self.problem(format!("expected {wanted}, but {came} came"))
    }
}

/// Why a line gives no arguments, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem(pub(crate) String);

impl Problem {
    /// The same, with advice.
    pub(crate) fn with(mut self, advice: &str) -> Self {
        self.0.push_str("; ");
        self.0.push_str(advice);
        self
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::InvalidInput(problem.0)
    }
}

/// So much of a text as fits in a message.
pub(crate) fn shown(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(SHOWN)], text.len())
}

/// A few names out of what may be many.
pub(crate) fn some<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let mut names = names.into_iter();
    let mut listed: Vec<&str> = names.by_ref().take(most).collect();
    let more = names.count();
    let rest = format!("… and {more} more");
    if more > 0 {
        listed.push(&rest);
    }
    listed.join(", ")
}

/// The name that was likely meant.
pub(crate) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer names are no typing errors, and comparing them takes time.
    if name.len() > SHOWN {
        return None;
    }
    let close = |candidate: &&str| candidate.len() <= SHOWN;
    let distance = |candidate: &'a str| (edits(name, candidate), candidate);
    let (edits, candidate) = known.into_iter().filter(close).map(distance).min_by_key(|(edits, _)| *edits)?;
    (edits <= 1 + name.len() / 4 && edits < candidate.len()).then_some(candidate)
}

/// How many letters have to be added, taken away or changed.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let above = row[j + 1];
            let changed = diagonal + usize::from(letter != *other);
            row[j + 1] = changed.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_from_the_outside_in() {
        let shape = Path::Argument("shape");
        let corners = shape.field("corners");
        let corner = corners.element(3);
        assert_eq!(corner.field("x").problem("no").0, "argument shape.corners[3].x: no");
        assert_eq!(Path::Line.expected("a", "b").0, "expected a, but b came");
    }

    #[test]
    fn the_nearest_name_is_meant_when_it_is_near() {
        assert_eq!(meant("is-prim", ["is-prime", "is-odd"]), Some("is-prime"));
        assert_eq!(meant("IsPrime", ["is-prime"]), None);
        assert_eq!(meant("zzz", ["is-prime"]), None);
        assert_eq!(meant("a", ["b"]), None);
    }

    #[test]
    fn many_names_are_counted() {
        assert_eq!(some(["a", "b", "c"], 2), "a, b, … and 1 more");
        assert_eq!(some(["a", "b"], 2), "a, b");
    }
}
