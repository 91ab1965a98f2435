//! `--errors FILE.jsonl`: a line of JSON for each failed item, written as it fails. `docs/errors.md` describes it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use taskhost_pool::job::FailedItem;

use crate::exit_code::Failure;

/// Raised when a field changes its meaning or goes; a new field leaves it as it is.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    item: Option<u64>,
    source: &'a str,
    offset: Option<u64>,
    length: Option<u64>,
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    verdict: &'static str,
    blame: &'static str,
    message: String,
    backtrace: &'a [String],
    attempts: u32,
    worker: Option<u32>,
    core: Option<u32>,
}

/// Where the lines go.
#[derive(Debug)]
pub(crate) enum ErrorFile {
    /// Standard error.
    Stderr,
    /// A file. It is made before any work is done, so that a path that cannot be written costs nothing.
    File {
        path: PathBuf,
        file: File,
        /// Bytes that it may still get, and may have in all.
        room: Option<(u64, u64)>,
    },
}

impl ErrorFile {
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stderr);
        }
        let file = File::create(path);
        let file = file.map_err(|error| Failure::input(format!("--errors {}: {error}", path.display())))?;
        Ok(Self::File { path: path.to_owned(), file, room: None })
    }

    /// Has at most so many bytes, when it is a file.
    pub(crate) fn with_limit(mut self, limit: Option<u64>) -> Self {
        if let Self::File { room, .. } = &mut self {
            *room = limit.map(|limit| (limit, limit));
        }
        self
    }

    pub(crate) fn is_stderr(&self) -> bool {
        matches!(self, Self::Stderr)
    }

    /// Writes the line of an item.
    pub(crate) fn write(&mut self, item: &FailedItem) -> Result<(), String> {
        self.write_line(&line(item))
    }

    /// Writes a line in one call, so that whoever follows the file sees whole lines.
    pub(crate) fn write_line(&mut self, line: &str) -> Result<(), String> {
        if let Self::File { path, room: Some((left, limit)), .. } = self {
            *left = left.checked_sub(line.len() as u64).ok_or_else(|| {
                format!("--errors {} would have more than the {limit} bytes that it may have", path.display())
            })?;
        }
        let written = match self {
            Self::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            Self::File { file, .. } => file.write_all(line.as_bytes()),
        };
        written.map_err(|error| match self {
            Self::Stderr => format!("standard error cannot be written: {error}"),
            Self::File { path, .. } => format!("--errors {} cannot be written: {error}", path.display()),
        })
    }
}

/// The line of an item, with its end.
pub(crate) fn line(item: &FailedItem) -> String {
    written(item, !item.is_row) + "\n"
}

/// The same without its end, for an item that stood in no file, so that only its number says which it is.
pub(crate) fn record(item: &FailedItem) -> String {
    written(item, false)
}

fn written(item: &FailedItem, has_bytes: bool) -> String {
    let bytes = |number: u64| has_bytes.then_some(number);
    let line = Line {
        version: VERSION,
        item: if item.is_row { None } else { item.item },
        source: &item.source,
        offset: bytes(item.offset),
        length: bytes(item.len),
        line: item.line,
        row: item.is_row.then_some(item.offset),
        verdict: item.verdict.name(),
        blame: item.verdict.blame().name(),
        message: item.verdict.to_string(),
        backtrace: item.verdict.backtrace(),
        attempts: item.attempts,
        worker: item.worker,
        core: item.core,
    };
    // A structure of numbers and texts can always be written.
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::failures::tests::trapped;

    #[test]
    fn a_line_has_this_form() {
        let expected = concat!(
            r#"{"version":1,"item":12,"source":"a.txt","offset":345,"length":10,"line":13,"verdict":"kernel-trap","#,
            r#""blame":"kernel","message":"the kernel trapped: unreachable","backtrace":["f","g"],"attempts":1,"#,
            r#""worker":3,"core":0}"#,
            "\n"
        );
        assert_eq!(line(&trapped()), expected);
    }

    #[test]
    fn what_is_not_known_is_null_and_a_picture_has_rows() {
        let row = FailedItem { is_row: true, item: None, line: None, worker: None, core: None, ..trapped() };
        let expected = concat!(
            r#"{"version":1,"item":null,"source":"a.txt","offset":null,"length":null,"line":null,"row":345,"#,
            r#""verdict":"kernel-trap","blame":"kernel","message":"the kernel trapped: unreachable","#,
            r#""backtrace":["f","g"],"attempts":1,"worker":null,"core":null}"#,
            "\n"
        );
        assert_eq!(line(&row), expected);
    }

    #[test]
    fn any_text_stays_on_its_line() {
        let item = FailedItem { source: "a\n\"b\u{1b}".into(), ..trapped() };
        assert_eq!(line(&item).matches('\n').count(), 1);
        assert!(line(&item).contains(r#""source":"a\n\"b\u001b""#));
    }

    #[test]
    fn a_path_that_cannot_be_written_is_known_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("errors.jsonl");
        let mut file = ErrorFile::create(&path).expect("made").with_limit(Some(12));
        file.write_line("12345678\n").expect("there is room");
        let why = file.write_line("1234\n").expect_err("there is none");
        assert!(why.contains("more than the 12 bytes"), "{why}");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "12345678\n");
        let failure = ErrorFile::create(Path::new("/dev/null/errors.jsonl")).expect_err("no folder");
        assert_eq!(failure.exit, crate::exit_code::Exit::InputOutput);
    }
}
