//! What is left to be run of a job's input: stretches in the order of the input, cut when a worker is free.

use std::collections::{BTreeMap, HashMap};

use taskhost_data::cut::next_end;
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::work::{Piece, Split};

/// Place of a stretch in the input.
pub(crate) type Key = (SourceId, u64);

/// How much the next batch should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// About so many bytes.
    pub(crate) bytes: u64,
    /// At most so many files, where files are items.
    pub(crate) files: usize,
}

/// The stretches that are left, and how much of each file or block is still needed.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    pieces: BTreeMap<Key, Piece>,
    bytes: u64,
    /// Each file or block that is still needed, by source and first readable byte.
    needed: HashMap<Key, Needed>,
    needed_bytes: u64,
}

/// A file or block.
#[derive(Clone, Copy, Debug)]
struct Needed {
    /// Bytes of it that are not yet run.
    bytes: u64,
    /// Bytes of all inputs before it.
    before: u64,
}

impl Supply {
    /// Adds a whole file or block. All inputs before that file or pipe have `before` bytes.
    pub(crate) fn add(&mut self, piece: Piece, before: u64) {
        let bytes = piece.end - piece.start;
        self.needed.insert((piece.source, piece.from), Needed { bytes, before });
        self.needed_bytes += bytes;
        self.put_back(piece);
    }

    /// Bytes of all inputs before that of the piece, which is still needed.
    pub(crate) fn before(&self, piece: &Piece) -> u64 {
        self.needed.get(&(piece.source, piece.from)).map_or(0, |needed| needed.before)
    }

    /// Adds what a worker handed back.
    pub(crate) fn put_back(&mut self, piece: Piece) {
        self.bytes += piece.end - piece.start;
        self.pieces.insert((piece.source, piece.start), piece);
    }

    /// Place of the first stretch.
    pub(crate) fn first(&self) -> Option<Key> {
        self.pieces.keys().next().copied()
    }

    /// Number of stretches.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Bytes that are left.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next batch, at least one item.
    pub(crate) fn take(&mut self, split: Split, wanted: Wanted) -> Vec<Piece> {
        let mut batch: Vec<Piece> = Vec::new();
        let mut taken = 0;
        while let Some(entry) = self.pieces.first_entry() {
            let piece = *entry.get();
            if let Some(last) = batch.last() {
                // Only whole files are gathered: a stretch of another kind is cut, and one is enough. They follow each
                // other without a gap, since the results of a batch do.
                let follows = split == Split::Whole && piece.source.0 == last.source.0 + 1;
                if !follows || taken >= wanted.bytes || batch.len() >= wanted.files {
                    break;
                }
            }
            entry.remove();
            let end = cut(split, &piece, wanted.bytes);
            self.bytes -= piece.end - piece.start;
            if end < piece.end {
                self.put_back(Piece { start: end, ..piece });
            }
            taken += end - piece.start;
            batch.push(Piece { end, ..piece });
        }
        batch
    }

    /// Forgets everything from `key` on: an item there failed.
    pub(crate) fn drop_behind(&mut self, key: Key) {
        let dropped = self.pieces.split_off(&key);
        self.bytes -= dropped.values().map(|piece| piece.end - piece.start).sum::<u64>();
    }

    /// `bytes` of a piece were run. Returns true when nothing more of its file or block is needed.
    pub(crate) fn finished(&mut self, piece: &Piece, bytes: u64) -> bool {
        let key = (piece.source, piece.from);
        let Some(needed) = self.needed.get_mut(&key) else { return false };
        debug_assert!(bytes <= needed.bytes, "nothing is run twice");
        needed.bytes -= bytes;
        self.needed_bytes -= bytes;
        let is_over = needed.bytes == 0;
        if is_over {
            self.needed.remove(&key);
        }
        is_over
    }

    /// Bytes of files and blocks that are still needed.
    pub(crate) fn needed_bytes(&self) -> u64 {
        self.needed_bytes
    }

    /// Files and blocks that are still needed.
    pub(crate) fn needed_count(&self) -> usize {
        self.needed.len()
    }
}

/// Where a batch of about `wanted` bytes from the start of `piece` ends.
fn cut(split: Split, piece: &Piece, wanted: u64) -> u64 {
    if piece.start == piece.end {
        return piece.end;
    }
    let end = next_end(split, piece.base, piece.start, piece.end, wanted);
    // A short end is taken along, so that no batch has less than a quarter of the others.
    if piece.end - end < wanted / 4 { piece.end } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::ids::SlotId;

    fn piece(source: u32, start: u64, end: u64) -> Piece {
        Piece { source: SourceId(source), slot: SlotId(0), start, end, from: 0, to: end, at: 0, base: 0 }
    }

    fn wanted(bytes: u64) -> Wanted {
        Wanted { bytes, files: 6 }
    }

    #[test]
    fn records_are_not_divided() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 100), 0);
        let batch = supply.take(Split::Records(16), wanted(30));
        assert_eq!((batch[0].start, batch[0].end), (0, 32));
        assert_eq!(supply.bytes(), 68);
        assert_eq!(supply.first(), Some((SourceId(0), 32)));
    }

    #[test]
    fn whole_files_are_gathered() {
        let mut supply = Supply::default();
        for source in 0..10 {
            supply.add(piece(source, 0, 10), 0);
        }
        assert_eq!(supply.take(Split::Whole, wanted(25)).len(), 3);
        assert_eq!(supply.take(Split::Whole, wanted(1 << 20)).len(), 6);
        assert_eq!(supply.take(Split::Whole, wanted(1)).len(), 1);
    }

    #[test]
    fn only_files_that_follow_each_other_are_gathered() {
        let mut supply = Supply::default();
        for source in [3, 4, 9] {
            supply.add(piece(source, 0, 10), 0);
        }
        assert_eq!(supply.take(Split::Whole, wanted(1000)).len(), 2, "what is between was given to another worker");
    }

    #[test]
    fn an_empty_file_is_an_item_too() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 0), 0);
        assert_eq!(supply.take(Split::Whole, wanted(100)).len(), 1);
    }

    #[test]
    fn a_file_is_needed_until_all_of_it_was_run() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 100), 0);
        let batch = supply.take(Split::Lines, wanted(40));
        assert!(!supply.finished(&batch[0], batch[0].end));
        assert_eq!(supply.needed_bytes(), 100 - batch[0].end);
        let rest = supply.take(Split::Lines, wanted(100));
        assert!(supply.finished(&rest[0], 100 - batch[0].end));
        assert_eq!((supply.needed_bytes(), supply.needed_count()), (0, 0));
    }
}
