//! What a job is, without its descriptors: how its input is cut, where results go, where it goes on, what it came to.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};

use serde::{Deserialize, Serialize};
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::picture::Format;
use taskhost_protocol::work::{Merge, Partial, Split};

use crate::event::FailedItem;
use crate::state::sizing::BatchRule;

/// What becomes of a job of which an item failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It fails; the first failed item in the order of the input is named.
    #[default]
    Fail,
    /// It goes on without the item.
    Skip,
}

/// Where the results of a job go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Into the worker's arena, and from there appended to the output.
    Append,
    /// Likewise, where a worker takes them item by item and says which do not fit.
    Checked,
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
    /// What becomes of it when an item fails.
    pub on_error: OnError,
    /// Where its one input stood in the input of another run, of which it is one item.
    pub origin: Option<Origin>,
    /// The part of the input that is to be run, when other processes run the rest.
    pub portion: Option<Portion>,
}

/// A stretch of the input of a run, of which alone the results are made. The files of the job are those in which it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portion {
    /// Position in the whole run of an item at byte 0 of the first file, see
    /// [`taskhost_protocol::work::Piece::position`].
    pub base: u64,
    /// In the first file, items begin at this byte or later.
    pub start: u64,
    /// The number of the last file, counted from the first.
    pub last: u32,
    /// In the last file, items begin before this byte.
    pub end: u64,
}

impl Portion {
    /// The range of a file of `len` bytes in which items of the portion begin.
    #[must_use]
    pub fn within(&self, source: SourceId, len: u64) -> (u64, u64) {
        let start = if source.0 == 0 { self.start } else { 0 };
        let end = if source.0 == self.last { self.end.min(len) } else { len };
        (start.min(end), end)
    }
}

/// Where the bytes of an input stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Offset of its first byte.
    pub offset: u64,
    /// Position of the item that begins there, see [`taskhost_protocol::work::Piece::position`].
    pub position: u64,
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
    /// What becomes of it when a row fails.
    pub on_error: OnError,
    /// The rows that are to be run, when other processes run the rest: the first, and the one behind the last, counted
    /// over all pictures. A picture that cannot be cut belongs to whoever has its first row.
    pub rows: Option<(u64, u64)>,
}

/// A job's share of the workers, beside other jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Twice as much time for twice the weight.
    pub weight: NonZeroU32,
    /// Most workers that are at it at a time.
    pub most: Option<NonZeroUsize>,
    /// It is one item: all such jobs share one clock, so that many of them are not more than one that has many items.
    pub is_single: bool,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: NonZeroU32::MIN, most: None, is_single: false }
    }
}

/// What a job is, without its descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPlan {
    /// Items.
    Items(ItemsPlan),
    /// Pictures.
    Picture(PictureJobPlan),
}

/// Where a job goes on that another run began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// What is merged.
    pub prefix: Prefix,
    /// What the job came to until then.
    pub totals: JobTotals,
    /// For an input that can be read only once: so many bytes of it have this BLAKE3.
    pub read: Option<(u64, [u8; 32])>,
    /// Run only these items, by input: where each begins, and its length in bytes.
    pub only: Option<BTreeMap<SourceId, Vec<(u64, u64)>>>,
    /// For a reduction: what is done of each input, in order, wherever it is.
    pub done: BTreeMap<SourceId, Vec<DoneRange>>,
}

impl Resume {
    /// Items that are done and are not run again, failed ones included.
    #[must_use]
    pub fn items(&self) -> u64 {
        let in_stretches = self.done.values().flatten().map(|stretch| stretch.items).sum::<u64>();
        self.totals.items.saturating_add(in_stretches)
    }
}

/// A stretch of an input of which the partial results are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoneRange {
    /// The input.
    pub source: SourceId,
    /// The items begin here or later …
    pub start: u64,
    /// … and before this byte of the input.
    pub end: u64,
    /// Items in it, failed ones included.
    pub items: u64,
    /// Those that failed; the number of each is that within the stretch.
    pub failed: Vec<FailedItem>,
    /// What the kernel counted.
    pub counters: Vec<(String, u64)>,
    /// The partial results, in order.
    pub parts: Vec<Partial>,
}

/// How far the ordered merge of a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// All inputs before this one are merged …
    pub source: SourceId,
    /// … and all items of this one that begin before this byte.
    pub offset: u64,
    /// Items of this input that are merged.
    pub source_items: u64,
    /// Bytes of the output.
    pub output: u64,
}

/// What a job came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobTotals {
    /// Items run, failed ones included.
    pub items: u64,
    /// Items that failed.
    pub failed: u64,
    /// Bytes of input.
    pub input: u64,
    /// Bytes of results.
    pub output: u64,
    /// What the kernel counted.
    pub counters: BTreeMap<String, u64>,
    /// Nanoseconds workers were busy with it.
    pub busy: u64,
    /// Of a portion: the last input that has items in it, and their number.
    pub last: Option<(SourceId, u64)>,
}
