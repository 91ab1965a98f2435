//! How often the kernel has killed a process because memory ran out: what tells such a death from any other SIGKILL.

use std::path::Path;

use crate::cores::cgroup::own_folders;
use crate::cores::tree::Tree;

/// Numbers of processes killed for want of memory, so far. Each only grows; what is missing cannot be read here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomCount {
    /// On the whole machine, for whatever reason.
    machine: Option<u64>,
    /// In this process's memory cgroup.
    group: Option<u64>,
}

impl OomCount {
    /// Whether a process was killed for want of memory between `before` and this count. It need not have been one of
    /// ours: take it together with a death by SIGKILL that nobody here asked for.
    #[must_use]
    pub fn grew_since(&self, before: &Self) -> bool {
        let grew = |now: Option<u64>, then: Option<u64>| now.zip(then).is_some_and(|(now, then)| now > then);
        grew(self.machine, before.machine) || grew(self.group, before.group)
    }
}

/// The count now.
#[must_use]
pub fn oom_kills() -> OomCount {
    count(&Tree::new(Path::new("/")))
}

fn count(tree: &Tree) -> OomCount {
    let machine = tree.text("/proc/vmstat").and_then(|text| field(&text, "oom_kill"));
    let group = own_folders(tree).into_iter().find_map(|(controller, folders)| {
        // Version 2 counts the groups below as well; version 1 does not, but workers are in the group of their
        // coordinator.
        let file = match controller.as_str() {
            "" => "memory.events",
            "memory" => "memory.oom_control",
            _ => return None,
        };
        field(&tree.text(&format!("{}/{file}", folders.first()?))?, "oom_kill")
    });
    OomCount { machine, group }
}

/// The number in the line `name number`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A machine whose files are these.
    fn machine(files: &[(&str, &str)]) -> OomCount {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("own");
            fs::write(path, text).expect("space");
        }
        count(&Tree::new(folder.path()))
    }

    #[test]
    fn this_machine_counts() {
        let now = oom_kills();
        assert!(now.machine.is_some(), "every Linux since 4.13 does");
        assert!(!now.grew_since(&now));
    }

    #[test]
    fn both_versions_of_groups_are_read() {
        let vmstat = ("proc/vmstat", "oom_kill_memcg 9\noom_kill 7\n");
        let v2 = [
            vmstat,
            ("proc/self/cgroup", "0::/user/a\n"),
            ("proc/self/mountinfo", "31 23 0:28 / /cg rw - cgroup2 cgroup2 rw\n"),
            ("cg/user/a/memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"),
        ];
        assert_eq!(machine(&v2), OomCount { machine: Some(7), group: Some(3) });
        let v1 = [
            ("proc/self/cgroup", "4:memory:/a\n0::/\n"),
            ("proc/self/mountinfo", "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"),
            ("cg/memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        ];
        assert_eq!(machine(&v1), OomCount { machine: None, group: Some(2) });
        assert_eq!(machine(&[]), OomCount::default());
    }

    #[test]
    fn only_growth_counts() {
        let count = |machine, group| OomCount { machine, group };
        assert!(count(Some(1), None).grew_since(&count(Some(0), None)));
        assert!(count(Some(1), Some(5)).grew_since(&count(Some(1), Some(4))));
        assert!(!count(Some(1), Some(5)).grew_since(&count(Some(1), Some(5))));
        assert!(!count(Some(1), Some(5)).grew_since(&count(None, None)));
    }
}
