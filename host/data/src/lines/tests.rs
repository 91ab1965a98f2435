//! The cursor against a direct reading of the definition of `lines` and `blocks`.

use proptest::prelude::*;
use taskhost_protocol::ids::{SlotId, SourceId};

use super::*;

/// A file that counts its reads and gives at most `step` bytes at a time.
struct Slow<'a> {
    bytes: &'a [u8],
    step: usize,
    reads: usize,
}

impl ReadAt for Slow<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reads += 1;
        let length = buffer.len().min(self.step);
        self.bytes.read_at(offset, &mut buffer[..length])
    }
}

/// The piece `start..end` of an input of `size` bytes whose data begins at `from`.
fn piece(start: u64, end: u64, from: u64, size: u64) -> Piece {
    Piece { source: SourceId(0), slot: SlotId(0), start, end, from, to: size, at: from, base: 0 }
}

/// All lines with their offsets, line ends included, by the definition.
fn lines_of(bytes: &[u8], from: usize) -> Vec<(u64, Vec<u8>)> {
    let mut offset = from as u64;
    let mut lines = Vec::new();
    for line in bytes[from..].split_inclusive(|byte| *byte == b'\n') {
        lines.push((offset, line.to_vec()));
        offset += line.len() as u64;
    }
    lines
}

/// All items by the definition.
fn items_of(bytes: &[u8], from: usize, split: Split) -> Vec<(u64, Vec<u8>)> {
    let lines = lines_of(bytes, from);
    let Split::Blocks(size) = split else {
        let without_end = |line: Vec<u8>| line.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(line);
        return lines.into_iter().map(|(offset, line)| (offset, without_end(line))).collect();
    };
    let mut blocks: Vec<(u64, Vec<u8>)> = Vec::new();
    for (offset, line) in lines {
        match blocks.last_mut() {
            Some((first, block)) if *first / size == offset / size => block.extend(line),
            _ => blocks.push((offset, line)),
        }
    }
    blocks
}

/// The items that the cursor finds in a piece, at most `most` of them.
fn walk(cursor: &mut ItemCursor, piece: &Piece, split: Split, file: &mut Slow, most: usize) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    cursor.open(piece, split, file).expect("readable");
    while found.len() < most
        && let Some(item) = cursor.next_item(file).expect("readable")
    {
        found.push((item.offset, cursor.bytes(&item).to_vec()));
    }
    found
}

/// The lines of a text as one piece.
fn lines(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut file = Slow { bytes, step: usize::MAX, reads: 0 };
    let whole = piece(0, bytes.len() as u64, 0, bytes.len() as u64);
    let items = walk(&mut ItemCursor::new(), &whole, Split::Lines, &mut file, usize::MAX);
    items.into_iter().map(|(_, line)| String::from_utf8(line).expect("text")).collect()
}

#[test]
fn what_a_line_is() {
    assert_eq!(lines(""), [""; 0]);
    assert_eq!(lines("\n"), [""]);
    assert_eq!(lines("a"), ["a"]);
    assert_eq!(lines("a\n"), ["a"]);
    assert_eq!(lines("a\r\n\nb"), ["a\r", "", "b"]);
}

#[test]
fn a_small_piece_costs_one_read() {
    let bytes = b"some line\n".repeat(100_000);
    let mut file = Slow { bytes: &bytes, step: usize::MAX, reads: 0 };
    let part = piece(500_000, 600_000, 0, bytes.len() as u64);
    assert_eq!(walk(&mut ItemCursor::new(), &part, Split::Lines, &mut file, usize::MAX).len(), 10_000);
    assert_eq!(file.reads, 1);
}

#[test]
fn a_line_longer_than_the_buffer_belongs_to_where_it_begins() {
    let mut bytes = b"short\n".to_vec();
    bytes.extend(vec![b'x'; 3 << 20]);
    bytes.extend(b"\nlast");
    let size = bytes.len() as u64;
    let mut cursor = ItemCursor::new();
    let mut file = Slow { bytes: &bytes, step: usize::MAX, reads: 0 };
    let first = walk(&mut cursor, &piece(0, 10, 0, size), Split::Lines, &mut file, usize::MAX);
    assert_eq!(first.iter().map(|(offset, line)| (*offset, line.len())).collect::<Vec<_>>(), [(0, 5), (6, 3 << 20)]);
    file.reads = 0;
    assert_eq!(walk(&mut cursor, &piece(10, 1 << 20, 0, size), Split::Lines, &mut file, usize::MAX), []);
    assert!(file.reads <= 3, "a piece inside a line is not read beyond its end: {} reads", file.reads);
    let last = walk(&mut cursor, &piece(1 << 20, size, 0, size), Split::Lines, &mut file, usize::MAX);
    assert_eq!(last, [(7 + (3 << 20), b"last".to_vec())]);
}

#[test]
fn an_input_that_shrank_is_an_input_fault() {
    let mut file: &[u8] = b"one\ntwo\nth";
    let mut cursor = ItemCursor::new();
    cursor.open(&piece(0, 20, 0, 20), Split::Lines, &mut file).expect("nothing read yet");
    assert!(cursor.next_item(&mut file).expect("there").is_some());
    assert!(cursor.next_item(&mut file).expect("there").is_some());
    let error = cursor.next_item(&mut file).expect_err("cut short");
    assert!(matches!(error, CursorError::Shrunk { offset: 10, planned: 20 }), "{error}");
    assert!(matches!(error.fault(), Fault::Input(text) if text.contains("byte 10")));
    assert!(cursor.next_item(&mut file).expect("at its end").is_none());
}

#[test]
fn a_piece_in_an_arena_stands_elsewhere_in_the_file() {
    let arena = b"????bb\ncc\n????";
    let part = Piece { at: 4, from: 1000, to: 1006, start: 1000, end: 1006, ..piece(0, 0, 0, 0) };
    let mut file = Slow { bytes: arena, step: usize::MAX, reads: 0 };
    let items = walk(&mut ItemCursor::new(), &part, Split::Lines, &mut file, usize::MAX);
    assert_eq!(items, [(1000, b"bb".to_vec()), (1003, b"cc".to_vec())]);
}

#[test]
fn an_item_over_the_limit_costs_only_itself() {
    let mut bytes = b"first\n".to_vec();
    bytes.extend(vec![b'x'; 2 << 20]);
    bytes.extend(b"\nlast\n");
    let size = bytes.len() as u64;
    let mut file: &[u8] = &bytes;
    for split in [Split::Lines, Split::Blocks(4)] {
        let mut cursor = ItemCursor { limit: 1 << 20, ..ItemCursor::new() };
        let mut seen = Vec::new();
        cursor.open(&piece(0, size, 0, size), split, &mut file).expect("nothing read yet");
        loop {
            match cursor.next_item(&mut file) {
                Ok(Some(item)) => seen.push((item.offset, cursor.bytes(&item).len())),
                Ok(None) => break,
                Err(error) => {
                    assert!(matches!(error, CursorError::TooLarge { offset: 6, .. }), "{error}");
                    seen.push((error.offset(), usize::MAX));
                }
            }
        }
        let last = 7 + (2 << 20);
        let length = if split == Split::Lines { [5, 4] } else { [6, 5] };
        assert_eq!(seen, [(0, length[0]), (6, usize::MAX), (last, length[1])]);
    }
}

proptest! {
    #[test]
    fn the_search_with_a_word_first_is_exact(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\n' + 1), 8u8..12, any::<u8>()], 0..20),
    ) {
        prop_assert_eq!(near_newline(&bytes), memchr(b'\n', &bytes));
    }

    #[test]
    fn pieces_give_each_item_once(
        text in "[ab\r\n]{0,200}",
        header in 0usize..20,
        window in 0u64..40,
        cuts in prop::collection::vec(0u64..200, 0..6),
        step in 1usize..64,
    ) {
        let bytes = text.as_bytes();
        let size = bytes.len() as u64;
        // Data begins behind the line that a header of that length would be.
        let from = memchr(b'\n', &bytes[..header.min(bytes.len())]).map_or(0, |newline| newline + 1);
        let split = if window == 0 { Split::Lines } else { Split::Blocks(window) };
        let mut edges: Vec<u64> = cuts.into_iter().filter(|cut| (from as u64..size).contains(cut)).collect();
        edges.extend([from as u64, size]);
        edges.sort_unstable();
        let mut cursor = ItemCursor::new();
        let mut file = Slow { bytes, step, reads: 0 };
        let mut found = Vec::new();
        for edge in edges.windows(2) {
            let part = piece(edge[0], edge[1], from as u64, size);
            found.extend(walk(&mut cursor, &part, split, &mut file, usize::MAX));
        }
        prop_assert_eq!(found, items_of(bytes, from, split));
    }

    #[test]
    fn a_piece_can_be_left_and_resumed(text in "[ab\n]{0,100}", window in 0u64..20, start in 0u64..50, most in 1usize..5) {
        let bytes = text.as_bytes();
        let size = bytes.len() as u64;
        let split = if window == 0 { Split::Lines } else { Split::Blocks(window) };
        let mut cursor = ItemCursor::new();
        let mut file = Slow { bytes, step: 7, reads: 0 };
        let mut part = piece(start.min(size), size, 0, size);
        let expected = walk(&mut cursor, &part, split, &mut file, usize::MAX);
        let mut found = Vec::new();
        while part.start < part.end {
            found.extend(walk(&mut cursor, &part, split, &mut file, most));
            part.start = cursor.resume_at();
        }
        prop_assert_eq!(found, expected);
    }
}
