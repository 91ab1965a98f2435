//! The coordinator's look at a worker from outside, when it has called [`super::lock`]: each thing that it has to be, by
//! name, and as the kernel tells it, not as it says of itself. What is hidden from this user is no failure, but named too.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use crate::process_id::ProcessId;

use super::grants;
use super::outside::{NO_CAPABILITIES, NotLocked, Status, is_empty_root, read};
use super::{Layer, Layers};

/// What a worker has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specification {
    /// It was started with namespaces of its own.
    pub namespaces: bool,
    /// How many threads it has.
    pub threads: u32,
    /// It has the system-call filter. Only a policy that is off, or a test, has none.
    pub filtered: bool,
    /// The user that it was given, as this process sees it; `None` for the user of this process.
    pub user: Option<u32>,
    /// What it may hold open.
    pub held: Held,
}

/// What a worker may hold open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is not looked at.
    Anything,
    /// The control socket, memory files, and nothing in place of its standard streams: no file of the machine.
    MemoryFiles,
}

/// A folder that a worker was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldFolder {
    device: u64,
    inode: u64,
    writable: bool,
}

impl HeldFolder {
    /// The folder that this descriptor is of.
    ///
    /// # Errors
    /// None are expected.
    pub fn of(folder: BorrowedFd<'_>, writable: bool) -> io::Result<Self> {
        let found = rustix::fs::fstat(folder)?;
        Ok(Self { device: found.st_dev, inode: found.st_ino, writable })
    }
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The layers that are live.
    pub layers: Layers,
    /// What this user may not look at.
    pub hidden: Vec<&'static str>,
}

/// The kinds of namespaces, as in the `ns` folder of a process.
const KINDS: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// Limits that are nothing for every worker: the name in `limits`, and what is nothing.
const NOTHING: [(&str, &str); 4] = [
    ("Max core file size", "0"),
    ("Max locked memory", "0"),
    ("Max msgqueue size", "0"),
    ("Max realtime priority", "0"),
];

/// Looks whether the process is locked in as [`super::lock`] does it.
///
/// # Errors
/// The first thing that is not as specified. The worker has to be killed. A root that is not empty is no error but a
/// missing layer, since some machines forbid mounts.
pub fn inspect(id: ProcessId, specification: &Specification) -> Result<Seen, NotLocked> {
    inspect_with(id, specification, &[])
}

/// The same for a worker that was granted these folders, and may hold them open besides its memory files.
///
/// # Errors
/// The same.
pub fn inspect_with(id: ProcessId, specification: &Specification, folders: &[HeldFolder]) -> Result<Seen, NotLocked> {
    let mut seen = Seen::default();
    let read = |name: &str| read(id, name).map_err(|error| NotLocked::Unreadable { id, error });
    let status = Status { id, text: read("status")? };
    status.require("NoNewPrivs", "1")?;
    status.require("Threads", &specification.threads.to_string())?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        status.require(set, NO_CAPABILITIES)?;
    }
    if specification.filtered {
        status.require("Seccomp", "2")?;
        require_limits(&status, &read("limits")?)?;
    }
    let user = specification.user.unwrap_or_else(|| rustix::process::geteuid().as_raw()).to_string();
    for field in ["Uid", "Gid"] {
        // Real, effective, saved, and that of files. The groups of this process are not looked at.
        let found = status.value(field);
        if (field == "Uid" || specification.user.is_some()) && found.split_whitespace().any(|id| id != user) {
            return Err(status.wrong(field, found, &user));
        }
    }
    if specification.namespaces {
        status.require("CapBnd", NO_CAPABILITIES)?;
        status.require_first_of_namespace()?;
        require_own_namespaces(&status, &mut seen)?;
        if !is_empty_root(&read("mountinfo")?) {
            seen.layers.lack(Layer::EmptyRoot, "this machine forbids mounts".into());
        }
    } else {
        seen.layers.lack(Layer::Namespaces, "it was started without them".into());
        seen.layers.lack(Layer::EmptyRoot, "it needs a mount namespace".into());
    }
    if specification.held == Held::MemoryFiles {
        require_held(&status, specification.namespaces, folders, &mut seen)?;
    }
    Ok(seen)
}

fn require_limits(status: &Status, limits: &str) -> Result<(), NotLocked> {
    for (name, nothing) in NOTHING {
        let values = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        if values.split_whitespace().take(2).ne([nothing, nothing]) {
            return Err(status.wrong(name, values.trim(), nothing));
        }
    }
    Ok(())
}

/// None of them is the one that this process is in.
fn require_own_namespaces(status: &Status, seen: &mut Seen) -> Result<(), NotLocked> {
    let id = status.id;
    let unreadable = |error| NotLocked::Unreadable { id, error };
    for kind in KINDS {
        let own = fs::read_link(format!("/proc/self/ns/{kind}")).map_err(unreadable)?;
        let Some(its) = visible(fs::read_link(format!("/proc/{id}/ns/{kind}"))).map_err(unreadable)? else {
            seen.hidden.push("its namespaces");
            return Ok(());
        };
        if own == its {
            return Err(status.wrong("namespace", &its.to_string_lossy(), "one of its own"));
        }
    }
    Ok(())
}

/// The number of `/dev/null` (the kernel's Documentation/admin-guide/devices.txt).
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Nothing is open that has a name on this machine but what was granted, and no socket but the one.
fn require_held(status: &Status, namespaces: bool, folders: &[HeldFolder], seen: &mut Seen) -> Result<(), NotLocked> {
    let id = status.id;
    let unreadable = |error| NotLocked::Unreadable { id, error };
    let Some(entries) = visible(fs::read_dir(format!("/proc/{id}/fd"))).map_err(unreadable)? else {
        seen.hidden.push("its descriptors");
        return Ok(());
    };
    let mut sockets = 0;
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let name = fs::read_link(&path).map_err(unreadable)?;
        let name = name.to_string_lossy();
        if name.starts_with("socket:") {
            sockets += 1;
        } else if !name.starts_with("/memfd:") {
            // Nothing else that has a name, unless it was granted.
            let found = rustix::fs::stat(&path).map_err(|errno| unreadable(errno.into()))?;
            if !is_null(&found) && !is_granted(&path, &found, namespaces, folders).map_err(unreadable)? {
                return Err(status.wrong("descriptor", &name, "a memory file"));
            }
        }
    }
    if sockets == 1 { Ok(()) } else { Err(status.wrong("number of sockets", &sockets.to_string(), "1")) }
}

/// Whether this descriptor is one of a granted folder; where there are mount namespaces, by a mount that was restricted.
fn is_granted(descriptor: &Path, found: &Stat, namespaces: bool, folders: &[HeldFolder]) -> io::Result<bool> {
    let flags = rustix::fs::statvfs(descriptor)?.f_flag;
    Ok(folders.iter().any(|folder| {
        let is_it = (folder.device, folder.inode) == (found.st_dev, found.st_ino);
        is_it && (!namespaces || flags.contains(grants::wanted(folder.writable)))
    }))
}

/// Whether it is the device that swallows everything. Its name says less: behind walls `/dev` may have gone.
fn is_null(found: &Stat) -> bool {
    let device = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
    FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && device == NULL_DEVICE
}

/// `None` when it is hidden from this user: a process that is not dumpable shows that to privileged ones only.
fn visible<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Specification =
        Specification { namespaces: false, threads: 1, filtered: false, user: None, held: Held::Anything };

    #[test]
    fn a_free_process_is_not_locked_in() {
        let error = inspect(ProcessId::current(), &PLAIN).expect_err("this test is free");
        assert!(matches!(error, NotLocked::Wrong { .. }), "{error}");
    }

    #[test]
    fn a_process_that_is_gone_cannot_be_read() {
        let id = ProcessId::new(i32::MAX).expect("positive");
        let error = inspect(id, &PLAIN).expect_err("no such process");
        assert!(matches!(error, NotLocked::Unreadable { .. }), "{error}");
    }
}
