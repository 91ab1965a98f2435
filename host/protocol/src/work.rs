//! What a batch is: which bytes, cut how, with the results going where.

use serde::{Deserialize, Serialize};

use crate::fault::ItemFailure;
use crate::ids::{BatchId, Generation, JobId, SlotId, SourceId};
use crate::kernel::ResultLength;
use crate::picture::{Format, PicturePlan};

/// How an input splits into items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Split {
    /// A file is an item.
    Whole,
    /// A line, without its `\n`, is an item.
    Lines,
    /// The whole lines whose first byte lies in the same window of this many bytes are an item.
    Blocks(u64),
    /// Every so many bytes are an item; a remainder is an error.
    Records(u64),
    /// Every so many bytes are an item; the last may be shorter.
    Chunks(u64),
    /// Items that somebody hands over one by one, gathered in a table (see [`crate::table`]). All numbers of a piece but
    /// `at` count items.
    Table,
}

/// How results become one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Merge {
    /// Laid end to end.
    Concat,
    /// Laid end to end, a `\n` after each.
    Lines,
    /// Laid end to end, each behind its length (see [`crate::table`]).
    Framed,
    /// Joined by the kernel's `combine` and `finish`.
    Reduce,
    /// Counted and dropped.
    Discard,
}

/// A stretch of one input. All numbers are bytes of that input, counted from its first byte, but `at`. (Under
/// [`Split::Table`] they are items of the table.)
///
/// The items of a piece are those that *begin* in `start..end`. The bytes that can be read are `from..to`, which
/// contain every such item whole; in the slot's file, byte `from` stands at `at`. When `from >= start`, an item
/// begins at `from`; otherwise byte `start - 1` can be read and tells whether a line begins at `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The input.
    pub source: SourceId,
    /// Where its bytes are.
    pub slot: SlotId,
    /// Items begin here or later.
    pub start: u64,
    /// Items begin before this.
    pub end: u64,
    /// First readable byte.
    pub from: u64,
    /// End of the readable bytes.
    pub to: u64,
    /// Where byte `from` stands in the slot's file.
    pub at: u64,
    /// Position in the run of an item that begins at byte 0 of this input, see [`Piece::position`].
    pub base: u64,
}

impl Piece {
    /// Position in the run of the item that begins at byte `offset` of the input: for whole files, records and chunks
    /// the number of the item, for lines and blocks the offset in all inputs laid end to end. It grows from item to
    /// item, and orders the tree of a reduction.
    #[must_use]
    pub fn position(&self, split: Split, offset: u64) -> u64 {
        match split {
            Split::Whole => self.base,
            Split::Lines | Split::Blocks(_) => self.base + offset,
            Split::Records(size) | Split::Chunks(size) => self.base + offset / size,
            Split::Table => self.base + offset,
        }
    }
}

/// A part of a reduction: the result of all items at the positions of one aligned node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// The node covers `16^level` positions …
    pub level: u8,
    /// … from `index × 16^level`.
    pub index: u64,
    /// Bytes of the partial result. They follow each other in the output of the batch.
    pub len: u64,
}

/// One call of `combine`: so many parts, in order, with these lengths, end to end in the slot's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Where the parts are.
    pub slot: SlotId,
    /// Where the first begins.
    pub at: u64,
    /// The length of each.
    pub lens: Vec<u64>,
}

/// Rows of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The picture.
    pub source: SourceId,
    /// Where its samples are.
    pub slot: SlotId,
    /// Where row 0 begins in the slot's file.
    pub at: u64,
    /// The picture's format.
    pub format: Format,
    /// What `prepare` said of that format; checked again by the worker's own call.
    pub plan: PicturePlan,
    /// First row to be made.
    pub first: u32,
    /// Number of rows to be made. With a plan of `whole` these are all rows of the *input*.
    pub count: u32,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Run the items that begin in these pieces, at most [`crate::limits::PIECES_PER_BATCH`].
    Items(Vec<Piece>),
    /// Filter rows of a picture.
    Rows(Rows),
    /// Ask `prepare` what it makes of a format. The answer is in [`Done::plan`].
    Prepare(Format),
    /// Call `combine` once. No parts gives the identity.
    Combine(Join),
    /// Call `finish` on the one part.
    Finish(Join),
}

/// Where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Into the worker's output arena, end to end from this offset.
    Arena(u64),
    /// Likewise, each behind a mark that says which item it is of (see [`crate::mark`]).
    Marked(u64),
    /// To their final place: the result of the first item at this offset of the slot's file, all others after it.
    File {
        /// The output file.
        slot: SlotId,
        /// Offset of the first result.
        offset: u64,
    },
    /// Nowhere.
    Nowhere,
}

/// When to stop early. The rest of the batch then becomes another batch, perhaps of another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// After this many microseconds.
    pub micros: u64,
    /// When the results have this many bytes.
    pub output: u64,
    /// After this many items.
    pub items: u64,
    /// After this many failed items, at most [`crate::limits::FAILURES_PER_BATCH`].
    pub failures: u32,
}

/// A batch, for one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Whose work it is.
    pub job: JobId,
    /// Which batch.
    pub batch: BatchId,
    /// Which attempt.
    pub generation: Generation,
    /// How the input splits.
    pub split: Split,
    /// How the results are joined.
    pub merge: Merge,
    /// What to do.
    pub work: Work,
    /// Where results go.
    pub place: Place,
    /// How long each result must be: whoever wrote the results behind it relied on that.
    pub length: ResultLength,
    /// When to stop early.
    pub budget: Budget,
    /// What the coordinator has learned of these items from attempts before this one.
    pub care: Care,
}

/// How items are run of which something is known already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Care {
    /// The first item (for rows the first row) is not run but reported as failed with
    /// [`crate::fault::Fault::LeftOut`].
    pub leave_out_first: bool,
    /// No packed calls, and one row of a picture at a time, so that the progress cell names one item.
    pub one_by_one: bool,
    /// Go on behind a failed item, and for results that go straight to their place put zeros in the place of its own.
    pub skip_failed: bool,
    /// How often an item that failed with [`crate::fault::Fault::Temporary`] is run again.
    pub retries: u32,
}

/// Where a batch stopped early: the first item that was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Index into the pieces of the batch (0 for rows).
    pub piece: u32,
    /// The piece's new `start`, or the next row.
    pub start: u64,
}

/// Where the time of a batch went, in nanoseconds, as the worker measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// From the receipt of the batch to its reply.
    pub total: u64,
    /// In reading input and writing results.
    pub copy: u64,
    /// In calls of the kernel for items or rows. Of tiny items only some calls are measured, and stand for the others.
    pub call: u64,
    /// In joining partial results of a reduction: its tree and the kernel's `combine` and `finish`.
    pub join: u64,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Whose work it was.
    pub job: JobId,
    /// Which batch.
    pub batch: BatchId,
    /// Which attempt.
    pub generation: Generation,
    /// Items run, failed ones included.
    pub items: u64,
    /// Bytes of input of those items.
    pub input: u64,
    /// Bytes of results written.
    pub output: u64,
    /// Set when the batch stopped early.
    pub rest: Option<Rest>,
    /// For a reduction: what the output consists of, in order.
    pub partials: Vec<Partial>,
    /// Items that failed, in order.
    pub failures: Vec<ItemFailure>,
    /// Why results cannot be joined, for a reduction: no item is to blame, so the job cannot go on.
    pub joining: Option<crate::fault::Fault>,
    /// What `counter.add` summed up, without the failed items.
    pub counters: Vec<(String, u64)>,
    /// The answer to [`Work::Prepare`].
    pub plan: Option<PicturePlan>,
    /// Where the time went.
    pub spent: Spent,
    /// Bytes of the memories and tables of the kernel's instance at the end; 0 where each item has an instance of its own.
    pub memory: u64,
}
