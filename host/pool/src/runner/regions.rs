//! The output arena of one worker, in regions: a batch writes its results from the start of a free one, which is free
//! again when they were merged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taskhost_os::memfd::OutputArena;

/// Address space of a region, as a power of two: twice the longest result, since a batch stops behind the result that
/// exceeds its budget. An arena has room for thousands. Only pages that were written to cost memory.
const REGION_BITS: u32 = 33;

/// Bytes of a region that stay in memory for the next batch; beyond, they are given back.
const KEPT: u64 = 2 << 20;

/// A worker's arena. It outlives the worker until what was written there is merged.
#[derive(Debug)]
pub(crate) struct Regions {
    arena: Arc<OutputArena>,
    used: Mutex<Vec<bool>>,
}

/// A region, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region(usize);

impl Region {
    /// Where it begins in the arena.
    pub(crate) fn offset(self) -> u64 {
        (self.0 as u64) << REGION_BITS
    }
}

/// Most bytes that a batch may have written.
pub(crate) const REGION_BYTES: u64 = 1 << REGION_BITS;

impl Regions {
    pub(crate) fn new(arena: OutputArena) -> Self {
        Self { arena: Arc::new(arena), used: Mutex::default() }
    }

    fn used(&self) -> MutexGuard<'_, Vec<bool>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arena(&self) -> Arc<OutputArena> {
        Arc::clone(&self.arena)
    }

    /// A free region, the lowest, so that warm pages are used again.
    pub(crate) fn take(&self) -> Region {
        let mut used = self.used();
        let index = used.iter().position(|used| !used).unwrap_or(used.len());
        if index == used.len() {
            used.push(true);
        } else {
            used[index] = true;
        }
        Region(index)
    }

    /// The region is free again; `written` bytes were in it.
    pub(crate) fn release(&self, region: Region, written: u64) {
        if let Some(used) = self.used().get_mut(region.0) {
            *used = false;
        }
        if written > KEPT {
            // Memory that cannot be given back is only memory.
            let _ = self.arena.punch(region.offset() + KEPT, (written - KEPT).next_multiple_of(4096));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_used_again() {
        let regions = Regions::new(OutputArena::create().expect("memory"));
        let (one, two) = (regions.take(), regions.take());
        assert_ne!(one, two);
        regions.release(one, 0);
        assert_eq!(regions.take(), one);
        assert_eq!(two.offset(), REGION_BYTES);
    }
}
