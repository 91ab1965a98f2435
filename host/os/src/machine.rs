//! What this machine leaves to a process: its kernel, its memory, its limits.

use std::path::Path;

use rustix::process::Resource;

use crate::cores::cgroup::own_folders;
use crate::cores::tree::Tree;

/// The release of the running kernel, as `uname -r` has it.
#[must_use]
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What the machine has.
    pub total: Option<u64>,
    /// What could be given to programs now, without swapping.
    pub available: Option<u64>,
    /// What the control groups of this process may use.
    pub group: Option<u64>,
}

impl Memory {
    /// That of this machine.
    #[must_use]
    pub fn current() -> Self {
        Self::read(Path::new("/"))
    }

    fn read(root: &Path) -> Self {
        let tree = Tree::new(root);
        let text = tree.text("/proc/meminfo").unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        let total = value("MemTotal:");
        // Version 1 says "no limit" by a number that no machine has.
        let group = group_limit(&tree).filter(|limit| total.is_none_or(|total| *limit < total));
        Self { total, available: value("MemAvailable:"), group }
    }
}

/// The lowest limit on memory of any control group that this process is in.
fn group_limit(tree: &Tree) -> Option<u64> {
    let limits = own_folders(tree).into_iter().flat_map(|(controller, folders)| {
        let file = match controller.as_str() {
            "" => Some("memory.max"),
            "memory" => Some("memory.limit_in_bytes"),
            _ => None,
        };
        let paths = file.map(|file| folders.into_iter().map(move |folder| format!("{folder}/{file}")));
        paths.into_iter().flatten().collect::<Vec<_>>()
    });
    limits.filter_map(|path| tree.text(&path)?.trim().parse().ok()).min()
}

/// A limit of this process that its workers inherit. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name that shells and manuals give it.
    pub name: &'static str,
    /// What it counts: bytes, or a number of things.
    pub is_bytes: bool,
    /// The limit that is in force.
    pub value: Option<u64>,
}

/// Those that can keep a pool from working.
#[must_use]
pub fn limits() -> Vec<Limit> {
    let list = [
        ("address space", Resource::As, true),
        ("data", Resource::Data, true),
        ("file size", Resource::Fsize, true),
        ("open files", Resource::Nofile, false),
        ("processes", Resource::Nproc, false),
        ("cpu seconds", Resource::Cpu, false),
    ];
    let limit =
        |(name, resource, is_bytes)| Limit { name, is_bytes, value: rustix::process::getrlimit(resource).current };
    list.map(limit).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_lowest_limit_of_all_groups_counts() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("space");
            fs::write(path, text).expect("space");
        };
        write("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  600 kB\n");
        write("proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
        write("proc/self/cgroup", "0::/a/b\n");
        write("sys/fs/cgroup/a/memory.max", "512000\n");
        write("sys/fs/cgroup/a/b/memory.max", "max\n");
        let memory = Memory { total: Some(1000 << 10), available: Some(600 << 10), group: Some(512_000) };
        assert_eq!(Memory::read(folder.path()), memory);
        write("sys/fs/cgroup/a/memory.max", "9223372036854771712\n");
        assert_eq!(Memory::read(folder.path()).group, None);
    }

    #[test]
    fn this_machine_tells() {
        assert!(kernel_release().starts_with(|first: char| first.is_ascii_digit()));
        assert!(Memory::current().total.is_some_and(|total| total > 1 << 20));
        assert_eq!(limits().len(), 6);
    }
}
