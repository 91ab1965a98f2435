//! How many workers there are, and on which cpu each is pinned.

use super::{CpuSet, Topology};

/// How many workers a user wants (`--workers`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// One for each physical core.
    #[default]
    Physical,
    /// One for each logical cpu.
    Logical,
    /// So many, whatever there is.
    Exactly(usize),
}

impl Topology {
    /// One entry for each worker: the cpu it is pinned to.
    ///
    /// Each core gets one worker before any gets a second on its other hyperthread. [`Workers::Physical`] and
    /// [`Workers::Logical`] follow the quota of a container, rounded up: more workers would only take turns.
    /// [`Workers::Exactly`] is taken at its word; workers beyond the logical cpus are pinned nowhere, so that the
    /// kernel moves them to whatever is free.
    #[must_use]
    pub fn plan(&self, workers: Workers) -> Vec<Option<u32>> {
        let cpus = self.in_order();
        let allowed = self.quota().map_or(usize::MAX, super::Quota::cpus);
        let count = match workers {
            Workers::Physical => self.physical().len().min(allowed),
            Workers::Logical => cpus.len().min(allowed),
            Workers::Exactly(count) => count,
        };
        (0..count.max(1)).map(|worker| cpus.get(worker).copied()).collect()
    }

    /// The cpus for workers of people who do not trust each other: one of each core. What two hyperthreads of a core share (caches,
    /// ports, predictors) tells each what the other does. `None` when more workers are wanted than there are cores: some of them
    /// share a core then.
    #[must_use]
    pub fn apart(&self, workers: Workers) -> Option<CpuSet> {
        let cpus: CpuSet = self.physical().iter().filter_map(|core| core.cpus.first().copied()).collect();
        (self.plan(workers).len() <= cpus.len()).then_some(cpus)
    }

    /// All usable cpus: the first of each core, then the second of each, and so on.
    fn in_order(&self) -> Vec<u32> {
        let threads = self.physical().iter().map(|core| core.cpus.len()).max().unwrap_or(0);
        (0..threads)
            .flat_map(|thread| self.physical().iter().filter_map(move |core| core.cpus.get(thread).copied()))
            .collect()
    }
}
