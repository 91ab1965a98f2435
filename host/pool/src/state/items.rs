//! A job whose input is cut into items: what is run next, and what becomes of a finished batch.

use taskhost_protocol::ids::{BatchId, JobId, SlotId, SourceId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::work::{Budget, Done, Merge, Piece, Split};

use super::check::check_items;
use super::input::{Input, Next};
use super::job::{Job, Pick};
use super::reduction::Reduction;
use super::rest;
use super::sizing::{LARGEST, Sizing};
use super::supply::{Key, Supply, Wanted};
use super::window::{Finished, Window};
use crate::event::{Action, Destination, DirectLength, FailedItem, ItemsPlan, JobFailure, JobTotals, Placement, Task};

/// Input of a pipe that may be read but not yet run, in bytes.
const READ_AHEAD: u64 = 32 << 20;

/// Files, or blocks of a pipe, in use at once. Files: far below the usual limit of 1024 descriptors, far above what
/// workers can have in flight. Blocks: a pipe that brings a line at a time fills up blocks long before it fills
/// [`READ_AHEAD`]; once it is left to itself for a while, it brings more at a time.
const OPEN: usize = 128;

/// Slots are given by whoever talks to the worker.
const NO_SLOT: SlotId = SlotId(u8::MAX);

/// A job whose input is cut into items.
#[derive(Debug)]
pub(crate) struct ItemsJob {
    id: JobId,
    plan: ItemsPlan,
    sizing: Sizing,
    input: Input,
    supply: Supply,
    window: Window<Key>,
    reduction: Option<Reduction>,
    /// Items merged so far: the number of the next item.
    merged_items: u64,
    /// Whether an item failed. What comes before it is still run, since another item may fail there.
    failed: bool,
    totals: JobTotals,
}

impl ItemsJob {
    pub(crate) fn new(id: JobId, plan: ItemsPlan) -> Self {
        Self {
            id,
            plan,
            sizing: Sizing::new(plan.batch),
            input: Input::new(plan.split),
            supply: Supply::default(),
            window: Window::new(plan.ordered),
            reduction: (plan.merge == Merge::Reduce).then(Reduction::new),
            merged_items: 0,
            failed: false,
            totals: JobTotals::default(),
        }
    }

    /// A file of `len` bytes is open, with items from `start` on.
    pub(crate) fn source_opened(&mut self, source: SourceId, start: u64, len: u64, actions: &mut Vec<Action>) {
        let before = self.input.bytes();
        let base = self.input.file(len);
        self.skip(base, start);
        let has_items = start < len || self.plan.split == Split::Whole;
        if has_items && !self.failed {
            let start = start.min(len);
            // What comes before the first item cannot be read: in blocks, it would take part in the first window.
            let piece = Piece { source, slot: NO_SLOT, start, end: len, from: start, to: len, at: start, base };
            self.supply.add(piece, before);
        } else {
            actions.push(Action::Release { job: self.id, source, from: start });
        }
    }

    /// The next input is a pipe, whose first item begins at `start`.
    pub(crate) fn pipe_opened(&mut self, start: u64) {
        let base = self.input.pipe(start);
        self.skip(base, start);
    }

    /// A stretch of the pipe was read.
    pub(crate) fn block(&mut self, piece: Piece) {
        let base = self.input.block(piece.end);
        if !self.failed {
            self.supply.add(Piece { base, ..piece }, self.input.bytes());
        }
    }

    /// The pipe has ended after `len` bytes.
    pub(crate) fn pipe_ended(&mut self, len: u64) {
        let behind = self.input.pipe_ended(len);
        if let Some(reduction) = &mut self.reduction {
            reduction.cover(behind);
        }
    }

    pub(crate) fn sources_ended(&mut self) {
        self.input.end();
        if let Some(reduction) = &mut self.reduction {
            reduction.end(self.input.positions());
        }
    }

    /// The bytes of a header are positions without items.
    fn skip(&mut self, base: u64, start: u64) {
        if let (Some(reduction), Split::Lines | Split::Blocks(_)) = (&mut self.reduction, self.plan.split) {
            reduction.cover((base, base + start));
        }
    }

    /// Where the results of a piece go.
    fn destination(&self, piece: &Piece) -> Destination {
        match self.plan.placement {
            // Parts are copied out of the arena.
            _ if self.reduction.is_some() => Destination::Arena,
            Placement::Append => Destination::Arena,
            Placement::Nowhere => Destination::Nowhere,
            Placement::Direct(DirectLength::Exactly(len)) => {
                Destination::Output(piece.position(self.plan.split, piece.start) * u64::from(len))
            }
            Placement::Direct(DirectLength::Same) => Destination::Output(self.supply.before(piece) + piece.start),
        }
    }

    /// Bytes that are left, if that is known.
    fn left(&self) -> Option<u64> {
        match (self.input.next(), self.plan.bytes) {
            (Next::Ended, _) => Some(self.supply.bytes()),
            (_, Some(all)) => Some(all.saturating_sub(self.input.bytes()) + self.supply.bytes()),
            _ => None,
        }
    }

    /// Whether a stretch can be given out.
    fn can_run(&self) -> bool {
        self.supply.first().is_some_and(|first| self.window.has_room_at(first))
    }

    fn items_done(
        &mut self,
        batch: BatchId,
        pieces: &[Piece],
        done: &Done,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<(), JobFailure> {
        let failure = done.failures.first().cloned().map(Box::new);
        // A job in which an item failed has no result, so it needs no parts.
        let mut reduction = self.reduction.as_mut().filter(|_| failure.is_none());
        if let Some(reduction) = &mut reduction {
            let parts = reduction.add(&done.partials, next_part);
            actions.push(Action::TakeParts { batch, parts });
        }
        let mut input = 0;
        for ran in rest::ran(pieces, done.rest) {
            input += ran.bytes();
            if let Some(reduction) = &mut reduction {
                reduction.cover(ran.positions(self.plan.split));
            }
            if ran.is_begun() && self.supply.finished(ran.piece, ran.bytes()) {
                actions.push(Action::Release { job: self.id, source: ran.piece.source, from: ran.piece.from });
            }
            if let Some(left) = ran.left() {
                self.supply.put_back(left);
            }
        }
        self.sizing.learn(input, done.items, done.spent.total);
        self.totals.items += done.items;
        self.totals.input += input;
        let key = pieces.first().map_or((SourceId(0), 0), |piece| (piece.source, piece.start));
        if failure.is_some() {
            self.failed = true;
            self.supply.drop_behind(key);
        }
        let mut output = 0;
        if self.reduction.is_none() {
            self.totals.output = self.totals.output.saturating_add(done.output);
            if self.plan.placement == Placement::Append && failure.is_none() {
                output = done.output;
            }
        }
        if output == 0 {
            actions.push(Action::ReleaseBatch { batch });
        }
        self.window.complete(key, Finished { batch, items: done.items, output, failure });
        self.merge(actions)
    }

    /// Merges what is next in order.
    fn merge(&mut self, actions: &mut Vec<Action>) -> Result<(), JobFailure> {
        // What is still to be run comes before what was finished behind it.
        while let Some(finished) = self.window.pop_before(self.supply.first()) {
            if let Some(failure) = finished.failure {
                let number = self.merged_items.saturating_add(failure.ordinal);
                return Err(JobFailure::Item(Box::new(FailedItem { failure: *failure, number })));
            }
            self.merged_items += finished.items;
            if finished.output > 0 {
                actions.push(Action::Append { job: self.id, batch: finished.batch, bytes: finished.output });
            }
        }
        Ok(())
    }
}

impl Job for ItemsJob {
    fn pump(&mut self, workers: usize, actions: &mut Vec<Action>) {
        if self.failed {
            return;
        }
        match self.input.next() {
            Next::Idle if self.supply.len() < 4 * workers.max(2) && self.supply.needed_count() < OPEN => {
                self.input.ask();
                actions.push(Action::NextSource { job: self.id });
            }
            Next::Pipe { asked: false, .. } => {
                let bytes = self.sizing.bytes(self.plan.split, None, workers).min(LARGEST);
                // Two batches ahead for each worker, as deep as their queues are.
                let is_enough = self.supply.bytes() >= bytes.saturating_mul(2 * workers as u64);
                let has_room = self.supply.needed_bytes() < READ_AHEAD && self.supply.needed_count() < OPEN;
                if !is_enough && has_room && !self.window.is_full() {
                    self.input.ask();
                    actions.push(Action::Read { job: self.id, bytes });
                }
            }
            Next::Idle | Next::Pipe { .. } | Next::Asked | Next::Ended => {}
        }
    }

    fn next(&mut self, workers: usize) -> Option<Pick> {
        if let Some(reduction) = &mut self.reduction
            && !self.failed
            && let Some(pick) = reduction.next()
        {
            return Some(pick);
        }
        if !self.can_run() {
            return None;
        }
        let bytes = self.sizing.bytes(self.plan.split, self.left(), workers);
        // Files are shared out when there are few, whatever their size.
        let files = self.sizing.files().min(self.supply.len().div_ceil(workers.max(1)));
        let pieces = self.supply.take(self.plan.split, Wanted { bytes, files });
        let first = pieces.first()?;
        self.window.insert((first.source, first.start));
        let destination = self.destination(first);
        Some(Pick { task: Task::Items(pieces), destination, node: None })
    }

    fn check(&self, pick: &Pick, done: &Done) -> Result<(), &'static str> {
        match &pick.task {
            Task::Items(pieces) => check_items(&self.plan, pieces, done),
            _ if done.rest.is_some() || !done.partials.is_empty() => Err("handed back work that cannot be divided"),
            _ => Ok(()),
        }
    }

    fn done(
        &mut self,
        batch: BatchId,
        pick: &Pick,
        done: &Done,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure> {
        if let Task::Items(pieces) = &pick.task {
            return self.items_done(batch, pieces, done, next_part, actions).map(|()| None);
        }
        let Some(reduction) = &mut self.reduction else { return Ok(None) };
        if let Some(failure) = done.failures.first() {
            actions.push(Action::ReleaseBatch { batch });
            let what = if matches!(pick.task, Task::Finish(_)) { "finish" } else { "combine" };
            return Err(JobFailure::Kernel(format!("the kernel's `{what}` failed: {}", failure.fault)));
        }
        if let Task::Finish(part) = &pick.task {
            reduction.finished(*part, actions);
            self.totals.output = done.output;
            self.window.append(done.output);
            actions.push(match done.output {
                0 => Action::ReleaseBatch { batch },
                bytes => Action::Append { job: self.id, batch, bytes },
            });
            return Ok(None);
        }
        let (part, next) = reduction.joined(pick, next_part);
        actions.push(Action::TakeParts { batch, parts: vec![(part, done.output)] });
        actions.push(Action::ReleaseBatch { batch });
        if let Task::Combine(parts) = &pick.task {
            reduction.drop_parts(parts.clone(), actions);
        }
        Ok(next)
    }

    fn appended(&mut self, bytes: u64) {
        self.window.append(bytes);
    }

    fn written(&mut self, bytes: u64) {
        self.window.written(bytes);
    }

    fn has_more(&self) -> bool {
        let has_join = !self.failed && self.reduction.as_ref().is_some_and(Reduction::has_next);
        has_join || self.can_run()
    }

    fn is_finished(&self) -> bool {
        let all_run = self.input.next() == Next::Ended && self.supply.len() == 0 && self.window.is_empty();
        all_run && self.window.is_written() && self.reduction.as_ref().is_none_or(Reduction::is_finished)
    }

    fn abandon(&mut self, actions: &mut Vec<Action>) {
        actions.extend(self.window.abandoned().map(|batch| Action::ReleaseBatch { batch }));
        if let Some(reduction) = &mut self.reduction {
            reduction.abandon(actions);
        }
    }

    fn budget(&self, workers: usize) -> Budget {
        self.sizing.budget(workers)
    }

    fn split_and_merge(&self) -> (Split, Merge) {
        (self.plan.split, self.plan.merge)
    }

    fn length(&self) -> ResultLength {
        self.plan.length
    }

    fn totals_mut(&mut self) -> &mut JobTotals {
        &mut self.totals
    }
}
