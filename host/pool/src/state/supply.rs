//! What is left to be run of a job's input: stretches in the order of the input, cut when a worker is free.

use std::collections::{BTreeMap, HashMap};

use taskhost_data::cut::next_end;
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::work::{Piece, Split};

use super::mark::Mark;
use crate::event::Post;

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

/// A stretch of the input, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) piece: Piece,
    pub(crate) mark: Option<Mark>,
}

/// The stretches that are left, and how much of each file or block is still needed.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    pieces: BTreeMap<Key, Stretch>,
    /// Stretches that are for the isolation worker.
    isolated: usize,
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
        self.put_back(piece, None);
    }

    /// Adds stretches of a file. False when there are none, so that the file is not needed.
    pub(crate) fn add_items(&mut self, whole: &Piece, items: Vec<Piece>, mark: Option<Mark>, before: u64) -> bool {
        if items.is_empty() {
            return false;
        }
        let bytes = items.iter().map(|piece| piece.end - piece.start).sum();
        self.needed.insert((whole.source, whole.from), Needed { bytes, before });
        self.needed_bytes += bytes;
        for piece in items {
            self.put_back(piece, mark.clone());
        }
        true
    }

    /// Bytes of all inputs before that of the piece, which is still needed.
    pub(crate) fn before(&self, piece: &Piece) -> u64 {
        self.needed.get(&(piece.source, piece.from)).map_or(0, |needed| needed.before)
    }

    /// Adds what a worker handed back, or was lost with it.
    pub(crate) fn put_back(&mut self, piece: Piece, mark: Option<Mark>) {
        self.bytes += piece.end - piece.start;
        self.isolated += usize::from(Mark::post(mark.as_ref()) == Post::Isolation);
        self.pieces.insert((piece.source, piece.start), Stretch { piece, mark });
    }

    /// Place of the first stretch that is for this post.
    pub(crate) fn first_for(&self, post: Post) -> Option<Key> {
        if post == Post::Isolation && self.isolated == 0 {
            return None;
        }
        let is_for = |(_, stretch): &(&Key, &Stretch)| Mark::post(stretch.mark.as_ref()) == post;
        self.pieces.iter().find(is_for).map(|(key, _)| *key)
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

    /// Takes the next batch for this post, at least one item, and what is known of it.
    pub(crate) fn take(&mut self, post: Post, split: Split, wanted: Wanted) -> (Vec<Piece>, Option<Mark>) {
        let Some(stretch) = self.first_for(post).and_then(|key| self.pieces.remove(&key)) else {
            return (Vec::new(), None);
        };
        let Stretch { piece, mark } = stretch;
        self.bytes -= piece.end - piece.start;
        self.isolated -= usize::from(post == Post::Isolation);
        if matches!(mark, Some(Mark::Suspect(_) | Mark::SuspectStretch | Mark::Unlucky(_))) {
            // Only one item of it is run, or it is as short as it should be.
            return (vec![piece], mark);
        }
        let end = cut(split, &piece, wanted.bytes);
        if end < piece.end {
            self.put_back(Piece { start: end, ..piece }, Mark::of_rest(mark.as_ref()));
        }
        let mut taken = end - piece.start;
        let mut last = piece.source.0;
        let mut batch = vec![Piece { end, ..piece }];
        // Only whole files are gathered: a stretch of another kind is cut, and one is enough. They follow each other
        // without a gap, since the results of a batch do.
        while split == Split::Whole && mark.is_none() && taken < wanted.bytes && batch.len() < wanted.files {
            last += 1;
            let Some(next) = self.pieces.get(&(SourceId(last), 0)).filter(|next| next.mark.is_none()) else { break };
            let piece = next.piece;
            self.pieces.remove(&(SourceId(last), 0));
            self.bytes -= piece.end - piece.start;
            taken += piece.end - piece.start;
            batch.push(piece);
        }
        (batch, mark)
    }

    /// Forgets everything from `key` on: an item there failed.
    pub(crate) fn drop_behind(&mut self, key: Key) {
        let dropped = self.pieces.split_off(&key);
        self.bytes -= dropped.values().map(|stretch| stretch.piece.end - stretch.piece.start).sum::<u64>();
        let is_isolated = |stretch: &&Stretch| Mark::post(stretch.mark.as_ref()) == Post::Isolation;
        self.isolated -= dropped.values().filter(is_isolated).count();
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
        let batch = supply.take(Post::Execute, Split::Records(16), wanted(30)).0;
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
        assert_eq!(supply.take(Post::Execute, Split::Whole, wanted(25)).0.len(), 3);
        assert_eq!(supply.take(Post::Execute, Split::Whole, wanted(1 << 20)).0.len(), 6);
        assert_eq!(supply.take(Post::Execute, Split::Whole, wanted(1)).0.len(), 1);
    }

    #[test]
    fn only_files_that_follow_each_other_are_gathered() {
        let mut supply = Supply::default();
        for source in [3, 4, 9] {
            supply.add(piece(source, 0, 10), 0);
        }
        assert_eq!(
            supply.take(Post::Execute, Split::Whole, wanted(1000)).0.len(),
            2,
            "what is between was given to another worker"
        );
    }

    #[test]
    fn an_empty_file_is_an_item_too() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 0), 0);
        assert_eq!(supply.take(Post::Execute, Split::Whole, wanted(100)).0.len(), 1);
    }

    #[test]
    fn a_file_is_needed_until_all_of_it_was_run() {
        let mut supply = Supply::default();
        supply.add(piece(0, 0, 100), 0);
        let batch = supply.take(Post::Execute, Split::Lines, wanted(40)).0;
        assert!(!supply.finished(&batch[0], batch[0].end));
        assert_eq!(supply.needed_bytes(), 100 - batch[0].end);
        let rest = supply.take(Post::Execute, Split::Lines, wanted(100)).0;
        assert!(supply.finished(&rest[0], 100 - batch[0].end));
        assert_eq!((supply.needed_bytes(), supply.needed_count()), (0, 0));
    }
}
