//! A control group for one worker, where the machine lets this process make one: a limit on memory of all kinds (pages
//! of files in memory included, which RLIMIT_DATA does not count) and on processes, which binds root too.
//!
//! Best effort: most users may not make groups, and nothing that is promised rests on them. A group is made below the
//! one that this process is in, which stays where it is: under version 2 that works only where somebody has passed the
//! controllers on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cores::cgroup::own_folders;
use crate::cores::tree::Tree;
use crate::process_id::ProcessId;

/// Limits of a worker's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafLimits {
    /// Bytes of memory, all in all.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u32,
}

/// A group that nobody else uses. Removed on drop, once no process is in it any more: drop the worker first.
#[derive(Debug)]
pub struct Leaf {
    folders: Vec<PathBuf>,
}

/// A limit: its file, its value, and whether the group is worth nothing without it.
struct Setting {
    file: &'static str,
    value: String,
    needed: bool,
}

impl Leaf {
    /// Makes a group of that name, in each hierarchy that has a limit to offer. One that is left over, and empty, is
    /// taken over.
    ///
    /// # Errors
    /// When there is none in which this process may make groups.
    pub fn create(name: &str, limits: &LeafLimits) -> io::Result<Self> {
        Self::create_below(Path::new("/"), name, limits)
    }

    fn create_below(root: &Path, name: &str, limits: &LeafLimits) -> io::Result<Self> {
        let tree = Tree::new(root);
        let mut leaf = Self { folders: Vec::new() };
        let mut refusal =
            io::Error::new(io::ErrorKind::Unsupported, "no control group limits memory or processes here");
        for (controller, folders) in own_folders(&tree) {
            let Some(own) = folders.first() else { continue };
            let settings = settings(&tree, &controller, own, limits);
            if settings.is_empty() {
                continue;
            }
            match make(&root.join(own.trim_start_matches('/')).join(name), &settings) {
                Ok(folder) => leaf.folders.push(folder),
                Err(error) => refusal = error,
            }
        }
        if leaf.folders.is_empty() { Err(refusal) } else { Ok(leaf) }
    }

    /// Puts a process into it. What it has allocated before stays charged where it was.
    ///
    /// # Errors
    /// When the process is gone, or this process may not move it.
    pub fn add(&self, id: ProcessId) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), id.to_string()))
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Left over when a process is still in it; the next worker of that name takes it over.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// What to set in a group of this hierarchy. Nothing where it has no limit of use.
fn settings(tree: &Tree, controller: &str, own: &str, limits: &LeafLimits) -> Vec<Setting> {
    let setting = |file, value: String, needed| Setting { file, value, needed };
    let (memory, processes) = (limits.memory.to_string(), limits.processes.to_string());
    match controller {
        "memory" => vec![
            setting("memory.limit_in_bytes", memory.clone(), true),
            // Memory and swap together, where swap is counted.
            setting("memory.memsw.limit_in_bytes", memory, false),
        ],
        "pids" => vec![setting("pids.max", processes, true)],
        "" => {
            let passed_on = tree.text(&format!("{own}/cgroup.subtree_control")).unwrap_or_default();
            let mut settings = Vec::new();
            if passed_on.split_whitespace().any(|name| name == "memory") {
                settings.push(setting("memory.max", memory, true));
                settings.push(setting("memory.swap.max", "0".into(), false));
                settings.push(setting("memory.oom.group", "1".into(), false));
            }
            if passed_on.split_whitespace().any(|name| name == "pids") {
                settings.push(setting("pids.max", processes, true));
            }
            settings
        }
        _ => Vec::new(),
    }
}

fn make(folder: &Path, settings: &[Setting]) -> io::Result<PathBuf> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    for setting in settings {
        let written = fs::write(folder.join(setting.file), &setting.value);
        if let Err(error) = written
            && setting.needed
        {
            let _ = fs::remove_dir(folder);
            return Err(error);
        }
    }
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LeafLimits = LeafLimits { memory: 1 << 30, processes: 1 };

    /// A machine whose files are these; its groups are plain folders.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("space");
            fs::write(path, text).expect("space");
        }
        folder
    }

    fn text(machine: &tempfile::TempDir, path: &str) -> String {
        fs::read_to_string(machine.path().join(path)).expect("it was written")
    }

    #[test]
    fn version_1_gets_a_group_in_each_hierarchy() {
        let machine = machine(&[
            ("proc/self/cgroup", "4:memory:/own\n8:pids:/\n3:cpuset:/\n"),
            (
                "proc/self/mountinfo",
                "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                 31 25 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
            ),
            ("sys/fs/cgroup/memory/own/tasks", ""),
            ("sys/fs/cgroup/pids/tasks", ""),
        ]);
        let leaf = Leaf::create_below(machine.path(), "worker", &LIMITS).expect("it may");
        assert_eq!(text(&machine, "sys/fs/cgroup/memory/own/worker/memory.limit_in_bytes"), "1073741824");
        assert_eq!(text(&machine, "sys/fs/cgroup/pids/worker/pids.max"), "1");
        leaf.add(ProcessId::new(42).expect("positive")).expect("it may");
        assert_eq!(text(&machine, "sys/fs/cgroup/pids/worker/cgroup.procs"), "42");
        // One that is left over is taken over.
        Leaf::create_below(machine.path(), "worker", &LIMITS).expect("it may");
    }

    #[test]
    fn version_2_needs_controllers_that_were_passed_on() {
        let files = [
            ("proc/self/cgroup", "0::/own\n"),
            ("proc/self/mountinfo", "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/own/cgroup.subtree_control", "cpu memory\n"),
        ];
        let machine_with = machine(&files);
        let _leaf = Leaf::create_below(machine_with.path(), "worker", &LIMITS).expect("it may");
        assert_eq!(text(&machine_with, "sys/fs/cgroup/own/worker/memory.max"), "1073741824");
        assert_eq!(text(&machine_with, "sys/fs/cgroup/own/worker/memory.swap.max"), "0");
        assert!(!machine_with.path().join("sys/fs/cgroup/own/worker/pids.max").exists(), "it was not passed on");
        let machine_without = machine(&files[..2]);
        assert!(Leaf::create_below(machine_without.path(), "worker", &LIMITS).is_err());
        assert!(!machine_without.path().join("sys/fs/cgroup/own/worker").exists());
    }
}
