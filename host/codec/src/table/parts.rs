//! Something of unknown length on its way through a pipe, in parts of known length.

use std::io::{self, Write};

use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::stream::PART_LENGTH_BYTES;

/// Bytes of a part with its length: what a pipe holds by default.
const PART: usize = 64 << 10;

/// Writes everything that it is given as parts, each behind its length, and at the end a length of 0.
pub(super) struct Parts<W> {
    to: W,
    /// The part that is being filled, with room for its length in front.
    part: Vec<u8>,
    written: u64,
}

impl<W: Write> Parts<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, part: vec![0; PART_LENGTH_BYTES], written: 0 }
    }

    fn send(&mut self) -> io::Result<()> {
        let len = self.part.len() - PART_LENGTH_BYTES;
        if len > 0 {
            let bytes = u32::try_from(len).map_err(io::Error::other)?.to_le_bytes();
            self.part[..PART_LENGTH_BYTES].copy_from_slice(&bytes);
            self.to.write_all(&self.part)?;
            self.part.truncate(PART_LENGTH_BYTES);
        }
        Ok(())
    }

    /// That was all.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.send()?;
        self.to.write_all(&[0; PART_LENGTH_BYTES])
    }
}

impl<W: Write> Write for Parts<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.part.len());
        self.written += taken as u64;
        if self.written > ITEM_BYTES {
            let limit = ITEM_BYTES >> 20;
            return Err(io::Error::other(format!("it has more than {limit} MiB, the most an item may have")));
        }
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
