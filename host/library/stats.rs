//! What a pool has done, and what its workers are at.

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
    /// Adds what was done at one desk.
    pub(crate) fn add(&mut self, kernel: &Arc<str>, function: Option<&str>, desk: &Desk) {
        let known = desk
            .drive()
            .and_then(|drive| drive.with(|pool| (pool.progress().clone(), pool.cpu_time(), pool.workers())));
        let (progress, cpu, workers) = known.unwrap_or_else(|| (desk.progress(), Duration::ZERO, Vec::new()));
        let (items, failed) = (progress.items, progress.failed_items);
        self.items += items;
        self.failed += failed;
        let function: Option<Arc<str>> = function.map(Into::into);
        self.kernels.push(KernelStats { kernel: Arc::clone(kernel), function: function.clone(), items, failed, cpu });
        self.workers.extend(workers.into_iter().map(|worker| WorkerStats {
            kernel: Arc::clone(kernel),
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
