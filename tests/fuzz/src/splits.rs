//! Cutting an input into pieces, and pieces into items.

use std::io;

use taskhost_data::cut::next_end;
use taskhost_data::fixed::fixed_items;
use taskhost_data::lines::{ItemCursor, ReadAt};
use taskhost_protocol::ids::{SlotId, SourceId};
use taskhost_protocol::work::{Piece, Split};

use super::choices::Choices;

/// An item: where it begins, and its bytes.
type Item = (u64, Vec<u8>);

/// However an input is cut, and however little each read gives: its items are those that one look at the whole input
/// finds, each in one piece, in order, and no piece hands out an item that begins outside of it.
///
/// The first bytes choose the split, how the cuts are made, and the length of the reads; the rest is the input.
pub fn splits(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = choices.byte();
    let size = 1 + choices.number() as u64 % 300;
    let split = match kind % 5 {
        0 => Split::Lines,
        1 => Split::Blocks(size),
        2 => Split::Records(size),
        3 => Split::Chunks(size),
        _ => Split::Whole,
    };
    let targets = [choices.number() as u64, choices.number() as u64, choices.number() as u64];
    let most = 1 + choices.number();
    let is_free = choices.byte() % 2 == 1;
    let wanted = all_items(split, choices.0);
    let file = Slow { bytes: choices.0, most };
    let mut found = Vec::new();
    let mut cursor = ItemCursor::new();
    for piece in pieces(split, choices.0.len() as u64, targets, is_free) {
        let items = items_of(&mut cursor, piece, split, file);
        for (offset, _) in &items {
            assert!((piece.start..piece.end.max(1)).contains(offset), "{piece:?} has an item at {offset}");
        }
        assert_eq!(resumed(&mut cursor, piece, split, file, items.len() / 2), items, "{split:?} {piece:?}");
        found.extend(items);
    }
    assert_eq!(found, wanted, "{split:?}");
}

/// A file whose reads give a few bytes at a time.
#[derive(Clone, Copy)]
struct Slow<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl ReadAt for Slow<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.most);
        self.bytes.read_at(offset, &mut buffer[..most])
    }
}

/// Cuts the input as the coordinator does, or anywhere. Each piece can read all that is in front of it, or as little as
/// it is promised.
fn pieces(split: Split, size: u64, targets: [u64; 3], is_free: bool) -> Vec<Piece> {
    let whole = Piece { source: SourceId(0), slot: SlotId(0), start: 0, end: size, from: 0, to: size, at: 0, base: 0 };
    if split == Split::Whole {
        return vec![whole];
    }
    let (mut pieces, mut start) = (Vec::new(), 0);
    while start < size {
        let target = targets[pieces.len() % targets.len()] % 2000;
        let end = if is_free { (start + 1 + target).min(size) } else { next_end(split, 0, start, size, target) };
        assert!(start < end && end <= size, "{split:?}: {start} to {end} of {size}");
        // A line begins behind a line end, which is in the byte in front of the piece.
        let from = if split == Split::Lines && targets[0] % 2 == 1 { start.saturating_sub(1) } else { 0 };
        pieces.push(Piece { start, end, from, ..whole });
        start = end;
    }
    // What stands in the file in front of the first readable byte is not the piece's.
    pieces.iter().map(|piece| Piece { at: piece.from, ..*piece }).collect()
}

/// The items of a piece.
fn items_of(cursor: &mut ItemCursor, piece: Piece, split: Split, mut file: Slow<'_>) -> Vec<Item> {
    let bytes = file.bytes;
    if !matches!(split, Split::Lines | Split::Blocks(_)) {
        let all = fixed_items(split, &piece);
        return all.map(|item| (item.offset, range(bytes, item.offset, item.len).to_vec())).collect();
    }
    let mut items = Vec::new();
    cursor.open(&piece, split, &mut file).expect("the input can be read");
    while let Some(item) = cursor.next_item(&mut file).expect("the input can be read") {
        items.push((item.offset, cursor.bytes(&item).to_vec()));
    }
    items
}

/// The same, given up after so many items and gone on with where the cursor says.
fn resumed(cursor: &mut ItemCursor, piece: Piece, split: Split, mut file: Slow<'_>, after: usize) -> Vec<Item> {
    if !matches!(split, Split::Lines | Split::Blocks(_)) {
        return items_of(cursor, piece, split, file);
    }
    let mut items = Vec::new();
    cursor.open(&piece, split, &mut file).expect("the input can be read");
    for _ in 0..after {
        let item = cursor.next_item(&mut file).expect("the input can be read").expect("there are more");
        items.push((item.offset, cursor.bytes(&item).to_vec()));
    }
    let start = cursor.resume_at();
    assert!(start >= piece.start, "{piece:?} goes on at {start}");
    if start < piece.end {
        items.extend(items_of(cursor, Piece { start, ..piece }, split, file));
    }
    items
}

fn range(bytes: &[u8], offset: u64, len: u64) -> &[u8] {
    let offset = usize::try_from(offset).expect("small");
    &bytes[offset..offset + usize::try_from(len).expect("small")]
}

/// What an item is, said as simply as possible.
fn all_items(split: Split, input: &[u8]) -> Vec<Item> {
    let size = match split {
        Split::Whole => return vec![(0, input.to_vec())],
        Split::Lines | Split::Blocks(_) => 0,
        Split::Records(size) | Split::Chunks(size) => size,
        // Nothing that is read from a file.
        Split::Table => return Vec::new(),
    };
    if size > 0 {
        let chunks = input.chunks(usize::try_from(size).expect("small"));
        return chunks.enumerate().map(|(index, chunk)| (index as u64 * size, chunk.to_vec())).collect();
    }
    let mut items: Vec<Item> = Vec::new();
    let mut offset = 0;
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match (split, items.last_mut()) {
            // The lines that begin in the same window are one item, with their line ends.
            (Split::Blocks(window), Some((begin, block))) if *begin / window == offset / window => block.extend(line),
            (Split::Blocks(_), _) => items.push((offset, line.to_vec())),
            _ => items.push((offset, line.strip_suffix(b"\n").unwrap_or(line).to_vec())),
        }
        offset += line.len() as u64;
    }
    items
}
