//! What a batch did and what it handed back, from the worker's word: checked against what it was given.

use taskhost_protocol::work::{Piece, Rest};

/// How far a batch got.
#[derive(Debug)]
pub(crate) struct Split {
    /// Bytes run of each piece.
    pub(crate) run: Vec<u64>,
    /// What is left of them.
    pub(crate) left: Vec<Piece>,
}

impl Split {
    /// Whether nothing of the piece is left.
    pub(crate) fn whole(&self, piece: &Piece) -> bool {
        !self.left.iter().any(|left| (left.source, left.from) == (piece.source, piece.from))
    }
}

/// Whether a rest can be true of these pieces: some item was run, and it begins inside.
pub(crate) fn is_plausible(pieces: &[Piece], rest: Rest) -> bool {
    let Some(piece) = pieces.get(rest.piece as usize) else { return false };
    let progress = rest.piece > 0 || rest.start > piece.start;
    progress && (piece.start..=piece.end).contains(&rest.start)
}

/// Splits the pieces at the rest.
pub(crate) fn split(pieces: &[Piece], rest: Option<Rest>) -> Split {
    let mut split = Split { run: Vec::with_capacity(pieces.len()), left: Vec::new() };
    for (index, piece) in pieces.iter().enumerate() {
        let start = match rest {
            Some(rest) if index == rest.piece as usize => rest.start.clamp(piece.start, piece.end),
            Some(rest) if index > rest.piece as usize => piece.start,
            _ => piece.end,
        };
        split.run.push(start - piece.start);
        let untouched = rest.is_some_and(|rest| index >= rest.piece as usize) && start < piece.end;
        let unopened = rest.is_some_and(|rest| index > rest.piece as usize);
        if untouched || unopened {
            split.left.push(Piece { start, ..*piece });
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::ids::{SlotId, SourceId};

    fn piece(source: u32, start: u64, end: u64) -> Piece {
        Piece { source: SourceId(source), slot: SlotId(0), start, end, from: 0, to: end, at: 0, base: 0 }
    }

    #[test]
    fn without_a_rest_everything_was_run() {
        let split = split(&[piece(0, 10, 20), piece(1, 0, 0)], None);
        assert_eq!(split.run, [10, 0]);
        assert!(split.left.is_empty());
    }

    #[test]
    fn later_pieces_are_handed_back_even_when_empty() {
        let split = split(&[piece(0, 10, 20), piece(1, 0, 0)], Some(Rest { piece: 0, start: 15 }));
        assert_eq!(split.run, [5, 0]);
        assert_eq!(split.left.len(), 2);
        assert_eq!(split.left[0].start, 15);
    }

    #[test]
    fn a_rest_must_lie_inside_and_leave_something_done() {
        let pieces = [piece(0, 10, 20)];
        assert!(is_plausible(&pieces, Rest { piece: 0, start: 11 }));
        assert!(!is_plausible(&pieces, Rest { piece: 0, start: 10 }), "nothing was run");
        assert!(!is_plausible(&pieces, Rest { piece: 0, start: 21 }));
        assert!(!is_plausible(&pieces, Rest { piece: 1, start: 10 }));
    }
}
