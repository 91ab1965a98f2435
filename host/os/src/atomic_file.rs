//! A file that appears whole or not at all: written under another name in the same folder, then renamed.
//!
//! The other name begins with a dot and tells whose it is (`.NAME.taskhost-…`). Only a process that is killed leaves
//! it behind.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use rustix::fs::{Access, AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::file_kind::{FileKind, kind};

/// Longest file name that Linux takes, in bytes.
const NAME_BYTES: usize = 255;

/// Room that the rest of the temporary name takes.
const SUFFIX_BYTES: usize = ".".len() + ".taskhost-".len() + 16;

/// Names tried before giving up; a second try is already unlikely.
const TRIES: u32 = 100;

/// How sure it has to be that the file is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives the end of this process, not necessarily a power cut.
    Process,
    /// It is on the disk, and so is its name.
    Disk,
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AtomicFileError {
    /// There is something else of that name, which must not be replaced by a file.
    #[error("{} is {}, which cannot be replaced by a file", path.display(), kind.name())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        kind: FileKind,
    },
    /// The path names no file.
    #[error("{} does not end in a file name", .0.display())]
    NoName(PathBuf),
    /// The file, or its folder, refused.
    #[error("cannot write {}: {error}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

/// A file that is not there yet. [`AtomicFile::commit`] makes it appear; dropping it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    folder: OwnedFd,
    temporary: Option<OsString>,
    name: OsString,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins to write `path`, whose folder has to exist. A file that is there keeps its permissions and is untouched
    /// until the commit; a link is followed.
    ///
    /// # Errors
    /// See [`AtomicFileError`].
    pub fn create(path: &Path) -> Result<Self, AtomicFileError> {
        let failed = |error| AtomicFileError::Io { path: path.to_owned(), error };
        let previous = existing(path)?;
        // A link stays a link: what it leads to is replaced.
        let target = if previous.is_some() { fs::canonicalize(path).map_err(failed)? } else { path.to_owned() };
        let name = target.file_name().ok_or_else(|| AtomicFileError::NoName(path.to_owned()))?.to_owned();
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let (file, temporary) = create_temporary(&folder, &name).map_err(failed)?;
        let this = Self { file, folder, temporary: Some(temporary), name, path: path.to_owned() };
        if let Some(previous) = previous {
            this.take_over(&previous).map_err(failed)?;
        }
        Ok(this)
    }

    /// The file, open for reading and writing.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path that it will have, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it appear, in place of what had its name.
    ///
    /// # Errors
    /// When it cannot be written to the disk or renamed. Nothing has changed then.
    pub fn commit(mut self, durability: Durability) -> Result<(), AtomicFileError> {
        self.rename(durability).map_err(|error| AtomicFileError::Io { path: self.path.clone(), error })
    }

    fn rename(&mut self, durability: Durability) -> io::Result<()> {
        if durability == Durability::Disk {
            // A failed fsync is final: the kernel forgets which pages it could not write.
            self.file.sync_all()?;
        }
        if let Some(temporary) = &self.temporary {
            rustix::fs::renameat(&self.folder, temporary, &self.folder, &self.name)?;
            self.temporary = None;
        }
        if durability == Durability::Disk {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::fsync(rustix::fs::openat(&self.folder, ".", flags, Mode::empty())?)?;
        }
        Ok(())
    }

    /// Gives it the permissions, and if possible the owner, of the file it replaces.
    fn take_over(&self, previous: &rustix::fs::Stat) -> io::Result<()> {
        let own = rustix::fs::fstat(&self.file)?;
        if (own.st_uid, own.st_gid) != (previous.st_uid, previous.st_gid) {
            let (owner, group) = (Uid::from_raw(previous.st_uid), Gid::from_raw(previous.st_gid));
            // Only the superuser may; for others the new file is theirs.
            let _ = rustix::fs::fchown(&self.file, Some(owner), Some(group));
        }
        // Not the bits that lend rights: they were given to the old content.
        Ok(rustix::fs::fchmod(&self.file, Mode::from_raw_mode(previous.st_mode & 0o777))?)
    }
}

impl AsFd for AtomicFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // There is nobody to tell, and the name says what it is.
            let _ = rustix::fs::unlinkat(&self.folder, temporary, AtFlags::empty());
        }
    }
}

/// The regular file at `path`, if there is one, which has to be writable: a rename would not ask.
fn existing(path: &Path) -> Result<Option<rustix::fs::Stat>, AtomicFileError> {
    let failed = |errno: Errno| AtomicFileError::Io { path: path.to_owned(), error: errno.into() };
    // Without opening it for reading or writing: that waits at a named pipe, and does things to some devices.
    let fd = match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        result => result.map_err(failed)?,
    };
    match kind(fd.as_fd()).map_err(|error| AtomicFileError::Io { path: path.to_owned(), error })? {
        FileKind::Regular => {}
        kind => return Err(AtomicFileError::NotAFile { path: path.to_owned(), kind }),
    }
    rustix::fs::access(path, Access::WRITE_OK).map_err(failed)?;
    rustix::fs::fstat(&fd).map(Some).map_err(failed)
}

fn create_temporary(folder: &OwnedFd, name: &OsStr) -> io::Result<(File, OsString)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut tries = 0;
    loop {
        let temporary = temporary_name(name);
        // Permissions as for any new file: what the umask leaves of them.
        match rustix::fs::openat(folder, &temporary, flags, Mode::from_raw_mode(0o666)) {
            Ok(fd) => return Ok((File::from(fd), temporary)),
            Err(Errno::EXIST) if tries < TRIES => tries += 1,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A name that nobody else has, most likely; a file of that name is never opened, so a guess does no harm.
fn temporary_name(name: &OsStr) -> OsString {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let unique = time ^ std::process::id().rotate_left(16);
    let kept = name.as_bytes().get(..NAME_BYTES - SUFFIX_BYTES).unwrap_or(name.as_bytes());
    let suffix = format!(".taskhost-{unique:08x}{count:08x}");
    OsString::from_vec([b".", kept, suffix.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("readable").file_name().display().to_string()).collect();
        names.sort();
        names
    }

    fn write(path: &Path, text: &str) -> AtomicFile {
        let atomic = AtomicFile::create(path).expect("a writable folder");
        atomic.file().write_all(text.as_bytes()).expect("space");
        atomic
    }

    #[test]
    fn it_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        for durability in [Durability::Process, Durability::Disk] {
            let atomic = write(&path, "new");
            let [.., temporary] = &names(folder.path())[..] else { panic!("no file") };
            assert!(temporary.starts_with(".out.taskhost-") || temporary == "out");
            atomic.commit(durability).expect("renamed");
            assert_eq!(names(folder.path()), ["out"]);
            assert_eq!(fs::read_to_string(&path).expect("readable"), "new");
            drop(write(&path, "other"));
            assert_eq!(names(folder.path()), ["out"]);
            assert_eq!(fs::read_to_string(&path).expect("readable"), "new");
        }
    }

    #[test]
    fn permissions_are_kept_and_links_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        fs::write(&path, "old").expect("space");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).expect("own");
        symlink("out", &link).expect("new");
        write(&link, "new").commit(Durability::Process).expect("renamed");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "new");
        assert_eq!(fs::metadata(&path).expect("readable").permissions().mode() & 0o7777, 0o751);
        assert!(fs::symlink_metadata(&link).expect("readable").is_symlink());
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = AtomicFile::create(Path::new("/dev/null")).expect_err("a device");
        assert_eq!(error.to_string(), "/dev/null is a device, which cannot be replaced by a file");
        let error = AtomicFile::create(folder.path()).expect_err("a folder");
        assert!(matches!(error, AtomicFileError::NotAFile { kind: FileKind::Directory, .. }));
        let missing = folder.path().join("missing/out");
        let error = AtomicFile::create(&missing).expect_err("no folder");
        assert!(error.to_string().ends_with("missing/out: No such file or directory (os error 2)"), "{error}");
    }

    #[test]
    fn the_longest_name_is_possible() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = "x".repeat(NAME_BYTES);
        write(&folder.path().join(&name), "new").commit(Durability::Process).expect("renamed");
        assert_eq!(names(folder.path()), [name]);
    }

    #[test]
    fn many_at_once_do_not_meet() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        let all: Vec<AtomicFile> = (0..20).map(|number| write(&path, &number.to_string())).collect();
        for atomic in all {
            atomic.commit(Durability::Process).expect("renamed");
        }
        assert_eq!(fs::read_to_string(&path).expect("readable"), "19");
        assert_eq!(names(folder.path()), ["out"]);
    }
}
