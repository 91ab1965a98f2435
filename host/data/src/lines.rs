//! Finding the items of a piece under the splits `lines` and `blocks`, from bounded reads into one reused buffer.
//!
//! A piece is any byte range; nobody has looked for line ends before. The cursor finds the first line that begins in
//! the range, and follows the last one beyond its end. Nothing is allocated per item, and a batch whose bytes fit in
//! one read costs one read.

mod read;

use std::ops::Range;

use memchr::memchr;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::work::{Piece, Split};

pub use read::ReadAt;

/// Most bytes of one read while lines are short: stays in the second-level cache between the read and the scan.
const READ_BYTES: u64 = 512 << 10;

/// Bytes read beyond the end of a piece to begin with: most last lines end there, and then one read did it all.
const TAIL_BYTES: u64 = 64 << 10;

/// A buffer that one very long line made larger than this is given back at the next piece.
const KEEP_BYTES: usize = 8 << 20;

/// An item, as bytes of the cursor's buffer. Valid until the cursor moves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Offset of its first byte in the input.
    pub offset: u64,
    /// Where it stands in the buffer, see [`ItemCursor::bytes`].
    pub range: Range<usize>,
}

/// Why the cursor has no item.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// The file could not be read. The cursor is then at its end.
    #[error("reading at byte {offset} failed: {error}")]
    Read {
        /// Where in the input.
        offset: u64,
        /// Why.
        error: std::io::Error,
    },
    /// The file is shorter than it was when the run was planned. The cursor is then at its end.
    #[error(
        "the input ends at byte {offset}, but had {planned} bytes when the run began: it was changed during the run"
    )]
    Shrunk {
        /// Where it ends now.
        offset: u64,
        /// Where the readable bytes should have ended.
        planned: u64,
    },
    /// The item is longer than [`ITEM_BYTES`]. The cursor stands behind it and can go on.
    #[error("the item at byte {offset} has {len} bytes or more, over the limit of {limit}")]
    TooLarge {
        /// Where the item begins.
        offset: u64,
        /// How much of it was seen.
        len: u64,
        /// The limit.
        limit: u64,
    },
}

impl CursorError {
    /// Offset in the input that the error is about: the item's first byte when it is too large.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self {
            Self::Read { offset, .. } | Self::Shrunk { offset, .. } | Self::TooLarge { offset, .. } => *offset,
        }
    }

    /// The same as a fault of an item.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::TooLarge { len, limit, .. } => Fault::ItemTooLarge { len: *len, limit: *limit },
            Self::Read { .. } | Self::Shrunk { .. } => Fault::Input(self.to_string()),
        }
    }
}

/// Walks over the items of one piece after the other, keeping its buffer.
#[derive(Debug)]
pub struct ItemCursor {
    /// Bytes `..filled` are of the input, the first of them at `offset`.
    buffer: Vec<u8>,
    filled: usize,
    offset: u64,
    /// Where in the buffer the next line begins.
    at: usize,
    /// No item begins here or later: the piece's end, or the end of what can be read.
    end: u64,
    /// The piece's `start`, `from`, `to` and `at`.
    start: u64,
    from: u64,
    to: u64,
    file_at: u64,
    /// Bytes of a window; 0 under `lines`, where each line is an item.
    window: u64,
    /// Longest item in bytes: [`ITEM_BYTES`], less in tests.
    limit: u64,
}

impl Default for ItemCursor {
    fn default() -> Self {
        Self::new()
    }
}

impl ItemCursor {
    /// A cursor without a piece; its buffer grows with its first.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            filled: 0,
            offset: 0,
            at: 0,
            end: 0,
            start: 0,
            from: 0,
            to: 0,
            file_at: 0,
            window: 0,
            limit: ITEM_BYTES,
        }
    }

    /// Goes to the first item of `piece`. Under any split but `lines` and `blocks` the piece is taken to have none:
    /// those items are arithmetic, see [`crate::fixed`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(&mut self, piece: &Piece, split: Split, file: &mut impl ReadAt) -> Result<(), CursorError> {
        if self.buffer.len() > KEEP_BYTES {
            self.buffer = Vec::new();
        }
        (self.start, self.from, self.to, self.file_at) = (piece.start, piece.from, piece.to, piece.at);
        self.end = piece.end.min(piece.to);
        self.window = match split {
            Split::Lines => 0,
            Split::Blocks(size) => size.max(1),
            Split::Whole | Split::Records(_) | Split::Chunks(_) | Split::Table => {
                self.end = 0;
                0
            }
        };
        self.jump(self.from.max(self.start));
        if self.end <= self.start || self.from >= self.start {
            return Ok(());
        }
        if self.window == 0 || self.start.is_multiple_of(self.window) {
            return self.seek_line_after(self.start - 1, file);
        }
        // A piece that starts inside a window has that window's block only when the block itself starts in the piece,
        // and to know that, the window's first line must be found.
        let window_start = self.start - self.start % self.window;
        if window_start > self.from {
            self.seek_line_after(window_start - 1, file)?;
        } else {
            self.jump(self.from);
        }
        if self.next_line_offset() < self.start {
            self.seek_line_after(window_start.saturating_add(self.window) - 1, file)?;
        }
        Ok(())
    }

    /// The next item, `None` behind the last.
    ///
    /// # Errors
    /// [`CursorError::TooLarge`] in place of an item that is; the one after it can be asked for. Otherwise when the
    /// file cannot be read.
    #[inline]
    pub fn next_item(&mut self, file: &mut impl ReadAt) -> Result<Option<Item>, CursorError> {
        let offset = self.next_line_offset();
        if offset >= self.end {
            return Ok(None);
        }
        if self.window != 0 {
            return self.next_block(offset, file).map(Some);
        }
        let line_end = match near_newline(&self.buffer[self.at..self.filled]) {
            Some(length) => self.at + length,
            None => match self.find_newline(self.filled - self.at, file)? {
                Some(index) => index,
                None => return Ok(Some(self.take(offset, self.filled, self.filled))),
            },
        };
        Ok(Some(self.take(offset, line_end, line_end + 1)))
    }

    /// Bytes of an item that was returned last.
    #[must_use]
    #[inline]
    pub fn bytes(&self, item: &Item) -> &[u8] {
        &self.buffer[item.range.clone()]
    }

    /// A `start` for the piece that leaves out the items returned so far and no other; at or beyond the piece's end
    /// when there are no more.
    #[must_use]
    pub fn resume_at(&self) -> u64 {
        let offset = self.next_line_offset();
        if self.window == 0 || offset >= self.end {
            return offset;
        }
        (offset - offset % self.window).max(self.start)
    }

    /// The lines from `offset` to the end of its window, with their line ends.
    fn next_block(&mut self, offset: u64, file: &mut impl ReadAt) -> Result<Item, CursorError> {
        let window_left = self.window - offset % self.window;
        // The block's last line is the one that holds the window's last byte, or ends with it.
        let sure = usize::try_from(window_left - 1).unwrap_or(usize::MAX);
        let end = self.find_newline(sure, file)?.map_or(self.filled, |newline| newline + 1);
        Ok(self.take(offset, end, end))
    }

    /// Hands out the bytes up to `end` as the item at `offset`, and goes on to `next`.
    #[inline]
    fn take(&mut self, offset: u64, end: usize, next: usize) -> Item {
        let range = self.at..end;
        self.at = next;
        Item { offset, range }
    }

    /// Offset in the input of the next line's first byte.
    #[inline]
    fn next_line_offset(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// Index of the first `\n` that is `sure` or more bytes behind the start of the item; `None` when the readable
    /// bytes end first, and then all of them are in the buffer.
    #[cold]
    fn find_newline(&mut self, sure: usize, file: &mut impl ReadAt) -> Result<Option<usize>, CursorError> {
        let mut scanned = sure;
        loop {
            let begin = self.at.saturating_add(scanned).min(self.filled);
            let newline = memchr(b'\n', &self.buffer[begin..self.filled]);
            let item_length = newline.map_or(self.filled, |index| begin + index) - self.at;
            if item_length as u64 > self.limit {
                return Err(self.skip_too_large(sure, file));
            }
            if let Some(index) = newline {
                return Ok(Some(begin + index));
            }
            if self.offset + self.filled as u64 >= self.to {
                return Ok(None);
            }
            scanned = scanned.max(self.filled - self.at);
            self.fill(file)?;
        }
    }

    /// Goes behind the item that is too large, forgetting its bytes; `sure` as in [`Self::find_newline`].
    fn skip_too_large(&mut self, sure: usize, file: &mut impl ReadAt) -> CursorError {
        let offset = self.next_line_offset();
        self.at = self.filled.min(self.at.saturating_add(sure));
        match self.skip_line(file) {
            Ok(()) => CursorError::TooLarge { offset, len: self.next_line_offset() - offset, limit: self.limit },
            Err(error) => error,
        }
    }

    /// Goes to the first line that begins behind the byte at `probe`.
    fn seek_line_after(&mut self, probe: u64, file: &mut impl ReadAt) -> Result<(), CursorError> {
        self.jump(probe.min(self.to));
        self.skip_line(file)
    }

    /// Goes behind the next `\n`, or to the end of the piece: a line that passes it is followed by no item of the piece.
    fn skip_line(&mut self, file: &mut impl ReadAt) -> Result<(), CursorError> {
        loop {
            if let Some(length) = memchr(b'\n', &self.buffer[self.at..self.filled]) {
                self.at += length + 1;
                return Ok(());
            }
            self.at = self.filled;
            if self.next_line_offset() >= self.end {
                return Ok(());
            }
            self.fill(file)?;
        }
    }

    /// Empties the buffer and stands at `offset`.
    fn jump(&mut self, offset: u64) {
        (self.offset, self.at, self.filled) = (offset, 0, 0);
    }

    /// Reads more bytes, at least one, behind those from `at` on, which move to the front.
    fn fill(&mut self, file: &mut impl ReadAt) -> Result<(), CursorError> {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.offset += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        let next = self.offset + self.filled as u64;
        // Up to the end of the piece and a bit; for a line that is already long, as much again, so that the copying
        // and reading of it stays proportional to its length.
        let wanted = (self.end.saturating_sub(next) + TAIL_BYTES).min(READ_BYTES).max(self.filled as u64);
        let wanted = usize::try_from(wanted.min(self.to - next)).unwrap_or(usize::MAX);
        let result = self.reserve(self.filled + wanted).and_then(|()| {
            let place = self.file_at + (next - self.from);
            read::read_once(file, place, &mut self.buffer[self.filled..self.filled + wanted])
        });
        let error = match result {
            Ok(read) if read > 0 => {
                self.filled += read;
                return Ok(());
            }
            Ok(_) => CursorError::Shrunk { offset: next, planned: self.to },
            Err(error) => CursorError::Read { offset: next, error },
        };
        self.jump(self.end.max(next));
        Err(error)
    }

    /// Makes the buffer at least `bytes` long.
    fn reserve(&mut self, bytes: usize) -> std::io::Result<()> {
        if bytes > self.buffer.len() {
            self.buffer.try_reserve(bytes - self.buffer.len()).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
            self.buffer.resize(bytes, 0);
        }
        Ok(())
    }
}

/// The first `\n`. Numbers, one to a line, are the commonest tiny items, and for those the call of the general search
/// costs more than the search: looking at one word first took 7 ns for a line of 8 bytes where `memchr` alone took 12.
#[inline]
fn near_newline(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const NEWLINES: u64 = u64::from_ne_bytes([b'\n'; 8]);
    if let Some(word) = bytes.first_chunk::<8>() {
        let differences = u64::from_le_bytes(*word) ^ NEWLINES;
        // The classic search for a zero byte in a word. Its lowest bit is exact; those above may be carries.
        let zeros = differences.wrapping_sub(ONES) & !differences & (ONES << 7);
        if zeros != 0 {
            return Some(zeros.trailing_zeros() as usize / 8);
        }
    }
    memchr(b'\n', bytes)
}

#[cfg(test)]
mod tests;
