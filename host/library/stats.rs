//! What a pool has done, and what its workers are at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;

/// What a pool has done so far: told by [`Pool::stats`](crate::Pool::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Items that were run, failed ones included.
    pub items: u64,
    /// Items that failed.
    pub failed: u64,
    /// The kernels that were asked for, and what was done for each.
    pub kernels: Vec<KernelStats>,
    /// The workers that are ready now, of all kernels.
    pub workers: Vec<WorkerStats>,
}

/// What was done for one kernel, or one function of it, by all workers that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelStats {
    /// The kernel.
    pub kernel: Arc<str>,
    /// The function of it, when it is one.
    pub function: Option<Arc<str>>,
    /// Items that were run, failed ones included.
    pub items: u64,
    /// Items that failed.
    pub failed: u64,
    /// CPU time that its workers have had, as the system measures it: those that are gone, and those that are there.
    pub cpu: Duration,
    /// What it counted with `counter.add`, by name: of every item whose result was taken, once, however often it was run.
    pub counters: BTreeMap<String, u64>,
}

/// What one worker is at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The kernel that it runs.
    pub kernel: Arc<str>,
    /// The function of it, when it is one.
    pub function: Option<Arc<str>>,
    /// The number of its process.
    pub process: i32,
    /// The cpu that it is pinned to.
    pub core: Option<u32>,
    /// Whether it has something to do.
    pub is_busy: bool,
    /// Items that it has run.
    pub items: u64,
    /// CPU time that it has had, its start included.
    pub cpu: Duration,
    /// Bytes of memory that it holds and shares with nobody.
    pub private: u64,
}

impl Stats {
    /// What all kernels counted under this name together.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(2).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels")).expect("it is there");
    /// let slow = pool.kernel("slow-count.wat")?;
    /// assert_eq!(slow.map_bytes(["one", "two", "three"]).filter(Result::is_ok).count(), 3);
    /// assert_eq!((pool.stats().counter("items"), pool.stats().counter("bytes")), (3, 11));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.kernels
            .iter()
            .filter_map(|kernel| kernel.counters.get(name))
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds what was done at one desk.
    pub(crate) fn add(&mut self, kernel: &Arc<str>, function: Option<&str>, desk: &Desk) {
        let known = desk.drive().and_then(|drive| {
            drive.with(|pool| (pool.progress().clone(), pool.cpu_time(), pool.workers(), pool.counters()))
        });
        let gone = || (desk.progress(), Duration::ZERO, Vec::new(), BTreeMap::new());
        let (progress, cpu, workers, counters) = known.unwrap_or_else(gone);
        let (items, failed) = (progress.items, progress.failed_items);
        self.items += items;
        self.failed += failed;
        let function: Option<Arc<str>> = function.map(Into::into);
        let (kernel, its) = (Arc::clone(kernel), function.clone());
        self.kernels.push(KernelStats { kernel: Arc::clone(&kernel), function: its, items, failed, cpu, counters });
        self.workers.extend(workers.into_iter().map(|worker| WorkerStats {
            kernel: Arc::clone(&kernel),
            function: function.clone(),
            process: worker.process,
            core: worker.core,
            is_busy: worker.is_busy,
            items: worker.items,
            cpu: worker.cpu,
            private: worker.private,
        }));
    }
}
