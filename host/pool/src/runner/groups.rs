//! A table whose groups of rows are inputs of their own: a worker writes them to a pipe, one after the other, and each becomes a
//! file in memory, which workers read as they read any other. The state machine knows of nothing but files.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use taskhost_os::poll::Interest;
use taskhost_os::{exact, memfd};
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::stream::PART_LENGTH_BYTES;

use super::jobs::OpenSource;
use super::{Pool, Watched};
use crate::event::{Event, JobFailure};

/// Bytes of groups that are in memory and not yet done with, beyond one group for each worker and one more.
const READ_AHEAD: u64 = 32 << 20;

/// Bytes read at a time: what a pipe holds by default.
const READ: usize = 64 << 10;

/// What a read brought.
enum Brought {
    /// No whole group.
    Nothing,
    /// A group of so many bytes.
    Group(OwnedFd, u64),
    /// There is nothing more to be read.
    End,
}

/// A table that is taken apart.
pub(crate) struct Groups {
    name: String,
    input: File,
    /// What was read of the pipe and not looked at.
    unread: Vec<u8>,
    /// Bytes of the part that is being read that are still to come.
    part: usize,
    /// The group that is being read, and how much of it is there.
    group: Option<(OwnedFd, u64)>,
    /// Groups that were read.
    count: u32,
    is_watched: bool,
    /// Whether the pipe has ended.
    is_ended: bool,
    /// Whether its writer says that all of it was written.
    is_proven: bool,
}

impl Groups {
    pub(super) fn new(name: String, input: OwnedFd) -> Self {
        Self {
            name,
            input: input.into(),
            unread: Vec::new(),
            part: 0,
            group: None,
            count: 0,
            is_watched: false,
            is_ended: false,
            is_proven: false,
        }
    }

    fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Reads once, when nothing is left of the last time.
    fn read(&mut self) -> io::Result<Brought> {
        if self.unread.len() < PART_LENGTH_BYTES {
            let before = self.unread.len();
            self.unread.resize(before + READ, 0);
            let read = match self.input.read(&mut self.unread[before..]) {
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => None,
                read => Some(read?),
            };
            self.unread.truncate(before + read.unwrap_or(0));
            if read == Some(0) {
                self.is_ended = true;
                return Ok(Brought::End);
            }
        }
        self.take()
    }

    /// Takes parts, until a group is whole or there is nothing more to take.
    fn take(&mut self) -> io::Result<Brought> {
        let mut at = 0;
        let whole = loop {
            let left = &self.unread[at..];
            if self.part > 0 {
                if left.is_empty() {
                    break None;
                }
                let taken = left.len().min(self.part);
                let (group, len) = match &mut self.group {
                    Some(group) => group,
                    none => none.insert((memfd::create(c"taskhost-rows")?, 0)),
                };
                if *len + taken as u64 > ITEM_BYTES {
                    let limit = ITEM_BYTES >> 20;
                    return Err(io::Error::other(format!("a group of its rows is larger than {limit} MiB")));
                }
                exact::pwrite_all(group.as_fd(), &left[..taken], *len).map_err(io::Error::other)?;
                *len += taken as u64;
                self.part -= taken;
                at += taken;
                continue;
            }
            let Some(length) = left.first_chunk::<PART_LENGTH_BYTES>() else { break None };
            at += PART_LENGTH_BYTES;
            self.part = u32::from_le_bytes(*length) as usize;
            if self.part == 0 {
                break Some(match self.group.take() {
                    Some(group) => group,
                    None => (memfd::create(c"taskhost-rows")?, 0),
                });
            }
        };
        self.unread.drain(..at);
        let Some((group, len)) = whole else { return Ok(Brought::Nothing) };
        memfd::seal_read_only(group.as_fd())?;
        Ok(Brought::Group(group, len))
    }
}

impl Pool {
    /// Goes on with the table that is being taken apart, if there is one.
    pub(super) fn next_group(&mut self, id: JobId) -> bool {
        let workers = self.config.cores.len();
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.groups.is_some()) else { return false };
        let in_memory = || job.sources.values().filter(|source| source.memory > 0);
        let is_full =
            in_memory().count() > workers && in_memory().map(|source| source.memory).sum::<u64>() >= READ_AHEAD;
        job.waits_for_source = is_full;
        if !is_full {
            self.watch_groups(id);
        }
        true
    }

    /// Waits until the pipe brings something, unless that is there already.
    pub(super) fn watch_groups(&mut self, id: JobId) {
        let Some(groups) = self.jobs.get_mut(&id).and_then(|job| job.groups.as_mut()) else { return };
        if !groups.is_watched && !groups.is_ended {
            let token = Watched::Pipe(id).token();
            if let Err(error) = self.poller.add(groups.input(), token, Interest::Read) {
                let failure = JobFailure::Input(format!("{} cannot be read: {error}", groups.name));
                return self.tell_state(Event::JobBroken { job: id, failure });
            }
            groups.is_watched = true;
        }
        if groups.unread.len() >= PART_LENGTH_BYTES || groups.is_ended {
            self.read_groups(id);
        }
    }

    /// Reads the pipe, which is readable or has something left.
    pub(super) fn read_groups(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(groups) = &mut job.groups else { return };
        let brought = if groups.is_ended { Ok(Brought::End) } else { groups.read() };
        if !matches!(brought, Ok(Brought::Nothing)) && std::mem::take(&mut groups.is_watched) {
            let _ = self.poller.remove(groups.input());
        }
        let event = match brought {
            Ok(Brought::Nothing) => return,
            // What was torn is no group, and whoever tore it says why.
            Ok(Brought::End) if !groups.is_proven => return,
            Ok(Brought::End) => {
                let is_torn = groups.group.is_some() || groups.part > 0 || !groups.unread.is_empty();
                let name = job.groups.take().map(|groups| groups.name).unwrap_or_default();
                if !is_torn {
                    return self.next_source(id);
                }
                let text = format!("the worker that reads {name} has not written all of it");
                Event::JobBroken { job: id, failure: JobFailure::Lost(text) }
            }
            Ok(Brought::Group(group, len)) => {
                let source = SourceId(job.next_source);
                job.next_source += 1;
                let name = format!("{}#{}", groups.name, groups.count);
                groups.count += 1;
                let file = Arc::new(group);
                job.sources.insert(source, OpenSource { name, file, header: None, at: 0, held: None, memory: len });
                Event::SourceOpened { job: id, source, start: 0, end: len }
            }
            Err(error) => {
                let failure = JobFailure::Input(format!("{} cannot be taken apart: {error}", groups.name));
                Event::JobBroken { job: id, failure }
            }
        };
        self.tell_state(event);
    }

    /// Whoever writes the pipe says that all of it was written.
    pub(super) fn prove_groups(&mut self, id: JobId) {
        let Some(groups) = self.jobs.get_mut(&id).and_then(|job| job.groups.as_mut()) else { return };
        groups.is_proven = true;
        if groups.is_ended {
            self.read_groups(id);
        }
    }
}
