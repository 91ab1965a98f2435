//! A hash table from the words of one text to their counts. Words are kept as places in the text, with their first eight
//! bytes as a number, which settles most comparisons without looking at the text.

use std::cmp::Ordering;

use taskhost_kernel::prelude::*;

use crate::prefix::prefix;

/// The multiplier of FxHash, Firefox's and rustc's hash: a few odd bits spread over the word.
const MULTIPLIER: u64 = 0x517c_c1b7_2722_0a95;

/// Where the table starts: 64 KiB of slots, for the vocabulary of an ordinary block.
const FIRST_SLOTS: usize = 1 << 14;

pub(crate) struct Table<'a> {
    text: &'a [u8],
    /// 0 for empty, else an index into `words` plus one. Linear probing; at most half full.
    slots: Vec<u32>,
    words: Vec<Word>,
}

#[derive(Clone, Copy)]
struct Word {
    /// See [`prefix`].
    prefix: u64,
    hash: u64,
    count: u64,
    start: u32,
    length: u32,
}

impl<'a> Table<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, slots: vec![0; FIRST_SLOTS], words: Vec::new() }
    }

    /// Counts the word `text[start..end]`.
    ///
    /// # Errors
    ///
    /// When the text is larger than 4 GiB.
    pub(crate) fn count(&mut self, start: usize, end: usize) -> Result<()> {
        let word = self.word(start, end)?;
        let mask = self.slots.len() - 1;
        let mut slot = home(word.hash, self.slots.len());
        loop {
            match self.slots[slot] {
                0 => break,
                taken => {
                    let known = &mut self.words[taken as usize - 1];
                    if known.hash == word.hash && same(self.text, known, &word) {
                        known.count += 1;
                        return Ok(());
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
        self.words.push(word);
        self.slots[slot] = u32::try_from(self.words.len()).map_err(|_| too_large())?;
        if self.words.len() * 2 > self.slots.len() {
            self.grow();
        }
        Ok(())
    }

    /// The words in byte order, with their prefixes and counts.
    pub(crate) fn into_sorted(self) -> impl Iterator<Item = (&'a [u8], u64, u64)> {
        let Self { text, mut words, .. } = self;
        words.sort_unstable_by(|a, b| match a.prefix.cmp(&b.prefix) {
            Ordering::Equal => bytes(text, a).cmp(bytes(text, b)),
            other => other,
        });
        words.into_iter().map(move |word| (bytes(text, &word), word.prefix, word.count))
    }

    fn word(&self, start: usize, end: usize) -> Result<Word> {
        let length = end - start;
        let prefix = prefix(&self.text[start..], length);
        let mut hash = (prefix ^ length as u64).wrapping_mul(MULTIPLIER);
        for chunk in self.text[start..end].get(8..).unwrap_or_default().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            hash = (hash.rotate_left(5) ^ u64::from_le_bytes(bytes)).wrapping_mul(MULTIPLIER);
        }
        let start = u32::try_from(start).map_err(|_| too_large())?;
        Ok(Word { prefix, hash, count: 1, start, length: u32::try_from(length).map_err(|_| too_large())? })
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        self.slots = vec![0; mask + 1];
        for (word, number) in self.words.iter().zip(1..) {
            let mut slot = home(word.hash, mask + 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number;
        }
    }
}

fn same(text: &[u8], a: &Word, b: &Word) -> bool {
    a.prefix == b.prefix && a.length == b.length && (a.length <= 8 || bytes(text, a)[8..] == bytes(text, b)[8..])
}

/// The slot where a word belongs: the highest bits, on which all bits of the product have an influence.
#[expect(clippy::cast_possible_truncation, reason = "fewer bits than the table has slots")]
fn home(hash: u64, slots: usize) -> usize {
    (hash >> (64 - slots.trailing_zeros())) as usize
}

fn bytes<'a>(text: &'a [u8], word: &Word) -> &'a [u8] {
    &text[word.start as usize..][..word.length as usize]
}

fn too_large() -> Error {
    Error::failed("the text of one item exceeds 4 GiB: split the input into smaller blocks")
}
