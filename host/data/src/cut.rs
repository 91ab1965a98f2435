//! Cutting an input into ranges that become pieces. The cuts change nothing in the result, only how much of a
//! reduction must be joined by the coordinator, and that no window of `blocks` is shared by two pieces.

use memchr::{memchr, memrchr};
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

/// How many of `bytes`, which came from a pipe and stand at `offset` of it where an item begins, are whole items. With
/// `ended` nothing follows them, and all of them are.
#[must_use]
pub fn complete_bytes(split: Split, offset: u64, bytes: &[u8], ended: bool) -> usize {
    if ended {
        return bytes.len();
    }
    match split {
        Split::Whole => 0,
        Split::Lines => memrchr(b'\n', bytes).map_or(0, |newline| newline + 1),
        Split::Records(size) | Split::Chunks(size) => {
            let rest = bytes.len() as u64 % size;
            bytes.len() - usize::try_from(rest).unwrap_or(bytes.len())
        }
        Split::Blocks(window) => {
            // The window in which the last, unfinished line begins may get more lines: only those before are whole.
            let last_line = memrchr(b'\n', bytes).map_or(0, |newline| newline + 1) as u64 + offset;
            let edge = last_line - last_line % window;
            if edge <= offset {
                return 0;
            }
            let probe = usize::try_from(edge - 1 - offset).unwrap_or(bytes.len());
            memchr(b'\n', &bytes[probe..]).map_or(0, |newline| probe + newline + 1)
        }
    }
}

/// Length of the first line with its `\n`: where the data begins under `--header`. `None` when it has not ended.
#[must_use]
pub fn first_line(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes).map(|newline| newline + 1)
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

    #[test]
    fn whole_items_of_a_pipe() {
        assert_eq!(complete_bytes(Split::Lines, 0, b"a\nbc\nd", false), 5);
        assert_eq!(complete_bytes(Split::Lines, 0, b"abc", false), 0);
        assert_eq!(complete_bytes(Split::Lines, 0, b"abc", true), 3);
        assert_eq!(complete_bytes(Split::Whole, 0, b"abc\n", false), 0);
        assert_eq!(complete_bytes(Split::Chunks(2), 0, b"abc", false), 2);
        // Lines at 0, 3, 6 and 9; windows of 4: the last line begins in 8..12, so 0..8 is whole, up to byte 9.
        assert_eq!(complete_bytes(Split::Blocks(4), 0, b"aa\nbb\ncc\ndd", false), 9);
        assert_eq!(complete_bytes(Split::Blocks(16), 0, b"aa\nbb\ncc\ndd", false), 0);
    }

    #[test]
    fn the_header_is_the_first_line() {
        assert_eq!(first_line(b"a,b\n1,2\n"), Some(4));
        assert_eq!(first_line(b"a,b"), None);
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
