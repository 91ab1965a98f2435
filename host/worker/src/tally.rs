//! What a batch came to so far, and whether it has to stop for what failed in it.

use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::frame;
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::limits::{FAILURES_PER_BATCH, MESSAGE_BYTES};
use taskhost_protocol::picture::PicturePlan;
use taskhost_protocol::work::{Assignment, Partial, Rest, Work};

/// Bytes of failures in a reply beyond which the batch stops. One more of at most 8.5 KiB (a text and a backtrace) may
/// follow; 128 counters take 18 KiB; the partials of six pieces 15 KiB at most: together less than [`MESSAGE_BYTES`].
const FAILURE_BYTES: usize = 22 << 10;

/// What a batch came to so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) items: u64,
    pub(crate) input: u64,
    pub(crate) rest: Option<Rest>,
    pub(crate) partials: Vec<Partial>,
    pub(crate) failures: Vec<ItemFailure>,
    pub(crate) joining: Option<Fault>,
    pub(crate) plan: Option<PicturePlan>,
    /// Nanoseconds spent in reading input.
    pub(crate) read_nanos: u64,
    /// Nanoseconds spent in calls of the kernel for items.
    pub(crate) call_nanos: u64,
    /// Nanoseconds spent in joining partial results.
    pub(crate) join_nanos: u64,
    /// Whether nothing more is to be run.
    pub(crate) stopped: bool,
    /// Where the batch begins, for what can be said of no item in particular.
    start: Option<ItemPlace>,
    /// After this many failed items the batch stops.
    most_failures: usize,
    /// Failed items, without those that were left out.
    failed: usize,
    /// Bytes of the failures in the reply.
    failure_bytes: usize,
}

/// An item that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) place: ItemPlace,
    /// Bytes of the item.
    pub(crate) len: u64,
    /// Bytes of results in front of its own.
    pub(crate) at: u64,
    /// How often it was run.
    pub(crate) attempts: u32,
    pub(crate) fault: Fault,
}

impl Tally {
    pub(crate) fn new(assignment: &Assignment) -> Self {
        let most_failures = match assignment.budget.failures as usize {
            failures if assignment.care.skip_failed => failures.clamp(1, FAILURES_PER_BATCH),
            _ => 1,
        };
        let start = match &assignment.work {
            Work::Items(pieces) => pieces.first().map(|piece| ItemPlace { source: piece.source, offset: piece.start }),
            Work::Rows(rows) => Some(ItemPlace { source: rows.source, offset: rows.first.into() }),
            Work::Prepare(_) | Work::Combine(_) | Work::Finish(_) => None,
        };
        Self { most_failures, start, ..Self::default() }
    }

    /// Notes that the item just counted failed.
    #[cold]
    pub(crate) fn fail(&mut self, Failed { place, len, at, attempts, fault }: Failed) {
        let ordinal = self.items.saturating_sub(1);
        let failure = ItemFailure { place, ordinal, len, at, attempts, fault: fault.capped() };
        self.failure_bytes += frame::encode(&failure).map_or(MESSAGE_BYTES, |bytes| bytes.len());
        // An item that was left out was charged to the budget when it failed the first time.
        self.failed += usize::from(failure.fault != Fault::LeftOut);
        // Where one result cannot be written, no other can.
        let is_final = matches!(failure.fault, Fault::Output(_));
        self.failures.push(failure);
        self.stopped |= is_final
            || self.failed >= self.most_failures
            || self.failures.len() >= FAILURES_PER_BATCH
            || self.failure_bytes >= FAILURE_BYTES;
    }

    /// Notes what went wrong with the batch and is the fault of no item that could be named: none of what was made is
    /// of use, and so no list of other failures.
    pub(crate) fn fail_whole(&mut self, fault: Fault) {
        let place = self.start.unwrap_or(ItemPlace { source: SourceId(0), offset: 0 });
        self.failures.clear();
        self.partials.clear();
        self.fail(Failed { place, len: 0, at: 0, attempts: 1, fault });
    }

    /// Notes that results cannot be joined: nothing that the batch made is of use.
    #[cold]
    pub(crate) fn fail_joining(&mut self, fault: Fault) {
        self.joining = Some(fault.capped());
        self.partials.clear();
        self.stopped = true;
    }

    /// Whether an item failed that was not left out.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }
}
