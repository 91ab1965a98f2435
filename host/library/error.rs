//! What can go wrong with a pool as a whole, and with one item; and who is to blame.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use taskhost_pool::error::PoolError;
use taskhost_pool::event::JobFailure;
use taskhost_pool::verdict::{Blame, ErrorKind, Verdict};

/// The line that makes a program its own worker.
const ENTRY: &str = "taskhost::worker::run_if_worker();";

/// Why a pool, or one of its kernels, cannot be used. Its `Debug` form is its message, since that is what a program shows whose `main`
/// returns it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This program cannot be its own worker, and no other was named: nothing was started.
    #[error(
        "this program cannot be started as a worker: add `{ENTRY}` as the first line of `main`, or name a program that \
         can (`Builder::worker_program`, or TASKHOST_WORKER in the environment: an installed `taskhost` will do)"
    )]
    NoWorkerEntry,
    /// The program that was named as the worker cannot be used.
    #[error("the worker program {}: {error}", path.display())]
    WorkerProgram {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file that all workers are to read cannot be read.
    #[error("broadcast {name}: {}: {error}", path.display())]
    Broadcast {
        /// What kernels call it.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A kernel's file cannot be read.
    #[error("the kernel {name} cannot be read: {error}")]
    Kernel {
        /// The file as it was named.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// A kernel cannot be run, and why: the kernel is to blame, or a setting.
    #[error("the kernel {name} is refused: {reason}")]
    Refused {
        /// The kernel.
        name: String,
        /// Why.
        reason: String,
    },
    /// This machine lacks a wall that is insisted on.
    #[error("{0}")]
    Sandbox(String),
    /// Workers cannot be started, or this machine lacks something they need.
    #[error("{0}")]
    Start(String),
    /// A value that is to be an item cannot be written as bytes.
    #[error("the item cannot be written: {0}")]
    Write(String),
    /// The pool was closed, or has failed.
    #[error("the pool is closed")]
    Closed,
    /// An item has failed: what `?` makes of it where a program ends with the first.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// An item has failed in a pipeline.
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// From what the coordinator says of a kernel.
    pub(crate) fn of_pool(error: PoolError, name: &str) -> Self {
        let name = name.to_owned();
        match error {
            PoolError::Refused(refusal) => Self::Refused { name, reason: refusal.to_string() },
            PoolError::Compile(what) => {
                Self::Refused { name, reason: format!("compiling it failed: the compiler process {what}") }
            }
            error @ PoolError::Sandbox { .. } => Self::Sandbox(error.to_string()),
            error => Self::Start(error.to_string()),
        }
    }

    /// Who is to blame.
    ///
    /// ```
    /// use taskhost::{Blame, Error};
    ///
    /// assert_eq!(Error::NoWorkerEntry.blame(), Blame::Host);
    /// ```
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Refused { .. } => Blame::Kernel,
            Self::Write(_) => Blame::Item,
            Self::Task(error) => error.blame(),
            Self::Stage(error) => error.error.blame(),
            Self::NoWorkerEntry
            | Self::WorkerProgram { .. }
            | Self::Kernel { .. }
            | Self::Broadcast { .. }
            | Self::Sandbox(_)
            | Self::Start(_)
            | Self::Closed => Blame::Host,
        }
    }
}

/// Why there is no result of an item of a [`Pipeline`](crate::Pipeline).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stage {stage}, {kernel}: {error}")]
#[non_exhaustive]
pub struct StageError {
    /// The stage that it has not left, counted from 0.
    pub stage: usize,
    /// The kernel of that stage.
    pub kernel: String,
    /// What became of it. The item's number is that among all that went into the pipeline.
    pub error: TaskError,
}

/// Why there is no result of an item. The others are not affected, and the pool goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The kernel says that the item is wrong.
    #[error("item {item}: {message}")]
    InvalidInput {
        /// The item, counted from 0.
        item: u64,
        /// What the kernel says.
        message: String,
    },
    /// The kernel says that it could not do it; or, when it said that trying again may help, that it did not.
    #[error("item {item}: {message}")]
    Failed {
        /// The item, counted from 0.
        item: u64,
        /// What the kernel says.
        message: String,
    },
    /// The kernel trapped.
    #[error("item {item}: the kernel trapped: {reason}")]
    Trapped {
        /// The item, counted from 0.
        item: u64,
        /// What WebAssembly calls it.
        reason: String,
        /// The functions that were on its stack, innermost first.
        backtrace: Vec<String>,
    },
    /// The item took longer than [`Builder::timeout`](crate::Builder::timeout) allows.
    #[error("item {item}: took longer than {limit:?}")]
    Late {
        /// The item, counted from 0.
        item: u64,
        /// What was allowed.
        limit: Duration,
    },
    /// The item needs more than the limits allow: memory, fuel, or bytes of its result.
    #[error("item {item}: {what}")]
    Limit {
        /// The item, counted from 0.
        item: u64,
        /// Which limit, and what was needed.
        what: String,
    },
    /// The worker crashed at this item, twice.
    #[error("item {item}: {how}")]
    Crashed {
        /// The item, counted from 0.
        item: u64,
        /// How its worker ended.
        how: String,
    },
    /// Something else became of the item, which is told in words.
    #[error("item {item}: {what}")]
    Other {
        /// The item, counted from 0.
        item: u64,
        /// What.
        what: String,
        /// Who is to blame.
        blame: Blame,
    },
    /// The value cannot be written as bytes, or they are more than an item may have: it never reached a kernel.
    #[error("item {item}: cannot be written: {message}")]
    Write {
        /// The item, counted from 0.
        item: u64,
        /// Why.
        message: String,
    },
    /// What the kernel returned is no value of the type that was asked for.
    #[error("item {item}: the result is not what was expected: {message}")]
    Read {
        /// The item, counted from 0.
        item: u64,
        /// Why.
        message: String,
    },
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The pool was closed before, or the thread that drives it is gone.
    #[error("the pool is closed")]
    Closed,
    /// Work was lost for reasons that are nobody's item: no worker can be started, or the kernel is not run any more.
    #[error("{0}")]
    Lost(String),
}

impl TaskError {
    pub(crate) fn of_verdict(item: u64, verdict: Verdict) -> Self {
        let what = verdict.to_string();
        match verdict {
            Verdict::Trap { reason, backtrace } => Self::Trapped { item, reason, backtrace },
            Verdict::KernelError(ErrorKind::InvalidInput, message) => Self::InvalidInput { item, message },
            Verdict::KernelError(ErrorKind::Failed | ErrorKind::Temporary, message) => Self::Failed { item, message },
            Verdict::Deadline(limit) => Self::Late { item, limit },
            Verdict::MemoryLimit { .. }
            | Verdict::WorkerMemory
            | Verdict::OutputLimit { .. }
            | Verdict::OutOfFuel(_)
            | Verdict::ItemTooLarge { .. } => Self::Limit { item, what },
            Verdict::Crash(_) => Self::Crashed { item, how: what },
            verdict => Self::Other { item, what, blame: verdict.blame() },
        }
    }

    pub(crate) fn of_job(failure: &JobFailure) -> Self {
        match failure {
            JobFailure::ReaderGone => Self::Cancelled,
            failure => Self::Lost(failure.to_string()),
        }
    }

    /// The same about an item that has another number for whoever is told.
    pub(crate) fn renumbered(mut self, number: u64) -> Self {
        match &mut self {
            Self::InvalidInput { item, .. }
            | Self::Failed { item, .. }
            | Self::Trapped { item, .. }
            | Self::Late { item, .. }
            | Self::Limit { item, .. }
            | Self::Crashed { item, .. }
            | Self::Other { item, .. }
            | Self::Write { item, .. }
            | Self::Read { item, .. } => *item = number,
            Self::Cancelled | Self::Closed | Self::Lost(_) => {}
        }
        self
    }

    /// Who is to blame.
    ///
    /// ```
    /// use taskhost::{Blame, TaskError};
    ///
    /// assert_eq!(TaskError::Cancelled.blame(), Blame::Nobody);
    /// ```
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::InvalidInput { .. } | Self::Late { .. } | Self::Limit { .. } | Self::Write { .. } => Blame::Item,
            Self::Failed { .. } | Self::Trapped { .. } | Self::Crashed { .. } | Self::Read { .. } => Blame::Kernel,
            Self::Other { blame, .. } => *blame,
            Self::Cancelled | Self::Closed => Blame::Nobody,
            Self::Lost(_) => Blame::Host,
        }
    }

    /// The item, counted from 0 in its map; 0 for a task.
    ///
    /// ```
    /// assert_eq!(taskhost::TaskError::Cancelled.item(), None);
    /// ```
    #[must_use]
    pub fn item(&self) -> Option<u64> {
        match self {
            Self::InvalidInput { item, .. }
            | Self::Failed { item, .. }
            | Self::Trapped { item, .. }
            | Self::Late { item, .. }
            | Self::Limit { item, .. }
            | Self::Crashed { item, .. }
            | Self::Other { item, .. }
            | Self::Write { item, .. }
            | Self::Read { item, .. } => Some(*item),
            Self::Cancelled | Self::Closed | Self::Lost(_) => None,
        }
    }
}
