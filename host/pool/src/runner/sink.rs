//! Writing to outputs, in a thread of its own: a reader that does not read must not keep the coordinator from
//! watching its workers or from hearing Ctrl-C.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use taskhost_os::eventfd::Waker;
use taskhost_os::exact::{self, ExactError};
use taskhost_os::memfd::OutputArena;
use taskhost_os::{file_kind, poll, transfer};
use taskhost_protocol::ids::{BatchId, JobId};

use super::allowance::Allowance;
use super::keeper::Saving;
use crate::event::JobFailure;

/// Bytes copied at a time from an arena to a pipe: several pipe buffers, and small enough for the cache.
const COPY: usize = 256 << 10;

/// An output that is written from front to back.
#[derive(Debug)]
pub(crate) struct Target {
    file: File,
    /// Whether pages may be moved without a copy: never into a pipe, which would see the arena's next contents.
    moves_pages: bool,
    /// How much more may be written.
    allowance: Allowance,
    /// Set when something could not be written: what comes behind it is not written either.
    broken: AtomicBool,
}

impl Target {
    pub(crate) fn new(fd: OwnedFd, allowance: Allowance) -> Self {
        let moves_pages = file_kind::is_regular(fd.as_fd()) && !file_kind::is_append(fd.as_fd());
        Self { file: File::from(fd), moves_pages, allowance, broken: AtomicBool::new(false) }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// What is to be written.
#[derive(Debug)]
pub(crate) enum Content {
    /// A stretch of a worker's arena; when it is measured, behind its length (see [`taskhost_protocol::mark`]).
    Arena { arena: Arc<OutputArena>, offset: u64, len: u64, is_measured: bool },
    /// A stretch of a file.
    File { file: Arc<OwnedFd>, offset: u64, len: u64 },
    /// Bytes of the coordinator's own.
    Bytes(Vec<u8>),
    /// Nothing: what was written is to be committed.
    Commit(Box<Saving>),
}

impl Content {
    fn len(&self) -> u64 {
        match self {
            Self::Arena { len, .. } | Self::File { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Commit(_) => 0,
        }
    }
}

/// What a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Results of a batch, whose region is free afterwards.
    Batch(BatchId),
    /// An encoded picture.
    Encoded,
    /// What goes in front of results, and counts as none.
    Header,
    /// A commit.
    Commit,
    /// Bytes of an output that is being made anew.
    Splice,
}

/// One thing to be written.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) job: JobId,
    pub(crate) purpose: Purpose,
    pub(crate) target: Arc<Target>,
    pub(crate) content: Content,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) job: JobId,
    pub(crate) purpose: Purpose,
    pub(crate) bytes: u64,
    pub(crate) result: Result<(), JobFailure>,
    took: Duration,
}

/// The writing thread. It ends when this is dropped and what was asked for is written; it is not waited for, since it
/// may hang in a pipe.
#[derive(Debug)]
pub(crate) struct Sink {
    writes: Sender<Write>,
    written: Receiver<Written>,
    /// Writes that were asked for and of which nothing was heard.
    open: Cell<usize>,
    /// Time that the thread was at work.
    took: Cell<Duration>,
}

impl Sink {
    /// Starts the thread, which wakes `waker` after each write.
    pub(crate) fn start(waker: Waker) -> io::Result<Self> {
        let (writes, to_write) = channel::<Write>();
        let (report, written) = channel();
        thread::Builder::new().name("taskhost-output".into()).spawn(move || {
            let mut buffer = Vec::new();
            for write in to_write {
                let began = Instant::now();
                let result = guarded(&write, &mut buffer);
                let (job, purpose, bytes) = (write.job, write.purpose, write.content.len());
                let done = Written { job, purpose, bytes, result, took: began.elapsed() };
                drop(write);
                if report.send(done).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok(Self { writes, written, open: Cell::new(0), took: Cell::default() })
    }

    /// Writes are done in the order in which they are asked for.
    pub(crate) fn write(&self, write: Write) {
        // The thread ends only after this end of the channel is gone.
        let sent = self.writes.send(write);
        self.open.set(self.open.get() + 1);
        debug_assert!(sent.is_ok(), "the writing thread lives as long as its sink");
    }

    /// Whether everything that was asked for is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.get() == 0
    }

    /// Waits for the next that is written.
    pub(crate) fn wait(&self, limit: Duration) -> Option<Written> {
        let written = self.written.recv_timeout(limit).ok()?;
        self.note(&written);
        Some(written)
    }

    fn note(&self, written: &Written) {
        self.open.set(self.open.get() - 1);
        self.took.set(self.took.get() + written.took);
    }

    /// Time that the thread was at work, as far as was heard of it.
    pub(crate) fn took(&self) -> Duration {
        self.took.get()
    }

    /// What was written since the last call.
    pub(crate) fn written(&self) -> impl Iterator<Item = Written> + '_ {
        self.written.try_iter().inspect(|written| self.note(written))
    }
}

/// Writes, unless something in front of it could not be written.
fn guarded(write: &Write, buffer: &mut Vec<u8>) -> Result<(), JobFailure> {
    let broken = &write.target.broken;
    if broken.load(Ordering::Relaxed) {
        return Err(JobFailure::Output("what comes before could not be written".into()));
    }
    let result = match &write.content {
        Content::Commit(saving) => saving.perform(&write.target),
        content @ (Content::Arena { .. } | Content::File { .. } | Content::Bytes(_)) => {
            write.target.allowance.take(content.len()).and_then(|()| perform(write, buffer).map_err(failure))
        }
    };
    broken.store(result.is_err(), Ordering::Relaxed);
    result
}

fn perform(write: &Write, buffer: &mut Vec<u8>) -> Result<(), ExactError> {
    let file = &write.target.file;
    let (source, offset, len) = match &write.content {
        Content::Bytes(bytes) => return write_all(file, bytes).map_err(ExactError::Io),
        Content::Arena { arena, offset, len, is_measured } => {
            if *is_measured {
                write_all(file, &len.to_le_bytes()).map_err(ExactError::Io)?;
            }
            (arena.as_fd(), *offset, *len)
        }
        Content::File { file, offset, len } => (file.as_fd(), *offset, *len),
        Content::Commit(_) => return Ok(()),
    };
    if write.target.moves_pages {
        return transfer::append_from(file.as_fd(), source, offset, len).map(drop);
    }
    buffer.resize(COPY, 0);
    let mut at = 0;
    while at < len {
        let part = &mut buffer[..COPY.min(usize::try_from(len - at).unwrap_or(COPY))];
        exact::pread_exact(source, part, offset + at)?;
        write_all(file, part).map_err(ExactError::Io)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// Writes everything. Other programs may have left a shared pipe non-blocking; this thread may wait.
fn write_all(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => poll::wait_writable(file.as_fd())?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn failure(error: ExactError) -> JobFailure {
    match error {
        ExactError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => JobFailure::ReaderGone,
        ExactError::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
            JobFailure::Output("no space is left on the device".into())
        }
        ExactError::StorageFull => JobFailure::Output("no space is left on the device".into()),
        error => JobFailure::Output(error.to_string()),
    }
}
