//! A job as the embedding program describes it: its plan, and the files it reads and writes.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use taskhost_os::atomic_file::AtomicFile;
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::picture::{Format, PictureFile, PicturePlan};
use taskhost_protocol::stream::StreamWork;
use taskhost_protocol::work::{Partial, Split};

use crate::event::{ItemsPlan, JobFailure, JobTotals, PictureJobPlan, Resume};
use crate::journal::FailedRecord;
use crate::plan::Share;
use crate::verdict::Verdict;

/// One input-to-output computation.
pub struct JobSpec {
    /// What messages call it: the input as the user gave it.
    pub name: String,
    /// What is to be done.
    pub work: JobWork,
}

/// Items of a job that come together: a table of them, see [`taskhost_protocol::table`].
#[derive(Debug)]
pub struct Block {
    /// How many.
    pub items: u64,
    /// The table.
    pub bytes: BlockBytes,
}

/// Where a table is.
#[derive(Debug)]
pub enum BlockBytes {
    /// Here: to be copied to where workers can read it.
    Short(Vec<u8>),
    /// In a file in memory that cannot change any more.
    Long(OwnedFd),
}

/// The items of a job, as they come.
pub trait Blocks: Send {
    /// The next.
    fn next(&mut self) -> Feed<Block>;
}

/// Results of items that follow each other.
#[derive(Debug)]
pub struct Results {
    /// Number of the first item.
    pub first: u64,
    /// How many items, failed ones included.
    pub items: u64,
    /// Which of them failed, counted from the first.
    pub failed: Vec<u64>,
    /// The results of the others, framed (see [`taskhost_protocol::table`]) by a worker, whose word is no evidence. Of a reduction
    /// the only one, as it is.
    pub bytes: Vec<u8>,
}

/// Whoever wants the results of a job.
pub trait Recipient: Send {
    /// Results have come. Returns how many bytes of them nobody has to wait for: of the others the pool hears by
    /// [`Request::Taken`].
    fn results(&mut self, results: Results) -> u64;
    /// An item has failed, before the results of those around it come.
    fn failed(&mut self, item: u64, failure: FailedItem);
    /// The job is over, and why when it failed.
    fn over(&mut self, failure: Option<JobFailure>);
}

/// What whoever makes jobs wants of those that are running, which are numbered in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// So many bytes of results are not waited for any more.
    Taken(JobId, u64),
    /// Nobody wants the job's results any more.
    Cancel(JobId),
}

/// Partial results that another run has made, by input and first byte of their stretch.
pub type KeptParts = HashMap<(SourceId, u64), Vec<u8>>;

/// What is to be done.
pub enum JobWork {
    /// Cut the input into items.
    Items {
        /// How.
        plan: ItemsPlan,
        /// The files, in order.
        sources: Box<dyn SourceFeed>,
        /// Whether the first line of each file is no item.
        header: bool,
        /// Whether the first file's header is the first line of the output.
        keep_header: bool,
        /// Where results go. To go on with what another run began, a file that ends where that stopped.
        output: Output,
        /// Where to go on.
        resume: Option<Box<Resume>>,
        /// For a reduction: the partial results of what another run has done, by input and first byte.
        parts: KeptParts,
        /// The output of a run before, to which results are added.
        splice: Option<Splice>,
    },
    /// Run items that somebody hands over, and hand the results back.
    Table {
        /// How. The input is split as a table and the results are framed.
        plan: ItemsPlan,
        /// The items.
        blocks: Box<dyn Blocks>,
        /// Who gets the results.
        recipient: Box<dyn Recipient>,
        /// Its share of the workers.
        share: Share,
    },
    /// Filter a picture.
    Picture {
        /// How.
        plan: PictureJobPlan,
        /// The file.
        source: SourceFile,
        /// Where the result goes.
        output: Output,
        /// What the result looks like.
        form: PictureForm,
    },
}

/// An output that lacks the results of failed items, and what is known of these.
#[derive(Debug)]
pub struct Splice {
    /// The output.
    pub old: OwnedFd,
    /// Bytes of it.
    pub len: u64,
    /// The items.
    pub places: Vec<FailedRecord>,
}

/// What the result of a picture job looks like as a file.
#[derive(Clone, Debug)]
pub enum PictureForm {
    /// The samples, behind a header that depends on their format.
    Samples {
        /// The bytes in front of the samples.
        header: fn(&PicturePlan, u32) -> Vec<u8>,
    },
    /// A picture file, made by a convert worker.
    File(PictureFile),
}

/// An input that is open.
#[derive(Debug)]
pub struct SourceFile {
    /// Its name as the user gave it; `-` for standard input.
    pub name: String,
    /// The file, open for reading.
    pub file: OwnedFd,
    /// What it is.
    pub kind: SourceKind,
    /// Whether it is decompressed when its first bytes say that it is compressed.
    pub unpack: bool,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A regular file: workers read it themselves.
    Regular {
        /// Its size in bytes. It must not shrink during the run.
        len: u64,
    },
    /// Anything else, or a file that was read from already: the coordinator reads it into an arena.
    Pipe,
}

/// What a feed has to say.
pub enum Feed<T> {
    /// The next one.
    Next(T),
    /// None yet: the pool is woken when that changes.
    Later,
    /// No more.
    Ended,
}

/// The inputs of a job, in order, opened as they are needed.
pub trait SourceFeed: Send {
    /// The next input, or what is wrong with it.
    fn next(&mut self) -> Feed<Result<SourceFile, JobFailure>>;
}

/// The jobs of a run, made as they are needed.
pub trait JobFeed {
    /// The next job.
    fn next(&mut self) -> Feed<JobSpec>;

    /// What is wanted of running jobs.
    fn requests(&mut self) -> Vec<Request> {
        Vec::new()
    }

    /// Jobs that may run at a time, when that is not a matter of descriptors.
    fn at_once(&self) -> Option<usize> {
        None
    }
}

/// Where results go.
pub enum Output {
    /// A file that appears whole or not at all.
    File(Box<AtomicFile>),
    /// The same, to which a worker writes what it makes of the results.
    Converted(Box<AtomicFile>, StreamWork),
    /// A pipe, a terminal, a device, or a file that something else has open: written from front to back.
    Stream(OwnedFd),
    /// Nowhere.
    Nothing,
}

/// What became of a job.
#[derive(Debug)]
pub struct JobReport {
    /// Its name.
    pub name: String,
    /// Where its result is, when that is a file.
    pub path: Option<PathBuf>,
    /// How its input was cut into items; `None` for a picture.
    pub split: Option<Split>,
    /// The format of its result, for a picture.
    pub result: Option<Format>,
    /// What it came to.
    pub totals: JobTotals,
    /// With a [`Splice`]: the items that failed again, with their places in the new output.
    pub failed_again: Vec<FailedRecord>,
    /// Of a portion of a reduction: what its output consists of, in order.
    pub partials: Vec<Partial>,
    /// The names of its inputs, by number, as far as a failure may need them.
    pub failure: Option<ReportedFailure>,
}

/// An item that failed, as whoever watches a run is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedItem {
    /// The job, by name.
    pub job: String,
    /// The input it belongs to, by name.
    pub source: String,
    /// Where in that input it begins, in bytes; for a picture the row.
    pub offset: u64,
    /// Bytes of it.
    pub len: u64,
    /// Its number in the job, from 0; unknown when results come in any order.
    pub item: Option<u64>,
    /// The number of its line in its input, from 1, when items are lines and that is known.
    pub line: Option<u64>,
    /// Whether it is a row of a picture, so that `offset` counts rows.
    pub is_row: bool,
    /// What became of it.
    pub verdict: Verdict,
    /// How often it was run.
    pub attempts: u32,
    /// The last worker that ran it.
    pub worker: Option<u32>,
    /// The cpu that worker was pinned to.
    pub core: Option<u32>,
}

/// The bytes of an item that failed, as long as they can be read.
#[derive(Clone, Copy, Debug)]
pub struct CapturedItem<'a> {
    /// The job, by name.
    pub job: &'a str,
    /// The input it belongs to, by name.
    pub source: &'a str,
    /// Where in that input it begins, in bytes.
    pub offset: u64,
    /// Bytes of it.
    pub len: u64,
    /// Its position, see [`taskhost_protocol::work::Piece::position`].
    pub position: u64,
    /// With `--header`: the first line of its input.
    pub header: Option<&'a [u8]>,
    /// Where its bytes are …
    pub file: BorrowedFd<'a>,
    /// … from this offset.
    pub at: u64,
}

/// Why a job failed, and where.
#[derive(Debug)]
pub struct ReportedFailure {
    /// Why.
    pub failure: JobFailure,
    /// The input in which it failed, when it was an item.
    pub source: Option<String>,
}
