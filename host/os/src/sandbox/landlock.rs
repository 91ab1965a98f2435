//! Landlock with no rule but those for granted folders: no other path can be opened, no TCP port used, no process outside
//! signalled. It holds where namespaces are forbidden, and stands behind them where they are not.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

use libc::c_long;
use rustix::fs::{Mode, OFlags};

use super::grants::Folder;

/// What a ruleset handles, as in `linux/landlock.h`: all that is handled and not allowed by a rule is forbidden.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Handled {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const ASK_VERSION: u32 = 1;

/// The version of Landlock that this kernel has, which says what it can forbid.
///
/// # Errors
/// ENOSYS when it was not built in, EOPNOTSUPP when it was not switched on at boot, EPERM in some containers.
pub fn version() -> io::Result<u32> {
    let nothing = ptr::null::<Handled>();
    // SAFETY: with this flag nothing is read and nothing made.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, ASK_VERSION) };
    check(result).and_then(|version| u32::try_from(version).map_err(io::Error::other))
}

/// What is allowed below one folder, as in `linux/landlock.h`.
#[repr(C, packed)]
struct Beneath {
    rights: u64,
    folder: i32,
}

/// `LANDLOCK_RULE_PATH_BENEATH`.
const BENEATH: u32 = 1;

/// Rights on files: to read them, and lists of folders.
const READ: u64 = 1 << 2 | 1 << 3;

/// To write files, take away and make files and folders, move between folders, truncate. No links, sockets, pipes or
/// devices: what is left behind shall be files.
const WRITE: u64 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13 | 1 << 14;

/// Forbids this thread and its children all that this kernel's Landlock can forbid, for good, outside of these folders.
/// New privileges must have been given up.
///
/// # Errors
/// As [`version`]; E2BIG when 16 of them are in place already.
pub(super) fn forbid_everything_but(folders: &[Folder]) -> io::Result<()> {
    let version = version()?;
    let (handled, size) = handled_by(version);
    let ruleset = create(&handled, size)?;
    for folder in folders {
        allow(&ruleset, folder, handled.files)?;
    }
    // SAFETY: changes what this thread may do; takes no memory.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) })?;
    // A look at what can always be named where there are files at all: it must have become impossible.
    match std::fs::read_dir("/") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(io::Error::other("the root folder can still be read")),
    }
    for folder in folders {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(folder, ".", flags, Mode::empty())?;
    }
    Ok(())
}

fn allow(ruleset: &OwnedFd, folder: &Folder, handled: u64) -> io::Result<()> {
    let rights = if folder.is_writable() { READ | WRITE } else { READ };
    let rule = Beneath { rights: rights & handled, folder: folder.as_fd().as_raw_fd() };
    let (number, record) = (ruleset.as_raw_fd(), &raw const rule);
    // SAFETY: `rule` is a record of that kind, valid for reads.
    check(unsafe { libc::syscall(libc::SYS_landlock_add_rule, number, BENEATH, record, 0_u32) }).map(drop)
}

/// Everything that a version can forbid, and how many bytes of the record it knows.
fn handled_by(version: u32) -> (Handled, usize) {
    // Rights on files, lowest first: 13 in version 1, then moving between folders, truncating, and (from 5) device
    // control.
    let files = match version {
        0 | 1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        _ => (1 << 16) - 1,
    };
    // TCP: to bind a port, to connect to one.
    let network = if version >= 4 { 0b11 } else { 0 };
    // To connect to abstract sockets, and to send signals, outside.
    let scoped = if version >= 6 { 0b11 } else { 0 };
    let size = match version {
        0..=3 => offset_of!(Handled, network),
        4 | 5 => offset_of!(Handled, scoped),
        _ => size_of::<Handled>(),
    };
    (Handled { files, network, scoped }, size)
}

fn create(handled: &Handled, size: usize) -> io::Result<OwnedFd> {
    let record = ptr::from_ref(handled);
    // SAFETY: `record` is valid for reads of `size` bytes, which is at most its own.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, record, size, 0_u32) };
    let number = check(result).and_then(|number| i32::try_from(number).map_err(io::Error::other))?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn check(result: c_long) -> io::Result<c_long> {
    if result >= 0 { Ok(result) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_versions_are_asked_for_less() {
        let rights = |version| handled_by(version).0.files.count_ones();
        assert_eq!([1, 2, 3, 4, 5, 9].map(rights), [13, 14, 15, 15, 16, 16]);
        assert_eq!([1, 3, 4, 5, 6, 9].map(|version| handled_by(version).1), [8, 8, 16, 16, 24, 24]);
        assert_eq!((handled_by(3).0.network, handled_by(5).0.scoped), (0, 0));
        assert_eq!((handled_by(4).0.network, handled_by(6).0.scoped), (3, 3));
    }

    #[test]
    fn every_older_version_is_taken_by_this_kernel() {
        let Ok(newest) = version() else { return };
        for version in 1..=newest {
            let (handled, size) = handled_by(version);
            create(&handled, size).expect("what an older kernel knows");
        }
    }
}
