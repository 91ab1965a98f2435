//! Joins partial results: a merge of sorted lists.

use taskhost_kernel::prelude::*;

use crate::partial::{Reader, Writer};

/// Lists merged at a time. Their prefixes are searched one after the other, which for so few is faster than a heap.
const WIDTH: usize = 16;

/// One list of all words, with the counts of equal ones added.
///
/// # Errors
///
/// When a part is damaged.
pub(crate) fn join(parts: &[&[u8]]) -> Result<Vec<u8>> {
    if parts.len() > WIDTH {
        let joined: Vec<Vec<u8>> = parts.chunks(WIDTH).map(join).collect::<Result<_>>()?;
        let joined: Vec<&[u8]> = joined.iter().map(Vec::as_slice).collect();
        return join(&joined);
    }
    let mut lists = Lists::new(parts)?;
    let mut writer = Writer::with_capacity(parts.iter().map(|part| part.len()).max().unwrap_or(0));
    while let Some((first, others)) = lists.smallest() {
        // Lists of an ordered text take turns rarely: stay with one as long as its words are the smallest.
        if lists.prefixes[first] == others {
            lists.write_equal(others, &mut writer)?;
        } else {
            while lists.prefixes[first] < others {
                lists.readers[first].write(&mut writer);
                if !lists.advance(first)? {
                    break;
                }
            }
        }
    }
    Ok(writer.into_bytes())
}

/// The lists that are not at their end, with the prefixes of their words side by side.
struct Lists<'a> {
    readers: Vec<Reader<'a>>,
    prefixes: Vec<u64>,
}

impl<'a> Lists<'a> {
    fn new(parts: &[&'a [u8]]) -> Result<Self> {
        let mut readers = Vec::with_capacity(parts.len());
        for part in parts {
            let mut reader = Reader::new(part);
            if reader.advance()? {
                readers.push(reader);
            }
        }
        let prefixes = readers.iter().map(Reader::prefix).collect();
        Ok(Self { readers, prefixes })
    }

    /// The list with the smallest prefix, and the smallest prefix of all others. `None` when no list is left.
    ///
    /// The last list has no others. It is then said to be equal to itself, which is right, if not the fastest.
    fn smallest(&self) -> Option<(usize, u64)> {
        let mut first = 0;
        let mut smallest = *self.prefixes.first()?;
        let mut others = None;
        for (index, prefix) in self.prefixes.iter().enumerate().skip(1) {
            if *prefix < smallest {
                others = Some(smallest);
                (first, smallest) = (index, *prefix);
            } else if others.is_none_or(|others| *prefix < others) {
                others = Some(*prefix);
            }
        }
        Some((first, others.unwrap_or(smallest)))
    }

    /// Writes the smallest word among those with this prefix, with the counts of all lists that have it.
    fn write_equal(&mut self, prefix: u64, writer: &mut Writer) -> Result<()> {
        let mut word: Option<&[u8]> = None;
        let mut count = 0;
        for (reader, _) in self.readers.iter().zip(&self.prefixes).filter(|(_, other)| **other == prefix) {
            if word.is_none_or(|word| reader.word() < word) {
                (word, count) = (Some(reader.word()), reader.count());
            } else if word == Some(reader.word()) {
                count += reader.count();
            }
        }
        writer.push(word.expect("the prefix is that of a list"), prefix, count);
        // From the end, because the last list takes the place of one that is at its end.
        for index in (0..self.readers.len()).rev() {
            if self.prefixes[index] == prefix && self.readers[index].word() == writer.last_word() {
                self.advance(index)?;
            }
        }
        Ok(())
    }

    /// Goes to the next word of a list; false when there was none, and the list is gone.
    fn advance(&mut self, index: usize) -> Result<bool> {
        if self.readers[index].advance()? {
            self.prefixes[index] = self.readers[index].prefix();
            return Ok(true);
        }
        self.readers.swap_remove(index);
        self.prefixes.swap_remove(index);
        Ok(false)
    }
}
