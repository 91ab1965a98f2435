//! Packed calls: many tiny items in one call of the kernel. Anything but a clean answer is done again item by item, so
//! that blame stays with the item.

use std::time::Instant;

use taskhost_engine::Input;
use taskhost_protocol::work::Assignment;

use crate::execute::{Executor, nanos_since};
use crate::items::{Outlet, PieceContext};
use crate::startup::Fatal;

/// Most items of one packed call.
const ITEMS: u64 = 4096;

/// Learned cost that one packed call may have, in nanoseconds: a call cannot be interrupted item by item.
const NANOS: f64 = 1e6;

/// Items of the first packed call, when no cost is known.
const FIRST: u64 = 64;

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
        pack.set_limit(item_nanos);
        pack
    }

    fn set_limit(&mut self, item_nanos: f64) {
        self.limit = if item_nanos > 0.0 { ((NANOS / item_nanos) as u64).clamp(1, ITEMS) } else { FIRST };
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

    fn item(&self, index: usize) -> &[u8] {
        let begin = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[begin..self.ends[index] as usize]
    }
}

impl Executor<'_> {
    /// Runs what was gathered. Returns where it stopped, if that was early.
    pub(crate) fn flush(
        &mut self,
        assignment: &Assignment,
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
        let packed = items > 1 && self.packed(assignment, context, pack, outlet)?;
        if !packed {
            for index in 0..items {
                let (offset, bytes) = (pack.offsets[index], pack.item(index));
                self.one(assignment, context, offset, bytes.len() as u64, Input::Bytes(bytes), outlet)?;
                if outlet.tally.failures.len() >= assignment.budget.failures as usize {
                    let next = pack.offsets.get(index + 1).copied();
                    pack.clear();
                    return Ok(next.or(Some(context.end())));
                }
            }
        }
        let now = nanos_since(began) as f64 / items as f64;
        self.item_nanos = if self.item_nanos > 0.0 { f64::midpoint(self.item_nanos, now) } else { now };
        pack.set_limit(self.item_nanos);
        pack.clear();
        Ok(None)
    }

    /// One packed call. `false`: it did not go cleanly, nothing of it counts, and the items have to be run one by one.
    fn packed(
        &mut self,
        assignment: &Assignment,
        context: &PieceContext,
        pack: &Pack,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<bool, Fatal> {
        self.at_item(assignment.batch, outlet.tally.items);
        let instance = self.kernel.instance()?;
        instance.set_item(Some(context.item(pack.offsets[0])));
        let answer = match instance.process_packed(&pack.bytes, &pack.ends) {
            Ok(answer) if answer.failures.is_empty() => answer,
            Ok(_) | Err(_) => {
                instance.drop_counters();
                // What it logged will be logged again.
                drop(instance.take_logs());
                return Ok(false);
            }
        };
        instance.commit_counters();
        self.pass_logs(assignment.job, Some(context.place(pack.offsets[0])))?;
        let mark = outlet.results.mark();
        let each = answer.for_each(|index, results| {
            let len = pack.item(index).len() as u64;
            for result in results.into_iter().flatten() {
                outlet.put(result, len)?;
            }
            self.reduce(context, pack.offsets[index], outlet)
        });
        if let Err(fault) = each {
            // The results of a packed call are the kernel's as much as those of single calls; what is wrong with one
            // of them is wrong with its item, but a reduction that failed half-way cannot be done again.
            outlet.results.roll_back(mark);
            outlet.tally.items += 1;
            outlet.tally.fail(context.place(pack.offsets[0]), fault);
            return Ok(true);
        }
        outlet.tally.items += pack.offsets.len() as u64;
        Ok(true)
    }
}
