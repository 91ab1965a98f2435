//! The closed lists of what can happen to a pool and what it can do about it.
//!
//! [`Event`]s go into the state machine, [`Action`]s come out; nothing else connects decisions with the world.

use taskhost_protocol::fault::ItemFailure;
use taskhost_protocol::ids::{BatchId, Generation, JobId, SourceId, WorkerId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::message::Role;
use taskhost_protocol::picture::{Format, PicturePlan};
use taskhost_protocol::work::{Budget, Care, Done, Merge, Piece, Rows, Split};

use crate::death::Death;
use crate::state::sizing::BatchRule;

/// A partial result of a reduction, kept by whoever performs the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u64);

/// Where the results of a job go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Into the worker's arena, and from there appended to the output.
    Append,
    /// Straight to their place in the output file, since the length of every result is known.
    Direct(DirectLength),
    /// Nowhere.
    Nowhere,
}

/// How long results that go straight to their place are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectLength {
    /// As long as the item.
    Same,
    /// This many bytes.
    Exactly(u32),
}

/// A job whose input is cut into items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemsPlan {
    /// How the input splits.
    pub split: Split,
    /// How results are joined.
    pub merge: Merge,
    /// Where results go.
    pub placement: Placement,
    /// How long the kernel says each result is: held to it wherever results go, so that a pipe and a file get the same
    /// answer.
    pub length: ResultLength,
    /// Whether results keep the order of the input.
    pub ordered: bool,
    /// How large batches are.
    pub batch: BatchRule,
    /// Bytes of all inputs together, when known.
    pub bytes: Option<u64>,
}

/// A job whose input is one picture, or several of the same format laid end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureJobPlan {
    /// The picture's format; `None` when it must be decoded first.
    pub format: Option<Format>,
    /// How many pictures of that format follow each other.
    pub planes: u32,
    /// Where the first begins in its file.
    pub at: u64,
    /// Whether rows go straight to their place in the output.
    pub direct: bool,
    /// Whether the result must be encoded at the end.
    pub encode: bool,
    /// How large batches are.
    pub batch: BatchRule,
}

/// What a job is, without its descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPlan {
    /// Items.
    Items(ItemsPlan),
    /// Pictures.
    Picture(PictureJobPlan),
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
    /// A worker can be given work.
    WorkerReady {
        /// The worker.
        worker: WorkerId,
        /// What for.
        role: Role,
    },
    /// A worker's process has exited; nothing it did can still be under way.
    WorkerLost {
        /// The worker.
        worker: WorkerId,
        /// What it was for.
        role: Role,
        /// How it went.
        death: Death,
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
    /// Which workers can do it.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Decode | Self::Encode(_) => Role::Convert,
            Self::Items(_) | Self::Rows(_) | Self::Prepare(_) | Self::Combine(_) | Self::Finish(_) => Role::Execute,
        }
    }
}

/// Where the results of one assignment go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A free region of the worker's arena.
    Arena,
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
    #[error("{}", .0.failure.fault)]
    Item(Box<FailedItem>),
    /// The input could not be read, or is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The output could not be written.
    #[error("{0}")]
    Output(String),
    /// Whoever read the output went away.
    #[error("the reader of the output went away")]
    ReaderGone,
    /// The kernel cannot do what the job needs.
    #[error("{0}")]
    Kernel(String),
    /// A batch was lost with its worker, more than once.
    #[error("{0}")]
    Lost(String),
}

/// An item that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedItem {
    /// Which, and why.
    pub failure: ItemFailure,
    /// Its number in the job, from 0.
    pub number: u64,
}

/// What a job came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobTotals {
    /// Items run.
    pub items: u64,
    /// Bytes of input.
    pub input: u64,
    /// Bytes of results.
    pub output: u64,
    /// What the kernel counted.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// Nanoseconds workers were busy with it.
    pub busy: u64,
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
    /// End a worker that broke the protocol.
    Kill {
        /// The worker.
        worker: WorkerId,
        /// What it did.
        reason: String,
    },
    /// More workers of this role are needed.
    Spawn {
        /// Which.
        role: Role,
    },
}
