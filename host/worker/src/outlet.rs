//! Where the results of items go, whether the items went well or not, and when a batch is over.

use std::time::Instant;

use taskhost_data::tree::LocalTree;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::mark::Mark as ItemMark;
use taskhost_protocol::work::{Assignment, Budget, Care, Merge, Place};

use crate::call_clock::Measured;
use crate::execute::nanos_since;
use crate::items::Extent;
use crate::results::{Mark, Results};
use crate::tally::{Failed, Tally};

/// Where the results of items go.
pub(crate) struct Outlet<'r, 'f> {
    pub(crate) results: &'r mut Results<'f>,
    pub(crate) tally: &'r mut Tally,
    /// For a reduction.
    pub(crate) tree: Option<LocalTree>,
    /// The partial results of one item of a reduction.
    pub(crate) scratch: Vec<u8>,
    /// Where each of them ends.
    pub(crate) ends: Vec<usize>,
    pub(crate) care: Care,
    /// Whether the next item is the first, and not to be run.
    pub(crate) leaves_out: bool,
    merge: Merge,
    length: ResultLength,
    /// Whether each result has a place of its own, whatever becomes of the others.
    is_direct: bool,
    /// Whether each result is behind a mark that says which item it is of.
    is_marked: bool,
    budget: Budget,
    began: Instant,
    /// Items between two looks at the clock, less one.
    clock_mask: u64,
}

impl<'r, 'f> Outlet<'r, 'f> {
    pub(crate) fn new(assignment: &Assignment, results: &'r mut Results<'f>, tally: &'r mut Tally) -> Self {
        let has_length = assignment.length != ResultLength::Unknown && assignment.merge != Merge::Reduce;
        Self {
            results,
            tally,
            tree: None,
            scratch: Vec::new(),
            ends: Vec::new(),
            care: assignment.care,
            leaves_out: assignment.care.leave_out_first,
            merge: assignment.merge,
            length: assignment.length,
            is_direct: has_length && matches!(assignment.place, Place::File { .. }),
            is_marked: matches!(assignment.place, Place::Marked(_)),
            budget: assignment.budget,
            began: Instant::now(),
            clock_mask: 0,
        }
    }

    /// Takes one result of an item, which has this number in the batch.
    pub(crate) fn put(&mut self, result: &[u8], Extent { place, len }: Extent, ordinal: u64) -> Result<(), Fault> {
        if self.tree.is_some() {
            self.scratch.extend_from_slice(result);
            self.ends.push(self.scratch.len());
            return Ok(());
        }
        if let Some(expected) = self.expected(len)
            && expected != result.len() as u64
        {
            return Err(Fault::Contract(format!(
                "it describes results of {expected} bytes, but this one has {}",
                result.len()
            )));
        }
        if self.is_marked {
            // Batches of marked results have few items.
            let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
            self.results.write(&ItemMark { place, ordinal, len, result: result.len() as u64 }.encode())?;
            // Whoever takes them apart needs nothing between them.
            return self.results.write(result);
        }
        if self.merge == Merge::Framed {
            let Ok(frame) = u32::try_from(result.len()) else {
                return Err(Fault::OutputLimit { len: result.len() as u64, limit: u32::MAX.into() });
            };
            self.results.write(&frame.to_le_bytes())?;
        }
        self.results.write(result)?;
        self.end_result()
    }

    /// Whether many results can be taken at once, as the bytes that they are, when their lengths are.
    pub(crate) fn takes_end_to_end(&self, are_lengths: impl FnOnce(ResultLength) -> bool) -> bool {
        let is_plain = matches!(self.merge, Merge::Concat | Merge::Discard) && !self.is_marked;
        self.tree.is_none() && is_plain && are_lengths(self.length)
    }

    /// Bytes of the result of an item of `len` bytes, where that is known.
    fn expected(&self, len: u64) -> Option<u64> {
        match self.length {
            ResultLength::Unknown => None,
            ResultLength::Same => Some(len),
            ResultLength::Exactly(len) => Some(u64::from(len)),
        }
    }

    fn end_result(&mut self) -> Result<(), Fault> {
        if self.merge == Merge::Lines { self.results.write(b"\n") } else { Ok(()) }
    }

    /// Forgets what an item gave before it failed.
    pub(crate) fn forget(&mut self, mark: Mark) {
        self.results.roll_back(mark);
        self.scratch.clear();
        self.ends.clear();
    }

    /// Notes that the item just counted failed. Results behind it stand where they would if it had not.
    #[cold]
    pub(crate) fn fail(&mut self, Extent { place, len }: Extent, attempts: u32, fault: Fault) {
        let at = self.results.len();
        let goes_on = self.care.skip_failed || fault == Fault::LeftOut;
        let filled = match self.expected(len) {
            Some(expected) if self.is_direct && goes_on => {
                self.results.write_zeros(expected).and_then(|()| self.end_result())
            }
            _ => Ok(()),
        };
        let fault = filled.err().unwrap_or(fault);
        self.tally.fail(Failed { place, len, at, attempts, fault });
    }

    /// Notes an item that failed before it was run.
    #[cold]
    pub(crate) fn fail_unread(&mut self, extent: Extent, fault: Fault) {
        self.leaves_out = false;
        self.tally.items += 1;
        self.fail(extent, 1, fault);
    }

    /// Counts the first item without running it.
    #[cold]
    pub(crate) fn leave_out(&mut self, extent: Extent) {
        self.leaves_out = false;
        self.tally.items += 1;
        self.fail(extent, 0, Fault::LeftOut);
    }

    /// Whether the batch has to stop here.
    pub(crate) fn is_over(&mut self) -> bool {
        if self.tally.stopped || self.tally.items >= self.budget.items || self.results.len() >= self.budget.output {
            return true;
        }
        if self.tally.items & self.clock_mask != 0 {
            return false;
        }
        let spent = nanos_since(self.began);
        // Looking at the clock costs as much as a tiny item, so for those it is done rarely.
        self.clock_mask = if spent / self.tally.items.max(1) < 4_000 { 63 } else { 0 };
        spent / 1_000 >= self.budget.micros
    }

    /// Begins to measure a call, when its turn is: every one, or of tiny items one of many.
    #[inline]
    pub(crate) fn measure(&self) -> Option<Measured> {
        let is_due = self.tally.items & self.clock_mask == 0;
        is_due.then(|| Measured::begin(self.clock_mask + 1, self.results.nanos))
    }

    /// The call is over.
    #[inline]
    pub(crate) fn called(&mut self, measured: Option<Measured>, read: u64) {
        if let Some(measured) = measured {
            self.tally.call_nanos += measured.end(self.results.nanos, read);
        }
    }

    /// The joining is over.
    #[inline]
    pub(crate) fn joined(&mut self, measured: Option<Measured>) {
        if let Some(measured) = measured {
            self.tally.join_nanos += measured.end(self.results.nanos, 0);
        }
    }

    /// Items that may still be run.
    pub(crate) fn items_left(&self) -> u64 {
        self.budget.items.saturating_sub(self.tally.items)
    }
}
