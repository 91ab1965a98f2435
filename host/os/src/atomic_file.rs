//! A file that appears whole or not at all: written under another name in the same folder, then renamed.
//!
//! The other name begins with a dot and tells whose it is (`.NAME.taskhost-…`). Only a process that is killed leaves
//! it behind, or one that was told to, so that another can go on with it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use rustix::fs::{Access, AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::file_kind::{FileKind, is_regular, kind};

/// Longest file name that Linux takes, in bytes.
const NAME_BYTES: usize = 255;

/// Between the name of the file and what makes the temporary name unique.
const MARK: &str = ".taskhost-";

/// Digits that make a temporary name unique.
const UNIQUE_DIGITS: usize = 16;

/// Room that the rest of the temporary name takes.
const SUFFIX_BYTES: usize = ".".len() + MARK.len() + UNIQUE_DIGITS;

/// Names tried before giving up; a second try is already unlikely.
const TRIES: u32 = 100;

/// The run that this process is or goes on with.
static RUN: OnceLock<u32> = OnceLock::new();

/// From now on all temporary names tell to which run they belong, by a random number of that run, so that
/// [`sweep`] finds what it left when it was killed. The first call counts.
pub fn name_after(run: u32) {
    let _ = RUN.set(run);
}

/// Removes from a folder the temporary files of a run that was killed, but not `keep`. What cannot be read or removed
/// stays.
pub fn sweep(folder: &Path, run: u32, keep: Option<&Path>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let kept = keep.and_then(Path::file_name);
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if Some(&*name) != kept && is_of_run(&name, run) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether this is a temporary name that tells of that run.
fn is_of_run(name: &OsStr, run: u32) -> bool {
    let Some((stem, unique)) = name.as_bytes().split_last_chunk::<UNIQUE_DIGITS>() else { return false };
    stem.starts_with(b".")
        && stem.ends_with(MARK.as_bytes())
        && unique.iter().all(u8::is_ascii_hexdigit)
        && unique.starts_with(format!("{run:08x}").as_bytes())
}

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
    /// It is not a temporary file of that output.
    #[error("{} is not what was written of {} so far: start that run again", data.display(), path.display())]
    NotItsData {
        /// The path of the output.
        path: PathBuf,
        /// The path that was said to be its temporary file.
        data: PathBuf,
    },
    /// The file, or its folder, refused.
    #[error("cannot write {}: {error}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

/// A file that is not there yet. [`AtomicFile::commit`] makes it appear; dropping it leaves nothing behind, unless
/// that is asked for.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: Temporary,
    place: Place,
}

/// Where the file will be.
#[derive(Debug)]
struct Place {
    folder: OwnedFd,
    /// The path of `folder`.
    parent: PathBuf,
    name: OsString,
    /// The path as it was given.
    path: PathBuf,
    /// The file that is there.
    previous: Option<rustix::fs::Stat>,
}

/// The temporary name. Dropping it removes the file.
#[derive(Debug)]
struct Temporary {
    folder: OwnedFd,
    name: OsString,
    /// Whether the file is to be removed.
    armed: bool,
}

impl AtomicFile {
    /// Begins to write `path`, whose folder has to exist. A file that is there keeps its permissions and is untouched
    /// until the commit; a link is followed.
    ///
    /// # Errors
    /// See [`AtomicFileError`].
    pub fn create(path: &Path) -> Result<Self, AtomicFileError> {
        let place = Place::find(path)?;
        let folder = place.folder.try_clone().map_err(|error| place.failed(error))?;
        let (file, name) = create_temporary(&folder, &place.name).map_err(|error| place.failed(error))?;
        let this = Self { file, temporary: Temporary { folder, name, armed: true }, place };
        if let Some(previous) = &this.place.previous {
            this.take_over(previous).map_err(|error| this.place.failed(error))?;
        }
        Ok(this)
    }

    /// Goes on with what was written of `path` to its temporary file `data`, by a process that was killed or left it.
    /// Dropping it leaves the file, as after [`AtomicFile::preserve`].
    ///
    /// # Errors
    /// [`AtomicFileError::NotItsData`] when `data` is not a regular file in the folder of `path` with a temporary name
    /// of it: nothing else is ever opened or replaced. Otherwise see [`AtomicFileError`].
    pub fn reopen(path: &Path, data: &Path) -> Result<Self, AtomicFileError> {
        let place = Place::find(path)?;
        let not_its = || AtomicFileError::NotItsData { path: path.to_owned(), data: data.to_owned() };
        let failed = |errno: Errno| AtomicFileError::Io { path: data.to_owned(), error: errno.into() };
        let name = data.file_name().filter(|name| is_temporary(name, &place.name)).ok_or_else(not_its)?;
        let folder = open_folder(parent(data)).map_err(failed)?;
        let (there, here) =
            (rustix::fs::fstat(&folder).map_err(failed)?, rustix::fs::fstat(&place.folder).map_err(failed)?);
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) {
            return Err(not_its());
        }
        // Without waiting, should a named pipe have that name.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(not_its()),
            result => result.map_err(failed)?,
        };
        if !is_regular(file.as_fd()) {
            return Err(not_its());
        }
        let name = name.to_owned();
        Ok(Self { file: File::from(file), temporary: Temporary { folder, name, armed: false }, place })
    }

    /// The file, open for reading and writing.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path that it will have, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// The path that it has until then, absolute, without links.
    #[must_use]
    pub fn temporary_path(&self) -> PathBuf {
        self.place.parent.join(&self.temporary.name)
    }

    /// Whether what it will replace is what it was when this was begun: the same file, as it was written then.
    #[must_use]
    pub fn would_replace_what_was_there(&self) -> bool {
        let now = rustix::fs::statat(&self.place.folder, &self.place.name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let facts =
            |stat: &rustix::fs::Stat| (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        now.as_ref().map(facts) == self.place.previous.as_ref().map(facts)
    }

    /// From now on dropping it leaves what was written under its temporary name, so that
    /// [`AtomicFile::reopen`] can go on with it.
    pub fn preserve(&mut self) {
        self.temporary.armed = false;
    }

    /// Gives up: nothing is left behind, even after [`AtomicFile::preserve`].
    pub fn discard(mut self) {
        self.temporary.armed = true;
    }

    /// Leaves what was written under its temporary name, and gives it away with that name.
    #[must_use = "the file stays, and its path is needed to go on with it"]
    pub fn keep(mut self) -> (File, PathBuf) {
        self.preserve();
        let path = self.temporary_path();
        (self.file, path)
    }

    /// Makes it appear, in place of what had its name.
    ///
    /// # Errors
    /// When it cannot be written to the disk or renamed. Nothing has changed then.
    pub fn commit(mut self, durability: Durability) -> Result<(), AtomicFileError> {
        self.rename(durability).map_err(|error| self.place.failed(error))
    }

    fn rename(&mut self, durability: Durability) -> io::Result<()> {
        if durability == Durability::Disk {
            // A failed fsync is final: the kernel forgets which pages it could not write.
            self.file.sync_all()?;
        }
        let folder = &self.place.folder;
        rustix::fs::renameat(folder, &self.temporary.name, folder, &self.place.name)?;
        self.temporary.armed = false;
        if durability == Durability::Disk {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::fsync(rustix::fs::openat(folder, ".", flags, Mode::empty())?)?;
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

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.armed {
            // There is nobody to tell, and the name says what it is.
            let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

impl Place {
    fn find(path: &Path) -> Result<Self, AtomicFileError> {
        let failed = |error| AtomicFileError::Io { path: path.to_owned(), error };
        let previous = existing(path)?;
        // A link stays a link: what it leads to is replaced.
        let target = if previous.is_some() { fs::canonicalize(path).map_err(failed)? } else { path.to_owned() };
        let name = target.file_name().ok_or_else(|| AtomicFileError::NoName(path.to_owned()))?.to_owned();
        let folder = open_folder(parent(&target)).map_err(|errno| failed(errno.into()))?;
        let parent = fs::canonicalize(parent(&target)).map_err(failed)?;
        Ok(Self { folder, parent, name, path: path.to_owned(), previous })
    }

    fn failed(&self, error: io::Error) -> AtomicFileError {
        AtomicFileError::Io { path: self.path.clone(), error }
    }
}

/// The folder that a path counts from.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
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
    let unique = RUN.get().copied().unwrap_or_else(|| {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        time ^ std::process::id().rotate_left(16)
    });
    OsString::from_vec([temporary_stem(name), format!("{unique:08x}{count:08x}").into_bytes()].concat())
}

/// What all temporary names for a file begin with.
fn temporary_stem(name: &OsStr) -> Vec<u8> {
    let kept = name.as_bytes().get(..NAME_BYTES - SUFFIX_BYTES).unwrap_or(name.as_bytes());
    [b".", kept, MARK.as_bytes()].concat()
}

/// Whether this could be a temporary name for the file `name`.
fn is_temporary(temporary: &OsStr, name: &OsStr) -> bool {
    let unique = temporary.as_bytes().strip_prefix(&temporary_stem(name)[..]);
    unique.is_some_and(|digits| digits.len() == UNIQUE_DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
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
    fn what_a_run_left_is_swept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mine = [".out.taskhost-0000abcd00000000", ".other.txt.taskhost-0000abcd00000017"];
        let others =
            [".out.taskhost-0001abcd00000000", "out.taskhost-0000abcd00000000", ".out.taskhost-0000abcd", "out"];
        for name in mine.iter().chain(&others) {
            fs::write(folder.path().join(name), "x").expect("space");
        }
        sweep(folder.path(), 0xabcd, Some(&folder.path().join(mine[1])));
        let mut wanted = others.to_vec();
        wanted.push(mine[1]);
        wanted.sort_unstable();
        assert_eq!(names(folder.path()), wanted);
        sweep(&folder.path().join("missing"), 0xabcd, None);
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

    #[test]
    fn what_was_left_is_gone_on_with() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        let (mut file, data) = write(&path, "begin").keep();
        file.write_all(b", middle").expect("space");
        drop(file);
        assert_eq!(fs::read_to_string(&data).expect("it stays"), "begin, middle");
        // Leaving it again needs nothing.
        drop(AtomicFile::reopen(&path, &data).expect("its own"));
        let atomic = AtomicFile::reopen(&path, &data).expect("it stays");
        assert_eq!(atomic.temporary_path(), data);
        crate::exact::pwrite_all(atomic.as_fd(), b", end", 13).expect("space");
        atomic.commit(Durability::Disk).expect("renamed");
        assert_eq!(names(folder.path()), ["out"]);
        assert_eq!(fs::read_to_string(&path).expect("readable"), "begin, middle, end");
    }

    #[test]
    fn what_was_left_can_be_given_up() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        let mut atomic = write(&path, "begin");
        atomic.preserve();
        let data = atomic.temporary_path();
        drop(atomic);
        assert!(data.exists());
        AtomicFile::reopen(&path, &data).expect("it stays").discard();
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn nothing_else_is_gone_on_with() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, other) = (folder.path().join("out"), tempfile::tempdir().expect("a temporary folder"));
        let (_, data) = write(&path, "begin").keep();
        let elsewhere = other.path().join(data.file_name().expect("a name"));
        fs::copy(&data, &elsewhere).expect("space");
        let private = folder.path().join("private");
        fs::write(&private, "of the user").expect("space");
        for (path, data) in [(&path, &elsewhere), (&path, &private), (&private, &data)] {
            let error = AtomicFile::reopen(path, data).expect_err("something else");
            assert!(matches!(error, AtomicFileError::NotItsData { .. }), "{error}");
        }
        fs::remove_file(&data).expect("own");
        let error = AtomicFile::reopen(&path, &data).expect_err("nothing is there");
        assert!(
            matches!(error, AtomicFileError::Io { path, error } if path == data && error.kind() == io::ErrorKind::NotFound)
        );
        symlink(&private, &data).expect("new");
        assert!(matches!(AtomicFile::reopen(&path, &data), Err(AtomicFileError::NotItsData { .. })));
        fs::remove_file(&data).expect("own");
        fs::create_dir(&data).expect("new");
        assert!(matches!(AtomicFile::reopen(&path, &data), Err(AtomicFileError::NotItsData { .. })));
    }
}
