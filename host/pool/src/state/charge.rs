//! Applying a sentence to the stretches of a job: what goes back to be run again, and with what mark.

use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Piece, Split};

use super::job::Pick;
use super::mark::{Lost, Mark, Sentence};
use crate::event::{JobFailure, Task};
use crate::verdict::Next;

/// Attempts at a task that no item is to blame for and that cannot be divided, when its workers crash.
const ATTEMPTS: u32 = 2;

/// The hint, when it can be true of these pieces; where blocks are items, of the window that the item begins in.
pub(crate) fn check_hint(split: Split, pieces: &[Piece], hint: Progress) -> Option<Progress> {
    let piece = pieces.get(hint.piece as usize)?;
    let place = piece.start.checked_add(hint.offset)?;
    if place >= piece.end && hint.offset > 0 {
        return None;
    }
    match split {
        Split::Whole => (hint.offset == 0).then_some(hint),
        Split::Lines | Split::Table => Some(hint),
        Split::Records(size) | Split::Chunks(size) => place.is_multiple_of(size).then_some(hint),
        Split::Blocks(size) => {
            let window = (place / size * size).max(piece.start);
            Some(Progress { offset: window - piece.start, ..hint })
        }
    }
}

/// What becomes of the pieces of a lost batch: each with its mark.
pub(crate) fn divide(
    split: Split,
    pieces: &[Piece],
    mark: Option<&Mark>,
    sentence: Sentence,
) -> Result<Vec<(Piece, Option<Mark>)>, JobFailure> {
    let first = |index: usize| if index == 0 { mark.cloned() } else { None };
    Ok(match sentence {
        Sentence::Again => pieces.iter().enumerate().map(|(index, piece)| (*piece, first(index))).collect(),
        Sentence::All(mark) => pieces.iter().map(|piece| (*piece, Some(mark.clone()))).collect(),
        Sentence::At { piece: at, offset, mark: new } => {
            let mut divided = Vec::with_capacity(pieces.len() + 1);
            for (index, piece) in pieces.iter().enumerate() {
                if index != at as usize {
                    divided.push((*piece, first(index)));
                    continue;
                }
                let start = piece.start + offset;
                if start > piece.start {
                    divided.push((Piece { end: start, ..*piece }, Mark::of_front(first(index))));
                }
                divided.push((Piece { start, ..*piece }, Some(new.clone())));
            }
            divided
        }
        Sentence::Halve(charge) => {
            let mut divided = Vec::new();
            for piece in pieces {
                match halve(split, piece) {
                    Some((left, right)) => {
                        divided.push((left, Some(Mark::SuspectStretch)));
                        divided.push((right, Some(Mark::SuspectStretch)));
                    }
                    None => divided.push((*piece, Some(Mark::Condemned(charge.clone())))),
                }
            }
            divided
        }
        Sentence::Quarantine => return Err(quarantined()),
        Sentence::JoinLate => {
            return Err(JobFailure::Kernel("the kernel's `combine` took longer than --timeout allows".into()));
        }
    })
}

/// Two parts of a piece that may both have items.
fn halve(split: Split, piece: &Piece) -> Option<(Piece, Piece)> {
    let middle = piece.start + (piece.end - piece.start) / 2;
    let middle = match split {
        Split::Whole => return None,
        Split::Lines | Split::Table => middle,
        Split::Blocks(size) | Split::Records(size) | Split::Chunks(size) => middle.next_multiple_of(size),
    };
    (piece.start < middle && middle < piece.end)
        .then_some((Piece { end: middle, ..*piece }, Piece { start: middle, ..*piece }))
}

/// A task that cannot be divided was lost: it is run again as it was, or its job fails.
pub(crate) fn again(pick: Pick, lost: &Lost<'_>, what: &str) -> Result<Pick, JobFailure> {
    let attempts = pick.attempts + 1;
    let text = &lost.death.text;
    let allowed = match lost.death.verdict.judgement().1 {
        Next::Again => return Ok(pick),
        Next::Quarantine => return Err(quarantined()),
        // These have no cell, and one thing to do at a time.
        Next::Final if matches!(pick.task, Task::Decode | Task::Encode(_)) => {
            return Err(converting(&pick.task, format!("{what} took too long: the worker {text}")));
        }
        // It was not yet at it.
        Next::Final if lost.hint().is_none() => return Ok(pick),
        Next::Final => return Err(JobFailure::Kernel(format!("{what} failed: {}", lost.death.verdict))),
        Next::Isolate => ATTEMPTS,
        Next::Retry => lost.retries + 1,
    };
    if attempts < allowed {
        return Ok(Pick { attempts, ..pick });
    }
    let times = if attempts == 2 { "twice".to_owned() } else { format!("{attempts} times") };
    let text = format!("{what} was lost {times}: the last worker {text}; nothing was written for it");
    // A decoder that crashes again crashes because of the picture; one that is killed again does not.
    let is_blamed = lost.death.verdict.judgement().1 == Next::Isolate;
    Err(if is_blamed { converting(&pick.task, text) } else { JobFailure::Lost(text) })
}

/// A failure of something that may be the work of a convert worker: then the picture is to blame.
fn converting(task: &Task, text: String) -> JobFailure {
    match task {
        Task::Decode => JobFailure::Input(text),
        Task::Encode(_) => JobFailure::Output(text),
        Task::Items(_) | Task::Rows(_) | Task::Prepare(_) | Task::Combine(_) | Task::Finish(_) => {
            JobFailure::Lost(text)
        }
    }
}

fn quarantined() -> JobFailure {
    JobFailure::Violation(crate::verdict::Verdict::SandboxViolation.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::ids::{BatchId, SlotId, SourceId};

    fn piece(source: u32, start: u64, end: u64) -> Piece {
        Piece { source: SourceId(source), slot: SlotId(0), start, end, from: 0, to: end, at: 0, base: 0 }
    }

    fn hint(piece: u32, offset: u64) -> Progress {
        Progress { batch: BatchId(0), piece, offset, packed: false }
    }

    fn ranges(divided: &[(Piece, Option<Mark>)]) -> Vec<(u64, u64, bool)> {
        divided.iter().map(|(piece, mark)| (piece.start, piece.end, mark.is_some())).collect()
    }

    #[test]
    fn a_hint_must_lie_where_an_item_can_begin() {
        let pieces = [piece(0, 10, 30)];
        assert!(check_hint(Split::Lines, &pieces, hint(0, 19)).is_some());
        assert!(check_hint(Split::Lines, &pieces, hint(0, 20)).is_none());
        assert!(check_hint(Split::Lines, &pieces, hint(1, 0)).is_none());
        assert!(check_hint(Split::Records(5), &pieces, hint(0, 5)).is_some());
        assert!(check_hint(Split::Records(5), &pieces, hint(0, 6)).is_none());
        assert_eq!(check_hint(Split::Blocks(8), &pieces, hint(0, 9)), Some(hint(0, 6)), "window 16..24");
        assert!(check_hint(Split::Whole, &[piece(0, 0, 0)], hint(0, 0)).is_some(), "an empty file is an item");
    }

    #[test]
    fn what_comes_before_the_named_item_is_free() {
        let sentence = Sentence::At { piece: 0, offset: 7, mark: Mark::Suspect(0) };
        let divided = divide(Split::Lines, &[piece(0, 10, 30)], None, sentence).expect("goes on");
        assert_eq!(ranges(&divided), [(10, 17, false), (17, 30, true)]);
        let files = [piece(0, 0, 5), piece(1, 0, 5), piece(2, 0, 5)];
        let sentence = Sentence::At { piece: 1, offset: 0, mark: Mark::Suspect(0) };
        let divided = divide(Split::Whole, &files, None, sentence).expect("goes on");
        assert_eq!(ranges(&divided), [(0, 5, false), (0, 5, true), (0, 5, false)]);
    }

    #[test]
    fn halves_are_cut_between_items() {
        let halves = |split, start, end| halve(split, &piece(0, start, end)).map(|(left, right)| (left.end, right.end));
        assert_eq!(halves(Split::Lines, 10, 13), Some((11, 13)));
        assert_eq!(halves(Split::Lines, 10, 11), None);
        assert_eq!(halves(Split::Records(8), 8, 32), Some((24, 32)));
        assert_eq!(halves(Split::Records(8), 8, 16), None);
        assert_eq!(halves(Split::Whole, 0, 100), None);
    }
}
