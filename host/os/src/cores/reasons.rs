//! Why there are as many cores to use as there are: what narrows the machine down, step by step.

use std::path::Path;

use super::cpu_set::CpuSet;
use super::tree::Tree;
use super::{Quota, cgroup, current_affinity};

/// What narrows down the logical cpus of a machine. Those that are left at the end are grouped by the core that they are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reasons {
    /// Logical cpus that are switched on; `None` where the machine does not say.
    pub online: Option<CpuSet>,
    /// Those that this process was left by whoever started it (`taskset`).
    pub affinity: CpuSet,
    /// Those that its control group may use; `None` without such a limit.
    pub group: Option<CpuSet>,
    /// CPU time that its control groups may use.
    pub quota: Option<Quota>,
}

impl Reasons {
    /// Those of this machine, for the calling thread.
    #[must_use]
    pub fn current() -> Self {
        Self::read(Path::new("/"), current_affinity())
    }

    /// Those that the files below `root` describe.
    #[must_use]
    pub fn read(root: &Path, affinity: CpuSet) -> Self {
        let tree = Tree::new(root);
        let limits = cgroup::Limits::read(&tree);
        let online = tree.text("/sys/devices/system/cpu/online").and_then(|text| CpuSet::parse(&text));
        Self { online: online.filter(|set| !set.is_empty()), affinity, group: limits.cpus, quota: limits.quota }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_which_nothing_is_known_narrows_nothing_down() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let affinity = CpuSet::parse("0-3").expect("a list");
        let reasons = Reasons::read(folder.path(), affinity.clone());
        assert_eq!(reasons, Reasons { online: None, affinity, group: None, quota: None });
    }
}
