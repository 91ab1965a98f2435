//! Taking in the inputs of a job: what of them is to be run.

use taskhost_protocol::ids::{SlotId, SourceId};
use taskhost_protocol::work::{Piece, Split};

use super::ItemsJob;
use crate::event::{Action, DoneRange, Origin};
use crate::state::ledger::place_behind;
use crate::state::mark::Mark;
use crate::state::rest;
use crate::state::window::Finished;

/// Slots are given by whoever talks to the worker.
const NO_SLOT: SlotId = SlotId(u8::MAX);

impl ItemsJob {
    /// A file of `len` bytes is open, with items from `start` on.
    pub(crate) fn source_opened(
        &mut self,
        source: SourceId,
        (start, len): (u64, u64),
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) {
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
            if !self.supply.add_items(&whole, pieces.collect(), Some(Mark::Unlucky(0)), before) {
                actions.push(Action::Release { job: self.id, source, from });
            }
            return;
        }
        if let Some(done) = self.done.remove(&source) {
            let from = start.min(len);
            let whole = Piece { source, slot: NO_SLOT, start: from, end: len, from, to: len, at: from, base };
            return self.restore(&whole, done, before, next_part, actions);
        }
        // What comes before the first item cannot be read: in blocks, it would take part in the first window.
        let from = start.min(len);
        let (own, end) = self.plan.portion.map_or((0, len), |portion| portion.within(source, len));
        let start = self.merged_until(source, len).max(from).max(own);
        let has_items = start < end || (self.plan.split == Split::Whole && source >= self.merged.source);
        if has_items && self.failed.is_none() {
            let piece = Piece { source, slot: NO_SLOT, start, end, from, to: len, at: from, base };
            self.supply.add(piece, before);
        } else {
            actions.push(Action::Release { job: self.id, source, from });
        }
    }

    /// Takes in what another run has done of a file of a reduction; the rest of it is to be run.
    fn restore(
        &mut self,
        whole: &Piece,
        done: Vec<DoneRange>,
        before: u64,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) {
        let Some(reduction) = &mut self.reduction else { return };
        let source = whole.source;
        let mut rest = Vec::new();
        let mut at = whole.start;
        for range in done {
            let (start, end) = (range.start, range.end.min(whole.end));
            if start > at {
                rest.push(Piece { start: at, end: start, ..*whole });
            }
            let piece = Piece { start, end, ..*whole };
            let ran = rest::Ran { piece: &piece, end, complete: true };
            let parts = reduction.add(&range.parts, next_part);
            actions.push(Action::RestoreParts { job: self.id, source, start, parts });
            reduction.cover(ran.positions(self.plan.split));
            self.window.insert((source, start));
            let finished = Finished {
                items: range.items,
                input: ran.bytes(),
                failures: range.failed,
                counters: range.counters,
                end: place_behind(self.plan.split, source, end, true),
                ..Finished::default()
            };
            self.window.complete((source, start), finished);
            at = end.max(start);
            if self.plan.split == Split::Whole {
                at = whole.end;
            }
        }
        let is_all = at >= whole.end;
        if !is_all {
            rest.push(Piece { start: at, ..*whole });
        }
        if !self.supply.add_items(whole, rest, None, before) {
            actions.push(Action::Release { job: self.id, source, from: whole.from });
        }
        self.merge(actions);
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
        } else if self.failed.is_none() {
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
        if let Some(reduction) = &mut self.reduction
            && self.plan.portion.is_none()
        {
            reduction.end(self.input.positions());
        }
    }

    /// The bytes of a header are positions without items.
    fn skip(&mut self, base: u64, start: u64) {
        if let (Some(reduction), Split::Lines | Split::Blocks(_)) = (&mut self.reduction, self.plan.split) {
            reduction.cover((base, base + start));
        }
    }
}

/// The stretch in which only the item at `offset`, of `len` bytes, begins.
fn alone(split: Split, whole: &Piece, offset: u64, len: u64) -> Piece {
    let (start, end) = match split {
        Split::Whole => (whole.start, whole.end),
        Split::Lines | Split::Table => (offset, offset + 1),
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
        Split::Lines | Split::Blocks(_) | Split::Table => offset,
        Split::Records(size) | Split::Chunks(size) => offset / size.max(1),
    };
    let end = offset.saturating_add(len);
    let base = position.saturating_sub(before);
    Piece { source, slot: NO_SLOT, start: offset, end, from: offset, to: end, at: 0, base }
}
