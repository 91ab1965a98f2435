//! Reads items from standard input.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};

use taskhost_os::exact::pwrite_all;
use taskhost_os::memfd;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::table::numbers_bytes;

use super::exchange::{Exchange, SHORT_ITEM};
use super::frames::{Found, LENGTH_BYTES, Notation};
use crate::exit_code::{Exit, Failure};

/// Bytes that are read at a time: a pipe has 64 KiB, and a long item goes to its place in pieces of this size.
const READ_BYTES: usize = 256 << 10;

/// Reads all items. What is wrong with one ends them.
pub(super) fn read(exchange: &Exchange, notation: Notation) {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let result = stdin.map_err(unreadable).and_then(|stdin| {
        Intake { input: File::from(stdin), notation, exchange, buffer: vec![0; READ_BYTES], filled: 0 }.run()
    });
    exchange.no_more_items(result.err());
}

fn unreadable(error: io::Error) -> Failure {
    Failure::input(format!("standard input cannot be read: {error}"))
}

struct Intake<'a, R> {
    input: R,
    notation: Notation,
    exchange: &'a Exchange,
    /// Bytes that were read, `filled` of them.
    buffer: Vec<u8>,
    filled: usize,
}

impl<R: Read> Intake<'_, R> {
    fn run(&mut self) -> Result<(), Failure> {
        // Bytes in which no end of an item was found.
        let mut seen = 0;
        loop {
            let mut at = 0;
            let part = loop {
                match self.notation.find(&self.buffer[at..self.filled], seen) {
                    Found::Item(item, len) if item.len() <= SHORT_ITEM => {
                        if !self.exchange.put(item) {
                            return Ok(());
                        }
                        at += len;
                        seen = 0;
                    }
                    // It is longer than that, and so read to its place as any other of its kind.
                    Found::Item(item, len) => break Some((Some(item.len() as u64), len - item.len())),
                    Found::Part(len, before) => break len.map(|len| (Some(len), before)),
                    Found::TooLong(len) => return Err(self.too_long(len)),
                }
            };
            self.exchange.flush();
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
            match part {
                Some((Some(len), before)) if len > SHORT_ITEM as u64 && self.notation == Notation::Frames => {
                    if !self.long(Some(len), before)? {
                        return Ok(());
                    }
                    continue;
                }
                // A line of which no end is in sight.
                _ if self.notation == Notation::Lines && self.filled > SHORT_ITEM => {
                    if !self.long(None, 0)? {
                        return Ok(());
                    }
                    seen = 0;
                    continue;
                }
                _ => {}
            }
            seen = if self.notation == Notation::Lines { self.filled } else { 0 };
            if !self.more()? {
                return self.last();
            }
        }
    }

    /// Reads more. False at the end.
    fn more(&mut self) -> Result<bool, Failure> {
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Ok(false),
                Ok(more) => {
                    self.filled += more;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
    }

    /// What is left at the end.
    fn last(&mut self) -> Result<(), Failure> {
        let left = &self.buffer[..self.filled];
        match self.notation {
            _ if left.is_empty() => Ok(()),
            Notation::Lines => {
                self.exchange.put(left);
                Ok(())
            }
            Notation::Frames => Err(truncated(left)),
        }
    }

    /// Reads an item to a place of its own: what is in the buffer, `before` bytes into it, and as much as it has beyond.
    /// Without a length, it is a line. False when nobody wants it.
    fn long(&mut self, length: Option<u64>, before: usize) -> Result<bool, Failure> {
        if !self.exchange.wait_for_room() {
            return Ok(false);
        }
        let mut place = Place::new()?;
        let mut from = before;
        loop {
            let here = &self.buffer[from..self.filled];
            let line_end = match length {
                None => here.iter().position(|byte| *byte == b'\n'),
                Some(_) => None,
            };
            let left = length.map(|length| usize::try_from(length - place.len).unwrap_or(usize::MAX));
            let take = line_end.or(left).unwrap_or(usize::MAX).min(here.len());
            place.append(&here[..take])?;
            let is_whole = line_end.is_some() || left == Some(take);
            let used = from + take + usize::from(line_end.is_some());
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
            from = 0;
            if place.len > ITEM_BYTES {
                return Err(self.too_long(place.len));
            }
            if !is_whole && !self.more()? {
                if let Some(length) = length {
                    return Err(Failure::input(format!(
                        "standard input ends within an item: {} of its {length} bytes came",
                        place.len
                    )));
                }
            } else if !is_whole {
                continue;
            }
            let (table, len) = place.finish()?;
            self.exchange.put_long(table, len);
            return Ok(true);
        }
    }

    fn too_long(&self, length: u64) -> Failure {
        let most = ITEM_BYTES >> 30;
        Failure::input(match self.notation {
            Notation::Lines => format!("a line of standard input has more than the {most} GiB an item may have"),
            Notation::Frames => format!(
                "a frame of {length} bytes: an item has at most {most} GiB. A frame begins with its length in four bytes, \
                 little-endian; for lines of text give --lines"
            ),
        })
    }
}

/// What is to be said of a frame that lacks something.
fn truncated(left: &[u8]) -> Failure {
    let text = match left.split_first_chunk::<LENGTH_BYTES>() {
        None => format!("{} of the {LENGTH_BYTES} bytes of its length", left.len()),
        Some((length, rest)) => format!("{} of its {} bytes", rest.len(), u32::from_le_bytes(*length)),
    };
    Failure::input(format!("standard input ends within an item: {text} came"))
}

/// Where a long item is read to: a table of one, of which the numbers are written last.
struct Place {
    file: OwnedFd,
    len: u64,
}

impl Place {
    fn new() -> Result<Self, Failure> {
        Ok(Self { file: memfd::create(c"taskhost-item").map_err(no_memory)?, len: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        pwrite_all(self.file.as_fd(), bytes, numbers_bytes(1) + self.len).map_err(no_memory)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn finish(self) -> Result<(OwnedFd, u64), Failure> {
        // Lengths were checked: an item has at most 1 GiB.
        let end = u32::try_from(self.len).unwrap_or(u32::MAX);
        let numbers = [0_u32.to_le_bytes(), end.to_le_bytes()].concat();
        pwrite_all(self.file.as_fd(), &numbers, 0).map_err(no_memory)?;
        memfd::seal_read_only(self.file.as_fd()).map_err(no_memory)?;
        Ok((self.file, self.len))
    }
}

fn no_memory(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Host, format!("there is no memory for an item: {error}"))
}
