//! Folders that a user grants to a kernel: each is cut off from the rest of the machine before the walls go up.
//!
//! What the coordinator sends is a descriptor of the folder, which the worker must not keep: its `..` leads out of the
//! folder, whatever the root is. In a mount namespace the worker therefore clones the one mount (`open_tree`), makes the
//! clone read-only (unless it may be written), without set-user-id, devices and programs (`mount_setattr`), and keeps a
//! descriptor of its top. The clone is attached nowhere: its `..` is itself, also for whoever is inside a folder that
//! somebody moves out of it; the root of the worker stays empty; and when the descriptor is closed it is gone.
//!
//! Without a mount namespace the descriptor is one of the folder itself, and Landlock alone keeps the worker inside.

use std::ffi::OsStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, Mode, OFlags, StatVfsMountFlags};
use rustix::mount::OpenTreeFlags;

use super::process;

/// Files that a kernel may have open at a time in all of its folders: as many as a small program opens.
pub const OPEN_FILES: u64 = 64;

/// How a folder is opened: for reading its list, so that the same descriptor is good for everything.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// File systems that hold no files but the state of the machine: `statfs(2)` has their numbers.
const NO_FILES: [(FsWord, &str); 14] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x1cd1, "devpts"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6265_6570, "configfs"),
    (0xde5e_81e4, "efivarfs"),
    (0x6e73_6673, "nsfs"),
    (0x1980_0202, "mqueue"),
    (0x6165_676c, "pstore"),
];

/// Why a folder cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The worker may not read it: it has the user of whoever runs taskhost, but no privileges.
    #[error("{path} cannot be opened by a worker, which has no privileges: {error}")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Its name has come to mean another folder since it was opened.
    #[error("{0} was moved or deleted while it was being granted")]
    Moved(PathBuf),
    /// Other file systems are mounted inside, which would come along.
    #[error("other file systems are mounted inside of {0}; grant the folders below it one by one")]
    HasMounts(PathBuf),
    /// It is a view on the machine, and not a place for files.
    #[error("{path} is a {system} file system, which shows the state of the machine and cannot be granted")]
    NoFiles {
        /// The folder.
        path: PathBuf,
        /// The name of its file system.
        system: &'static str,
    },
    /// Something that should always work did not.
    #[error("{path} cannot be granted: {what}: {error}")]
    Step {
        /// The folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

/// A folder that was granted to this process.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
    writable: bool,
    cut_off: Result<(), String>,
}

impl Folder {
    /// Takes the folder that this descriptor is of. To be called before [`super::lock`], in a process that has one
    /// thread. The descriptor that was sent is closed.
    ///
    /// # Errors
    /// See [`FolderError`]. A machine that cannot cut it off is no error: [`super::lock_with`] decides.
    pub fn take(sent: OwnedFd, writable: bool) -> Result<Self, FolderError> {
        let name = std::fs::read_link(format!("/proc/self/fd/{}", sent.as_raw_fd()));
        let path = name.unwrap_or_else(|_| PathBuf::from("a folder"));
        let step = |what| {
            let path = path.clone();
            move |errno: rustix::io::Errno| FolderError::Step { path, what, error: errno.into() }
        };
        let system = rustix::fs::fstatfs(&sent).map_err(step("looking at its file system"))?.f_type;
        if let Some((_, system)) = NO_FILES.into_iter().find(|(number, _)| *number == system) {
            return Err(FolderError::NoFiles { path, system });
        }
        let unreadable = |errno: rustix::io::Errno| FolderError::Unreadable { path: path.clone(), error: errno.into() };
        let clone =
            if process::is_isolated() { cut_off(&sent, &path, writable)? } else { Err("no mount namespace".into()) };
        let (descriptor, cut_off) = match clone {
            Ok(clone) => (rustix::fs::openat(&clone, ".", FOLDER, Mode::empty()).map_err(unreadable)?, Ok(())),
            Err(reason) => (rustix::fs::openat(&sent, ".", FOLDER, Mode::empty()).map_err(unreadable)?, Err(reason)),
        };
        if cut_off.is_ok() {
            let flags = rustix::fs::fstatvfs(&descriptor).map_err(step("looking at its mount"))?.f_flag;
            if !flags.contains(wanted(writable)) {
                return Err(step("looking at its mount")(rustix::io::Errno::ACCESS));
            }
        }
        Ok(Self { descriptor, path, writable, cut_off })
    }

    /// Whether it may be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Its name outside of the walls, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name by which this process can open it as long as there are names: until [`super::lock_with`].
    #[must_use]
    pub fn name_before_the_lock(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.descriptor.as_raw_fd()))
    }

    /// Why it could not be cut off from the rest of the machine, if so.
    pub(super) fn attached(&self) -> Option<&str> {
        self.cut_off.as_ref().err().map(String::as_str)
    }

    /// Its descriptor, on which the kernel can be given it.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// How a mount of a granted folder has to be.
pub(super) fn wanted(writable: bool) -> StatVfsMountFlags {
    let common = StatVfsMountFlags::NOSUID | StatVfsMountFlags::NODEV | StatVfsMountFlags::NOEXEC;
    if writable { common } else { common | StatVfsMountFlags::RDONLY }
}

/// A clone of the mount that the folder is in, with the folder at its top. The inner error is why this machine cannot.
///
/// What was sent is of the coordinator's mount namespace, where nothing can be cloned from here: the folder is looked for
/// by its name, and has to be the same one.
fn cut_off(sent: &OwnedFd, path: &Path, writable: bool) -> Result<Result<OwnedFd, String>, FolderError> {
    let unreadable = |errno: rustix::io::Errno| FolderError::Unreadable { path: path.to_owned(), error: errno.into() };
    let named = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = match rustix::fs::open(path, named, Mode::empty()) {
        Ok(here) => here,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Err(FolderError::Moved(path.to_owned())),
        Err(errno) => return Err(unreadable(errno)),
    };
    let (one, other) = (rustix::fs::fstat(&here), rustix::fs::fstat(sent));
    let same = matches!((one, other), (Ok(one), Ok(other)) if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino));
    if !same {
        return Err(FolderError::Moved(path.to_owned()));
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let clone = match rustix::mount::open_tree(&here, OsStr::from_bytes(b""), flags) {
        Ok(clone) => clone,
        // What is mounted inside belongs to the namespace that this one was copied from, and hides what is below.
        Err(rustix::io::Errno::INVAL) => return Err(FolderError::HasMounts(path.to_owned())),
        Err(errno) => return Ok(Err(format!("its mount cannot be cloned: {}", io::Error::from(errno)))),
    };
    Ok(restrict(&clone, writable).map(|()| clone).map_err(|error| format!("its mount cannot be restricted: {error}")))
}

fn restrict(clone: &OwnedFd, writable: bool) -> io::Result<()> {
    let mut set = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    if !writable {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    let wanted = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let (number, nothing, bytes) = (clone.as_raw_fd(), c"".as_ptr(), size_of::<libc::mount_attr>());
    // SAFETY: the path ends with a zero byte, and `wanted` is valid for reads of that many bytes.
    let result = unsafe {
        libc::syscall(libc::SYS_mount_setattr, number, nothing, libc::AT_EMPTY_PATH, &raw const wanted, bytes)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
