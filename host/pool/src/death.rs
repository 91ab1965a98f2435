//! How a worker went: the one place where deaths are classified.

use std::fmt;

use taskhost_protocol::limits::cap_text;

/// What is known of a worker that is gone. The exit is what the kernel of the operating system reported; the last words
/// are the worker's own, and so only a hint for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// How its process ended.
    pub cause: Cause,
    /// What it said before, if anything.
    pub last_words: Option<String>,
    /// Whether it was ever ready for work.
    pub was_ready: bool,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It exited by itself.
    Exited(i32),
    /// A signal that the coordinator did not send.
    Signalled(i32),
    /// There never was a process: this is why.
    NotStarted(String),
    /// The coordinator killed it, for this reason.
    Killed(String),
}

impl Death {
    /// What happened, as the end of "a worker …".
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.cause.to_string();
        if let Some(words) = &self.last_words {
            text.push_str(": ");
            text.push_str(&cap_text(words.clone()));
        }
        text
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended by itself with exit code {code}"),
            Self::Signalled(signal) => write!(f, "died of signal {signal}{}", signal_name(*signal)),
            Self::NotStarted(reason) => write!(f, "could not be started: {reason}"),
            Self::Killed(reason) => write!(f, "was ended because it {reason}"),
        }
    }
}

/// The usual suspects by name.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL: killed from outside, or the machine is out of memory)",
        11 => " (SIGSEGV)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_described() {
        let death = Death { cause: Cause::Signalled(11), last_words: Some("oops".into()), was_ready: true };
        assert_eq!(death.describe(), "died of signal 11 (SIGSEGV): oops");
    }
}
