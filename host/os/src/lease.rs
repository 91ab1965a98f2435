//! Claims on cores, so that two pools on one machine do not fight for the same ones.
//!
//! A claim is a lock (`flock`) on a small file in a folder of the user's own. The kernel releases it when the process
//! ends in whatever way; the file itself stays and means nothing.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

/// Permissions that nobody but the owner may have in the folder: others could hold the locks.
const OTHERS: u32 = 0o077;

/// One claimed cpu. Released on drop.
#[derive(Debug)]
#[must_use = "dropping a lease releases the cpu"]
pub struct Lease {
    cpu: u32,
    _lock: OwnedFd,
}

impl Lease {
    /// The cpu.
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.cpu
    }
}

/// The folder with the locks.
#[derive(Debug)]
pub struct RuntimeFolder {
    fd: OwnedFd,
}

impl RuntimeFolder {
    /// `$XDG_RUNTIME_DIR/taskhost`, or `/tmp/taskhost-UID` where there is no such folder. Made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else, or others have access to it. A pool runs without claims
    /// then.
    pub fn open() -> io::Result<Self> {
        Self::at(&Self::place())
    }

    /// Where [`RuntimeFolder::open`] looks.
    #[must_use]
    pub fn place() -> PathBuf {
        let user = rustix::process::geteuid().as_raw();
        let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        // Under `sudo` the variable may still name the folder of another user.
        let own = |path: &PathBuf| fs::metadata(path).is_ok_and(|folder| folder.is_dir() && folder.uid() == user);
        match given.filter(|path| path.is_absolute()).filter(own) {
            Some(folder) => folder.join("taskhost"),
            None => PathBuf::from(format!("/tmp/taskhost-{user}")),
        }
    }

    /// The folder `path`. Made when it is missing.
    ///
    /// # Errors
    /// As for [`RuntimeFolder::open`].
    pub fn at(path: &Path) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        // In /tmp somebody else may have been first.
        let folder = rustix::fs::fstat(&fd)?;
        if folder.st_uid != rustix::process::geteuid().as_raw() || folder.st_mode & OTHERS != 0 {
            let text = format!("{} belongs to, or is open to, other users", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Self { fd })
    }

    /// Claims up to `count` cpus that nobody holds, trying them in the order of `preferred`. Never waits; fewer than
    /// `count` means that the others are taken.
    #[must_use = "dropping a lease releases the cpu"]
    pub fn claim(&self, preferred: &[u32], count: usize) -> Vec<Lease> {
        preferred.iter().filter_map(|cpu| self.claim_one(*cpu).ok()).take(count).collect()
    }

    fn claim_one(&self, cpu: u32) -> io::Result<Lease> {
        Ok(Lease { cpu, _lock: self.lock(&format!("cpu-{cpu}"))? })
    }

    /// Takes the lock of this name, which is held until it is dropped. Never waits.
    pub(crate) fn lock(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn cpus(leases: &[Lease]) -> Vec<u32> {
        leases.iter().map(Lease::cpu).collect()
    }

    #[test]
    fn a_second_pool_takes_free_cores_first_and_gets_no_more_than_there_are() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("runtime");
        let (one, other) = (RuntimeFolder::at(&path).expect("new"), RuntimeFolder::at(&path).expect("it exists"));
        let first = one.claim(&[0, 1, 2, 3], 3);
        assert_eq!(cpus(&first), [0, 1, 2]);
        let second = other.claim(&[0, 1, 2, 3], 3);
        assert_eq!(cpus(&second), [3]);
        drop(first);
        assert_eq!(cpus(&other.claim(&[0, 1, 2, 3], 2)), [0, 1]);
        drop(second);
    }

    #[test]
    fn a_folder_that_others_can_use_is_refused() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let open = place.path().join("open");
        fs::create_dir(&open).expect("new");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("own");
        let error = RuntimeFolder::at(&open).expect_err("open to others");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path(), &link).expect("new");
        assert!(RuntimeFolder::at(&link).is_err());
    }

    #[test]
    fn this_user_has_a_folder() {
        let folder = RuntimeFolder::open().expect("a home for locks");
        // Numbers that no cpu has, so that a pool running beside this test is left alone.
        assert_eq!(folder.claim(&[1_000_000], 1).len(), 1);
    }
}
