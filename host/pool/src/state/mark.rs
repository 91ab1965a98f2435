//! What is known of a stretch of the input from attempts before, and what a death says about it.
//!
//! An item is charged only for what happened while it ran: the progress cell of its worker named it. What it named
//! inexactly is run again one item at a time; what nobody named is divided until the culprit is alone.

use taskhost_protocol::ids::{BatchId, WorkerId};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Budget, Care};

use crate::death::Death;
use crate::event::Post;
use crate::verdict::{Next, Verdict};

/// What is known of a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Its first item has failed for this reason, and is not run again.
    Condemned(Box<Charge>),
    /// Its first item was at work when a worker crashed: it is run alone, on a fresh worker. It was also at work when
    /// workers were killed, so many times.
    Suspect(u32),
    /// Some item in it was: all of it is run on a fresh worker.
    SuspectStretch,
    /// Its first item was at work when its worker was killed, so many times: it is run by itself.
    Unlucky(u32),
    /// Its items are run one at a time, so that one that is late can be told.
    OneByOne,
}

/// Why an item has failed that is not run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) verdict: Verdict,
    pub(crate) attempts: u32,
    pub(crate) worker: WorkerId,
}

impl Mark {
    /// Which workers run the stretch.
    pub(crate) fn post(mark: Option<&Self>) -> Post {
        match mark {
            Some(Self::Suspect(_) | Self::SuspectStretch) => Post::Isolation,
            None | Some(Self::Condemned(_) | Self::Unlucky(_) | Self::OneByOne) => Post::Execute,
        }
    }

    /// How its items are run.
    pub(crate) fn apply(mark: Option<&Self>, budget: &mut Budget, care: &mut Care) {
        match mark {
            None => {}
            Some(Self::Condemned(_)) => {
                care.leave_out_first = true;
                // Nothing is run, so whatever happens meanwhile is nobody's doing, and what is known stays known.
                budget.items = 1;
            }
            Some(Self::Suspect(_) | Self::Unlucky(_)) => {
                care.one_by_one = true;
                budget.items = 1;
            }
            Some(Self::SuspectStretch | Self::OneByOne) => care.one_by_one = true,
        }
    }

    /// What remains known of the part that was handed back: the first item was run.
    pub(crate) fn of_rest(mark: Option<&Self>) -> Option<Self> {
        match mark {
            Some(Self::SuspectStretch) => Some(Self::SuspectStretch),
            Some(Self::OneByOne) => Some(Self::OneByOne),
            None | Some(Self::Condemned(_) | Self::Suspect(_) | Self::Unlucky(_)) => None,
        }
    }

    /// What remains known of a part in front of an item at which its worker was lost: it was run without trouble.
    pub(crate) fn of_front(mark: Option<Self>) -> Option<Self> {
        match mark {
            Some(Self::OneByOne) => Some(Self::OneByOne),
            None | Some(Self::Condemned(_) | Self::Suspect(_) | Self::SuspectStretch | Self::Unlucky(_)) => None,
        }
    }

    /// Whether items are run one at a time, so that nothing new comes of asking for that.
    fn is_one_by_one(mark: Option<&Self>) -> bool {
        matches!(mark, Some(Self::OneByOne | Self::SuspectStretch | Self::Suspect(_) | Self::Unlucky(_)))
    }
}

/// What happens to a stretch that was lost with its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sentence {
    /// It is run again as it was.
    Again,
    /// What comes before the item that the cell named is run again; the item, and what comes behind it, is marked.
    At {
        /// Index into the pieces.
        piece: u32,
        /// Counted from the start of the piece.
        offset: u64,
        /// The mark.
        mark: Mark,
    },
    /// All of it is marked.
    All(Mark),
    /// It is cut in two halves that are looked at on their own; where it cannot be, its first item is condemned.
    Halve(Box<Charge>),
    /// The kernel is not run any more.
    Quarantine,
    /// The call that joins results was late: no item is to blame.
    JoinLate,
}

impl Sentence {
    /// Whether it brings the job on, so that it cannot be passed for ever.
    pub(crate) fn is_progress(&self, hint: Option<Progress>) -> bool {
        match self {
            Self::Again => false,
            // It does, but when every worker dies before its first item, it is not the items.
            Self::All(_) => hint.is_some(),
            Self::At { .. } | Self::Halve(_) | Self::Quarantine | Self::JoinLate => true,
        }
    }
}

/// What is known when a worker is lost at a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost<'a> {
    pub(crate) worker: WorkerId,
    pub(crate) batch: BatchId,
    pub(crate) death: &'a Death,
    /// `--retries`.
    pub(crate) retries: u32,
}

impl Lost<'_> {
    /// Where the worker says it was, if it says so of this batch.
    pub(crate) fn hint(&self) -> Option<Progress> {
        Progress::decode(self.death.cell, self.batch)
    }

    /// What happens to the batch, which had this mark, when its worker was at `hint`.
    pub(crate) fn sentence(&self, hint: Option<Progress>, mark: Option<&Mark>) -> Sentence {
        let next = self.death.verdict.judgement().1;
        if next == Next::Quarantine {
            return Sentence::Quarantine;
        }
        if matches!(mark, Some(Mark::Condemned(_))) {
            // Nothing was run.
            return Sentence::Again;
        }
        let exact = hint.filter(|hint| !hint.packed);
        // The mark is about the first item; another one that is named has no history.
        let is_first = exact.is_some_and(|hint| hint.piece == 0 && hint.offset == 0);
        let (crashes, kills) = match mark {
            Some(Mark::Suspect(kills)) if is_first => (1, *kills),
            Some(Mark::Unlucky(kills)) if is_first => (0, *kills),
            _ => (0, 0),
        };
        let attempts = crashes + kills + 1;
        let charge = |attempts| Box::new(Charge { verdict: self.death.verdict.clone(), attempts, worker: self.worker });
        let at = |hint: Progress, mark| Sentence::At { piece: hint.piece, offset: hint.offset, mark };
        match (next, hint, exact) {
            (Next::Again | Next::Quarantine, ..) => Sentence::Again,
            (Next::Final, _, Some(hint)) => at(hint, Mark::Condemned(charge(attempts))),
            (Next::Final, Some(_), None) if Mark::is_one_by_one(mark) => Sentence::JoinLate,
            (Next::Retry, _, Some(hint)) if kills >= self.retries => at(hint, Mark::Condemned(charge(attempts))),
            (Next::Retry, _, Some(hint)) if crashes > 0 => at(hint, Mark::Suspect(kills + 1)),
            (Next::Retry, _, Some(hint)) => at(hint, Mark::Unlucky(kills + 1)),
            (Next::Retry, Some(_), None) if Mark::is_one_by_one(mark) => Sentence::Again,
            // Some item of a packed call may have been too much, which is none's fault yet.
            (Next::Final | Next::Retry, Some(hint), None) => at(hint, Mark::OneByOne),
            // Between two batches: it was not at work.
            (Next::Final | Next::Retry, None, None) => Sentence::Again,
            (Next::Isolate, _, Some(hint)) if crashes > 0 => at(hint, Mark::Condemned(charge(attempts))),
            (Next::Isolate, _, Some(hint)) => at(hint, Mark::Suspect(kills)),
            (Next::Isolate, _, None) => match mark {
                // Nothing else was run, so it need not be named.
                Some(Mark::Suspect(kills)) => {
                    Sentence::At { piece: 0, offset: 0, mark: Mark::Condemned(charge(kills + 2)) }
                }
                Some(Mark::SuspectStretch) => Sentence::Halve(charge(2)),
                _ => Sentence::All(Mark::SuspectStretch),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: BatchId = BatchId(7);

    fn sentence(verdict: Verdict, hint: Option<(u64, bool)>, mark: Option<&Mark>) -> Sentence {
        let cell = hint.map_or(0, |(offset, packed)| Progress { batch: BATCH, piece: 0, offset, packed }.encode());
        let death = Death { verdict, text: String::new(), was_ready: true, cell };
        let lost = Lost { worker: WorkerId(1), batch: BATCH, death: &death, retries: 2 };
        lost.sentence(lost.hint(), mark)
    }

    fn crash() -> Verdict {
        Verdict::Crash("died".into())
    }

    fn killed() -> Verdict {
        Verdict::Killed("died".into())
    }

    fn mark(sentence: Sentence) -> Option<Mark> {
        match sentence {
            Sentence::At { mark, .. } | Sentence::All(mark) => Some(mark),
            _ => None,
        }
    }

    fn attempts(sentence: Sentence) -> Option<u32> {
        match mark(sentence) {
            Some(Mark::Condemned(charge)) => Some(charge.attempts),
            _ => None,
        }
    }

    #[test]
    fn a_late_item_is_condemned_at_once_and_a_late_pack_is_taken_apart() {
        let late = || Verdict::Deadline(std::time::Duration::from_secs(1));
        assert_eq!(attempts(sentence(late(), Some((5, false)), None)), Some(1));
        assert_eq!(mark(sentence(late(), Some((5, true)), None)), Some(Mark::OneByOne));
        assert_eq!(sentence(late(), Some((5, true)), Some(&Mark::OneByOne)), Sentence::JoinLate);
        assert_eq!(sentence(late(), None, None), Sentence::Again);
    }

    #[test]
    fn a_crash_is_looked_into_alone_before_anybody_is_condemned() {
        assert_eq!(mark(sentence(crash(), Some((5, false)), None)), Some(Mark::Suspect(0)));
        assert_eq!(attempts(sentence(crash(), Some((0, false)), Some(&Mark::Suspect(0)))), Some(2));
        // Another item than the suspect: it has to be looked into itself.
        assert_eq!(mark(sentence(crash(), Some((5, false)), Some(&Mark::Suspect(0)))), Some(Mark::Suspect(0)));
    }

    #[test]
    fn a_crash_that_names_nobody_is_halved() {
        assert_eq!(mark(sentence(crash(), None, None)), Some(Mark::SuspectStretch));
        assert_eq!(mark(sentence(crash(), Some((5, true)), None)), Some(Mark::SuspectStretch));
        assert!(matches!(sentence(crash(), None, Some(&Mark::SuspectStretch)), Sentence::Halve(_)));
    }

    #[test]
    fn what_is_condemned_stays_so_whatever_its_worker_dies_of() {
        let charge = Charge { verdict: crash(), attempts: 2, worker: WorkerId(0) };
        let condemned = Mark::Condemned(Box::new(charge));
        for hint in [None, Some((0, false)), Some((0, true)), Some((5, true))] {
            for verdict in [crash(), killed(), Verdict::Deadline(std::time::Duration::from_secs(1))] {
                assert_eq!(sentence(verdict, hint, Some(&condemned)), Sentence::Again);
            }
        }
    }

    #[test]
    fn an_item_that_crashes_and_is_killed_in_turns_comes_to_an_end() {
        assert_eq!(mark(sentence(killed(), Some((0, false)), Some(&Mark::Suspect(0)))), Some(Mark::Suspect(1)));
        assert_eq!(mark(sentence(crash(), Some((0, false)), Some(&Mark::Unlucky(2)))), Some(Mark::Suspect(2)));
        assert_eq!(attempts(sentence(killed(), Some((0, false)), Some(&Mark::Suspect(2)))), Some(4));
        assert_eq!(attempts(sentence(crash(), None, Some(&Mark::Suspect(1)))), Some(3));
    }

    #[test]
    fn being_killed_is_forgiven_as_often_as_allowed() {
        assert_eq!(mark(sentence(killed(), Some((0, false)), None)), Some(Mark::Unlucky(1)));
        assert_eq!(mark(sentence(killed(), Some((0, false)), Some(&Mark::Unlucky(1)))), Some(Mark::Unlucky(2)));
        assert_eq!(attempts(sentence(killed(), Some((0, false)), Some(&Mark::Unlucky(2)))), Some(3));
        assert_eq!(mark(sentence(killed(), Some((9, false)), Some(&Mark::Unlucky(2)))), Some(Mark::Unlucky(1)));
        assert_eq!(sentence(killed(), None, None), Sentence::Again);
        // Otherwise a packed call that is too much for the machine would be made for ever.
        assert_eq!(mark(sentence(killed(), Some((9, true)), None)), Some(Mark::OneByOne));
        assert_eq!(sentence(killed(), Some((9, true)), Some(&Mark::OneByOne)), Sentence::Again);
    }
}
