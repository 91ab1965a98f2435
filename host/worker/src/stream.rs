//! The convert role for a stream: one descriptor is read, to its end or where something is said to be, and what becomes of it
//! is written to another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};

use taskhost_codec::{ReadAt, TableNews};
use taskhost_os::rlimits::Rlimits;
use taskhost_os::sandbox::Role;
use taskhost_os::{exact, poll};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::{MESSAGE_BYTES, cap_text};
use taskhost_protocol::mark::MARK_BYTES;
use taskhost_protocol::message::{FromWorker, ToWorker};
use taskhost_protocol::stream::{Load, Misfit, StreamOrder, StreamWork, Taken};

use crate::startup::{Channel, Fatal};

/// Converts one stream.
pub(crate) fn run(channel: &mut Channel, memory: u64) -> Result<(), Fatal> {
    // A decoder's panic is caught and becomes an error of the stream; it must not end the worker.
    std::panic::set_hook(Box::new(|_| {}));
    Rlimits { more_data: memory, cpu: None }.set().map_err(|error| Fatal::failed("limiting itself")(&error))?;
    channel.lock(Role::Stream, 1)?;
    channel.locked()?;
    channel.send(&FromWorker::Ready { description: None })?;
    let (message, fds) = channel.receive()?;
    let ToWorker::Stream(order) = message else {
        return Err(Fatal::Protocol("a worker for a stream has nothing else to do".into()));
    };
    let Ok([from, to]) = <[OwnedFd; 2]>::try_from(fds) else {
        return Err(Fatal::Protocol("a stream has two ends".into()));
    };
    let StreamOrder { work, prefix, from_start } = order;
    let from = File::from(from);
    let stream = |file| io::Cursor::new(prefix).chain(Source { file, offset: from_start.then_some(0) });
    let mut target = Target { file: to.into(), written: 0 };
    let made = match work {
        StreamWork::Convert(conversion) => {
            taskhost_codec::convert(conversion, stream(from), &mut target).map_err(Fault::from)
        }
        StreamWork::Load(load) => append(&load, stream(from), &mut target),
        StreamWork::ReadTable { form, len } => {
            taskhost_codec::read_table(form, Anywhere(from), len, &mut target).map_err(Fault::from)
        }
        StreamWork::WriteTable { by_item: false } => {
            taskhost_codec::write_table(stream(from), &mut target).map_err(Fault::from)
        }
        StreamWork::WriteTable { by_item: true } => {
            let mut told = Told::new(channel);
            taskhost_codec::take_table(stream(from), &mut target, |news| told.tell(news)).map_err(Fault::from)
        }
    };
    // Said before either end is closed: who sees the end of the stream can rely on having heard how it ended.
    channel.send(&FromWorker::Streamed(made.map(|()| target.written)))
}

/// Puts rows into a database that is there, in place of what is there.
fn append(load: &Load, rows: impl Read, target: &mut Target) -> Result<(), Fault> {
    let mut before = vec![0; usize::try_from(load.before).unwrap_or(0)];
    exact::pread_exact(target.file.as_fd(), &mut before, 0)
        .map_err(|error| Fault::Output(format!("cannot be read: {error}")))?;
    taskhost_codec::load(&load.table, rows, before, |database| {
        target.written = database.len() as u64;
        exact::pwrite_all(target.file.as_fd(), database, 0).map_err(io::Error::other)
    })
    .map_err(Fault::from)
}

/// What is said of results that are taken item by item.
struct Told<'c> {
    channel: &'c Channel,
    misfits: Vec<Misfit>,
    /// Bytes of them in a message.
    bytes: usize,
}

impl<'c> Told<'c> {
    fn new(channel: &'c Channel) -> Self {
        Self { channel, misfits: Vec::new(), bytes: 0 }
    }

    fn tell(&mut self, news: TableNews) -> io::Result<()> {
        /// Bytes of misfits beyond which a message is sent: one more, with a text of 4 KiB, fits in.
        const MESSAGE: usize = MESSAGE_BYTES / 2;
        let end = match news {
            TableNews::Batch { bytes } => Some(bytes),
            TableNews::Misfit { mark, what } => {
                let what = cap_text(what);
                self.bytes += what.len() + MARK_BYTES;
                self.misfits.push(Misfit { place: mark.place, ordinal: mark.ordinal, len: mark.len, what });
                if self.bytes < MESSAGE {
                    return Ok(());
                }
                None
            }
        };
        self.bytes = 0;
        let taken = Taken { misfits: std::mem::take(&mut self.misfits), bytes: end };
        self.channel.send(&FromWorker::Taken(taken)).map_err(|error| io::Error::other(error.to_string()))
    }
}

/// A file that is read wherever it has something.
struct Anywhere(File);

impl ReadAt for Anywhere {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        exact::pread_exact(self.0.as_fd(), buffer, offset).map_err(io::Error::other)
    }
}

/// What a stream is read from.
struct Source {
    file: File,
    /// Where to go on, in a file whose position belongs to somebody else.
    offset: Option<u64>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(offset) = &mut self.offset {
            let read = exact::pread_full(self.file.as_fd(), buffer, *offset).map_err(io::Error::other)?;
            *offset += read as u64;
            return Ok(read);
        }
        loop {
            match self.file.read(buffer) {
                // Another program that has the pipe may have made it so.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => poll::wait_readable(self.file.as_fd())?,
                result => return result,
            }
        }
    }
}

/// Where a stream is written to.
struct Target {
    file: File,
    written: u64,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => poll::wait_writable(self.file.as_fd())?,
                result => {
                    let written = result?;
                    self.written += written as u64;
                    return Ok(written);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
