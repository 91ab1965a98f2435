//! Jobs: what is to be done, whose turn it is, and the processes that do it.
//!
//! A job is a `taskhost run` of its own, with a journal, in a folder of its own: nothing that it does or suffers touches the
//! server or other jobs, and what a server that was killed left behind is gone on with by `taskhost resume`. Turns are taken
//! by stopping and continuing those processes, which a run is made for: the time in which it is stopped is nobody's.

mod attempt;
mod fair;
mod handle;
mod launch;
mod process;
mod progress;
mod report;
mod room;
mod roster;
mod runner;
mod spec;
mod urgency;
mod veil;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::random;
use crate::time::Moment;

pub use attempt::{Conclusion, WorkFolder};
pub use fair::{Fair, Reason, Turn, Wait};
pub use launch::{HANDED_OVER, KernelCheck, Launcher, SERVER_VARIABLE};
pub use progress::{Far, Growing};
pub use report::ReportForm;
#[cfg(feature = "http")]
pub(crate) use runner::PROCESSES_PER_CORE;
pub use runner::{Began, Explained, JobService, Order, Outcome, Over, Shared, Warn};
pub use spec::{Allowed, Input, JobSize, JobSpec, MOST_INPUTS, NAME_BYTES, Parameters, SpecError};
pub use urgency::{Rank, Urgency};

/// The number of a job: it sorts by the time at which the job came, and cannot be guessed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

/// Digits of the time in a job's number.
const TIME_DIGITS: usize = 11;
/// Random letters in it.
const LETTERS: usize = 13;

impl JobId {
    /// Bytes of one, as it is written.
    pub const BYTES: usize = TIME_DIGITS + LETTERS;

    /// A new one.
    #[must_use]
    pub fn create() -> Self {
        Self(format!("{:0TIME_DIGITS$x}{}", Moment::now().0, random::word(LETTERS)))
    }

    /// What all numbers that were made at this moment or later are behind.
    #[must_use]
    pub fn earliest(moment: Moment) -> String {
        format!("{:0TIME_DIGITS$x}", moment.0.max(0))
    }

    /// The number that is written like this. `None` for what is none, so that no other text becomes the name of a folder.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_number = text.len() == TIME_DIGITS + LETTERS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_number.then(|| Self(text.to_owned()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It runs, or ran and goes on when it is its turn again.
    Running,
    /// All items are done.
    Succeeded,
    /// There is a result, without the items that failed.
    Partial,
    /// There is no result.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// What is written like this.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == text)
    }

    /// Whether nothing more becomes of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_jobs_are_unlike_and_read_as_they_are_written() {
        let (one, other) = (JobId::create(), JobId::create());
        assert_ne!(one, other);
        assert_eq!(JobId::parse(one.as_str()), Some(one.clone()));
        for text in ["", "..", &one.as_str()[1..], "../../../../etc/passwd.", "0123456789/0123456789abc"] {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.name()), Some(state));
        }
    }
}
