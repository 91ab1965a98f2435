//! Where a stretch of a pipe may be cut so that whole items are in front of the cut.

use taskhost_protocol::work::Split;

/// A cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Bytes of the stretch in front of the cut.
    pub(crate) bytes: u64,
    /// Where the items in front of it end to begin: the end of the piece. Beyond the bytes when a window of a block
    /// ends behind the last line that begins in it.
    pub(crate) end: u64,
}

/// Finds the last cut in `bytes`, which stand at `from` in the pipe and begin with an item. `start` is where items may
/// begin (where the last piece ended). At the end of the pipe everything is taken. `None`: more has to be read first.
pub(crate) fn cut(split: Split, bytes: &[u8], from: u64, start: u64, ended: bool) -> Option<Cut> {
    let all = bytes.len() as u64;
    if ended {
        return (all > 0 || split == Split::Whole).then(|| Cut { bytes: all, end: (from + all).max(start) });
    }
    let taken = match split {
        // What is handed over one by one does not come through a pipe.
        Split::Whole | Split::Table => return None,
        Split::Lines => memchr::memrchr(b'\n', bytes)? as u64 + 1,
        Split::Records(size) | Split::Chunks(size) => all / size.max(1) * size.max(1),
        Split::Blocks(size) => {
            let size = size.max(1);
            // The last line that is known to begin; windows in front of the one it begins in are complete.
            let last = from + memchr::memrchr(b'\n', bytes)? as u64 + 1;
            let end = last / size * size;
            if end <= start || end <= from {
                return None;
            }
            // The first line that begins at `end` or behind it; there is one, since `last` is.
            let before = usize::try_from(end - 1 - from).ok()?;
            let line = from + (before + memchr::memchr(b'\n', &bytes[before..])?) as u64 + 1;
            return Some(Cut { bytes: line - from, end });
        }
    };
    (taken > 0).then_some(Cut { bytes: taken, end: from + taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_behind_the_last_newline() {
        assert_eq!(cut(Split::Lines, b"ab\ncd\nef", 10, 10, false), Some(Cut { bytes: 6, end: 16 }));
        assert_eq!(cut(Split::Lines, b"abc", 0, 0, false), None);
        assert_eq!(cut(Split::Lines, b"abc", 0, 0, true), Some(Cut { bytes: 3, end: 3 }));
    }

    #[test]
    fn blocks_are_cut_at_windows() {
        // Lines begin at 0, 3, 6, 9; windows of 4 are 0..4, 4..8, 8..12.
        let bytes = b"ab\ncd\nef\ngh";
        assert_eq!(cut(Split::Blocks(4), bytes, 0, 0, false), Some(Cut { bytes: 9, end: 8 }));
        assert_eq!(cut(Split::Blocks(4), &bytes[9..], 9, 8, true), Some(Cut { bytes: 2, end: 11 }));
    }

    #[test]
    fn a_line_longer_than_a_window_keeps_its_window() {
        // One line from 0 to 9, the next begins at 10, in window 8..12.
        let bytes = b"aaaaaaaaa\nb\n";
        assert_eq!(cut(Split::Blocks(4), bytes, 0, 0, false), Some(Cut { bytes: 12, end: 12 }));
        assert_eq!(cut(Split::Blocks(4), &bytes[..11], 0, 0, false), Some(Cut { bytes: 10, end: 8 }));
        assert_eq!(cut(Split::Blocks(4), &bytes[10..11], 10, 8, true), Some(Cut { bytes: 1, end: 11 }));
    }

    #[test]
    fn records_are_cut_at_multiples() {
        assert_eq!(cut(Split::Records(4), b"123456789", 0, 0, false), Some(Cut { bytes: 8, end: 8 }));
        assert_eq!(cut(Split::Records(4), b"123", 0, 0, false), None);
        assert_eq!(cut(Split::Records(4), b"1", 8, 8, true), Some(Cut { bytes: 1, end: 9 }));
    }

    #[test]
    fn an_empty_pipe_has_no_items_but_one_whole() {
        assert_eq!(cut(Split::Lines, b"", 0, 0, true), None);
        assert_eq!(cut(Split::Whole, b"", 0, 0, true), Some(Cut { bytes: 0, end: 0 }));
    }
}
