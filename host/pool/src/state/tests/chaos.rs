//! Anything that may happen, in any order, with workers that die in between.

use std::collections::BTreeSet;

use proptest::sample::Index;
use taskhost_protocol::ids::{JobId, SourceId, WorkerId};
use taskhost_protocol::progress::Progress;

use super::worker::{Effort, Tells};
use super::world::{Kind, Move, Phase, STEPS, World};
use crate::state::mark::Mark;
use crate::verdict::Verdict;

/// Deaths of which nothing is learned that a run has at most: ten in a row are a reason to give up.
const UNEXPLAINED: usize = 8;

/// One step of a run: which of the possible moves, and how it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) which: Index,
    pub(super) effort: Effort,
    pub(super) bytes: usize,
    /// Whether a worker dies first.
    pub(super) death: Option<(Index, Blow)>,
}

/// What a worker dies of that is no item's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// Killed, and nobody knows what it was at.
    Kill,
    KillBetweenItems,
    CrashBetweenItems,
    /// Killed while it ran an item that is well.
    KillAtItem,
    /// Crashed while it ran an item that is well.
    CrashAtItem,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Chaos {
    /// Workers that died before they were ready.
    starts: usize,
    unexplained: usize,
    /// Items that are well and were run when a worker died.
    hit: BTreeSet<(JobId, SourceId, u64)>,
}

/// Has the steps happen, and then whatever is left, until the world comes to rest.
pub(super) fn run(world: &mut World, steps: &[Step]) {
    let mut chaos = Chaos::default();
    let mut steps = steps.iter();
    for happened in 0.. {
        let moves = world.moves();
        if moves.is_empty() {
            break;
        }
        assert!(happened < STEPS, "it does not come to an end");
        let Some(step) = steps.next() else {
            // From the back, so that what came first waits longest.
            world.make(moves[moves.len() - 1], Effort::FULL, 100);
            continue;
        };
        if let Some((index, blow)) = step.death
            && chaos.strike(world, index, blow)
        {
            continue;
        }
        let next = *step.which.get(&moves);
        world.make(next, chaos.limited(world, next, step.effort), step.bytes);
    }
    world.assert_clean();
    assert!(world.kills.is_empty(), "honest workers are never ended: {:?}", world.kills);
}

impl Chaos {
    /// The effort, but that a worker that dies says where it was, when too many did not.
    fn limited(&mut self, world: &World, next: Move, effort: Effort) -> Effort {
        let Move::Reply(worker) = next else { return effort };
        if effort.tells == Tells::Truth || !world.is_doomed(worker, effort) {
            return effort;
        }
        // An item that crashes only once cannot be told from one that does again when nobody names either.
        let has_unsteady = world.jobs.values().any(|job| match job.kind() {
            Kind::Items(spec) => spec.inputs.iter().any(|input| input.bytes().contains(&b'F')),
            Kind::Picture(spec) => spec.bad.iter().any(|(.., letter)| *letter == b'F'),
        });
        if has_unsteady || self.unexplained >= UNEXPLAINED {
            return Effort { tells: Tells::Truth, ..effort };
        }
        self.unexplained += 1;
        effort
    }

    /// A worker dies, if one may that way.
    fn strike(&mut self, world: &mut World, index: Index, blow: Blow) -> bool {
        let may_die = |id: &WorkerId| match world.workers[id].phase {
            // More would be a reason to give up.
            Phase::Starting => self.starts < 2,
            // What cannot be divided may be lost so often and no more.
            Phase::Ready => world.workers[id].queue.front().is_none_or(|(order, _)| order.generation.0 == 0),
            Phase::Killed => false,
        };
        let mortals: Vec<WorkerId> = world.workers.keys().copied().filter(may_die).collect();
        if mortals.is_empty() {
            return false;
        }
        let id = *index.get(&mortals);
        if world.workers[&id].phase == Phase::Starting {
            self.starts += 1;
            world.exit(id, "broke at once");
            return true;
        }
        let item = world.first_item(id).filter(|_| matches!(world.mark(id), None | Some(Mark::OneByOne)));
        let between = item.map_or(0, |(.., at)| Progress { offset: 0, piece: 0, packed: true, ..at }.encode());
        let killed = Verdict::Killed("was in the way".into());
        let crashed = Verdict::Crash("broke".into());
        let (verdict, cell) = match (blow, item) {
            (Blow::KillAtItem | Blow::CrashAtItem, Some((key, true, at))) => {
                let job = world.workers[&id].queue[0].0.job;
                if !self.hit.insert((job, key.0, key.1)) {
                    return false;
                }
                (if blow == Blow::KillAtItem { killed } else { crashed }, at.encode())
            }
            _ if self.unexplained >= UNEXPLAINED => return false,
            (blow, item) => {
                self.unexplained += 1;
                match blow {
                    Blow::KillBetweenItems => (killed, between),
                    Blow::CrashBetweenItems if item.is_some() => (crashed, between),
                    _ => (killed, 0),
                }
            }
        };
        world.die(id, verdict, "was in the way", cell);
        true
    }
}
