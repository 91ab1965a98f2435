//! Cutting an input into ranges that become pieces. The cuts change nothing in the result, only how much of a
//! reduction must be joined by the coordinator, and that no window of `blocks` is shared by two pieces.

use taskhost_protocol::work::Split;

/// Positions that a cut is aligned to at most. Aligned cuts keep the nodes of a reduction whole, so that few partials
/// come back; beyond 16³ positions nothing more is saved.
const GRAINS: [u64; 3] = [4096, 256, 16];

/// A cut may be off its target by this part of it for the sake of alignment.
const SLACK: u64 = 4;

/// The end of a range that begins at `cursor` and has about `target` bytes, of an input of `size` bytes whose first
/// byte stands at position `base` of the run. Never empty: the caller ensures `cursor < size`.
#[must_use]
pub fn next_end(split: Split, base: u64, cursor: u64, size: u64, target: u64) -> u64 {
    let (unit, first) = match split {
        Split::Whole => return size,
        // Positions are bytes of all inputs together, and those are what has to be aligned.
        Split::Lines => (1, base),
        Split::Blocks(window) => (window, 0),
        // Positions are items.
        Split::Records(bytes) | Split::Chunks(bytes) => (bytes, base.saturating_mul(bytes)),
        // Nothing is gained by an alignment: what is handed over one by one is never reduced.
        Split::Table => return size.min(cursor.saturating_add(target.max(1))),
    };
    let wanted = cursor.saturating_add(target.max(1));
    if wanted >= size {
        return size;
    }
    let grain = GRAINS.iter().map(|grain| grain.saturating_mul(unit)).find(|bytes| *bytes <= target / SLACK);
    let grain = grain.unwrap_or(unit);
    let aligned = |end: u64| {
        let place = first.saturating_add(end);
        (place - place % grain).saturating_sub(first)
    };
    // Rounded to the nearest, but forwards at least.
    let end = aligned(wanted.saturating_add(grain / 2));
    if end > cursor { end.min(size) } else { aligned(cursor.saturating_add(grain)).min(size) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_are_aligned() {
        assert_eq!(next_end(Split::Whole, 0, 0, 100, 10), 100);
        assert_eq!(next_end(Split::Lines, 0, 0, 1 << 20, 100_000), 98_304);
        assert_eq!(next_end(Split::Lines, 1, 0, 1 << 20, 100_000), 98_303);
        assert_eq!(next_end(Split::Lines, 0, 0, 1 << 20, 50), 50);
        assert_eq!(next_end(Split::Blocks(4096), 0, 37, 1 << 20, 1), 4096);
        assert_eq!(next_end(Split::Blocks(4096), 0, 4096, 1 << 20, 10_000), 12_288);
        assert_eq!(next_end(Split::Records(10), 0, 0, 1000, 25), 30);
        assert_eq!(next_end(Split::Records(10), 0, 990, 1000, 1), 1000);
        assert_eq!(next_end(Split::Chunks(100), 0, 0, 100_000, 9_000), 9_600);
    }

    proptest! {
        #[test]
        fn cuts_go_forwards_and_keep_units_whole(
            kind in 0u8..4, unit in 1u64..5000, base in 0u64..100_000, size in 1u64..1_000_000, target in 0u64..200_000,
        ) {
            let split = [Split::Lines, Split::Blocks(unit), Split::Records(unit), Split::Chunks(unit)][usize::from(kind)];
            let target = target.max(size / 1000);
            let mut cursor = 0;
            while cursor < size {
                let end = next_end(split, base, cursor, size, target);
                prop_assert!(end > cursor && end <= size);
                prop_assert!(kind == 0 || end == size || end.is_multiple_of(unit));
                cursor = end;
            }
        }
    }
}
