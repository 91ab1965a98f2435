//! The messages, by direction.
//!
//! Start-up of an execute worker: the worker says [`FromWorker::Hello`]; the coordinator [`ToWorker::Start`] with its
//! descriptors (at once, since waiting for the greeting would cost a round trip, and nothing runs before it was
//! checked); the worker loads the artifact, locks itself in and says [`FromWorker::Locked`]; the coordinator looks
//! at the process from outside and says [`ToWorker::Go`]; only now does the kernel's code run, and the worker says
//! [`FromWorker::Ready`] or [`FromWorker::Refused`]. After that it answers each [`ToWorker::Run`] with one
//! [`FromWorker::Done`], in order, with log lines between.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Refusal};
use crate::given::Given;
use crate::grant::Grant;
use crate::ids::{JobId, SlotId, SourceId};
use crate::kernel::{CompileOptions, Description, Exports, Invoke, Kind, Needs};
use crate::limits::{CompileLimits, WorkerLimits};
use crate::picture::{Format, PictureFile};
use crate::stream::{StreamOrder, Taken};
use crate::work::{Assignment, Done};

/// What a worker process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Turns a kernel into an artifact.
    Compile,
    /// Runs a kernel.
    Execute,
    /// Decodes and encodes file formats.
    Convert,
}

/// How much of the sandbox is insisted on (`--sandbox`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sandbox {
    /// Every layer that the machine offers, and never less than the system-call filter and no new privileges.
    #[default]
    Auto,
    /// Every layer there is.
    Full,
    /// None: the worker has all the rights of the user.
    Off,
}

/// A layer of the sandbox that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Its name, as `taskhost_os::sandbox::Layer` has it.
    pub layer: String,
    /// Why it is not there, for the user; capped.
    pub reason: String,
}

/// What a worker needs to begin. Descriptors come with the message, in the order given here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one for each worker, and only until it is sent")]
pub enum Start {
    /// Descriptors: the kernel (sealed memfd), the artifact to be written (memfd).
    Compile {
        /// What to do.
        options: CompileOptions,
        /// Bytes of the kernel.
        kernel_bytes: u64,
        /// What it may use.
        limits: CompileLimits,
    },
    /// Descriptors: the code (sealed memfd), the progress cell, the output arena, one for each granted folder; then, when
    /// there is broadcast data, that (sealed memfd).
    Execute(StartExecute),
    /// Descriptors: none. For pictures.
    Convert,
    /// Descriptors: none. For one stream.
    Stream {
        /// Private memory that it may have beyond what it starts with, in bytes.
        memory: u64,
    },
}

/// What an execute worker needs to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartExecute {
    /// How the kernel is called.
    pub kind: Kind,
    /// What it exports.
    pub exports: Exports,
    /// For [`Kind::Typed`]: the function that is called; `None` only with `describe_only`.
    pub invoke: Option<Invoke>,
    /// What it may use.
    pub limits: WorkerLimits,
    /// `--config`, as the user gave it; defaults are filled in by the worker.
    pub settings: Vec<(String, String)>,
    /// Ask only for the description: `lifecycle.start` is not called.
    pub describe_only: bool,
    /// Nanoseconds since 1970 at the run's start: what clocks of the kernel show.
    pub clock: u64,
    /// First bytes of the kernel's digest: seeds its random numbers.
    pub seed: [u8; 16],
    /// How long an instance of the kernel is kept.
    pub fresh: Fresh,
    /// Folders that it may use, at most [`crate::limits::GRANTS`]; none unless the user says so.
    pub grants: Vec<Grant>,
    /// What its code needs of the engine.
    pub needs: Needs,
    /// What else the user gives it.
    pub given: Given,
}

/// How long an instance of the kernel is kept (`--fresh`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fresh {
    /// As long as its worker lives.
    #[default]
    Worker,
    /// For one batch.
    Batch,
    /// For one item: nothing is left behind from one to the next.
    Item,
}

/// What an opened descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Open {
    /// An input, for reading.
    Input(Source),
    /// Partial results, for reading.
    Parts,
    /// An output, for writing.
    Output,
}

/// What a kernel may know of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// The job it belongs to.
    pub job: JobId,
    /// Its name as the user gave it; `-` for a pipe.
    pub name: String,
    /// With `--header`: its first line, without the line end.
    pub header: Option<Vec<u8>>,
}

/// From the coordinator to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Begin, behind these walls; carries descriptors.
    Start(Start, Sandbox),
    /// The lock was verified.
    Go,
    /// Take the descriptor that comes with this message into a slot, in place of what is there.
    Open {
        /// The slot.
        slot: SlotId,
        /// What it is.
        open: Open,
    },
    /// Empty a slot.
    Close {
        /// The slot.
        slot: SlotId,
    },
    /// Run a batch.
    Run(Assignment),
    /// Convert role: decode the picture in `from` and write its samples to `to`, from offset 0.
    Decode {
        /// The file.
        from: SlotId,
        /// Its size in bytes.
        bytes: u64,
        /// Where the samples go.
        to: SlotId,
    },
    /// Convert role: encode the samples in `from` and write the file to `to`, from offset 0.
    Encode {
        /// The samples.
        from: SlotId,
        /// Their format.
        format: Format,
        /// Where the file goes.
        to: SlotId,
        /// Its format.
        file: PictureFile,
    },
    /// Convert role: read the first descriptor that comes with this message to its end, and write what becomes of it to the
    /// second.
    Stream(StreamOrder),
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// For the kernel's author.
    Debug,
    /// For the user.
    Info,
    /// Something is odd.
    Warn,
    /// Something is wrong.
    Error,
}

/// A line that the kernel wrote with `log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Whose work it was.
    pub job: JobId,
    /// The item; `None` outside of one.
    pub place: Option<crate::fault::ItemPlace>,
    /// How grave.
    pub level: Level,
    /// What it says, capped, control characters and all: escaping is for whoever prints it.
    pub text: String,
}

/// From a worker to the coordinator. Nothing in it is evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The first message. The build is that of the executable, see `taskhost_os::exe`.
    Hello {
        /// Of the worker's protocol crate.
        version: u32,
        /// Of the worker's executable.
        build: [u8; 32],
    },
    /// Everything is loaded and the walls stand; no instruction of the kernel was executed. What this machine does not
    /// offer is named for the user: what counts is what the coordinator sees from outside.
    Locked(Vec<Lacking>),
    /// A layer is missing that is insisted on; the worker ends.
    Unlocked(Lacking),
    /// The kernel is instantiated and may be given work.
    Ready {
        /// What it says of itself.
        description: Option<Description>,
    },
    /// The kernel cannot be used.
    Refused(Refusal),
    /// Compile role: the artifact is written: the encoded [`crate::kernel::KernelInfo`], and the code behind it.
    Compiled {
        /// Bytes of the info.
        info_bytes: u64,
        /// Bytes of the code.
        code_bytes: u64,
    },
    /// The reply to a batch.
    Done(Done),
    /// The reply to [`ToWorker::Decode`].
    Decoded(Result<Format, Fault>),
    /// The reply to [`ToWorker::Encode`]: bytes of the file.
    Encoded(Result<u64, Fault>),
    /// The reply to [`ToWorker::Stream`], sent before the descriptors are closed: bytes written.
    Streamed(Result<u64, Fault>),
    /// Before that, when results are taken item by item: what became of the next batch of them.
    Taken(Taken),
    /// A log line.
    Log(LogLine),
    /// The worker gives up: the text of a panic, or of a failure to start.
    Dying(String),
}
