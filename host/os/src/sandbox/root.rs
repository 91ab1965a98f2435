//! An empty root: after this, no path leads anywhere.

use std::io;

use rustix::fs::{FsWord, StatVfsMountFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

/// Where the new root is mounted before it becomes the root: a folder that exists wherever a worker can be started.
const MOUNT_POINT: &str = "/proc";

/// Room for the root folder itself. It is read-only; the limits hold even if it were not.
const OPTIONS: &std::ffi::CStr = c"size=4k,nr_inodes=2,mode=555";

/// `TMPFS_MAGIC` of `statfs(2)`.
const TMPFS: FsWord = 0x0102_1994;

/// Replaces the root of this process's mount namespace by an empty, read-only one and lets go of the old.
pub(super) fn enter_empty_root() -> io::Result<()> {
    // Nothing of what follows may reach the namespace that this one was copied from.
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("taskhost", MOUNT_POINT, "tmpfs", flags, OPTIONS)?;
    rustix::process::chdir(MOUNT_POINT)?;
    // The old root comes to lie over the new one in the same place, and is taken off.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    check()
}

/// Looks whether it is so.
fn check() -> io::Result<()> {
    let wrong = |what: &str| Err(io::Error::other(format!("the new root {what}")));
    let here = rustix::fs::stat(".")?;
    for path in ["/", "..", "/.."] {
        let there = rustix::fs::stat(path)?;
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) {
            return wrong("can be left");
        }
    }
    if rustix::fs::statfs("/")?.f_type != TMPFS {
        return wrong("is not the one that was mounted");
    }
    if !rustix::fs::statvfs("/")?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return wrong("can be written");
    }
    if std::fs::read_dir("/")?.next().is_some() {
        return wrong("is not empty");
    }
    Ok(())
}
