//! The processes of the machine, as /proc shows them.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

/// How long a process may take to go away after its coordinator did. It takes less than a millisecond.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(20);

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    handle: OwnedFd,
}

impl Process {
    /// The process of that number; `None` when there is none any more.
    pub(crate) fn open(id: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(id).unwrap())?;
        let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Self { id, handle })
    }

    /// The worker processes among its children, in the order of their numbers.
    pub(crate) fn workers(&self) -> Vec<Self> {
        let mut workers: Vec<Self> =
            children(self.id).into_iter().filter(|id| is_worker(*id)).filter_map(Self::open).collect();
        workers.sort_by_key(|worker| worker.id);
        workers
    }

    /// All processes below it.
    pub(crate) fn descendants(&self) -> Vec<Self> {
        let (mut found, mut parents) = (Vec::new(), vec![self.id]);
        while let Some(parent) = parents.pop() {
            let children = children(parent);
            parents.extend(&children);
            found.extend(children.into_iter().filter_map(Self::open));
        }
        found
    }

    /// Its children that have ended, and of which it took no note yet.
    pub(crate) fn zombies(&self) -> usize {
        let children = children(self.id).into_iter().filter_map(Self::open);
        children.filter(|child| child.status("State").starts_with('Z')).count()
    }

    /// The descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.file("fd")).unwrap().count()
    }

    /// What it has open, by the names that the system has for it. One device is named by its number: behind walls its name is
    /// not that of outside.
    pub(crate) fn open_files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.file("fd")) else { return Vec::new() };
        let name = |path: PathBuf| {
            let name = fs::read_link(&path).ok()?.display().to_string();
            let number = fs::metadata(&path).ok()?.rdev();
            Some(if number == rustix::fs::makedev(1, 3) { "/dev/null".to_owned() } else { name })
        };
        entries.filter_map(|entry| name(entry.ok()?.path())).collect()
    }

    /// The CPU time that it has had itself.
    pub(crate) fn cpu_time(&self) -> Duration {
        // `PID (NAME) STATE …`: fields 14 and 15 of all, in ticks of 10 ms.
        let stat = fs::read_to_string(self.file("stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM").trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Sends a signal; a process that is gone gets none.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.handle, signal);
    }

    /// Waits until the process is gone, whoever takes note of it. Says whether that happened in time.
    pub(crate) fn is_gone_within(&self, time: Duration) -> bool {
        let timeout = Timespec::try_from(time).unwrap();
        let mut handle = [PollFd::new(&self.handle, PollFlags::IN)];
        poll(&mut handle, Some(&timeout)).unwrap() > 0
    }

    /// Whether its end was taken note of, so that it is not even a zombie any more.
    pub(crate) fn is_reaped(&self) -> bool {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.handle.as_raw_fd())).unwrap();
        info.lines().any(|line| line.strip_prefix("Pid:").is_some_and(|id| id.trim() == "-1"))
    }

    /// A file in its folder in /proc.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.id))
    }

    /// A field of its `status`.
    pub(crate) fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(self.file("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    }
}

/// The children of a process.
fn children(parent: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

/// The parent of a process, from `PID (NAME) STATE PARENT …`. A name may hold anything, so the last bracket counts.
fn parent_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether that process is a worker. What has ended already has no command line.
fn is_worker(id: u32) -> bool {
    let command = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    command.split(|byte| *byte == 0).any(|argument| argument == b"__worker")
}

/// Makes this process the parent of every orphan among its descendants.
pub(super) fn adopt_orphans() {
    static ADOPTED: Once = Once::new();
    ADOPTED.call_once(|| rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap());
}

/// Has signals that this process ignores, as a shell makes it do for what it starts in the background, end the programs
/// that it starts: a signal that is caught is back at its default in a new program, one that is ignored stays so.
pub(super) fn heed_signals() {
    static HEEDED: Once = Once::new();
    HEEDED.call_once(|| {
        let this = Process::open(std::process::id()).unwrap();
        let ignored = u64::from_str_radix(&this.status("SigIgn"), 16).unwrap();
        for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
            if ignored >> (signal.as_raw() - 1) & 1 == 1 {
                signal_hook::flag::register(signal.as_raw(), Arc::default()).unwrap();
            }
        }
    });
}

/// Asserts that no worker has lost its coordinator and lives on. A test beside this one may just have killed its
/// coordinator, so those that are dying are waited for.
#[track_caller]
pub(crate) fn no_worker_is_left() {
    let this = Process::open(std::process::id()).unwrap();
    for orphan in this.workers() {
        assert!(orphan.is_gone_within(GONE_WITHIN), "worker process {} was left behind", orphan.id);
    }
}
