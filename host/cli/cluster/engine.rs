//! What an engine has to be able to do: take an array of shards and a job behind it, say what became of them, end them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit_code::{Exit, Failure};

/// A cluster's own scheduler.
pub(super) trait Engine {
    /// What it takes.
    fn capabilities(&self) -> Result<Capabilities, EngineError>;

    /// Hands in shards as one array, and a merge that begins when all of them are over, however they ended.
    fn submit(&self, work: &Work<'_>) -> Result<Submission, EngineError>;

    /// What has become of them, as far as the engine knows.
    fn poll(&self, submission: &Submission) -> Result<Standing, EngineError>;

    /// Ends what has not ended.
    fn cancel(&self, submission: &Submission) -> Result<(), EngineError>;
}

/// What an engine takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// Most shards of a plan.
    pub(super) shards: u32,
}

/// What is handed in.
pub(super) struct Work<'a> {
    /// What people see in the queue.
    pub(super) name: &'a str,
    pub(super) shards: &'a [u32],
    /// The command of a shard, which finds its number in the environment.
    pub(super) shard: &'a [&'a str],
    /// The command of the merge.
    pub(super) merge: &'a [&'a str],
    /// Where standard error goes.
    pub(super) logs: &'a Path,
    /// What the user says to the engine; wins over `wants`.
    pub(super) options: &'a [String],
    pub(super) wants: &'a Wants,
}

/// What each element of an array is to have. What is not said is the engine's to decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wants {
    pub(super) cores: Option<u32>,
    /// Whether a core's second thread is of no use.
    pub(super) whole_cores: bool,
    /// Bytes.
    pub(super) memory: Option<u64>,
    pub(super) time: Option<Duration>,
}

/// What was handed in, by the engine's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Submission {
    pub(super) array: String,
    pub(super) merge: String,
}

/// What an engine knows of a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) shards: BTreeMap<u32, State>,
    /// `None`: it knows nothing of it, any more or yet.
    pub(super) merge: Option<State>,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not begun, and why.
    Waiting(String),
    Running,
    Ended(End),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// It said so itself, or was killed by a signal.
    Failed,
    OutOfMemory,
    TimeLimit,
    NodeLost,
    Preempted,
    Cancelled,
    /// The engine has a word that is not known here.
    Other(String),
}

impl End {
    /// What a run comes to of which a shard ended so again and again.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::OutOfMemory | Self::TimeLimit => Exit::RunLimit,
            Self::Cancelled => Exit::Terminated,
            Self::Done | Self::Failed | Self::NodeLost | Self::Preempted | Self::Other(_) => Exit::Host,
        }
    }

    /// Whether it would end so again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::OutOfMemory | Self::TimeLimit | Self::Cancelled)
    }

    /// What happened, and what to do about it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Done => "ended without a part".into(),
            Self::Failed => "failed or was killed".into(),
            Self::OutOfMemory => "had too little memory; ask for more: -- --mem=SIZE".into(),
            Self::TimeLimit => "was not done in time; ask for more: -- --time=TIME, or for more --shards".into(),
            Self::NodeLost => "was lost with its machine".into(),
            Self::Preempted => "had to make room for others".into(),
            Self::Cancelled => "was cancelled".into(),
            Self::Other(word) => format!("ended as {word}"),
        }
    }
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EngineError {
    /// A program of it cannot be started.
    #[error("{program} cannot be started: {error}; is this a machine of the cluster?")]
    Missing {
        /// Which.
        program: &'static str,
        /// Why.
        error: String,
    },
    /// It refused.
    #[error("{program} says: {said}")]
    Refused {
        /// Which program.
        program: &'static str,
        /// What it said.
        said: String,
    },
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let exit = match error {
            EngineError::Missing { .. } => Exit::Usage,
            EngineError::Refused { .. } => Exit::Host,
        };
        Self::new(exit, error.to_string())
    }
}
