//! Everything that is printed: results of commands to standard output; messages, progress and the summary to standard
//! error.

mod before;
pub(crate) mod errors;
pub(crate) mod failures;
pub(crate) mod html;
pub(crate) mod json;
mod observer;
mod progress;
mod progress_file;
mod summary;
#[cfg(feature = "serve")]
pub(crate) mod tracing;

use std::io::{self, Write as _};
use std::time::SystemTime;

use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{JobReport, ReportedFailure};
use taskhost_protocol::message::Level;

use crate::exit_code::Exit;

pub(crate) use before::Before;
pub(crate) use observer::{Notes, Reporter, Shown};
pub(crate) use progress::Meter;
pub(crate) use progress_file::ProgressFile;
pub(crate) use summary::Summary;

/// Prints bytes to standard output. A reader that went away is an exit code, not an error.
pub(crate) fn bytes(bytes: &[u8]) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::ReaderGone,
        Err(error) => {
            message("error", &format!("standard output cannot be written: {error}"));
            Exit::InputOutput
        }
    }
}

/// Prints text to standard output.
pub(crate) fn text(text: &str) -> Exit {
    bytes(text.as_bytes())
}

/// Prints a line to standard output.
pub(crate) fn line(line: &str) -> Exit {
    bytes(format!("{line}\n").as_bytes())
}

/// Prints an error.
pub(crate) fn error(error: &anyhow::Error) {
    message("error", &format!("{error:#}"));
}

/// Prints advice.
pub(crate) fn hint(text: &str) {
    message("hint", text);
}

/// Prints a line to standard error. One that cannot be printed is lost: there is nobody to tell.
pub(crate) fn message(kind: &str, text: &str) {
    let _ = writeln!(io::stderr().lock(), "{kind}: {}", escape(text));
}

/// Prints a line to standard error without a word in front.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Text from a kernel or a file name as it may be shown on a terminal: control characters are written out.
pub(crate) fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' | '\n' => shown.push(character),
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

/// A line of the kernel's log.
pub(crate) fn log_line(level: Level, place: Option<(&str, u64)>, text: &str) -> String {
    let word = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let place = place.map_or_else(|| "[kernel]".to_owned(), |(name, offset)| format!("[{name}:{offset}]"));
    escape(&format!("{place} {word} {}", text.trim_end().replace('\n', "\n    ")))
}

/// Why a job failed, and where. Items are told of when they fail, see [`failures::describe`].
pub(crate) fn describe(job: &JobReport, failure: &ReportedFailure) -> String {
    let name = job.name.as_str();
    let source = failure.source.as_deref().unwrap_or(name);
    match &failure.failure {
        JobFailure::Item(item) => format!("{source}: {}", item.verdict),
        JobFailure::Output(text) => match &job.path {
            Some(path) => format!("{}: {text}", path.display()),
            None => format!("the result of {name}: {text}"),
        },
        // These name the file themselves.
        JobFailure::Input(text) if text.starts_with(name) => text.clone(),
        other => format!("{source}: {other}"),
    }
}

/// How long ago, roughly.
pub(crate) fn age(then: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(then).unwrap_or_default().as_secs();
    match seconds {
        0..60 => "just now".into(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// `1 item`, `2 items`.
pub(crate) fn count(number: u64, word: &str) -> String {
    let mut digits = number.to_string();
    for at in (1..digits.len()).rev().filter(|at| (digits.len() - at).is_multiple_of(3)).collect::<Vec<_>>() {
        digits.insert(at, ',');
    }
    format!("{digits} {word}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(escape("a\tb\u{1b}[31m\n"), "a\tb\\u{1b}[31m\n");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(1, "item"), "1 item");
        assert_eq!(count(999, "item"), "999 items");
        assert_eq!(count(1_234_567, "item"), "1,234,567 items");
    }
}
