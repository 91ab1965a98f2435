//! Results of which each says what item it is of, for an output that takes or refuses them item by item: how they lie in memory.
//!
//! *Marked* results lie end to end, each behind a [`Mark`]; those of one item follow each other. In the pipe to whoever takes them,
//! those of a batch stand behind their length together, in [`LENGTH_BYTES`] bytes, little-endian.

use crate::fault::ItemPlace;
use crate::ids::SourceId;

/// Bytes of a [`Mark`].
pub const MARK_BYTES: usize = 32;

/// Bytes of the length of a batch.
pub const LENGTH_BYTES: usize = 8;

/// What is said of a result. None of it is evidence: a worker has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where its item begins.
    pub place: ItemPlace,
    /// Number of the item within the batch, from 0.
    pub ordinal: u32,
    /// Bytes of the item.
    pub len: u64,
    /// Bytes of the result.
    pub result: u64,
}

impl Mark {
    /// Its bytes.
    #[must_use]
    #[inline]
    pub fn encode(&self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        let (source, rest) = bytes.split_at_mut(4);
        source.copy_from_slice(&self.place.source.0.to_le_bytes());
        let (ordinal, rest) = rest.split_at_mut(4);
        ordinal.copy_from_slice(&self.ordinal.to_le_bytes());
        for (part, number) in rest.chunks_exact_mut(8).zip([self.place.offset, self.len, self.result]) {
            part.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// What these bytes say.
    #[must_use]
    pub fn decode(bytes: &[u8; MARK_BYTES]) -> Self {
        let half = |at: usize| bytes[at..].first_chunk().map_or(0, |part| u32::from_le_bytes(*part));
        let whole = |at: usize| bytes[at..].first_chunk().map_or(0, |part| u64::from_le_bytes(*part));
        let place = ItemPlace { source: SourceId(half(0)), offset: whole(8) };
        Self { place, ordinal: half(4), len: whole(16), result: whole(24) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives() {
        let place = ItemPlace { source: SourceId(u32::MAX), offset: 1 << 40 };
        for mark in [
            Mark { place, ordinal: 7, len: u64::MAX, result: 3 },
            Mark { place: ItemPlace { source: SourceId(1), offset: 2 }, ordinal: 3, len: 4, result: 5 },
        ] {
            assert_eq!(Mark::decode(&mark.encode()), mark);
        }
    }
}
