//! A control group for one worker, where this process was given control groups of its own: a limit on memory of all kinds
//! (pages of files in memory included, which RLIMIT_DATA does not count) and on processes, which binds root too.
//!
//! An extra: nothing that is promised rests on it. A group that nobody has handed over belongs to somebody else (to
//! systemd, to a container's manager), and nothing is made in it, whatever the rights of this process. It was handed over
//! when it is marked so, or, for users other than root, when it belongs to the user. Each hierarchy is looked at by itself.
//!
//! Workers get groups below that of this process, which stays where it is. Version 2 allows no limits below a group that
//! has processes; there they are made beside it, when the group above is the one that was handed over (systemd's
//! `DelegateSubgroup=`).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cores::cgroup::own_folders;
use crate::cores::tree::Tree;
use crate::process_id::ProcessId;

/// What all groups of workers are called; the number of the coordinator follows, and that of the group.
const PREFIX: &str = "taskhost-";

/// Marks of a group that was handed over, as systemd makes them: to everybody's knowledge, and to root's.
const MARKS: [&str; 2] = ["user.delegate", "trusted.delegate"];

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

/// The groups in which this process may make others.
#[derive(Debug)]
pub struct Leaves {
    tree_root: PathBuf,
    /// Each with its controller, which is empty for version 2.
    groups: Vec<(String, String)>,
    made: u32,
}

impl Leaves {
    /// Those of this process; `None` when it was handed over none that limits memory or processes. What a coordinator has
    /// left that was killed is removed.
    #[must_use]
    pub fn open() -> Option<Self> {
        Self::below(Path::new("/"), &is_handed_over)
    }

    fn below(root: &Path, is_handed_over: &dyn Fn(&Path, bool) -> bool) -> Option<Self> {
        let tree = Tree::new(root);
        let real = |folder: &str| root.join(folder.trim_start_matches('/'));
        let usable = own_folders(&tree).into_iter().filter_map(|(controller, folders)| {
            let (at, is_own) = if controller.is_empty() { (1, false) } else { (0, true) };
            let folder = folders.into_iter().nth(at)?;
            let limits = LeafLimits { memory: 0, processes: 0 };
            let is_ours = is_handed_over(&real(&folder), is_own);
            let has_limits = || !settings(&tree, &controller, &folder, &limits).is_empty();
            if is_ours && controller.is_empty() && !has_limits() {
                // One by one: a machine may have only one of them.
                for controller in ["+memory", "+pids"] {
                    let _ = fs::write(real(&folder).join("cgroup.subtree_control"), controller);
                }
            }
            (is_ours && has_limits()).then_some((controller, folder))
        });
        let groups: Vec<(String, String)> = usable.collect();
        groups.iter().for_each(|(_, folder)| remove_left_over(&real(folder)));
        (!groups.is_empty()).then(|| Self { tree_root: root.to_owned(), groups, made: 0 })
    }

    /// Makes a group that nobody else uses.
    ///
    /// # Errors
    /// When it is refused after all.
    pub fn make(&mut self, limits: &LeafLimits) -> io::Result<Leaf> {
        let name = format!("{PREFIX}{}-{}", std::process::id(), self.made);
        self.made += 1;
        let tree = Tree::new(&self.tree_root);
        let mut leaf = Leaf { folders: Vec::new() };
        for (controller, folder) in &self.groups {
            let settings = settings(&tree, controller, folder, limits);
            let folder = self.tree_root.join(folder.trim_start_matches('/')).join(&name);
            leaf.folders.push(make(&folder, &settings)?);
        }
        Ok(leaf)
    }
}

/// Whether a group belongs to this process. That a user owns it means nothing above the own group: a user's systemd owns
/// what it manages.
fn is_handed_over(folder: &Path, is_own: bool) -> bool {
    let marked = MARKS.iter().any(|mark| {
        let mut value = [0; 2];
        rustix::fs::getxattr(folder, *mark, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1".as_slice()))
    });
    let user = rustix::process::geteuid();
    let owned = || fs::metadata(folder).is_ok_and(|found| found.uid() == user.as_raw());
    marked || (is_own && !user.is_root() && owned())
}

/// Removes groups of coordinators that are gone. One with a process in it stays: groups with processes cannot be removed.
fn remove_left_over(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let numbers = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        let coordinator = numbers.and_then(|(coordinator, _)| coordinator.parse::<u32>().ok());
        if coordinator.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// A limit: its file, its value, and whether the group is worth nothing without it.
struct Setting {
    file: &'static str,
    value: String,
    needed: bool,
}

impl Leaf {
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
            // Left over when a process is still in it; a later run removes it.
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

    fn first(leaf: &Leaf) -> String {
        leaf.folders[0].file_name().expect("it has one").to_string_lossy().into_owned()
    }

    const VERSION_1: [(&str, &str); 4] = [
        ("proc/self/cgroup", "4:memory:/own\n8:pids:/\n3:cpuset:/\n"),
        (
            "proc/self/mountinfo",
            "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             31 25 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
        ),
        ("sys/fs/cgroup/memory/own/tasks", ""),
        ("sys/fs/cgroup/pids/tasks", ""),
    ];

    #[test]
    fn version_1_gets_a_group_in_each_hierarchy_that_was_handed_over() {
        let place = machine(&VERSION_1);
        let mut leaves = Leaves::below(place.path(), &|_, is_own| is_own).expect("both");
        let leaf = leaves.make(&LIMITS).expect("it may");
        let name = first(&leaf);
        assert_eq!(text(&place, &format!("sys/fs/cgroup/memory/own/{name}/memory.limit_in_bytes")), "1073741824");
        assert_eq!(text(&place, &format!("sys/fs/cgroup/pids/{name}/pids.max")), "1");
        leaf.add(ProcessId::new(42).expect("positive")).expect("it may");
        assert_eq!(text(&place, &format!("sys/fs/cgroup/pids/{name}/cgroup.procs")), "42");
        assert_ne!(first(&leaves.make(&LIMITS).expect("it may")), name);
        let mut one = Leaves::below(place.path(), &|folder, _| folder.ends_with("pids")).expect("one of them");
        assert_eq!(one.make(&LIMITS).expect("it may").folders.len(), 1);
        assert!(Leaves::below(place.path(), &|_, _| false).is_none(), "none was handed over");
    }

    #[test]
    fn version_2_makes_them_beside_its_own() {
        let files = [
            ("proc/self/cgroup", "0::/unit/run\n"),
            ("proc/self/mountinfo", "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/unit/run/cgroup.procs", ""),
            ("sys/fs/cgroup/unit/cgroup.subtree_control", "cpu"),
        ];
        let place = machine(&files);
        let marked = |folder: &Path, is_own: bool| !is_own && folder.ends_with("unit");
        assert!(Leaves::below(place.path(), &marked).is_none(), "here nothing comes of what is asked for");
        assert_eq!(text(&place, "sys/fs/cgroup/unit/cgroup.subtree_control"), "+pids");
        fs::write(place.path().join("sys/fs/cgroup/unit/cgroup.subtree_control"), "cpu memory").expect("space");
        let mut leaves = Leaves::below(place.path(), &marked).expect("one is passed on");
        let leaf = leaves.make(&LIMITS).expect("it may");
        let file = |name: &str| format!("sys/fs/cgroup/unit/{}/{name}", first(&leaf));
        assert_eq!(text(&place, &file("memory.max")), "1073741824");
        assert_eq!(text(&place, &file("memory.swap.max")), "0");
        assert!(!place.path().join(file("pids.max")).exists(), "it was not passed on");
        assert!(Leaves::below(place.path(), &|folder, _| folder.ends_with("run")).is_none(), "it has processes");
    }

    #[test]
    fn what_a_coordinator_left_is_removed() {
        let place = machine(&VERSION_1);
        let group = |name: &str| {
            let folder = place.path().join("sys/fs/cgroup/pids").join(name);
            fs::create_dir_all(&folder).expect("space");
            folder
        };
        let own = format!("{PREFIX}{}-0", std::process::id());
        let (left, live, other) = (group("taskhost-4194999-3"), group(&own), group("somebody-4194999-3"));
        Leaves::below(place.path(), &|folder, _| folder.ends_with("pids")).expect("one of them");
        assert!(!left.exists() && live.exists() && other.exists());
    }

    #[test]
    fn nobody_has_handed_over_a_plain_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let owned = !rustix::process::geteuid().is_root();
        assert_eq!(is_handed_over(folder.path(), true), owned);
        assert!(!is_handed_over(folder.path(), false));
    }
}
