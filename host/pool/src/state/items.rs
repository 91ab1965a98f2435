//! A job whose input is cut into items: what is run next, and what becomes of a finished batch.

use std::collections::BTreeMap;

use taskhost_protocol::ids::{JobId, SlotId, SourceId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::work::{Budget, Done, Merge, Piece, Split};

use super::charge::{again, check_hint, divide};
use super::check::check_items;
use super::input::{Input, Next};
use super::job::{Job, Pick, Ran, Regained};
use super::ledger::{Ledger, failed_items, place_behind};
use super::mark::{Lost, Mark, Sentence};
use super::reduction::Reduction;
use super::rest;
use super::sizing::{LARGEST, Sizing};
use super::supply::{Key, Supply, Wanted};
use super::window::{Finished, Window};
use crate::event::{
    Action, Destination, DirectLength, ItemsPlan, JobFailure, JobTotals, OnError, Origin, Placement, Post, Prefix,
    Resume, Task,
};

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
    /// What is merged.
    ledger: Ledger,
    /// What another run had merged.
    merged: Prefix,
    /// The only items that are to be run, when it is not all.
    only: Option<BTreeMap<SourceId, Vec<(u64, u64)>>>,
    /// Whether an item failed that fails the job. What comes before it is still run, since another item may fail there.
    failed: bool,
}

impl ItemsJob {
    pub(crate) fn new(id: JobId, plan: ItemsPlan, resume: Option<Box<Resume>>) -> Self {
        let is_direct = matches!(plan.placement, Placement::Direct(_));
        let mut ledger = Ledger::new(id, plan.split, plan.on_error, plan.ordered).is_direct(is_direct);
        let merged = resume.as_ref().map_or_else(Prefix::default, |resume| resume.prefix);
        let mut only = None;
        if let Some(resume) = resume {
            ledger.resume(resume.prefix, resume.totals);
            only = resume.only;
        }
        Self {
            id,
            plan,
            sizing: Sizing::new(plan.batch),
            input: Input::new(plan.split),
            supply: Supply::default(),
            window: Window::new(plan.ordered),
            reduction: (plan.merge == Merge::Reduce).then(Reduction::new),
            ledger,
            merged,
            only,
            failed: false,
        }
    }

    /// A file of `len` bytes is open, with items from `start` on.
    pub(crate) fn source_opened(&mut self, source: SourceId, start: u64, len: u64, actions: &mut Vec<Action>) {
        let before = self.input.bytes();
        let base = self.input.file(len);
        self.skip(base, start);
        if let Some(origin) = self.plan.origin {
            let piece = moved(self.plan.split, source, len - start.min(len), origin);
            return self.supply.add(Piece { at: start, ..piece }, before);
        }
        if let Some(only) = &mut self.only {
            let items = only.remove(&source).unwrap_or_default();
            let from = start.min(len);
            let whole = Piece { source, slot: NO_SLOT, start: from, end: len, from, to: len, at: from, base };
            let pieces = items.into_iter().map(|(offset, len)| alone(self.plan.split, &whole, offset, len));
            if !self.supply.add_items(&whole, pieces.collect(), before) {
                actions.push(Action::Release { job: self.id, source, from });
            }
            return;
        }
        // What comes before the first item cannot be read: in blocks, it would take part in the first window.
        let from = start.min(len);
        let start = self.merged_until(source, len).max(from);
        let has_items = start < len || (self.plan.split == Split::Whole && source >= self.merged.source);
        if has_items && !self.failed {
            let piece = Piece { source, slot: NO_SLOT, start, end: len, from, to: len, at: from, base };
            self.supply.add(piece, before);
        } else {
            actions.push(Action::Release { job: self.id, source, from: start });
        }
    }

    /// Up to where another run had merged an input of `len` bytes.
    fn merged_until(&self, source: SourceId, len: u64) -> u64 {
        match source.cmp(&self.merged.source) {
            std::cmp::Ordering::Less => len,
            std::cmp::Ordering::Equal => self.merged.offset.min(len),
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// The next input is a pipe, whose first item begins at `start`.
    pub(crate) fn pipe_opened(&mut self, source: SourceId, start: u64) {
        let start = if source == self.merged.source { self.merged.offset.max(start) } else { start };
        let base = self.input.pipe(start);
        self.skip(base, start);
    }

    /// A stretch of the pipe was read.
    pub(crate) fn block(&mut self, piece: Piece, actions: &mut Vec<Action>) {
        let base = self.input.block(piece.end);
        if piece.source < self.merged.source {
            actions.push(Action::Release { job: self.id, source: piece.source, from: piece.from });
        } else if !self.failed {
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
    fn can_run(&self, post: Post) -> bool {
        self.supply.first_for(post).is_some_and(|first| self.window.has_room_at(first))
    }

    /// Zeros that stand in the place of the result of a failed item of `len` bytes.
    fn filled(&self, len: u64) -> u64 {
        match (self.plan.placement, self.plan.on_error) {
            (Placement::Direct(DirectLength::Same), OnError::Skip) => len,
            (Placement::Direct(DirectLength::Exactly(len)), OnError::Skip) => len.into(),
            (Placement::Direct(_), OnError::Fail) | (Placement::Append | Placement::Nowhere, _) => 0,
        }
    }

    /// What was lost with a worker goes back, unless the job has failed in front of it.
    fn take_back(&mut self, pieces: &[Piece], divided: Vec<(Piece, Option<Mark>)>) {
        let Some(first) = pieces.first() else { return };
        self.window.remove((first.source, first.start));
        for (piece, mark) in divided {
            self.supply.put_back(piece, mark);
        }
        if let Some(failed) = self.window.first_failed().filter(|_| self.failed) {
            self.supply.drop_behind(failed);
        }
        if self.ledger.has_failed() {
            self.supply.drop_behind((SourceId(0), 0));
        }
    }

    fn items_done(
        &mut self,
        ran_batch: Ran<'_>,
        pieces: &[Piece],
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<(), JobFailure> {
        let Ran { batch, pick, done, .. } = ran_batch;
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
        // A job that fails has no result, so it needs no parts.
        let mut reduction = self.reduction.as_mut().filter(|_| !fails);
        if let Some(reduction) = &mut reduction {
            let parts = reduction.add(&done.partials, next_part);
            actions.push(Action::TakeParts { batch, parts });
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
            self.failed = true;
            self.supply.drop_behind(key);
        }
        let is_appended = self.reduction.is_none() && self.plan.placement == Placement::Append;
        let output = if is_appended { done.output } else { 0 };
        if output == 0 {
            actions.push(Action::ReleaseBatch { batch });
        }
        let results = if self.reduction.is_some() { 0 } else { done.output };
        let counters = done.counters.clone();
        let items = done.items;
        self.window.complete(key, Finished { batch, items, input, results, output, failures, counters, end });
        self.merge(actions);
        Ok(())
    }

    /// Merges what is next in order.
    fn merge(&mut self, actions: &mut Vec<Action>) {
        let before = self.ledger.prefix();
        let mut is_told = false;
        // What is still to be run comes before what was finished behind it.
        while !self.ledger.has_failed()
            && let Some(finished) = self.window.pop_before(self.supply.first())
        {
            let (batch, output) = (finished.batch, finished.output);
            if self.ledger.fails_with(&finished) {
                // Of this batch, only a part is merged: whoever goes on from here runs all of it again.
                self.tell_merged(before, actions);
                is_told = true;
            }
            let kept = self.ledger.merge(finished, actions);
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

    /// Says how far the merge is, when that is further than `before`.
    fn tell_merged(&self, before: Prefix, actions: &mut Vec<Action>) {
        let prefix = self.ledger.prefix();
        if prefix != before && self.plan.ordered && self.reduction.is_none() {
            let totals = Box::new(self.ledger.totals().clone());
            actions.push(Action::Merged { job: self.id, prefix, totals });
        }
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

    fn next(&mut self, post: Post, workers: usize) -> Option<Pick> {
        if let Some(reduction) = &mut self.reduction
            && !self.failed
            && post == Post::Execute
            && let Some(pick) = reduction.next()
        {
            return Some(pick);
        }
        if !self.can_run(post) {
            return None;
        }
        let bytes = self.sizing.bytes(self.plan.split, self.left(), workers);
        // Files are shared out when there are few, whatever their size.
        let files = self.sizing.files().min(self.supply.len().div_ceil(workers.max(1)));
        let (pieces, mark) = self.supply.take(post, self.plan.split, Wanted { bytes, files });
        let first = pieces.first()?;
        self.window.insert((first.source, first.start));
        let destination = self.destination(first);
        Some(Pick { mark, ..Pick::new(Task::Items(pieces), destination) })
    }

    fn check(&self, pick: &Pick, done: &Done) -> Result<(), &'static str> {
        match &pick.task {
            Task::Items(pieces) => check_items(&self.plan, pick, pieces, done),
            _ if done.rest.is_some() || !done.partials.is_empty() => Err("handed back work that cannot be divided"),
            _ => Ok(()),
        }
    }

    fn done(
        &mut self,
        ran: Ran<'_>,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure> {
        let Ran { batch, pick, done, .. } = ran;
        if let Task::Items(pieces) = &pick.task {
            return self.items_done(ran, pieces, next_part, actions).map(|()| None);
        }
        let Some(reduction) = &mut self.reduction else { return Ok(None) };
        if let Some(failure) = done.failures.first() {
            actions.push(Action::ReleaseBatch { batch });
            let what = if matches!(pick.task, Task::Finish(_)) { "finish" } else { "combine" };
            return Err(JobFailure::Kernel(format!("the kernel's `{what}` failed: {}", failure.fault)));
        }
        if let Task::Finish(part) = &pick.task {
            reduction.finished(*part, actions);
            self.ledger.totals_mut().output = done.output;
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

    fn lost(&mut self, pick: Pick, lost: &Lost<'_>) -> Result<Regained, JobFailure> {
        let Task::Items(pieces) = &pick.task else {
            let what =
                if matches!(pick.task, Task::Finish(_)) { "the kernel's `finish`" } else { "the kernel's `combine`" };
            let before = pick.attempts;
            return again(pick, lost, what).map(|again| Regained::whole(again, before));
        };
        let hint = lost.hint().and_then(|hint| check_hint(self.plan.split, pieces, hint));
        let mut sentence = lost.sentence(hint, pick.mark.as_ref());
        if sentence == Sentence::JoinLate && self.reduction.is_none() {
            // Nothing is joined: it was on its way from one item to the next.
            sentence = Sentence::Again;
        }
        let is_explained = sentence.is_progress(hint);
        let divided = divide(self.plan.split, pieces, pick.mark.as_ref(), sentence)?;
        self.take_back(pieces, divided);
        Ok(Regained { again: None, is_explained })
    }

    fn untouched(&mut self, pick: Pick) -> Option<Pick> {
        let Task::Items(pieces) = &pick.task else { return Some(pick) };
        let first = |index: usize| if index == 0 { pick.mark.clone() } else { None };
        self.take_back(pieces, pieces.iter().enumerate().map(|(index, piece)| (*piece, first(index))).collect());
        None
    }

    fn failure(&mut self) -> Option<JobFailure> {
        if self.window.is_written() { self.ledger.take_failure() } else { None }
    }

    fn on_error(&self) -> OnError {
        self.plan.on_error
    }

    fn appended(&mut self, bytes: u64) {
        self.ledger.skip_output(bytes);
        self.window.append(bytes);
    }

    fn written(&mut self, bytes: u64) {
        self.window.written(bytes);
    }

    fn has_more(&self, post: Post) -> bool {
        let is_join = post == Post::Execute && !self.failed && self.reduction.as_ref().is_some_and(Reduction::has_next);
        is_join || self.can_run(post)
    }

    fn is_finished(&self) -> bool {
        if self.ledger.has_failed() {
            return false;
        }
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
        self.sizing.budget(workers, self.plan.on_error)
    }

    fn split_and_merge(&self) -> (Split, Merge) {
        (self.plan.split, self.plan.merge)
    }

    fn length(&self) -> ResultLength {
        self.plan.length
    }

    fn totals_mut(&mut self) -> &mut JobTotals {
        self.ledger.totals_mut()
    }
}

/// The stretch in which only the item at `offset`, of `len` bytes, begins.
fn alone(split: Split, whole: &Piece, offset: u64, len: u64) -> Piece {
    let (start, end) = match split {
        Split::Whole => (whole.start, whole.end),
        Split::Lines => (offset, offset + 1),
        Split::Blocks(size) => (offset / size * size, (offset / size + 1) * size),
        Split::Records(_) | Split::Chunks(_) => (offset, offset + len),
    };
    Piece { start: start.max(whole.start), end: end.min(whole.end), ..*whole }
}

/// The piece that stands for an input whose bytes stood elsewhere.
fn moved(split: Split, source: SourceId, len: u64, origin: Origin) -> Piece {
    let Origin { offset, position } = origin;
    let before = match split {
        Split::Whole => 0,
        Split::Lines | Split::Blocks(_) => offset,
        Split::Records(size) | Split::Chunks(size) => offset / size.max(1),
    };
    let end = offset.saturating_add(len);
    let base = position.saturating_sub(before);
    Piece { source, slot: NO_SLOT, start: offset, end, from: offset, to: end, at: 0, base }
}
