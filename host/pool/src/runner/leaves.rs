//! Control groups for workers, where this process was handed over some: how much each may have.
//!
//! A group counts what no other limit does: pages of files in memory, to which results are written. Its limit is there to
//! save the machine from a worker that is not what it was, and far above what any kernel comes to.

use taskhost_os::cgroup_leaf::{self, Leaf, LeafLimits};
use taskhost_os::process_id::ProcessId;
use taskhost_protocol::limits::{ARTIFACT_BYTES, CompileLimits, PICTURE_BYTES, WorkerLimits};
use taskhost_protocol::message::{Role, Sandbox};

use super::config::PoolConfig;

/// The program itself, its code and stacks, and pages of input that the system has not taken back yet.
const SLACK: u64 = 1 << 30;

/// Threads of a compiler: more than it starts.
const THREADS: u32 = 256;

/// The groups of the workers of one pool.
#[derive(Debug)]
pub(super) struct Leaves {
    leaves: Option<cgroup_leaf::Leaves>,
    limits: WorkerLimits,
}

impl Leaves {
    pub(super) fn open(config: &PoolConfig) -> Self {
        let leaves = if config.sandbox == Sandbox::Off { None } else { cgroup_leaf::Leaves::open() };
        Self { leaves, limits: config.limits }
    }

    /// Puts a worker into a group of its own, before it does anything. None where that fails: not tried again.
    pub(super) fn make(&mut self, role: Role, worker: ProcessId) -> Option<Leaf> {
        let leaves = self.leaves.as_mut()?;
        let leaf = leaves.make(&limits(role, &self.limits)).and_then(|leaf| leaf.add(worker).map(|()| leaf));
        if leaf.is_err() {
            self.leaves = None;
        }
        leaf.ok()
    }
}

/// What a worker of that role may have.
fn limits(role: Role, worker: &WorkerLimits) -> LeafLimits {
    let (memory, processes) = match role {
        // The kernel's memory and an item twice, as its other limit has it; and results twice over: those that it makes,
        // and those in the arena that wait for their turn.
        Role::Execute => (worker.memory.saturating_mul(3).saturating_add(worker.output.saturating_mul(8)), 1),
        Role::Compile => (CompileLimits::default().memory + ARTIFACT_BYTES, THREADS),
        // A file, its samples, and those in another format.
        Role::Convert => (3 * PICTURE_BYTES, 1),
    };
    LeafLimits { memory: memory.saturating_add(SLACK), processes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_above_what_a_worker_may_allocate() {
        let usual = WorkerLimits::default();
        assert_eq!(limits(Role::Execute, &usual).memory, 6 << 30);
        let most = WorkerLimits { memory: u64::MAX, output: u64::MAX, ..usual };
        assert_eq!(limits(Role::Execute, &most).memory, u64::MAX);
        assert_eq!(limits(Role::Convert, &usual), LeafLimits { memory: 13 << 30, processes: 1 });
    }
}
