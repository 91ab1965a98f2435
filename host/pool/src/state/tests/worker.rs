//! What a worker of the tests makes of an order: items are found by the code that real workers use, and their bytes
//! say what becomes of them.

use std::collections::BTreeMap;

use taskhost_data::fixed::fixed_items;
use taskhost_data::lines::ItemCursor;
use taskhost_data::tree::LocalTree;
use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::limits::FAILURES_PER_BATCH;
use taskhost_protocol::mark::Mark;
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Done, Merge, Partial, Piece, Rest, Spent, Split};

use super::input::{Spec, combine, finish};
use crate::event::{Destination, Order, Task};

/// How a worker runs one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Hands back the rest after so many items.
    pub(super) items: u64,
    /// Says it took so long.
    pub(super) nanos: u64,
    /// Items, or rows, in one call, where that may be.
    pub(super) pack: u64,
    /// Whether a call with more than one is late, whatever is in it.
    pub(super) slow_packs: bool,
    /// What its progress cell says when it dies.
    pub(super) tells: Tells,
}

/// What the progress cell of a dead worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Where it was.
    Truth,
    /// Nothing was stored.
    Nothing,
    /// Where it would have been in another batch.
    AnotherBatch,
}

impl Effort {
    /// Everything, in no time, one item at a time.
    pub(super) const FULL: Self =
        Self { items: u64::MAX, nanos: 1000, pack: 1, slow_packs: false, tells: Tells::Truth };

    /// Many items in one call.
    pub(super) const PACKED: Self = Self { pack: 4, ..Self::FULL };

    /// Everything, and nobody will know where it was.
    pub(super) const SILENT: Self = Self { tells: Tells::Nothing, ..Self::FULL };

    /// Hands back the rest after so many items.
    pub(super) fn stop_after(items: u64) -> Self {
        Self { items, ..Self::FULL }
    }
}

/// What becomes of an item when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    /// The kernel says so.
    Fails,
    /// The worker crashes.
    Crashes,
    /// It takes for ever.
    Late,
    /// Somebody kills the worker.
    Killed,
}

impl Fate {
    /// The fate of an item with these bytes that was run so many times before: `X` fails, `C` crashes, `D` is late and
    /// `K` is killed each time; `F` crashes the first time, and `L` is killed the first two times.
    pub(super) fn of(item: &[u8], runs: u32) -> Self {
        let fate = |byte: &u8| match byte {
            b'X' => Some(Self::Fails),
            b'C' => Some(Self::Crashes),
            b'D' => Some(Self::Late),
            b'K' => Some(Self::Killed),
            b'F' if runs < 1 => Some(Self::Crashes),
            b'L' if runs < 2 => Some(Self::Killed),
            _ => None,
        };
        item.iter().find_map(fate).unwrap_or(Self::Well)
    }

    /// Whether it ends the worker.
    pub(super) fn is_deadly(self) -> bool {
        matches!(self, Self::Crashes | Self::Late | Self::Killed)
    }

    /// What the item is reported for, and after how many attempts, when each may be retried twice.
    pub(super) fn reported(self) -> Option<(&'static str, u32)> {
        match self {
            Self::Well => None,
            Self::Fails => Some(("kernel-error", 1)),
            Self::Crashes => Some(("crash", 2)),
            Self::Late => Some(("deadline", 1)),
            Self::Killed => Some(("killed", 3)),
        }
    }
}

/// How often each item of a job was begun, by its input (or plane) and its first byte (or row).
pub(super) type Runs = BTreeMap<(SourceId, u64), u32>;

/// What came of an order.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) done: Done,
    /// Bytes of results.
    pub(super) output: Vec<u8>,
    /// Items that were begun.
    pub(super) begun: Vec<(SourceId, u64)>,
    /// Set when the worker did not survive: of what, and where it was.
    pub(super) death: Option<(Fate, Progress)>,
}

impl Ran {
    pub(super) fn of(order: &Order) -> Self {
        Self { done: empty_reply(order), output: Vec::new(), begun: Vec::new(), death: None }
    }

    /// Failed items, without those that were left out.
    fn failed(&self) -> usize {
        self.done.failures.iter().filter(|failure| failure.fault != Fault::LeftOut).count()
    }

    /// Whether so many failed that the batch has to stop.
    pub(super) fn is_spoilt(&self, order: &Order) -> bool {
        let most = if order.care.skip_failed { order.budget.failures.clamp(1, FAILURES_PER_BATCH as u32) } else { 1 };
        self.failed() >= most as usize || self.done.failures.len() >= FAILURES_PER_BATCH
    }
}

/// The reply that says nothing yet.
pub(super) fn empty_reply(order: &Order) -> Done {
    Done {
        job: order.job,
        batch: order.batch,
        generation: order.generation,
        items: 0,
        input: 0,
        output: 0,
        rest: None,
        partials: Vec::new(),
        failures: Vec::new(),
        joining: None,
        counters: Vec::new(),
        plan: None,
        spent: Spent::default(),
        memory: 0,
    }
}

/// What a kernel says of an item that fails.
pub(super) fn kernel_says() -> Fault {
    Fault::Failed("there is an X in it".into())
}

/// Runs items.
pub(super) fn run_items(spec: &Spec, order: &Order, effort: Effort, runs: &Runs) -> Ran {
    let Task::Items(pieces) = &order.task else { panic!("these are no items: {:?}", order.task) };
    let leaves_out = order.care.leave_out_first;
    let mut run = Run { spec, order, effort, runs, ran: Ran::of(order), leaves_out };
    for (index, piece) in (0..).zip(pieces) {
        let stopped = run.piece(index, piece);
        if run.ran.death.is_some() {
            return run.ran;
        }
        run.leaves_out = false;
        let next = pieces.get(index as usize + 1).map(|next| Rest { piece: index + 1, start: next.start });
        match stopped {
            Some(start) if start < piece.end => run.ran.done.rest = Some(Rest { piece: index, start }),
            Some(_) => run.ran.done.rest = next,
            None => continue,
        }
        break;
    }
    let mut ran = run.ran;
    ran.done.output = ran.output.len() as u64 * spec.scale;
    ran.done.counters = vec![("items".into(), ran.done.items - ran.done.failures.len() as u64)];
    ran.done.spent.total = effort.nanos;
    ran
}

/// An item of a piece.
struct Found {
    offset: u64,
    bytes: Vec<u8>,
    /// Where the piece begins without it and those in front of it.
    resume: u64,
}

struct Run<'a> {
    spec: &'a Spec,
    order: &'a Order,
    effort: Effort,
    runs: &'a Runs,
    ran: Ran,
    /// Whether the next item is not to be run.
    leaves_out: bool,
}

impl Run<'_> {
    /// Runs the items of one piece. Returns where it stopped, if it did so because of a limit or a failure.
    fn piece(&mut self, index: u32, piece: &Piece) -> Option<u64> {
        let split = self.order.split;
        let mut tree = LocalTree::new(piece.position(split, piece.start));
        let mut stopped = None;
        let items = self.find(piece);
        let mut left = items.as_slice();
        while !left.is_empty() {
            let done = self.call(index, piece, left, &mut tree);
            if self.ran.death.is_some() {
                return None;
            }
            let (calls, behind) = left.split_at(done);
            left = behind;
            if self.is_over() {
                stopped = calls.last().map(|last| last.resume);
                break;
            }
        }
        let end = stopped.unwrap_or(piece.end).min(piece.end);
        self.ran.done.input += end - piece.start;
        if self.order.merge == Merge::Reduce && (self.order.care.skip_failed || self.ran.failed() == 0) {
            let end = match split {
                Split::Whole => piece.base + 1,
                Split::Lines | Split::Blocks(_) | Split::Table => piece.base + end,
                Split::Records(size) | Split::Chunks(size) => piece.base + end.div_ceil(size),
            };
            for partial in tree.finish(end, &mut join).unwrap() {
                self.ran.output.extend(&partial.bytes);
                let len = partial.bytes.len() as u64 * self.spec.scale;
                self.ran.done.partials.push(Partial { level: partial.node.level, index: partial.node.index, len });
            }
        }
        stopped
    }

    /// The items of a piece, from what the piece says can be read, and nothing else.
    fn find(&self, piece: &Piece) -> Vec<Found> {
        let split = self.order.split;
        let file = self.spec.inputs[piece.source.0 as usize].bytes();
        let mut readable = &file[piece.from as usize..piece.to as usize];
        let local = Piece { at: 0, ..*piece };
        let mut found = Vec::new();
        if matches!(split, Split::Lines | Split::Blocks(_)) {
            let mut cursor = ItemCursor::new();
            cursor.open(&local, split, &mut readable).unwrap();
            while let Some(item) = cursor.next_item(&mut readable).unwrap() {
                let bytes = cursor.bytes(&item).to_vec();
                found.push(Found { offset: item.offset, bytes, resume: cursor.resume_at() });
            }
        } else {
            // In this world an item of a table is one byte.
            let split = if split == Split::Table { Split::Chunks(1) } else { split };
            for item in fixed_items(split, &local) {
                let at = (item.offset - piece.from) as usize;
                let bytes = readable[at..at + item.len as usize].to_vec();
                found.push(Found { offset: item.offset, bytes, resume: item.offset + item.len });
            }
        }
        found
    }

    /// Runs the first of the items, or some of them in one call. Returns how many are done with.
    fn call(&mut self, index: u32, piece: &Piece, items: &[Found], tree: &mut LocalTree) -> usize {
        if std::mem::take(&mut self.leaves_out) {
            self.ran.done.items += 1;
            self.fail(piece, &items[0], 0, Fault::LeftOut);
            return 1;
        }
        let packs = !self.order.care.one_by_one && !matches!(self.order.split, Split::Whole | Split::Blocks(_));
        let most = self.order.budget.items.saturating_sub(self.ran.done.items).max(1);
        let count = if packs { self.effort.pack.min(most).min(items.len() as u64) as usize } else { 1 };
        let fates: Vec<Fate> = items[..count].iter().map(|item| self.begin(piece, item)).collect();
        let slow = (count > 1 && self.effort.slow_packs).then_some(Fate::Late);
        if let Some(fate) = fates.iter().copied().find(|fate| fate.is_deadly()).or(slow) {
            let offset = items[0].offset - piece.start;
            let progress = Progress { batch: self.order.batch, piece: index, offset, packed: count > 1 };
            self.ran.death = Some((fate, progress));
            return 0;
        }
        for (done, item) in items[..count].iter().enumerate() {
            self.one(piece, item, tree);
            if self.ran.is_spoilt(self.order) {
                return done + 1;
            }
        }
        count
    }

    /// An item is begun.
    fn begin(&mut self, piece: &Piece, item: &Found) -> Fate {
        let key = (piece.source, item.offset);
        let before = self.runs.get(&key).copied().unwrap_or(0);
        self.ran.begun.push(key);
        Fate::of(&item.bytes, before)
    }

    /// Runs an item that the worker survives.
    fn one(&mut self, piece: &Piece, item: &Found, tree: &mut LocalTree) {
        let position = piece.position(self.order.split, item.offset);
        self.ran.done.items += 1;
        match self.spec.result(&item.bytes) {
            None => self.fail(piece, item, 1, kernel_says()),
            Some(result) if self.order.merge == Merge::Reduce => tree.push(position, &result, &mut join).unwrap(),
            Some(_) => {
                let made = self.spec.made(&item.bytes);
                if self.order.destination == Destination::Marked {
                    let place = ItemPlace { source: piece.source, offset: item.offset };
                    let (ordinal, len) = (self.ran.done.items as u32 - 1, item.bytes.len() as u64);
                    self.ran.output.extend(Mark { place, ordinal, len, result: made.len() as u64 }.encode());
                }
                self.ran.output.extend(made);
            }
        }
    }

    /// Notes that the item just counted failed.
    fn fail(&mut self, piece: &Piece, item: &Found, attempts: u32, fault: Fault) {
        let at = self.ran.output.len() as u64 * self.spec.scale;
        let goes_on = self.order.care.skip_failed || fault == Fault::LeftOut;
        if goes_on && matches!(self.order.destination, Destination::Output(_)) {
            self.ran.output.extend(vec![0; self.spec.filled(&item.bytes)]);
        }
        self.ran.done.failures.push(ItemFailure {
            place: ItemPlace { source: piece.source, offset: item.offset },
            ordinal: self.ran.done.items - 1,
            len: item.bytes.len() as u64,
            at,
            attempts,
            fault,
        });
    }

    fn is_over(&self) -> bool {
        let budget = &self.order.budget;
        self.ran.done.items >= budget.items.min(self.effort.items)
            || self.ran.output.len() as u64 * self.spec.scale >= budget.output
            || self.ran.is_spoilt(self.order)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the tree takes operations that can fail")]
fn join(parts: &[&[u8]]) -> Result<Vec<u8>, std::convert::Infallible> {
    Ok(combine(parts))
}

/// Joins or finishes parts.
pub(super) fn run_join(spec: &Spec, order: &Order, parts: &[Vec<u8>]) -> Ran {
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let output = match order.task {
        Task::Finish(_) => finish(parts[0]),
        _ => combine(&parts),
    };
    let done = Done { output: output.len() as u64 * spec.scale, ..empty_reply(order) };
    Ran { done, output, ..Ran::of(order) }
}
