//! What is left to be run of a job's input: stretches in the order of the input, cut when a worker is free.

use std::collections::{BTreeMap, HashMap};

use taskhost_protocol::ids::SourceId;
use taskhost_protocol::limits::PIECES_PER_BATCH;
use taskhost_protocol::work::{Piece, Split};

/// Place of a stretch in the input.
pub(crate) type Key = (SourceId, u64);

/// Cuts of lines this large or larger are made at multiples of a page, so that few nodes of a reduction straddle two
/// batches; smaller ones anywhere, so that a short list of dear items still reaches every worker.
const ALIGN_FROM: u64 = 64 << 10;
const ALIGN: u64 = 4096;

/// The stretches that are left, and how much of each file or block is still needed.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    pieces: BTreeMap<Key, Piece>,
    bytes: u64,
    /// Bytes not yet run of each file or block, by source and first readable byte.
    needed: HashMap<Key, u64>,
}

impl Supply {
    /// Adds a whole file or block.
    pub(crate) fn add(&mut self, piece: Piece) {
        *self.needed.entry((piece.source, piece.from)).or_default() += piece.end - piece.start;
        self.put_back(piece);
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

    /// Takes the next batch: about `wanted` bytes, at least one item.
    pub(crate) fn take(&mut self, split: Split, wanted: u64) -> Vec<Piece> {
        let mut batch: Vec<Piece> = Vec::new();
        let mut taken = 0;
        while let Some(entry) = self.pieces.first_entry() {
            let piece = *entry.get();
            // Only whole files are gathered: a stretch of another kind is cut, and one is enough.
            if !batch.is_empty() && (split != Split::Whole || taken >= wanted || batch.len() == PIECES_PER_BATCH) {
                break;
            }
            entry.remove();
            let end = cut(split, &piece, wanted);
            self.bytes -= piece.end - piece.start;
            if end < piece.end {
                self.put_back(Piece { start: end, ..piece });
            }
            taken += end - piece.start;
            batch.push(Piece { end, ..piece });
        }
        batch
    }

    /// Forgets everything behind `key`: an item there failed.
    pub(crate) fn drop_behind(&mut self, key: Key) {
        let dropped = self.pieces.split_off(&key);
        self.bytes -= dropped.values().map(|piece| piece.end - piece.start).sum::<u64>();
    }

    /// `bytes` of a piece were run. Returns true when nothing more of its file or block is needed.
    pub(crate) fn finished(&mut self, piece: &Piece, bytes: u64) -> bool {
        let key = (piece.source, piece.from);
        let Some(needed) = self.needed.get_mut(&key) else { return false };
        *needed = needed.saturating_sub(bytes);
        if *needed == 0 {
            self.needed.remove(&key);
            return true;
        }
        false
    }

    /// Bytes of files and blocks that are still needed.
    pub(crate) fn needed(&self) -> u64 {
        self.needed.values().sum()
    }

    /// Files and blocks that are still needed.
    pub(crate) fn needed_count(&self) -> usize {
        self.needed.len()
    }
}

/// Where a batch of about `wanted` bytes from the start of `piece` ends.
fn cut(split: Split, piece: &Piece, wanted: u64) -> u64 {
    let wanted = wanted.max(1);
    let end = match split {
        Split::Whole => return piece.end,
        Split::Lines if wanted >= ALIGN_FROM => (piece.start + wanted).next_multiple_of(ALIGN),
        Split::Lines => piece.start + wanted,
        // A block is never divided: its window is where its lines begin.
        Split::Blocks(size) | Split::Records(size) | Split::Chunks(size) => {
            (piece.start + wanted).next_multiple_of(size.max(1))
        }
    };
    // A short end is taken along, so that no batch has less than a quarter of the others.
    if piece.end.saturating_sub(end) < wanted / 4 { piece.end } else { end.min(piece.end) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::ids::SlotId;

    fn piece(source: u32, start: u64, end: u64) -> Piece {
        Piece { source: SourceId(source), slot: SlotId(0), start, end, from: 0, to: end, at: 0, base: 0 }
    }

    #[test]
    fn records_are_not_divided() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 100));
        let batch = supply.take(Split::Records(16), 20);
        assert_eq!((batch[0].start, batch[0].end), (0, 32));
        assert_eq!(supply.bytes(), 68);
        assert_eq!(supply.first(), Some((SourceId(0), 32)));
    }

    #[test]
    fn whole_files_are_gathered() {
        let mut supply = Supply::default();
        for source in 0..10 {
            supply.add(piece(source, 0, 10));
        }
        assert_eq!(supply.take(Split::Whole, 25).len(), 3);
        assert_eq!(supply.take(Split::Whole, 1 << 20).len(), PIECES_PER_BATCH);
        assert_eq!(supply.take(Split::Whole, 1).len(), 1);
    }

    #[test]
    fn an_empty_file_is_an_item_too() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 0));
        assert_eq!(supply.take(Split::Whole, 100).len(), 1);
    }

    #[test]
    fn a_file_is_needed_until_all_of_it_was_run() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 100));
        let batch = supply.take(Split::Lines, 40);
        assert!(!supply.finished(&batch[0], 40));
        let batch = supply.take(Split::Lines, 60);
        assert!(supply.finished(&batch[0], 60));
    }
}
