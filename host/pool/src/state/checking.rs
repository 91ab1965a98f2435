//! Batches whose results are with a worker that takes them item by item: which, and what it has said of each. What is merged behind
//! that is as if these items had failed where they were run.

use std::collections::VecDeque;

use taskhost_protocol::stream::Misfit;

use super::window::Finished;
use crate::event::FailedItem;
use crate::verdict::Verdict;

/// What was said of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Items whose results were not taken, in order.
    pub misfits: Vec<Misfit>,
    /// Bytes of results that were taken, as the worker says.
    pub bytes: u64,
}

/// Batches in the order in which their results were handed over.
#[derive(Debug, Default)]
pub(crate) struct Checking {
    waiting: VecDeque<Finished>,
    /// How many of them nothing more will be said of.
    checked: usize,
}

impl Checking {
    /// A batch is handed over; of one without results nothing is said.
    pub(crate) fn push(&mut self, finished: Finished) {
        let is_checked = finished.output == 0 && self.checked == self.waiting.len();
        self.waiting.push_back(finished);
        self.checked += usize::from(is_checked);
    }

    /// This was said of the first of which nothing was.
    pub(crate) fn checked(&mut self, checked: Checked) {
        let Some(finished) = self.waiting.get_mut(self.checked) else { return };
        finished.results = checked.bytes.min(finished.results);
        let (worker, attempts) = (finished.worker, 1);
        let failed = |misfit: Misfit| FailedItem {
            place: misfit.place,
            len: misfit.len,
            number: Some(misfit.ordinal.into()),
            line: None,
            at: 0,
            filled: 0,
            verdict: Verdict::Unfit(misfit.what),
            attempts,
            worker,
        };
        finished.failures.extend(checked.misfits.into_iter().map(failed));
        // No item is in both: one that failed where it was run has no results.
        finished.failures.sort_by_key(|failed| failed.number);
        self.checked += 1;
        while self.waiting.get(self.checked).is_some_and(|next| next.output == 0) {
            self.checked += 1;
        }
    }

    /// The next batch that can be merged.
    pub(crate) fn pop(&mut self) -> Option<Finished> {
        self.checked = self.checked.checked_sub(1)?;
        self.waiting.pop_front()
    }

    /// Whether nothing is handed over that is not merged.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::fault::ItemPlace;
    use taskhost_protocol::ids::{BatchId, SourceId};

    fn finished(batch: u64, output: u64) -> Finished {
        Finished { batch: BatchId(batch), items: 4, results: output, output, ..Finished::default() }
    }

    fn misfit(ordinal: u32) -> Misfit {
        let place = ItemPlace { source: SourceId(0), offset: u64::from(ordinal) * 10 };
        Misfit { place, ordinal, len: 10, what: "it has other columns".into() }
    }

    fn pop(checking: &mut Checking) -> Option<u64> {
        checking.pop().map(|finished| finished.batch.0)
    }

    #[test]
    fn batches_come_out_in_order_when_something_was_said_of_them() {
        let mut checking = Checking::default();
        for (batch, output) in [(1, 0), (2, 50), (3, 0), (4, 50)] {
            checking.push(finished(batch, output));
        }
        assert_eq!(
            (pop(&mut checking), pop(&mut checking)),
            (Some(1), None),
            "there is nothing to be said of the first"
        );
        checking.checked(Checked { misfits: Vec::new(), bytes: 40 });
        assert_eq!((pop(&mut checking), pop(&mut checking), pop(&mut checking)), (Some(2), Some(3), None));
        checking.checked(Checked { misfits: Vec::new(), bytes: 40 });
        assert_eq!(pop(&mut checking), Some(4));
        assert!(checking.is_empty());
        checking.checked(Checked { misfits: Vec::new(), bytes: 40 });
        assert_eq!(pop(&mut checking), None, "and nothing comes of words that nobody asked for");
    }

    #[test]
    fn what_does_not_fit_stands_among_what_failed() {
        let mut checking = Checking::default();
        let failed = |number| FailedItem {
            place: ItemPlace { source: SourceId(0), offset: 20 },
            len: 10,
            number: Some(number),
            line: None,
            at: 0,
            filled: 0,
            verdict: Verdict::Contract("broken".into()),
            attempts: 1,
            worker: None,
        };
        checking.push(Finished { failures: vec![failed(2)], ..finished(1, 100) });
        checking.checked(Checked { misfits: vec![misfit(1), misfit(3)], bytes: u64::MAX });
        let finished = checking.pop().expect("it was checked");
        let told: Vec<_> = finished.failures.iter().map(|failed| (failed.number, failed.verdict.name())).collect();
        assert_eq!(told, [(Some(1), "unfit"), (Some(2), "contract"), (Some(3), "unfit")]);
        assert_eq!(finished.results, 100, "no more was taken than there was");
    }
}
