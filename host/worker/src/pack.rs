//! Packed calls: many tiny items in one call of the kernel. Anything but a clean answer is done again item by item, so
//! that blame stays with the item.

use std::time::Instant;

use taskhost_engine::{Input, PackedResults};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::work::Split;

use crate::execute::{Executor, nanos_since};
use crate::items::PieceContext;
use crate::outlet::Outlet;
use crate::startup::Fatal;

/// Most items of one packed call.
const ITEMS: u64 = 4096;

/// Learned cost that one packed call may have, in nanoseconds: a call cannot be interrupted item by item.
const NANOS: f64 = 1e6;

/// Items of the first packed call of a batch, and of the first of all, when no cost is known: what was learned of other
/// items may not hold for these …
const FIRST: u64 = 64;

/// … so that calls grow by this factor at most.
const GROWTH: u64 = 8;

/// Most bytes of one packed call: stays in the second-level cache.
const BYTES: usize = 256 << 10;

/// Longest items that are worth packing: for longer ones the call itself costs little.
pub(crate) const ITEM_BYTES: u64 = 4096;

/// Items gathered for one call.
pub(crate) struct Pack {
    on: bool,
    limit: u64,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    offsets: Vec<u64>,
}

impl Pack {
    pub(crate) fn new(on: bool, item_nanos: f64) -> Self {
        let mut pack = Self { on, limit: 0, bytes: Vec::new(), ends: Vec::new(), offsets: Vec::new() };
        pack.set_limit(item_nanos, FIRST);
        pack
    }

    fn set_limit(&mut self, item_nanos: f64, most: u64) {
        let learned = if item_nanos > 0.0 { (NANOS / item_nanos) as u64 } else { 1 };
        self.limit = learned.min(most).clamp(1, ITEMS);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) fn push(&mut self, offset: u64, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // A pack is run long before it has this many bytes, but one item may be larger than a pack.
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        self.offsets.push(offset);
    }

    /// Whether the call is to be made, when `left` items may still be run.
    pub(crate) fn is_full(&self, left: u64) -> bool {
        let items = self.offsets.len() as u64;
        items >= self.limit.min(left) || self.bytes.len() >= BYTES
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.offsets.clear();
    }

    /// A byte at which the item behind this one begins, or in front of which no other does.
    fn behind(&self, index: usize, split: Split) -> u64 {
        if let Some(next) = self.offsets.get(index + 1) {
            return *next;
        }
        match split {
            // The newline is no part of a line.
            Split::Lines => self.offsets[index] + self.item(index).len() as u64 + 1,
            Split::Table => self.offsets[index] + 1,
            Split::Whole | Split::Blocks(_) | Split::Records(_) | Split::Chunks(_) => {
                self.offsets[index] + self.item(index).len() as u64
            }
        }
    }

    fn item(&self, index: usize) -> &[u8] {
        let begin = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[begin..self.ends[index] as usize]
    }
}

impl Executor<'_> {
    /// Runs what was gathered. Returns where it stopped, if that was early.
    pub(crate) fn flush(
        &mut self,
        context: &PieceContext,
        pack: &mut Pack,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<Option<u64>, Fatal> {
        if pack.offsets.is_empty() {
            return Ok(None);
        }
        let began = Instant::now();
        let items = pack.offsets.len();
        // One item alone is blamed at once, and a packed call would be a detour.
        let packed = items > 1 && self.packed(context, pack, outlet)?;
        if !packed {
            for index in 0..items {
                let bytes = pack.item(index);
                self.one(context, pack.offsets[index], Input::Bytes(bytes), outlet)?;
                if outlet.tally.stopped {
                    let stop = pack.behind(index, context.split);
                    pack.clear();
                    return Ok(Some(stop));
                }
            }
        }
        let now = nanos_since(began) as f64 / items as f64;
        self.item_nanos = if self.item_nanos > 0.0 { f64::midpoint(self.item_nanos, now) } else { now };
        pack.set_limit(self.item_nanos, GROWTH * items as u64);
        let stop = outlet.tally.stopped.then(|| pack.behind(items - 1, context.split));
        pack.clear();
        Ok(stop)
    }

    /// One packed call. `false`: it did not go cleanly, nothing of it counts, and the items have to be run one by one.
    fn packed(&mut self, context: &PieceContext, pack: &Pack, outlet: &mut Outlet<'_, '_>) -> Result<bool, Fatal> {
        self.progress.store(context.progress(pack.offsets[0], true));
        // If the kernel cannot even be started, that is said of each item.
        let Ok(instance) = self.kernel.for_call() else { return Ok(false) };
        instance.set_item(Some(context.item(pack.offsets[0])));
        let mark = outlet.results.mark();
        let began = Instant::now();
        let answer = instance.process_packed(&pack.bytes, &pack.ends).ok().filter(|answer| answer.failures.is_empty());
        outlet.tally.call_nanos += nanos_since(began);
        // A reduction puts results into its tree, which forgets nothing, so it takes them one item at a time.
        let reduces = outlet.tree.is_some();
        let is_clean = answer.as_ref().is_some_and(|answer| reduces || put_all(answer, context, pack, outlet).is_ok());
        let Some(answer) = answer.filter(|_| is_clean) else {
            outlet.forget(mark);
            instance.drop_counters();
            // What it logged will be logged again.
            drop(instance.take_logs());
            return Ok(false);
        };
        instance.commit_counters();
        self.pass_logs(context.job, Some(context.place(pack.offsets[0])))?;
        outlet.tally.items += pack.offsets.len() as u64;
        if reduces {
            let began = Instant::now();
            answer.for_each(|index, results| {
                for result in results.into_iter().flatten() {
                    outlet.scratch.extend_from_slice(result);
                    outlet.ends.push(outlet.scratch.len());
                }
                if outlet.tally.stopped { Ok(()) } else { self.reduce(context, pack.offsets[index], outlet) }
            })?;
            outlet.tally.join_nanos += nanos_since(began);
        }
        Ok(true)
    }
}

/// Takes all results of a packed call. The results of one are the kernel's as much as those of single calls.
fn put_all(
    answer: &PackedResults,
    context: &PieceContext,
    pack: &Pack,
    outlet: &mut Outlet<'_, '_>,
) -> Result<(), Fault> {
    // Bytes that nothing comes between, of the lengths that were described: as they are.
    if outlet.takes_end_to_end(|length| match length {
        ResultLength::Unknown => true,
        ResultLength::Same => answer.counts.is_empty() && answer.ends == pack.ends,
        ResultLength::Exactly(_) => false,
    }) {
        return outlet.results.write(&answer.bytes);
    }
    let first = outlet.tally.items;
    answer.for_each(|index, results| {
        let extent = context.extent(pack.offsets[index], pack.item(index).len() as u64);
        let ordinal = first + index as u64;
        results.into_iter().flatten().try_for_each(|result| outlet.put(result, extent, ordinal))
    })
}
