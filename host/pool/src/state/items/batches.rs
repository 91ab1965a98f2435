//! What becomes of a batch of items that was run, or lost with its worker.

use taskhost_data::tree::NodeId;
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::work::{Done, Partial, Piece, Split};

use super::ItemsJob;
use crate::event::{Action, Checked, Destination, DoneRange, FailedItem, JobFailure, OnError, Placement, Prefix};
use crate::state::job::Ran;
use crate::state::ledger::{failed_items, place_behind};
use crate::state::mark::Mark;
use crate::state::rest;
use crate::state::window::Finished;

impl ItemsJob {
    /// What was lost with a worker goes back, unless the job has failed in front of it.
    pub(super) fn take_back(&mut self, pieces: &[Piece], divided: Vec<(Piece, Option<Mark>)>) {
        let Some(first) = pieces.first() else { return };
        self.window.remove((first.source, first.start));
        for (piece, mark) in divided {
            self.supply.put_back(piece, mark);
        }
        if let Some(failed) = self.failed {
            self.supply.drop_behind(failed);
        }
        if self.ledger.has_failed() {
            self.supply.drop_behind((SourceId(0), 0));
        }
    }

    pub(super) fn items_done(
        &mut self,
        ran_batch: Ran<'_>,
        pieces: &[Piece],
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<(), JobFailure> {
        let Ran { worker, batch, pick, done } = ran_batch;
        if let Some(fault) = &done.joining {
            actions.push(Action::ReleaseBatch { batch });
            return Err(JobFailure::Kernel(fault.to_string()));
        }
        let mut failures = failed_items(ran_batch, |len| self.filled(len));
        let fails =
            failures.iter().any(|failed| self.plan.on_error == OnError::Fail || failed.verdict.is_input_output());
        if let Destination::Output(offset) = pick.destination {
            failures.iter_mut().for_each(|failed| failed.at += offset);
        }
        if self.plan.placement == Placement::Nowhere {
            // No result has a place.
            failures.iter_mut().for_each(|failed| failed.at = 0);
        }
        // A job that fails has no result, so it needs no parts.
        let mut reduction = self.reduction.as_mut().filter(|_| !fails);
        if let Some(reduction) = &mut reduction {
            let parts = reduction.add(&done.partials, next_part);
            actions.push(Action::TakeParts { batch, parts });
            if self.is_kept {
                let ranges = ranges(self.plan.split, pieces, done, &failures);
                actions.push(Action::Reduced { job: self.id, batch, ranges });
            }
        }
        let mut input = 0;
        let key = pieces.first().map_or((SourceId(0), 0), |piece| (piece.source, piece.start));
        let mut end = key;
        for ran in rest::ran(pieces, done.rest) {
            input += ran.bytes();
            if ran.is_begun() {
                end = place_behind(self.plan.split, ran.piece.source, ran.end, ran.complete);
            }
            if let Some(reduction) = &mut reduction {
                reduction.cover(ran.positions(self.plan.split));
            }
            if ran.is_begun() && self.supply.finished(ran.piece, ran.bytes()) {
                actions.push(Action::Release { job: self.id, source: ran.piece.source, from: ran.piece.from });
            }
            if let Some(left) = ran.left() {
                let is_same = left.start > ran.piece.start;
                self.supply.put_back(left, Mark::of_rest(pick.mark.as_ref()).filter(|_| is_same));
            }
        }
        // What is suspected says nothing about the others.
        if pick.mark.is_none() {
            self.sizing.learn(input, done.items, done.spent.total);
        }
        if fails {
            self.failed = Some(self.failed.map_or(key, |failed| failed.min(key)));
            self.supply.drop_behind(key);
        }
        let is_appended = matches!(self.plan.placement, Placement::Append | Placement::Checked);
        let is_appended = is_appended && self.reduction.is_none();
        let output = if is_appended { done.output } else { 0 };
        if output == 0 {
            actions.push(Action::ReleaseBatch { batch });
        }
        let results = if self.reduction.is_some() { 0 } else { done.output };
        let counters = done.counters.clone();
        let (items, worker) = (done.items, Some(worker));
        let finished = Finished { batch, worker, items, input, results, output, failures, counters, end };
        self.window.complete(key, finished);
        self.merge(actions);
        Ok(())
    }

    /// Merges what is next in order.
    pub(super) fn merge(&mut self, actions: &mut Vec<Action>) {
        let before = self.ledger.prefix();
        let mut is_told = false;
        while !self.ledger.has_failed()
            && let Some(finished) = self.next_finished(actions)
        {
            let (batch, output) = (finished.batch, finished.output);
            if self.ledger.fails_with(&finished) {
                // Of this batch, only a part is merged: whoever goes on from here runs all of it again.
                self.tell_merged(before, actions);
                is_told = true;
            }
            let kept = self.ledger.merge(finished, actions);
            if self.plan.placement == Placement::Checked {
                // It is where it belongs.
                continue;
            }
            if kept > 0 {
                self.window.append(kept);
                actions.push(Action::Append { job: self.id, batch, bytes: kept });
            } else if output > 0 {
                actions.push(Action::ReleaseBatch { batch });
            }
        }
        if !is_told {
            self.tell_merged(before, actions);
        }
    }

    /// The next batch in order. What is still to be run comes before what was finished behind it.
    fn next_finished(&mut self, actions: &mut Vec<Action>) -> Option<Finished> {
        if self.plan.placement != Placement::Checked {
            return self.window.pop_before(self.supply.first());
        }
        while let Some(finished) = self.window.pop_before(self.supply.first()) {
            let (batch, bytes) = (finished.batch, finished.output);
            if bytes > 0 {
                self.window.append(bytes);
                actions.push(Action::Append { job: self.id, batch, bytes });
            }
            self.checking.push(finished);
        }
        self.checking.pop()
    }

    /// Whoever takes the results has said which of those of one batch it could not take.
    pub(in crate::state) fn checked(&mut self, checked: Checked, actions: &mut Vec<Action>) {
        self.checking.checked(checked);
        self.merge(actions);
        if self.ledger.has_failed() {
            // Everything in front of that was run.
            let key = (SourceId(0), 0);
            self.failed = Some(key);
            self.supply.drop_behind(key);
        }
    }

    /// Says for a journal how far the merge is, when that is further than `before`.
    fn tell_merged(&self, before: Prefix, actions: &mut Vec<Action>) {
        let prefix = self.ledger.prefix();
        if self.is_kept && prefix != before && self.plan.ordered && self.reduction.is_none() {
            let totals = Box::new(self.ledger.totals().clone());
            actions.push(Action::Merged { job: self.id, prefix, totals });
        }
    }
}

/// What a batch has done, stretch by stretch.
fn ranges(split: Split, pieces: &[Piece], done: &Done, failures: &[FailedItem]) -> Vec<DoneRange> {
    let mut left = done.partials.as_slice();
    let mut counters = done.counters.clone();
    let mut ranges = Vec::new();
    for ran in rest::ran(pieces, done.rest).filter(rest::Ran::is_begun) {
        let (_, end) = ran.positions(split);
        let is_own = |part: &&Partial| NodeId { level: part.level, index: part.index }.start() < u128::from(end);
        let (own, others) = left.split_at(left.iter().take_while(is_own).count());
        left = others;
        let source = ran.piece.source;
        let is_alone = pieces.len() == 1;
        let mut failed: Vec<FailedItem> = failures.iter().filter(|item| item.place.source == source).cloned().collect();
        if !is_alone {
            // Files, each with one item.
            failed.iter_mut().for_each(|item| item.number = Some(0));
        }
        ranges.push(DoneRange {
            source,
            start: ran.piece.start,
            end: ran.end,
            items: if is_alone { done.items } else { 1 },
            failed,
            counters: std::mem::take(&mut counters),
            parts: own.to_vec(),
        });
    }
    ranges
}
