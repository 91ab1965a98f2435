//! The closed lists of what can happen to a pool and what it can do about it.
//!
//! [`Event`]s go into the state machine, [`Action`]s come out; nothing else connects decisions with the world.

use std::time::Duration;

use taskhost_protocol::fault::ItemPlace;
use taskhost_protocol::ids::{BatchId, Generation, JobId, SourceId, WorkerId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::message::Role;
use taskhost_protocol::picture::{Format, PicturePlan};
use taskhost_protocol::work::{Budget, Care, Done, Merge, Partial, Piece, Rows, Split};

use crate::death::{Death, Reason};
pub use crate::plan::{
    DirectLength, DoneRange, ItemsPlan, JobPlan, JobTotals, OnError, Origin, PictureJobPlan, Placement, Portion,
    Prefix, Resume,
};
pub use crate::state::checking::Checked;
use crate::verdict::Verdict;

/// A partial result of a reduction, kept by whoever performs the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u64);

/// What a worker process is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Post {
    /// Runs batches.
    Execute,
    /// Runs one thing that is suspected to have killed a worker, and is then replaced.
    Isolation,
    /// Decodes and encodes pictures.
    Convert,
}

impl Post {
    /// The role of its process.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Execute | Self::Isolation => Role::Execute,
            Self::Convert => Role::Convert,
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A job was put on the pool.
    JobAdded {
        /// Its number.
        job: JobId,
        /// What it is.
        plan: JobPlan,
        /// Where it goes on, when another run began it.
        resume: Option<Box<Resume>>,
    },
    /// A file of the job is open; its items begin in `start..end`.
    SourceOpened {
        /// The job.
        job: JobId,
        /// The file's number.
        source: SourceId,
        /// Where its first item begins.
        start: u64,
        /// Its size in bytes.
        end: u64,
    },
    /// The job has no more files.
    SourcesEnded {
        /// The job.
        job: JobId,
    },
    /// The next input of the job is a pipe.
    PipeOpened {
        /// The job.
        job: JobId,
        /// The pipe's number.
        source: SourceId,
        /// Where its first item begins.
        start: u64,
    },
    /// A stretch of a pipe was read. Its items begin where those of the last stretch ended.
    Block {
        /// The job.
        job: JobId,
        /// The stretch.
        piece: Piece,
    },
    /// The pipe has ended.
    PipeEnded {
        /// The job.
        job: JobId,
        /// Its size in bytes.
        end: u64,
    },
    /// Input or output of the job cannot go on.
    JobBroken {
        /// The job.
        job: JobId,
        /// What to tell the user.
        failure: JobFailure,
    },
    /// Nobody wants the results of the job any more.
    JobCancelled {
        /// The job.
        job: JobId,
    },
    /// A worker can be given work.
    WorkerReady {
        /// The worker.
        worker: WorkerId,
        /// What for.
        post: Post,
    },
    /// A worker's process has exited; nothing it did can still be under way.
    WorkerLost {
        /// The worker.
        worker: WorkerId,
        /// What it was for.
        post: Post,
        /// How it went.
        death: Death,
    },
    /// A batch was taken back from a worker that had not begun it.
    Recalled {
        /// The worker.
        worker: WorkerId,
        /// The batch.
        batch: BatchId,
    },
    /// A worker replied to a batch.
    Done {
        /// The worker.
        worker: WorkerId,
        /// What it says.
        done: Box<Done>,
    },
    /// A convert worker decoded the job's picture.
    Decoded {
        /// The worker.
        worker: WorkerId,
        /// Its format, or what is wrong with it.
        result: Result<Format, JobFailure>,
    },
    /// The output of a picture job is ready to be written to.
    OutputOpened {
        /// The job.
        job: JobId,
        /// Where the first row goes.
        at: u64,
    },
    /// A convert worker encoded the job's result.
    Encoded {
        /// The worker.
        worker: WorkerId,
        /// Bytes that are on their way to an output that is written from front to back (0 for a file), or what went
        /// wrong.
        result: Result<u64, JobFailure>,
    },
    /// Bytes that belong to no batch, such as a header, are on their way to the output: the job is not over before they
    /// are there.
    Appended {
        /// The job.
        job: JobId,
        /// How many bytes.
        bytes: u64,
    },
    /// Whoever takes the job's results has looked at those of the next batch.
    Checked {
        /// The job.
        job: JobId,
        /// What it says.
        checked: Checked,
    },
    /// Results of a batch are in the output, so their arena region is free.
    Written {
        /// The job.
        job: JobId,
        /// How many bytes.
        bytes: u64,
    },
}

/// What one assignment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Run items.
    Items(Vec<Piece>),
    /// Filter rows.
    Rows(Rows),
    /// Ask what becomes of a format.
    Prepare(Format),
    /// Join parts of a reduction.
    Combine(Vec<PartId>),
    /// Finish a reduction.
    Finish(PartId),
    /// Decode the job's picture.
    Decode,
    /// Encode the job's result, which has this format.
    Encode(Format),
}

impl Task {
    /// Which workers do it, unless it is suspected.
    #[must_use]
    pub fn post(&self) -> Post {
        match self {
            Self::Decode | Self::Encode(_) => Post::Convert,
            Self::Items(_) | Self::Rows(_) | Self::Prepare(_) | Self::Combine(_) | Self::Finish(_) => Post::Execute,
        }
    }
}

/// Where the results of one assignment go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A free region of the worker's arena.
    Arena,
    /// Likewise, with what each result is of.
    Marked,
    /// The job's output, from this offset.
    Output(u64),
    /// Nowhere.
    Nowhere,
}

/// A batch given to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose work it is.
    pub job: JobId,
    /// Which batch.
    pub batch: BatchId,
    /// Which attempt.
    pub generation: Generation,
    /// What to do.
    pub task: Task,
    /// How the input splits.
    pub split: Split,
    /// How results are joined.
    pub merge: Merge,
    /// Where results go.
    pub destination: Destination,
    /// How long each result must be.
    pub length: ResultLength,
    /// When to stop early.
    pub budget: Budget,
    /// What is known of the items.
    pub care: Care,
}

/// Why a job cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobFailure {
    /// An item failed.
    #[error("{}", .0.verdict)]
    Item(Box<FailedItem>),
    /// The input could not be read, or is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The output could not be written.
    #[error("{0}")]
    Output(String),
    /// The results have more bytes than they may.
    #[error("the results have more than the {0} bytes that they may have")]
    OutputLimit(u64),
    /// Whoever read the output went away.
    #[error("the reader of the output went away")]
    ReaderGone,
    /// The kernel cannot do what the job needs.
    #[error("{0}")]
    Kernel(String),
    /// Work was lost with its worker, again and again, or no worker can be started.
    #[error("{0}")]
    Lost(String),
    /// A worker did what the sandbox forbids.
    #[error("{0}")]
    Violation(String),
}

/// An item that failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FailedItem {
    /// Which.
    pub place: ItemPlace,
    /// Bytes of it.
    pub len: u64,
    /// Its number in the job, from 0; unknown when results come in any order.
    pub number: Option<u64>,
    /// The number of its line in its input, from 0 and without a header, when items are lines.
    pub line: Option<u64>,
    /// Where in the output its result would be.
    pub at: u64,
    /// Zeros that stand there instead, in bytes.
    pub filled: u64,
    /// Why.
    pub verdict: Verdict,
    /// How often it was run.
    pub attempts: u32,
    /// The last worker that ran it.
    pub worker: Option<WorkerId>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give a worker a batch.
    Assign {
        /// The worker.
        worker: WorkerId,
        /// The batch.
        order: Order,
    },
    /// Take a batch back that waits for its worker, if that has not begun it: another has nothing to do. Told as
    /// [`Event::Recalled`] when it worked.
    Recall {
        /// The worker.
        worker: WorkerId,
        /// The batch.
        batch: BatchId,
    },
    /// Open the job's next file.
    NextSource {
        /// The job.
        job: JobId,
    },
    /// Nothing of this file, or of the block of a pipe that begins here, is needed any more.
    Release {
        /// The job.
        job: JobId,
        /// The file.
        source: SourceId,
        /// First readable byte of the block or file.
        from: u64,
    },
    /// Read about this much from the job's pipe.
    Read {
        /// The job.
        job: JobId,
        /// How many bytes are useful.
        bytes: u64,
    },
    /// Make the output of a picture job ready.
    OpenOutput {
        /// The job.
        job: JobId,
        /// What the kernel makes of the picture.
        plan: PicturePlan,
        /// How many pictures.
        planes: u32,
        /// How long the results are together.
        bytes: u64,
    },
    /// An item failed, and the job goes on without it.
    ItemFailed {
        /// The job.
        job: JobId,
        /// The item.
        item: Box<FailedItem>,
    },
    /// Everything that begins before this place is merged, which is told when a journal is kept: its results were asked to be appended, or stand in their
    /// places.
    Merged {
        /// The job.
        job: JobId,
        /// How far.
        prefix: Prefix,
        /// What the job came to until then.
        totals: Box<JobTotals>,
    },
    /// Append the results of a batch to the job's output.
    Append {
        /// The job.
        job: JobId,
        /// The batch.
        batch: BatchId,
        /// How many bytes.
        bytes: u64,
    },
    /// Keep the parts that are the results of a batch, in order.
    TakeParts {
        /// The batch.
        batch: BatchId,
        /// The parts and their lengths.
        parts: Vec<(PartId, u64)>,
    },
    /// The parts that were just taken are those of these stretches. Told when a journal is kept.
    Reduced {
        /// The job.
        job: JobId,
        /// The batch.
        batch: BatchId,
        /// The stretches, with their parts end to end in the results of the batch.
        ranges: Vec<DoneRange>,
    },
    /// Write parts to the job's output, in order: the nodes above them have other parts elsewhere.
    WriteParts {
        /// The job.
        job: JobId,
        /// The parts, and what of the reduction each is.
        parts: Vec<(PartId, Partial)>,
    },
    /// Keep parts that another run has made.
    RestoreParts {
        /// The job.
        job: JobId,
        /// The stretch they are of: its input …
        source: SourceId,
        /// … and where it begins.
        start: u64,
        /// The parts and their lengths.
        parts: Vec<(PartId, u64)>,
    },
    /// Forget parts.
    DropParts {
        /// Which.
        parts: Vec<PartId>,
    },
    /// Nothing of this batch's results is needed any more.
    ReleaseBatch {
        /// The batch.
        batch: BatchId,
    },
    /// Everything is appended: complete the output.
    FinishJob {
        /// The job.
        job: JobId,
        /// What it came to.
        totals: JobTotals,
    },
    /// Give the job up and its output.
    FailJob {
        /// The job.
        job: JobId,
        /// Why.
        failure: JobFailure,
        /// What it came to until then.
        totals: JobTotals,
    },
    /// End a worker if it does not finish this batch in a moment: nobody wants it any more.
    Stop {
        /// The worker.
        worker: WorkerId,
        /// The batch.
        batch: BatchId,
    },
    /// End a worker.
    Kill {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: Reason,
    },
    /// One more worker is needed.
    Spawn {
        /// What for.
        post: Post,
        /// How long to wait before, since those before it did not live long.
        after: Duration,
    },
}
