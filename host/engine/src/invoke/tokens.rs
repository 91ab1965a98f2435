//! The tokens of a line of JSON, one by one, and what is said of a line that has none.

use std::borrow::Cow;

use json_event_parser::{JsonEvent as Token, LowLevelJsonParser};

use super::problem::{Path, Problem, shown};

/// Levels of a line. One more than the types have, for the list of arguments; deeper lines do not fit anyway.
const LEVELS: usize = 128;

/// The tokens of a line, and how much room is left for what is made of them.
pub(super) struct Reader<'a> {
    parser: LowLevelJsonParser,
    line: &'a [u8],
    /// Where the next token begins, or the white space in front of it.
    at: usize,
    room: u64,
    /// Where the bytes of a `list<u8>` go, when they are not to be values. At most one argument is one.
    pub(super) aside: Option<Vec<u8>>,
}

impl<'a> Reader<'a> {
    /// `room` is how many bytes the values may take.
    pub(super) fn new(line: &'a [u8], room: u64) -> Self {
        Self { parser: LowLevelJsonParser::new().with_max_stack_size(LEVELS), line, at: 0, room, aside: None }
    }

    /// The next token. `path` is what is being read.
    pub(super) fn next(&mut self, path: &Path<'_>) -> Result<Token<'a>, Problem> {
        loop {
            let from = self.at;
            let step = self.parser.parse_next(self.line.get(self.at..).unwrap_or_default(), true);
            self.at += step.consumed_bytes;
            match step.event {
                Some(Ok(token)) => return Ok(token),
                Some(Err(error)) => {
                    let (at, what) = (error.location().start.offset, error.message());
                    return Err(self.malformed(from, at, what, path));
                }
                None => {}
            }
        }
    }

    /// The line is no JSON, from about byte `at`, in a token that begins behind `from`.
    #[cold]
    fn malformed(&self, from: usize, at: u64, what: &str, path: &Path<'_>) -> Problem {
        if self.line.trim_ascii().is_empty() {
            return path.problem("the line is empty, but the arguments were expected");
        }
        if let Err(error) = std::str::from_utf8(self.line) {
            return path.problem(format!("the line is not UTF-8, from byte {}", error.valid_up_to()));
        }
        let token = self.line.get(from..).unwrap_or_default();
        let is_text =
            token.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':')) == Some(&b'"');
        if let Some(half) = lone_surrogate(token).filter(|_| is_text) {
            return path.problem(format!("the escape {half} is half of a character, without its other half"));
        }
        let mut what = what.to_owned();
        if let Some(first) = what.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        path.problem(format!("this is not JSON, at byte {at}: {what}"))
    }

    /// Takes room for a value that the host keeps until the call is over.
    pub(super) fn take(&mut self, bytes: usize, path: &Path<'_>) -> Result<(), Problem> {
        match self.room.checked_sub(bytes as u64) {
            Some(left) => {
                self.room = left;
                Ok(())
            }
            None => Err(path.problem(
                "there are more values in the line than there is room for; each takes some 80 bytes in the host. Give \
                 bulk data as a string or in smaller items",
            )),
        }
    }
}

/// A token as people call it.
pub(super) fn came(token: &Token<'_>) -> String {
    match token {
        Token::String(text) => format!("the string {:?}", shown(text)),
        Token::Number(number) => shown(number),
        Token::Boolean(value) => value.to_string(),
        Token::Null => "null".into(),
        Token::StartArray => "an array".into(),
        Token::StartObject => "an object".into(),
        Token::ObjectKey(name) => format!("the name {:?}", shown(name)),
        Token::EndArray | Token::EndObject | Token::Eof => "the end".into(),
    }
}

/// The first escape of half a character whose other half does not stand beside it.
fn lone_surrogate(text: &[u8]) -> Option<Cow<'_, str>> {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte != b'\\' {
            at += 1;
            continue;
        }
        let half = |at: usize| {
            let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
            u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        match half(at) {
            Some(0xd800..=0xdbff) if matches!(half(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => return Some(String::from_utf8_lossy(&text[at..at + 6])),
            _ => at += 2,
        }
    }
    None
}
