//! What a job has merged: the numbers of items and lines, which are only known here, the failed items in their places,
//! the totals, and how far everything in front is complete.

use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::work::Split;

use super::counting;
use super::window::Finished;
use crate::event::{Action, FailedItem, JobFailure, JobTotals, OnError, Prefix};

/// What a job has merged.
#[derive(Debug)]
pub(crate) struct Ledger {
    job: JobId,
    split: Split,
    on_error: OnError,
    ordered: bool,
    /// Whether results are in their places already.
    direct: bool,
    prefix: Prefix,
    totals: JobTotals,
    /// Set when the job has failed; told when what stands in front of that is written.
    failure: Option<JobFailure>,
}

impl Ledger {
    pub(crate) fn new(job: JobId, split: Split, on_error: OnError, ordered: bool) -> Self {
        let (prefix, totals) = (Prefix::default(), JobTotals::default());
        Self { job, split, on_error, ordered, direct: false, prefix, totals, failure: None }
    }

    /// Goes on where another run stopped.
    pub(crate) fn resume(&mut self, prefix: Prefix, totals: JobTotals) {
        self.prefix = prefix;
        self.totals = totals;
    }

    /// With `direct`, results go straight to their places.
    pub(crate) fn with_direct(mut self, direct: bool) -> Self {
        self.direct = direct;
        self
    }

    /// No item can be left out.
    pub(crate) fn fail_on_error(&mut self) {
        self.on_error = OnError::Fail;
    }

    /// Whether the job has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The failure, once.
    pub(crate) fn take_failure(&mut self) -> Option<JobFailure> {
        self.failure.take()
    }

    pub(crate) fn prefix(&self) -> Prefix {
        self.prefix
    }

    pub(crate) fn totals_mut(&mut self) -> &mut JobTotals {
        &mut self.totals
    }

    pub(crate) fn totals(&self) -> &JobTotals {
        &self.totals
    }

    /// Bytes that are no results go in front of those that follow.
    pub(crate) fn skip_output(&mut self, bytes: u64) {
        self.prefix.output += bytes;
    }

    /// Whether the job fails with this batch.
    pub(crate) fn fails_with(&self, finished: &Finished) -> bool {
        finished.failures.iter().any(|failed| self.is_final(failed))
    }

    fn is_final(&self, failed: &FailedItem) -> bool {
        self.on_error == OnError::Fail || failed.verdict.is_input_output()
    }

    /// Takes in a batch, all before it having been taken in. Returns how many bytes of its results are to be appended.
    pub(crate) fn merge(&mut self, finished: Finished, actions: &mut Vec<Action>) -> u64 {
        let Finished { items, input, results, output, failures, counters, end, .. } = finished;
        // Lines are numbered in each input.
        let begins = if end.0 == self.prefix.source { self.prefix.source_items } else { 0 };
        for mut failed in failures {
            let kept = failed.at;
            let ordinal = failed.number.unwrap_or(0);
            failed.number = self.ordered.then_some(self.totals.items + ordinal);
            failed.line = (self.ordered && self.split == Split::Lines).then_some(begins + ordinal);
            if !self.direct {
                failed.at += self.prefix.output;
            }
            self.totals.failed += 1;
            if self.is_final(&failed) {
                self.totals.items += ordinal + 1;
                self.failure = Some(JobFailure::Item(Box::new(failed)));
                return kept.min(output);
            }
            actions.push(Action::ItemFailed { job: self.job, item: Box::new(failed) });
        }
        self.totals.items += items;
        self.totals.input += input;
        self.totals.output = self.totals.output.saturating_add(results);
        counting::add(&mut self.totals.counters, counters.iter().map(|(name, amount)| (name, amount)));
        self.prefix.source = end.0;
        self.prefix.offset = end.1;
        self.prefix.source_items = begins + items;
        self.prefix.output += if self.direct { results } else { output };
        output
    }
}

/// The place behind everything in a piece that was run until `end`.
pub(crate) fn place_behind(split: Split, source: SourceId, end: u64, complete: bool) -> (SourceId, u64) {
    // A whole file may be empty, so that its end is no other place than its start.
    if split == Split::Whole && complete { (SourceId(source.0 + 1), 0) } else { (source, end) }
}

/// The failed items of a reply, with their numbers in the batch.
pub(crate) fn failed_items(ran: super::job::Ran<'_>, fill: impl Fn(u64) -> u64) -> Vec<FailedItem> {
    let charge = match &ran.pick.mark {
        Some(super::mark::Mark::Condemned(charge)) => Some(charge),
        _ => None,
    };
    let item = |failure: &taskhost_protocol::fault::ItemFailure| {
        let charge = charge.filter(|_| failure.fault == taskhost_protocol::fault::Fault::LeftOut);
        let (verdict, attempts, worker) = match charge {
            Some(charge) => (charge.verdict.clone(), charge.attempts, charge.worker),
            None => (crate::verdict::Verdict::of_fault(failure.fault.clone()), failure.attempts, ran.worker),
        };
        FailedItem {
            place: failure.place,
            len: failure.len,
            number: Some(failure.ordinal),
            line: None,
            at: failure.at,
            filled: fill(failure.len),
            verdict,
            attempts,
            worker: Some(worker),
        }
    };
    ran.done.failures.iter().map(item).collect()
}
