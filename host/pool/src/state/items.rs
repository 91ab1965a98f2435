//! A job whose input is cut into items: what is run next, and what becomes of a finished batch.

use std::collections::HashMap;

use taskhost_data::tree::{NodeId, TreePlan};
use taskhost_protocol::ids::{BatchId, JobId, SourceId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::work::{Done, Merge, Piece, Split};

use super::order::Order;
use super::sizing::Sizing;
use super::supply::{Key, Supply};
use super::{Finished, Job, Pick};
use crate::event::{Action, Destination, DirectLength, FailedItem, ItemsPlan, JobFailure, JobTotals, PartId, Placement, Task};

/// Results that may be finished but not yet written, in bytes. Beyond it nothing new is assigned, so a slow reader
/// costs this much memory and no more.
pub(crate) const WINDOW: u64 = 32 << 20;

/// Input of a pipe that may be read but not yet run, in bytes.
const READ_AHEAD: u64 = 32 << 20;

/// Files open at once: far below the usual limit of 1024 descriptors, far above what workers can have in flight.
const OPEN_FILES: usize = 128;

/// What the job waits for before it can say what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sources {
    /// The next file may be asked for.
    Idle,
    /// It was asked for.
    Asked,
    /// A pipe is being read.
    Pipe { source: SourceId, asked: bool },
    /// There are no more.
    Ended,
}

/// Stages of a reduction after the last item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// Items or joins are out.
    No,
    /// The identity was asked for, because there was no item.
    Identity,
    /// `finish` was asked for.
    Finish,
    /// The result is on its way to the output.
    Finished,
}

/// A job whose input is cut into items.
#[derive(Debug)]
pub(crate) struct ItemsJob {
    id: JobId,
    plan: ItemsPlan,
    sizing: Sizing,
    supply: Supply,
    order: Order<Key, Finished>,
    sources: Sources,
    /// Position of the first item of the next input, and bytes of all inputs before it.
    next_base: u64,
    next_bytes: u64,
    /// Bytes of all inputs before each open one: where its results begin when they are as long as the items.
    bytes_before: HashMap<SourceId, u64>,
    tree: Option<TreePlan<PartId>>,
    closing: Closing,
    /// Joins that are out.
    joins: usize,
    /// Bytes of results finished but not written.
    held: u64,
    /// Items merged so far: the number of the next item.
    merged_items: u64,
    failed_at: Option<Key>,
    pub(crate) totals: JobTotals,
}

impl ItemsJob {
    pub(crate) fn new(id: JobId, plan: ItemsPlan) -> Self {
        let reduce = plan.merge == Merge::Reduce;
        Self {
            id,
            plan,
            sizing: Sizing::new(plan.batch),
            supply: Supply::default(),
            order: Order::new(plan.ordered),
            sources: Sources::Idle,
            next_base: 0,
            next_bytes: 0,
            bytes_before: HashMap::new(),
            tree: reduce.then(TreePlan::new),
            closing: Closing::No,
            joins: 0,
            held: 0,
            merged_items: 0,
            failed_at: None,
            totals: JobTotals::default(),
        }
    }

    /// A file is open, with items in `start..end`.
    pub(crate) fn source_opened(&mut self, source: SourceId, start: u64, end: u64, actions: &mut Vec<Action>) {
        self.sources = Sources::Idle;
        let base = self.open_base(source, start);
        let items = start < end || self.plan.split == Split::Whole;
        if items {
            let end = end.max(start);
            self.supply.add(Piece { source, slot: NO_SLOT, start, end, from: 0, to: end, at: 0, base });
        } else {
            actions.push(Action::Release { job: self.id, source, from: 0 });
        }
        self.advance_base(end);
    }

    /// The next input is a pipe, whose first item begins at `start`.
    pub(crate) fn pipe_opened(&mut self, source: SourceId, start: u64) {
        self.sources = Sources::Pipe { source, asked: false };
        self.open_base(source, start);
    }

    /// A stretch of the pipe was read.
    pub(crate) fn block(&mut self, piece: Piece) {
        if let Sources::Pipe { asked, .. } = &mut self.sources {
            *asked = false;
        }
        if self.failed_at.is_none() {
            self.supply.add(Piece { base: self.next_base, ..piece });
        }
    }

    /// The pipe has ended after `end` bytes.
    pub(crate) fn pipe_ended(&mut self, end: u64) {
        self.sources = Sources::Idle;
        self.advance_base(end);
    }

    pub(crate) fn sources_ended(&mut self) {
        self.sources = Sources::Ended;
    }

    fn open_base(&mut self, source: SourceId, start: u64) -> u64 {
        self.bytes_before.insert(source, self.next_bytes);
        // The header's bytes are positions without items.
        if let (Some(tree), Split::Lines | Split::Blocks(_)) = (&mut self.tree, self.plan.split) {
            tree.cover(self.next_base, self.next_base + start);
        }
        self.next_base
    }

    fn advance_base(&mut self, end: u64) {
        self.next_bytes += end;
        self.next_base += match self.plan.split {
            Split::Whole => 1,
            Split::Lines | Split::Blocks(_) => end,
            Split::Records(size) | Split::Chunks(size) => end.div_ceil(size),
        };
    }

    /// Where the results of a piece go.
    fn destination(&self, piece: &Piece) -> Destination {
        match self.plan.placement {
            Placement::Append => Destination::Arena,
            Placement::Nowhere => Destination::Nowhere,
            Placement::Direct(DirectLength::Exactly(len)) => {
                Destination::Output(piece.position(self.plan.split, piece.start) * u64::from(len))
            }
            Placement::Direct(DirectLength::Same) => {
                let before = self.bytes_before.get(&piece.source).copied().unwrap_or(0);
                Destination::Output(before + piece.start)
            }
        }
    }

    /// Bytes that are left, if that is known.
    fn left(&self) -> Option<u64> {
        match (self.sources, self.plan.bytes) {
            (Sources::Ended, _) => Some(self.supply.bytes()),
            (_, Some(all)) => Some(all.saturating_sub(self.next_bytes) + self.supply.bytes()),
            _ => None,
        }
    }

    /// Registers the parts that a batch returned.
    fn take_parts(&mut self, batch: BatchId, done: &Done, next: &mut u64, actions: &mut Vec<Action>) {
        let Some(tree) = &mut self.tree else { return };
        let mut parts = Vec::with_capacity(done.partials.len());
        for partial in &done.partials {
            let part = PartId(*next);
            *next += 1;
            tree.add(NodeId { level: partial.level, index: partial.index }, part);
            parts.push((part, partial.len));
        }
        actions.push(Action::TakeParts { batch, parts });
    }

    /// Merges what is next in order.
    fn merge(&mut self, actions: &mut Vec<Action>) -> Result<(), JobFailure> {
        loop {
            // What is still to be run comes before what was finished behind it.
            let Some((key, finished)) = self.order.pop_before(self.supply.first()) else { return Ok(()) };
            let number = self.merged_items;
            self.merged_items += finished.items;
            if let Some(failure) = finished.failure {
                debug_assert!(self.failed_at.is_none_or(|first| first <= key || !self.plan.ordered));
                let number = number + failure.ordinal;
                return Err(JobFailure::Item(Box::new(FailedItem { failure, number })));
            }
            if finished.output > 0 && self.plan.placement == Placement::Append && self.tree.is_none() {
                actions.push(Action::Append { job: self.id, batch: finished.batch, bytes: finished.output });
            } else {
                actions.push(Action::ReleaseBatch { batch: finished.batch });
            }
        }
    }
}

/// Slots are given by whoever talks to the worker.
const NO_SLOT: taskhost_protocol::ids::SlotId = taskhost_protocol::ids::SlotId(u8::MAX);

impl Job for ItemsJob {
    fn pump(&mut self, workers: usize, actions: &mut Vec<Action>) {
        if self.failed_at.is_some() {
            return;
        }
        match self.sources {
            Sources::Idle if self.supply.len() < 4 * workers.max(2) && self.supply.needed_count() < OPEN_FILES => {
                self.sources = Sources::Asked;
                actions.push(Action::NextSource { job: self.id });
            }
            Sources::Pipe { source, asked: false } => {
                let wanted = self.sizing.bytes(None, workers);
                // Two batches ahead for each worker, as deep as their queues are.
                let enough = self.supply.bytes() >= wanted.saturating_mul(2 * workers as u64);
                if !enough && self.supply.needed() < READ_AHEAD && self.held < WINDOW {
                    self.sources = Sources::Pipe { source, asked: true };
                    actions.push(Action::Read { job: self.id, bytes: wanted });
                }
            }
            Sources::Idle | Sources::Pipe { .. } | Sources::Asked | Sources::Ended => {}
        }
    }

    fn next(&mut self, workers: usize) -> Option<Pick> {
        if let Some(tree) = &mut self.tree
            && self.failed_at.is_none()
            && let Some((node, parts)) = tree.next_join()
        {
            self.joins += 1;
            return Some(Pick { task: Task::Combine(parts), destination: Destination::Arena, node: Some(node) });
        }
        if self.held < WINDOW && self.supply.len() > 0 {
            let wanted = self.sizing.bytes(self.left(), workers);
            let pieces = self.supply.take(self.plan.split, wanted);
            let first = pieces.first()?;
            self.order.insert((first.source, first.start));
            let destination = self.destination(first);
            return Some(Pick { task: Task::Items(pieces), destination, node: None });
        }
        let tree = self.tree.as_mut()?;
        if self.sources != Sources::Ended || !self.order.is_empty() || self.joins > 0 || self.failed_at.is_some() {
            return None;
        }
        if self.closing == Closing::No {
            tree.end(self.next_base);
            // Ending may complete nodes that have to be joined first.
            if let Some((node, parts)) = tree.next_join() {
                self.joins += 1;
                return Some(Pick { task: Task::Combine(parts), destination: Destination::Arena, node: Some(node) });
            }
            let (task, closing) = match tree.result()? {
                Some(part) => (Task::Finish(*part), Closing::Finish),
                None => (Task::Combine(Vec::new()), Closing::Identity),
            };
            self.closing = closing;
            return Some(Pick { task, destination: Destination::Arena, node: None });
        }
        None
    }

    fn done(
        &mut self,
        batch: BatchId,
        pick: &Pick,
        done: &Done,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure> {
        match &pick.task {
            Task::Items(pieces) => {
                let key = pieces.first().map(|piece| (piece.source, piece.start)).unwrap_or((SourceId(0), 0));
                let rest = super::rest::split(pieces, done.rest);
                // Parts come before the positions they cover, or a node is taken for complete without them.
                self.take_parts(batch, done, next_part, actions);
                for (piece, run) in pieces.iter().zip(&rest.run) {
                    let position = |offset| piece.position(self.plan.split, offset);
                    if let Some(tree) = &mut self.tree {
                        let end = piece.start + run;
                        match self.plan.split {
                            Split::Whole => tree.cover(piece.base, piece.base + u64::from(rest.whole(piece))),
                            Split::Lines | Split::Blocks(_) => tree.cover(position(piece.start), position(end)),
                            Split::Records(size) | Split::Chunks(size) => {
                                tree.cover(position(piece.start), piece.base + end.div_ceil(size));
                            }
                        }
                    }
                    // A piece that was not begun counts nothing, or an empty file would be closed before it was run.
                    let begun = *run > 0 || rest.whole(piece);
                    if begun && self.supply.finished(piece, *run) {
                        actions.push(Action::Release { job: self.id, source: piece.source, from: piece.from });
                    }
                }
                for piece in rest.left {
                    self.supply.put_back(piece);
                }
                self.sizing.learn(done.input, done.spent.total);
                self.totals.items += done.items;
                self.totals.input += done.input;
                self.totals.output += if self.tree.is_none() { done.output } else { 0 };
                let failure = done.failures.first().cloned();
                if failure.is_some() {
                    self.failed_at = Some(self.failed_at.map_or(key, |first| first.min(key)));
                    self.supply.drop_behind(key);
                }
                let output = done.output;
                if self.plan.placement == Placement::Append && self.tree.is_none() {
                    self.held += output;
                }
                self.order.complete(key, Finished { batch, items: done.items, output, failure });
                self.merge(actions)?;
                Ok(None)
            }
            Task::Combine(parts) => {
                if let Some(failure) = done.failures.first() {
                    return Err(JobFailure::Kernel(format!("the kernel's `combine` failed: {}", failure.fault)));
                }
                let part = PartId(*next_part);
                *next_part += 1;
                actions.push(Action::TakeParts { batch, parts: vec![(part, done.output)] });
                actions.push(Action::ReleaseBatch { batch });
                actions.push(Action::DropParts { parts: parts.clone() });
                let Some(tree) = &mut self.tree else { return Ok(None) };
                if let Some(node) = pick.node {
                    self.joins -= 1;
                    tree.joined(node, part);
                    return Ok(None);
                }
                self.closing = Closing::Finish;
                Ok(Some(Pick { task: Task::Finish(part), destination: Destination::Arena, node: None }))
            }
            Task::Finish(part) => {
                if let Some(failure) = done.failures.first() {
                    return Err(JobFailure::Kernel(format!("the kernel's `finish` failed: {}", failure.fault)));
                }
                self.closing = Closing::Finished;
                self.totals.output = done.output;
                self.held += done.output;
                actions.push(Action::DropParts { parts: vec![*part] });
                actions.push(Action::Append { job: self.id, batch, bytes: done.output });
                Ok(None)
            }
            Task::Rows(_) | Task::Prepare(_) | Task::Decode | Task::Encode(_) => Ok(None),
        }
    }

    fn written(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    fn has_more(&self) -> bool {
        self.supply.len() > 0 && self.held < WINDOW
    }

    fn is_finished(&self) -> bool {
        let all_run = self.sources == Sources::Ended && self.supply.len() == 0 && self.order.is_empty();
        all_run && self.held == 0 && (self.tree.is_none() || self.closing == Closing::Finished)
    }

    fn budget(&self) -> taskhost_protocol::work::Budget {
        self.sizing.budget()
    }

    fn split_and_merge(&self) -> (Split, Merge) {
        (self.plan.split, self.plan.merge)
    }

    fn length(&self) -> ResultLength {
        self.plan.placement.length()
    }

    fn totals_mut(&mut self) -> &mut JobTotals {
        &mut self.totals
    }
}
