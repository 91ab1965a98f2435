//! The cores that this process may use, and which worker goes on which of them.

pub mod affinity;
pub(crate) mod cgroup;
mod claim;
mod cpu_set;
mod machine;
mod plan;
mod reasons;
pub(crate) mod tree;

use std::path::Path;

pub use affinity::{bind_current, current_affinity, pin_current};
pub use cgroup::Quota;
pub use claim::ClaimedCores;
pub use cpu_set::CpuSet;
pub use plan::Workers;
pub use reasons::Reasons;

/// One physical core, with those of its logical cpus that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its logical cpus (hyperthreads), ascending, at least one.
    pub cpus: Vec<u32>,
    /// The processor package (socket) it is in.
    pub package: i32,
    /// How fast it is among the cores of this machine: larger is faster, equal for cores of one kind.
    pub speed: u32,
}

/// The cores that this process may use, in the order in which workers should take them: fast ones first, and one
/// package after the other in turn, so that few workers share caches and memory channels with as few as possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    cores: Vec<Core>,
    quota: Option<Quota>,
}

impl Topology {
    /// The topology of this machine, for the calling thread's affinity.
    #[must_use]
    pub fn current() -> Self {
        Self::read(Path::new("/"), &current_affinity())
    }

    /// The topology that the files below `root` (`/`, or a recorded tree) describe, without the cpus that `affinity`
    /// leaves out. What is missing or makes no sense there is taken as absent: one core for each cpu is the answer then.
    #[must_use]
    pub fn read(root: &Path, affinity: &CpuSet) -> Self {
        let tree = tree::Tree::new(root);
        let limits = cgroup::Limits::read(&tree);
        Self { cores: machine::cores(&tree, affinity, limits.cpus.as_ref()), quota: limits.quota }
    }

    /// The physical cores, in the order of preference.
    #[must_use]
    pub fn physical(&self) -> &[Core] {
        &self.cores
    }

    /// How many logical cpus may be used.
    #[must_use]
    pub fn logical_count(&self) -> usize {
        self.cores.iter().map(|core| core.cpus.len()).sum()
    }

    /// How much CPU time a cgroup allows.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.quota
    }

    /// For the summary: `8 workers on 8 physical cores (16 logical)`.
    #[must_use]
    pub fn describe(&self, workers: usize) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (physical, logical) = (self.cores.len(), self.logical_count());
        let mut text = format!("{workers} worker{} on {physical} physical core{}", plural(workers), plural(physical));
        if logical != physical {
            text.push_str(&format!(" ({logical} logical)"));
        }
        if let Some(quota) = self.quota.filter(|quota| quota.cpus() < logical) {
            text.push_str(&format!(", limited to {quota}"));
        }
        text
    }
}
