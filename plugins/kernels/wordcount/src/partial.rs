//! Partial results: sorted words with counts, in bytes.
//!
//! For each word: how many bytes it shares with the word before it, how many follow, those bytes, the count. The numbers
//! are LEB128 (seven bits to a byte, the lowest first, the top bit set while more follow). An empty list is no bytes.

use taskhost_kernel::prelude::*;

use crate::prefix::{prefix, shared};

/// Writes a list of words that come in order.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    last: Vec<u8>,
    last_prefix: u64,
}

impl Writer {
    /// With room for that many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    pub(crate) fn push(&mut self, word: &[u8], prefix: u64, count: u64) {
        let shared = shared((word, prefix), (&self.last, self.last_prefix));
        self.number(shared as u64);
        self.number((word.len() - shared) as u64);
        self.bytes.extend_from_slice(&word[shared..]);
        self.number(count);
        self.last.truncate(shared);
        self.last.extend_from_slice(&word[shared..]);
        self.last_prefix = prefix;
    }

    /// The word that was written last.
    pub(crate) fn last_word(&self) -> &[u8] {
        &self.last
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits are wanted")]
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads a list, word by word.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    word: Vec<u8>,
    prefix: u64,
    count: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, word: Vec::new(), prefix: 0, count: 0 }
    }

    /// Goes to the next word; false at the end.
    ///
    /// # Errors
    ///
    /// When the bytes are no list of words.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        let shared = self.length()?;
        let follow = self.length()?;
        if shared > self.word.len() {
            return Err(damaged());
        }
        let (bytes, rest) = self.rest.split_at_checked(follow).ok_or_else(damaged)?;
        self.rest = rest;
        self.word.truncate(shared);
        self.word.extend_from_slice(bytes);
        self.count = self.number()?;
        self.prefix = prefix(&self.word, self.word.len());
        Ok(true)
    }

    pub(crate) fn word(&self) -> &[u8] {
        &self.word
    }

    pub(crate) fn prefix(&self) -> u64 {
        self.prefix
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Writes the word with its count.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.push(&self.word, self.prefix, self.count);
    }

    fn length(&mut self) -> Result<usize> {
        usize::try_from(self.number()?).map_err(|_| damaged())
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(damaged)?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged())
    }
}

fn damaged() -> Error {
    Error::failed("a partial result is damaged: was it made by another version of this kernel?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() -> Result<()> {
        let words = [(b"a".as_slice(), 1), (b"ab", 127), (b"abc", 128), (b"b\0", u64::MAX), (&[0xff; 300], 16_384)];
        let mut writer = Writer::default();
        for (word, count) in words {
            writer.push(word, prefix(word, word.len()), count);
        }
        let bytes = writer.into_bytes();
        assert_eq!(bytes[..8], [0, 1, b'a', 1, 1, 1, b'b', 127]);
        let mut reader = Reader::new(&bytes);
        for (word, count) in words {
            assert!(reader.advance()?);
            assert_eq!((reader.word(), reader.count()), (word, count));
        }
        assert!(!reader.advance()?);
        Ok(())
    }
}
