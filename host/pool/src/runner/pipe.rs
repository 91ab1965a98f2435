//! Reading a pipe into the input arena: blocks of whole items, each in a region of its own that is used again when its
//! items were run.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use blake3::Hasher;
use taskhost_data::formats::{PARQUET_PIPE, Sniffed, packing};
use taskhost_os::memfd::InputArena;
use taskhost_os::poll;
use taskhost_protocol::ids::{SlotId, SourceId};
use taskhost_protocol::limits::{HEADER_BYTES, ITEM_BYTES, PREFIX_BYTES};
use taskhost_protocol::stream::Packing;
use taskhost_protocol::work::{Piece, Split};

use super::cutter;
use crate::event::JobFailure;

/// Address space of a region: the largest item, and as much again for what was read behind it. Only pages that were
/// written to cost memory.
const REGION: usize = 2 * ITEM_BYTES as usize;

/// Regions of an arena. The read-ahead is bounded in bytes long before this many blocks.
const REGIONS: usize = 256;

/// Least bytes asked for in one read: what a pipe holds.
const READ: usize = 64 << 10;

/// Blocks of which the hash is remembered: a window may hold results of thousands of tiny ones.
const KNOWN: usize = 16 * 1024;

/// What another run had done of a pipe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    /// Items that begin before this byte were run.
    pub(crate) merged: u64,
    /// So many bytes have this hash.
    pub(crate) read: Option<(u64, [u8; 32])>,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// Nothing that can be run yet: wait until the pipe is readable.
    Nothing,
    /// The first line is there.
    Header(u64),
    /// A block.
    Block(Piece),
    /// The end, after so many bytes.
    End(u64),
    /// What may be the end: it is one when whoever writes the pipe says so.
    Unproven,
    /// It is compressed.
    Packed(Packing),
}

/// A pipe that is being read.
pub(crate) struct Pipe {
    input: File,
    arena: InputArena,
    shared: Arc<OwnedFd>,
    source: SourceId,
    split: Split,
    free: Vec<usize>,
    /// Bytes of each region that ever held data: they cost memory until the arena goes, since what is sealed against
    /// writing cannot be given back either.
    touched: Vec<usize>,
    /// Regions in use by the first byte of their block.
    used: HashMap<u64, usize>,
    /// The region being filled, and how much of it.
    region: usize,
    filled: usize,
    /// Offset in the pipe of the first byte of the region.
    from: u64,
    /// Where items of the next block may begin.
    start: u64,
    wants_header: bool,
    ended: bool,
    /// Whether what was read together with the header has not been looked at.
    unread_rest: bool,
    /// Bytes of what is held that have no line end in them, as far as it was looked: of a line that is long, each byte once.
    looked: usize,
    /// What another run had done.
    before: Before,
    /// Of all bytes up to the region being filled, when the pipe has to be known again.
    hasher: Option<Hasher>,
    /// Of blocks that were read: where they end, and the hash of everything up to there.
    known: VecDeque<(u64, [u8; 32])>,
    /// Whether it is to be looked at before anything is taken from it.
    sniffs: bool,
    /// Whether its end is one only when its writer says so.
    unproven: bool,
    /// Whether there is nothing more to be read of what is not proven.
    awaits_proof: bool,
    /// Whether a poller tells when it is readable.
    pub(crate) is_watched: bool,
    /// Whether no poller can tell, since it never keeps anybody waiting.
    pub(crate) is_busy: bool,
}

impl Pipe {
    pub(crate) fn new(input: OwnedFd, source: SourceId, split: Split, wants_header: bool) -> io::Result<Self> {
        let arena = InputArena::create(REGION * REGIONS)?;
        let shared = Arc::new(arena.as_fd().try_clone_to_owned()?);
        Ok(Self {
            input: File::from(input),
            arena,
            shared,
            source,
            split,
            free: (1..REGIONS).rev().collect(),
            touched: vec![0; REGIONS],
            used: HashMap::new(),
            region: 0,
            filled: 0,
            from: 0,
            start: 0,
            wants_header,
            ended: false,
            unread_rest: false,
            looked: 0,
            before: Before::default(),
            hasher: None,
            known: VecDeque::new(),
            sniffs: false,
            unproven: false,
            awaits_proof: false,
            is_watched: false,
            is_busy: false,
        })
    }

    /// The pipe brings what another run has read, too; with a hasher, it is to be known again.
    pub(crate) fn after(mut self, before: Before, hasher: Option<Hasher>) -> Self {
        self.before = before;
        self.hasher = hasher;
        self
    }

    /// What is read of it may be compressed: then it says so, and is to be given something else to read.
    pub(crate) fn sniff(&mut self) {
        self.sniffs = true;
    }

    /// Reads from something else instead, which writes what it makes of this. Returns what was read so far, and the input.
    pub(crate) fn replace(&mut self, input: OwnedFd) -> (Vec<u8>, OwnedFd) {
        let prefix = self.held().to_vec();
        self.filled = 0;
        self.ended = false;
        self.unproven = true;
        (prefix, std::mem::replace(&mut self.input, File::from(input)).into())
    }

    /// Its end is one only when [`Pipe::prove`] is called.
    pub(crate) fn distrust(&mut self) {
        self.unproven = true;
    }

    /// Its writer says that all of it was written. Whether somebody waits for that.
    pub(crate) fn prove(&mut self) -> bool {
        self.unproven = false;
        self.awaits_proof
    }

    /// What is known of everything up to somewhere in front of `offset`.
    pub(crate) fn read_before(&self, offset: u64) -> Option<(u64, [u8; 32])> {
        self.known.iter().rev().find(|(end, _)| *end < offset).copied()
    }

    /// Takes the first `len` bytes of the region into the hash.
    fn hash(&mut self, len: usize) {
        let Some(mut hasher) = self.hasher.take() else { return };
        hasher.update(&self.held()[..len]);
        self.hasher = Some(hasher);
    }

    pub(crate) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    pub(crate) fn has_unread_rest(&self) -> bool {
        self.unread_rest
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether everything was read and run.
    pub(crate) fn is_drained(&self) -> bool {
        self.ended && self.filled == 0 && self.used.is_empty()
    }

    pub(crate) fn shared(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.shared)
    }

    fn held(&mut self) -> &mut [u8] {
        let at = self.region * REGION;
        self.arena.bytes_mut(at..at + self.filled)
    }

    /// Reads once, about `wanted` bytes at most, and says whether that completes something. To be called when the pipe
    /// is readable.
    pub(crate) fn read(&mut self, wanted: u64) -> Result<Brought, JobFailure> {
        if std::mem::take(&mut self.unread_rest) {
            return self.block();
        }
        if !self.ended {
            let room = usize::try_from(wanted).unwrap_or(READ).clamp(READ, READ * 16);
            let room = if self.sniffs { PREFIX_BYTES - self.filled } else { room };
            let at = self.region * REGION + self.filled;
            if self.filled + room > REGION {
                let limit = ITEM_BYTES >> 20;
                return Err(JobFailure::Input(format!(
                    "an item is larger than {limit} MiB, the most an item may have"
                )));
            }
            let target = self.arena.bytes_mut(at..at + room);
            match (&self.input).read(target) {
                Ok(0) if self.unproven => {
                    self.awaits_proof = true;
                    return Ok(Brought::Unproven);
                }
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.filled += read;
                    self.touch();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Brought::Nothing),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Brought::Nothing),
                Err(error) => return Err(JobFailure::Input(format!("cannot be read: {error}"))),
            }
        }
        if self.sniffs {
            if self.held().starts_with(PARQUET_PIPE) {
                return Err(JobFailure::Input(
                    "standard input is Parquet, which is read from its end: name the file, or take its bytes as they are with \
                     --no-compression"
                        .into(),
                ));
            }
            match packing(self.held()) {
                Sniffed::Packed(packing) => {
                    self.sniffs = false;
                    return Ok(Brought::Packed(packing));
                }
                Sniffed::Unknown if !self.ended => return Ok(Brought::Nothing),
                Sniffed::Unknown | Sniffed::Plain => self.sniffs = false,
            }
        }
        if self.wants_header {
            return self.header();
        }
        // Small reads are gathered: a block is worth a message only when it is as large as was wanted, or when the
        // pipe has nothing more for now.
        if !self.ended && (self.filled as u64) < wanted && poll::is_readable(self.input.as_fd()) {
            return Ok(Brought::Nothing);
        }
        self.block()
    }

    /// Throws away what another run had done, but for the byte in front, which tells whether a line begins there.
    fn skip_merged(&mut self) -> Result<(), JobFailure> {
        let until = self.before.merged.saturating_sub(1);
        while self.from < until && self.filled > 0 {
            let check = self.before.read.map(|(at, _)| at).filter(|at| *at > self.from);
            let until = check.map_or(until, |at| at.min(until));
            let skipped = usize::try_from(until - self.from).unwrap_or(usize::MAX).min(self.filled);
            self.hash(skipped);
            self.held().copy_within(skipped.., 0);
            self.filled -= skipped;
            self.looked = 0;
            self.from += skipped as u64;
            if let (Some((at, digest)), Some(hasher)) = (self.before.read, &self.hasher)
                && at == self.from
                && digest != *hasher.finalize().as_bytes()
            {
                return Err(JobFailure::Input(format!(
                    "standard input has other bytes before byte {at} than the run before had read: it is another input"
                )));
            }
        }
        self.start = self.start.max(self.before.merged);
        Ok(())
    }

    fn header(&mut self) -> Result<Brought, JobFailure> {
        let ended = self.ended;
        let line = memchr::memchr(b'\n', self.held());
        let end = match line {
            Some(line) => line + 1,
            None if ended => self.filled,
            None if self.filled > HEADER_BYTES => return Err(header_too_long("-")),
            None => return Ok(Brought::Nothing),
        };
        if end > HEADER_BYTES {
            return Err(header_too_long("-"));
        }
        self.wants_header = false;
        Ok(Brought::Header(end as u64))
    }

    /// Takes the header's `len` bytes off the front.
    pub(crate) fn take_header(&mut self, len: u64) -> Vec<u8> {
        let len = usize::try_from(len).unwrap_or(0);
        let held = self.held();
        let mut header = held[..len].to_vec();
        if header.last() == Some(&b'\n') {
            header.pop();
        }
        self.hash(len);
        let held = self.held();
        held.copy_within(len.., 0);
        self.filled -= len;
        self.from += len as u64;
        self.start = self.from;
        self.unread_rest = self.filled > 0;
        header
    }

    fn block(&mut self) -> Result<Brought, JobFailure> {
        self.skip_merged()?;
        if self.ended && self.from + (self.filled as u64) < self.before.merged {
            let merged = self.before.merged;
            return Err(JobFailure::Input(format!(
                "standard input ends before byte {merged}, up to which the run before had come: it is another input"
            )));
        }
        let (split, from, start, ended) = (self.split, self.from, self.start, self.ended);
        let looked = std::mem::take(&mut self.looked).min(self.filled);
        let needs_line_end = matches!(split, Split::Lines | Split::Blocks(_)) && !ended;
        if needs_line_end && memchr::memchr(b'\n', &self.held()[looked..]).is_none() {
            self.looked = self.filled;
            return Ok(Brought::Nothing);
        }
        let Some(cut) = cutter::cut(split, self.held(), from, start, ended) else {
            return Ok(if ended { Brought::End(from) } else { Brought::Nothing });
        };
        if cut.end <= start && split != Split::Whole {
            // All of it was run by another run.
            if !ended {
                return Ok(Brought::Nothing);
            }
            self.filled = 0;
            self.from += cut.bytes;
            return Ok(Brought::End(self.from));
        }
        let taken = usize::try_from(cut.bytes).unwrap_or(0);
        self.hash(taken);
        if let Some(hasher) = &self.hasher {
            // Blocks behind the last commit: as many as may be in use at a time, and some that wait to be merged.
            self.known.push_back((from + cut.bytes, *hasher.finalize().as_bytes()));
            if self.known.len() > KNOWN {
                self.known.pop_front();
            }
        }
        let at = (self.region * REGION) as u64;
        let piece = Piece {
            source: self.source,
            slot: SlotId(u8::MAX),
            start,
            end: cut.end,
            from,
            to: from + cut.bytes,
            at,
            base: 0,
        };
        let Some(next) = self.take_region() else {
            return Err(JobFailure::Input("too many blocks of the pipe are waiting to be run".into()));
        };
        // What stands behind the cut begins the next block.
        let rest = self.held()[taken..].to_vec();
        self.used.insert(from, self.region);
        self.region = next;
        self.filled = rest.len();
        self.touch();
        self.held().copy_from_slice(&rest);
        self.from += cut.bytes;
        self.start = cut.end;
        if split == Split::Whole {
            // The one item was handed over; an empty one must not be handed over again.
            self.split = Split::Lines;
        }
        Ok(Brought::Block(piece))
    }

    fn touch(&mut self) {
        let touched = &mut self.touched[self.region];
        *touched = (*touched).max(self.filled);
    }

    /// A free region, the one with the most memory already, so that all together have little more than was ever in use
    /// at one time.
    fn take_region(&mut self) -> Option<usize> {
        let (place, _) = self.free.iter().enumerate().max_by_key(|(_, region)| self.touched[**region])?;
        Some(self.free.swap_remove(place))
    }

    /// The block that begins at `from` was run.
    pub(crate) fn release(&mut self, from: u64) {
        self.free.extend(self.used.remove(&from));
    }
}

/// What to say of a header that does not fit.
pub(crate) fn header_too_long(name: &str) -> JobFailure {
    JobFailure::Input(format!("{name}: its first line is longer than the {HEADER_BYTES} bytes a header may have"))
}
