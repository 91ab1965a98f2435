//! The one writer of a journal: holds the lock, appends, and knows what is on the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use taskhost_os::exact::pwrite_all;
use taskhost_os::transfer::reserve;

use super::entry::{self, Payload};
use super::error::JournalError;
use super::frame::{self, HOLDER_AT, PREAMBLE, Preamble, VERSION};
use super::read::{Contents, Tail, read};
use super::record::{Header, Record};

/// Space that is kept for the last records, so that they fit when the disk is full.
const SLACK: u64 = 1 << 20;

/// An open journal. As long as it lives, no other process can open it; the kernel ends that with the process, in
/// whatever way it ends. Dropping it leaves the file, without the space that was reserved.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    run: [u8; 16],
    tail: Tail,
    /// Frames that are known to be on the disk.
    durable: u64,
    /// Up to here there is space, whatever becomes of the disk.
    reserved: u64,
    broken: Option<String>,
}

impl Journal {
    /// Begins the journal of a new run. When this returns, the header and the name are on the disk.
    ///
    /// # Errors
    /// [`JournalError::Exists`] when there is a file of that name; otherwise when it cannot be written, and then no
    /// file is left.
    pub fn create(path: &Path, header: &Header) -> Result<Self, JournalError> {
        let payloads = entry::of_header(header)?;
        let path = std::path::absolute(path).map_err(JournalError::io(path, "find"))?;
        let mut options = OpenOptions::new();
        // Its owner's alone: it has the command, names of files and parts of results in it.
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(path)),
            result => result.map_err(JournalError::io(&path, "create"))?,
        };
        lock(&file, &path).inspect_err(|_| {
            // Somebody else opened it at once, and found nothing in it.
            let _ = fs::remove_file(&path);
        })?;
        let tail = Tail { next: 0, end: PREAMBLE as u64 };
        let mut journal = Self { file, path, run: header.run, tail, durable: 0, reserved: 0, broken: None };
        journal.begin(&payloads).inspect_err(|_| {
            // Of no use to anybody; when it stays, it says that the run had not begun.
            let _ = fs::remove_file(&journal.path);
        })?;
        Ok(journal)
    }

    /// Whether a journal can be begun here: there is no file of that name.
    ///
    /// # Errors
    /// As for [`Journal::create`], when there is.
    pub fn check_free(path: &Path) -> Result<(), JournalError> {
        match fs::symlink_metadata(path) {
            Ok(_) => Err(exists(path.to_owned())),
            Err(_) => Ok(()),
        }
    }

    fn begin(&mut self, payloads: &[Payload<'_>]) -> Result<(), JournalError> {
        let preamble = Preamble::encode(std::process::id(), &self.run);
        pwrite_all(self.file.as_fd(), &preamble, 0).map_err(JournalError::exact(&self.path, "write"))?;
        self.write(payloads, SLACK)?;
        self.sync()?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(JournalError::io(&self.path, "create"))
    }

    /// Opens a journal to go on with it, and reads all of it. What the crash left incomplete at its end is cut off.
    /// When this returns, everything that was read is on the disk.
    ///
    /// # Errors
    /// See [`JournalError`]. The file is not changed then, but for the number of the process that opened it last.
    pub fn open(path: &Path) -> Result<(Self, Contents), JournalError> {
        let mut records = Vec::new();
        let (journal, contents) = Self::open_each(path, |_, record| records.push(record))?;
        Ok((journal, Contents { records, ..contents }))
    }

    /// As [`Journal::open`], but hands out the records one by one, so that they need not all be in memory; those of
    /// the answer are none. Nothing that was handed out can be relied on when this fails.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn open_each(path: &Path, visit: impl FnMut(&Header, Record)) -> Result<(Self, Contents), JournalError> {
        let path = &fs::canonicalize(path).map_err(JournalError::io(path, "open"))?;
        let mut options = OpenOptions::new();
        // Opening something that is no file should neither wait nor do anything to it.
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = options.open(path).map_err(JournalError::io(path, "open"))?;
        let metadata = file.metadata().map_err(JournalError::io(path, "open"))?;
        if !metadata.is_file() {
            return Err(JournalError::NotAJournal(path.clone()));
        }
        lock(&file, path)?;
        // Its last writer may have removed it since it was opened.
        if !is_at(&file, path) {
            return Err(JournalError::io(path, "open")(io::Error::from(io::ErrorKind::NotFound)));
        }
        let run = run(&file, path)?;
        let holder = std::process::id().to_le_bytes();
        pwrite_all(file.as_fd(), &holder, HOLDER_AT).map_err(JournalError::exact(path, "write"))?;
        let (contents, tail) = read(&file, path, run, visit)?;
        let mut journal = Self { file, path: path.clone(), run, tail, durable: 0, reserved: 0, broken: None };
        if contents.torn_bytes > 0 {
            journal.cut()?;
        }
        // What was read may be in memory only, and the next record will say that it is on the disk.
        journal.sync()?;
        // Without space there may still be enough to do without writing; the first record says so.
        let _ = journal.make_room(0, SLACK);
        Ok((journal, contents))
    }

    /// Where it is, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record. It is on the disk after the next [`Journal::sync`]; until then a crash may lose it, and
    /// others before it with it, but none that was synced.
    ///
    /// # Errors
    /// [`JournalError::StorageFull`] when the space for [`Journal::append_last`] could not be kept, and
    /// [`JournalError::TooLarge`]: nothing is written then, and the journal can still be used. After any other error
    /// all later calls fail.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.write(&entry::of_record(record)?, SLACK)
    }

    /// As [`Journal::append`], for the last records of a run: may use the 1 MiB that is kept for them.
    ///
    /// # Errors
    /// As for [`Journal::append`], when that is used up, too.
    pub fn append_last(&mut self, record: &Record) -> Result<(), JournalError> {
        self.write(&entry::of_record(record)?, 0)
    }

    /// Waits until all records are on the disk.
    ///
    /// # Errors
    /// When the disk refuses, which is final: the kernel forgets which pages it could not write, so that a second try
    /// would seem to succeed. All later calls fail.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.check()?;
        if self.durable == self.tail.next {
            return Ok(());
        }
        match self.file.sync_data() {
            Ok(()) => {
                self.durable = self.tail.next;
                Ok(())
            }
            Err(error) => Err(self.fail(JournalError::io(&self.path, "sync")(error))),
        }
    }

    /// Removes the file, as after a run of which nothing is left to do.
    ///
    /// # Errors
    /// When the folder refuses. A file that took its name meanwhile is left alone.
    pub fn remove(self) -> Result<(), JournalError> {
        if !is_at(&self.file, &self.path) {
            return Ok(());
        }
        fs::remove_file(&self.path).map_err(JournalError::io(&self.path, "remove"))
    }

    /// Writes frames, keeping `spare` bytes of space behind them.
    fn write(&mut self, payloads: &[Payload<'_>], spare: u64) -> Result<(), JournalError> {
        self.check()?;
        let len = payloads.iter().map(|(entry, raw)| frame::frame_bytes([entry, raw])).sum();
        self.make_room(len, spare)?;
        let mut tail = self.tail;
        for (entry, raw) in payloads {
            let bytes = frame::encode(&self.run, tail.next, self.durable, [entry, raw]);
            if let Err(error) = pwrite_all(self.file.as_fd(), &bytes, tail.end) {
                return Err(self.not_written(JournalError::exact(&self.path, "write")(error)));
            }
            tail = Tail { next: tail.next + 1, end: tail.end + bytes.len() as u64 };
        }
        self.tail = tail;
        Ok(())
    }

    /// Sees to it that there is space for `len` bytes and `spare` more. Asks for twice the spare, so that this is not
    /// done for every record.
    fn make_room(&mut self, len: u64, spare: u64) -> Result<(), JournalError> {
        let end = self.tail.end + len;
        if end + spare <= self.reserved {
            return Ok(());
        }
        let wanted = end + 2 * spare;
        let more = wanted.saturating_sub(self.tail.end);
        reserve(self.file.as_fd(), self.tail.end, more).map_err(JournalError::exact(&self.path, "write"))?;
        self.reserved = wanted;
        Ok(())
    }

    /// After a write that failed: a full disk leaves the journal as it was, where the file system cannot reserve
    /// space. Everything else is final.
    fn not_written(&mut self, error: JournalError) -> JournalError {
        if matches!(error, JournalError::StorageFull(_)) && self.cut().is_ok() {
            return error;
        }
        self.fail(error)
    }

    /// Cuts off what is behind the last whole record, and with it the reserved space.
    fn cut(&mut self) -> Result<(), JournalError> {
        self.reserved = 0;
        self.file.set_len(self.tail.end).map_err(JournalError::io(&self.path, "cut"))
    }

    fn fail(&mut self, error: JournalError) -> JournalError {
        self.broken = Some(error.to_string());
        error
    }

    fn check(&self) -> Result<(), JournalError> {
        match &self.broken {
            None => Ok(()),
            Some(cause) => Err(JournalError::Broken { path: self.path.clone(), cause: cause.clone() }),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.broken.is_none() {
            // A small file should not take the space of a large one for ever. There is nobody to tell.
            let _ = self.cut();
        }
        // A worker that is being started has a copy of the descriptor for a moment, which would hold the lock.
        let _ = self.file.unlock();
    }
}

/// What is in the place of a new journal: nobody should delete something else for it.
fn exists(path: PathBuf) -> JournalError {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(&path);
    let is_file = |file: &File| file.metadata().is_ok_and(|metadata| metadata.is_file());
    let preamble = file.ok().filter(is_file).map(|file| Preamble::read(file.as_fd()));
    match preamble {
        Some(Ok(Preamble::Journal { .. } | Preamble::Damaged | Preamble::Missing)) => JournalError::Exists(path),
        _ => JournalError::Taken(path),
    }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = match Preamble::read(file.as_fd()) {
                Ok(Preamble::Journal { holder, .. }) if holder > 0 => Some(holder),
                _ => None,
            };
            Err(JournalError::Busy { path: path.to_owned(), holder })
        }
        Err(TryLockError::Error(error)) => Err(JournalError::io(path, "lock")(error)),
    }
}

/// The run whose journal this is.
pub(super) fn run(file: &File, path: &Path) -> Result<[u8; 16], JournalError> {
    match Preamble::read(file.as_fd()).map_err(JournalError::exact(path, "read"))? {
        Preamble::Journal { version: VERSION, run, .. } => Ok(run),
        Preamble::Journal { version, .. } => Err(JournalError::Version { path: path.to_owned(), found: version }),
        Preamble::Missing => Err(JournalError::NotBegun(path.to_owned())),
        Preamble::Foreign => Err(JournalError::NotAJournal(path.to_owned())),
        Preamble::Damaged => {
            let what = "the number of the run is not what it was".to_owned();
            Err(JournalError::Corrupt { path: path.to_owned(), offset: 0, what })
        }
    }
}

/// Whether this file has that name.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(file), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (file.dev(), file.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_journal_that_is_left_takes_no_more_space_than_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.journal");
        let journal = Journal::create(&path, &header()).unwrap();
        // Counted in units of 512 bytes.
        let blocks = |path: &Path| fs::metadata(path).unwrap().blocks();
        let before = blocks(&path);
        drop(journal);
        assert!(before * 512 >= SLACK && blocks(&path) * 512 < 64 << 10, "{before} and {}", blocks(&path));
    }

    fn header() -> Header {
        Header {
            run: [1; 16],
            command: Vec::new(),
            folder: Vec::new(),
            kernel: [0; 32],
            shape: String::new(),
            clock: 0,
            inputs: Vec::new(),
            taskhost: String::new(),
        }
    }

    /// A journal whose file is something else.
    fn journal(file: File) -> Journal {
        let tail = Tail { next: 2, end: 100 };
        let path = PathBuf::from("run.journal");
        Journal { file, path, run: [0; 16], tail, durable: 0, reserved: u64::MAX, broken: None }
    }

    #[test]
    fn a_disk_that_refuses_to_sync_is_not_asked_again() {
        let (_reader, pipe) = io::pipe().unwrap();
        let mut journal = journal(File::from(OwnedFd::from(pipe)));
        let first = journal.sync().unwrap_err().to_string();
        assert!(first.starts_with("cannot sync the journal run.journal: "), "{first}");
        // It would work now.
        journal.file = tempfile::tempfile().unwrap();
        let results =
            [journal.sync(), journal.append(&Record::End { exit: 0 }), journal.append_last(&Record::End { exit: 0 })];
        for result in results {
            let error = result.unwrap_err().to_string();
            assert_eq!(error, format!("the journal run.journal cannot be written any more: {first}"));
        }
        assert_eq!(journal.file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_write_that_fails_is_final() {
        let mut journal = journal(File::open("/dev/null").unwrap());
        assert!(matches!(journal.append(&Record::End { exit: 0 }), Err(JournalError::Io { .. })));
        assert!(matches!(journal.sync(), Err(JournalError::Broken { .. })));
    }

    #[test]
    fn a_disk_that_is_full_is_told_where_space_cannot_be_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.journal");
        let mut journal = Journal::create(&path, &header()).unwrap();
        assert!(journal.reserved >= journal.tail.end + SLACK);
        journal.append(&Record::End { exit: 0 }).unwrap();
        let size = journal.file.metadata().unwrap().len();
        // Half a record is written before the disk is full.
        pwrite_all(journal.file.as_fd(), b"half", size).unwrap();
        let error = journal.not_written(JournalError::StorageFull(path.clone()));
        assert!(matches!(error, JournalError::StorageFull(_)));
        assert_eq!(journal.file.metadata().unwrap().len(), size);
        journal.append(&Record::End { exit: 1 }).unwrap();
        drop(journal);
        let (_journal, contents) = Journal::open(&path).unwrap();
        assert_eq!((contents.records.len(), contents.torn_bytes, contents.ended), (2, 0, Some(1)));
    }
}
