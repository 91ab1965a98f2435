//! What a journal says. Paths are bytes, as Linux has them.

use serde::{Deserialize, Serialize};
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::work::Partial;

use super::print::InputPrint;
use crate::event::FailedItem;

/// What a run is: all that is needed to start it again, and to refuse when something is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// A random number, different for each run.
    pub run: [u8; 16],
    /// The arguments of the run, the name of the program left out.
    pub command: Vec<Vec<u8>>,
    /// The folder it was started in, from which the paths of `command` count.
    pub folder: Vec<u8>,
    /// BLAKE3 of the kernel's file.
    pub kernel: [u8; 32],
    /// How the input is cut and results are joined: a mended kernel must do it alike.
    pub shape: String,
    /// What kernels see as the time, in nanoseconds since 1970.
    pub clock: u64,
    /// The inputs, in order. In the file they follow the header in entries of their own, since they may be many.
    #[serde(skip)]
    pub inputs: Vec<InputPrint>,
    /// The version of taskhost that wrote it.
    pub taskhost: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// From here on the run goes on with another kernel.
    Kernel {
        /// BLAKE3 of its file.
        digest: [u8; 32],
    },
    /// An output was begun.
    Output(OutputRecord),
    /// Results were merged, and are on the disk.
    Commit(Commit),
    /// An item failed for good.
    Failed(FailedRecord),
    /// Partial results of a reduction.
    Parts(PartsRecord),
    /// A job ended.
    JobOver(JobOver),
    /// The run ended.
    End {
        /// Its exit code.
        exit: u8,
    },
}

/// An output that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Whose output it is.
    pub job: JobId,
    /// Its path once it is complete.
    pub target: Vec<u8>,
    /// The path of the temporary file with what is written so far.
    pub data: Vec<u8>,
    /// Whether workers write results straight to their final place.
    pub direct: bool,
}

/// How far the merge of a job has come in one input. It says nothing of other inputs of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The job.
    pub job: JobId,
    /// The input.
    pub source: SourceId,
    /// All items that begin before this byte of the input are merged.
    pub offset: u64,
    /// Whether these are all items of the input.
    pub complete: bool,
    /// Where in the output the bytes that this commit adds begin.
    pub output_from: u64,
    /// Where they end: bytes of output so far.
    pub output: u64,
    /// Items of the job so far, failed ones included.
    pub items: u64,
    /// Bytes of input of the job so far.
    pub input: u64,
    /// Items of this input so far.
    pub source_items: u64,
    /// What the kernel counted.
    pub counters: Vec<(String, u64)>,
    /// BLAKE3 of the bytes `output_from..output` of the output.
    pub digest: [u8; 32],
    /// For an input that can be read only once: so many bytes of it have this BLAKE3.
    pub read: Option<(u64, [u8; 32])>,
}

/// An item that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRecord {
    /// The job.
    pub job: JobId,
    /// The input.
    pub source: SourceId,
    /// Where in the input it begins.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
    /// Its number in the job, from 0.
    pub item: u64,
    /// Its line in the input, from 1, where that means something.
    pub line: Option<u64>,
    /// Where in the output its result belongs.
    pub at: u64,
    /// How many bytes of zeros stand there instead.
    pub filled: u64,
    /// Its line of the error file.
    pub json: String,
}

/// The partial results of a reduction for a range of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsRecord {
    /// The job.
    pub job: JobId,
    /// The input.
    pub source: SourceId,
    /// The items begin here or later …
    pub start: u64,
    /// … and before this byte of the input.
    pub end: u64,
    /// The results, end to end, up to 1 GiB. In the file they stand behind the entry, or before it in pieces.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// What `bytes` consists of, in order.
    pub parts: Vec<Partial>,
    /// Items in the range, failed ones included.
    pub items: u64,
    /// What the kernel counted in the range.
    pub counters: Vec<(String, u64)>,
    /// Items of it that failed.
    pub failed: Vec<FailedItem>,
}

/// A job that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOver {
    /// The job.
    pub job: JobId,
    /// The name of its input.
    pub input: Vec<u8>,
    /// The path of its output, when there is one.
    pub output: Option<Vec<u8>>,
    /// Why there is none.
    pub failed: Option<String>,
}
