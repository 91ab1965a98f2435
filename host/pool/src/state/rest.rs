//! What a batch did and what it handed back, from the worker's word: checked against what it was given.

use taskhost_protocol::work::{Piece, Rest, Split};

/// How far a batch got in one of its pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran<'a> {
    pub(crate) piece: &'a Piece,
    /// Items that begin before this were run.
    pub(crate) end: u64,
    /// Whether all items of the piece were run. An empty file has an item, so `end` alone does not tell.
    pub(crate) complete: bool,
}

impl Ran<'_> {
    /// Bytes of input whose items were run.
    pub(crate) fn bytes(&self) -> u64 {
        self.end - self.piece.start
    }

    /// Whether anything was run.
    pub(crate) fn is_begun(&self) -> bool {
        self.complete || self.bytes() > 0
    }

    /// What is to be run by another batch.
    pub(crate) fn left(&self) -> Option<Piece> {
        (!self.complete).then_some(Piece { start: self.end, ..*self.piece })
    }

    /// The positions of the run that are done with, see [`Piece::position`].
    pub(crate) fn positions(&self, split: Split) -> (u64, u64) {
        let start = self.piece.position(split, self.piece.start);
        let end = match split {
            Split::Whole => start + u64::from(self.complete),
            Split::Lines | Split::Blocks(_) | Split::Table => self.piece.base + self.end,
            Split::Records(size) | Split::Chunks(size) => self.piece.base + self.end.div_ceil(size),
        };
        (start, end)
    }

    /// Items run; `None` under a split whose items only a look at the bytes can count.
    pub(crate) fn items(&self, split: Split) -> Option<u64> {
        match split {
            Split::Whole => Some(u64::from(self.complete)),
            Split::Lines | Split::Blocks(_) => None,
            Split::Table => Some(self.bytes()),
            Split::Records(size) | Split::Chunks(size) => {
                Some(self.end.div_ceil(size).saturating_sub(self.piece.start.div_ceil(size)))
            }
        }
    }
}

/// How far a batch got in each of its pieces.
pub(crate) fn ran(pieces: &[Piece], rest: Option<Rest>) -> impl Iterator<Item = Ran<'_>> {
    pieces.iter().enumerate().map(move |(index, piece)| match rest {
        Some(rest) if index > rest.piece as usize => Ran { piece, end: piece.start, complete: false },
        Some(rest) if index == rest.piece as usize => {
            Ran { piece, end: rest.start.clamp(piece.start, piece.end), complete: false }
        }
        _ => Ran { piece, end: piece.end, complete: true },
    })
}

/// Whether a rest can be true of these pieces: something was run, something is left, and no item is cut in two.
pub(crate) fn is_plausible(split: Split, pieces: &[Piece], rest: Rest) -> bool {
    let Some(piece) = pieces.get(rest.piece as usize) else { return false };
    if rest.start == piece.start {
        return rest.piece > 0;
    }
    let can_begin = match split {
        Split::Whole => false,
        Split::Lines | Split::Table => true,
        Split::Blocks(size) | Split::Records(size) | Split::Chunks(size) => rest.start.is_multiple_of(size),
    };
    can_begin && (piece.start..piece.end).contains(&rest.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::ids::{SlotId, SourceId};

    fn piece(source: u32, start: u64, end: u64) -> Piece {
        Piece { source: SourceId(source), slot: SlotId(0), start, end, from: 0, to: end, at: 0, base: 0 }
    }

    fn left(pieces: &[Piece], rest: Rest) -> Vec<Piece> {
        ran(pieces, Some(rest)).filter_map(|ran| ran.left()).collect()
    }

    #[test]
    fn without_a_rest_everything_was_run() {
        let pieces = [piece(0, 10, 20), piece(1, 0, 0)];
        assert!(ran(&pieces, None).all(|ran| ran.complete && ran.left().is_none()));
        assert_eq!(ran(&pieces, None).map(|ran| ran.bytes()).sum::<u64>(), 10);
    }

    #[test]
    fn empty_files_are_handed_back_too() {
        let pieces = [piece(0, 0, 20), piece(1, 0, 0), piece(2, 0, 0)];
        assert_eq!(left(&pieces, Rest { piece: 1, start: 0 }), pieces[1..]);
        assert_eq!(ran(&pieces, Some(Rest { piece: 1, start: 0 })).filter(Ran::is_begun).count(), 1);
    }

    #[test]
    fn the_rest_of_a_piece_begins_where_it_says() {
        assert_eq!(left(&[piece(0, 10, 20)], Rest { piece: 0, start: 15 }), [Piece { start: 15, ..piece(0, 10, 20) }]);
    }

    #[test]
    fn a_rest_must_lie_inside_and_leave_something_done() {
        let pieces = [piece(0, 10, 20)];
        let is_plausible = |split, piece, start| is_plausible(split, &pieces, Rest { piece, start });
        assert!(is_plausible(Split::Lines, 0, 11));
        assert!(!is_plausible(Split::Lines, 0, 10), "nothing was run");
        assert!(!is_plausible(Split::Lines, 0, 20), "nothing is left");
        assert!(!is_plausible(Split::Lines, 0, 9));
        assert!(!is_plausible(Split::Lines, 1, 10));
        assert!(is_plausible(Split::Records(4), 0, 12));
        assert!(!is_plausible(Split::Records(4), 0, 13), "in the middle of an item");
        assert!(!is_plausible(Split::Whole, 0, 12), "in the middle of an item");
    }

    #[test]
    fn positions_and_items_of_what_was_run() {
        let pieces = [piece(0, 10, 20)];
        let first = |rest| ran(&pieces, rest).next().expect("one piece");
        let half = Some(Rest { piece: 0, start: 15 });
        assert_eq!(first(half).positions(Split::Lines), (10, 15));
        assert_eq!(first(half).positions(Split::Records(5)), (2, 3));
        assert_eq!((first(half).items(Split::Records(5)), first(None).items(Split::Chunks(4))), (Some(1), Some(2)));
        assert_eq!(first(None).positions(Split::Whole), (0, 1));
    }
}
