//! Where a worker is, in one number: what it stores before each item, and all that is left of a worker that hangs or
//! crashes.

use crate::ids::BatchId;

/// Bits of the offset: a piece of a terabyte.
const OFFSET_BITS: u32 = 40;

/// Bits of the piece: more than [`crate::limits::PIECES_PER_BATCH`].
const PIECE_BITS: u32 = 4;

/// Bits of the batch: its number is not needed whole, since a worker has no more than a few at a time.
const BATCH_BITS: u32 = 19;

/// The item a worker is at. As one number it never repeats from one item to the next, so that a change tells that the
/// worker is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The batch.
    pub batch: BatchId,
    /// Index into the pieces of the batch; 0 for rows.
    pub piece: u32,
    /// Where the item begins, counted from the piece's `start`; for rows from the first row of the batch.
    pub offset: u64,
    /// Whether this is a packed call, so that the item named is only the first of many that may be meant.
    pub packed: bool,
}

impl Progress {
    /// As one number, never 0.
    #[must_use]
    #[inline]
    pub fn encode(self) -> u64 {
        let offset = self.offset.min(mask(OFFSET_BITS));
        let piece = u64::from(self.piece) & mask(PIECE_BITS);
        let batch = short(self.batch);
        let packed = u64::from(self.packed);
        ((packed << BATCH_BITS | batch) << PIECE_BITS | piece) << OFFSET_BITS | offset
    }

    /// Reads a number, when it is of this batch. `None` for another batch, or an offset too large to be told.
    #[must_use]
    pub fn decode(number: u64, batch: BatchId) -> Option<Self> {
        let offset = number & mask(OFFSET_BITS);
        let piece = number >> OFFSET_BITS & mask(PIECE_BITS);
        let of = number >> (OFFSET_BITS + PIECE_BITS) & mask(BATCH_BITS);
        let is_told = of == short(batch) && offset < mask(OFFSET_BITS);
        is_told.then_some(Self { batch, piece: piece as u32, offset, packed: number >> (u64::BITS - 1) == 1 })
    }
}

const _: () = assert!(1 + BATCH_BITS + PIECE_BITS + OFFSET_BITS == u64::BITS, "all bits have a meaning");
const _: () = assert!(crate::limits::PIECES_PER_BATCH <= 1 << PIECE_BITS, "every piece has a number");

/// What is stored of a batch's number: never 0, so that a cell in which nothing was stored is of no batch.
fn short(batch: BatchId) -> u64 {
    batch.0 % mask(BATCH_BITS) + 1
}

/// The lowest so many bits.
const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        for batch in [0, 1, 77, (1 << BATCH_BITS) - 1, 1 << BATCH_BITS, u64::from(u32::MAX)] {
            for (piece, offset, packed) in [(0, 0, false), (5, 123_456_789_012, true), (3, 8 << 20, false)] {
                let progress = Progress { batch: BatchId(batch), piece, offset, packed };
                assert_ne!(progress.encode(), 0);
                assert_eq!(Progress::decode(progress.encode(), BatchId(batch)), Some(progress));
                assert_eq!(Progress::decode(progress.encode(), BatchId(batch + 1)), None);
            }
        }
    }

    #[test]
    fn an_empty_cell_and_an_endless_offset_tell_nothing() {
        assert_eq!(Progress::decode(0, BatchId(u64::from(u32::MAX >> (32 - BATCH_BITS)))), None);
        let far = Progress { batch: BatchId(3), piece: 0, offset: 1 << 50, packed: false };
        assert_eq!(Progress::decode(far.encode(), BatchId(3)), None);
    }
}
