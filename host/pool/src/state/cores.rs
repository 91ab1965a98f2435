//! The cores that the pool may use: all of them, unless they belong to several pools, of which each has as many as it is lent.
//! A worker that has something to do has a core; the machine counts them, and does not know which they are.

use taskhost_protocol::ids::{BatchId, WorkerId};

use super::State;
use crate::death::Reason;
use crate::event::{Action, Post};

/// What the pool was lent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cores {
    /// How many it may use; without a number, as many as it has workers.
    lent: Option<usize>,
    /// Others wait for cores.
    is_contested: bool,
    /// What a batch took that is about to be replied to, as it was measured.
    measured: Option<(WorkerId, u64)>,
}

impl Cores {
    pub(super) fn is_contested(&self) -> bool {
        self.is_contested
    }

    /// What the batch took that this worker replies to, in nanoseconds of CPU time.
    pub(super) fn measured(&mut self, of: WorkerId) -> Option<u64> {
        self.measured.take().filter(|(worker, _)| *worker == of).map(|(_, nanos)| nanos)
    }
}

/// What the pool would do with cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Workers that have something to do.
    pub busy: usize,
    /// How many could be busy.
    pub wanted: usize,
    /// Workers that are ready and have nothing to do.
    pub idle: usize,
    /// What the jobs weigh together that have something to run, or are being run.
    pub weight: u64,
}

impl State {
    /// From now on so many workers may have something to do. With `is_contested`, others wait for cores.
    #[must_use]
    pub fn lend(&mut self, cores: usize, is_contested: bool) -> Vec<Action> {
        self.cores.lent = Some(cores);
        self.cores.is_contested = is_contested;
        self.execute.set_limit(cores.min(self.target));
        for post in [Post::Execute, Post::Isolation] {
            self.schedule(post);
        }
        self.settle();
        std::mem::take(&mut self.actions)
    }

    /// So many may have something to do once this worker has replied, whose batch took so much CPU time.
    pub fn measured(&mut self, worker: WorkerId, nanos: u64) {
        self.cores.measured = Some((worker, nanos));
    }

    /// Gives cores back as soon as workers have replied: no more than so many may begin anything.
    pub fn yield_cores(&mut self, cores: usize, is_contested: bool) {
        self.cores.lent = Some(cores);
        self.cores.is_contested = is_contested;
    }

    /// What it would do with cores.
    #[must_use]
    pub fn wish(&self) -> Wish {
        let busy = self.busy();
        let mut wanted = busy + self.execute.again.len() + self.isolation.again.len();
        for (post, crew) in [(Post::Isolation, &self.isolation), (Post::Execute, &self.execute)] {
            for job in crew.jobs.iter() {
                if wanted >= self.target {
                    break;
                }
                let Some(running) = self.jobs.get(job) else { continue };
                wanted += running.get().width(post, self.target).min(crew.jobs.room(*job));
            }
        }
        let weight = self.execute.jobs.weight().max(self.isolation.jobs.weight());
        Wish { busy, wanted: wanted.min(self.target.max(busy)), idle: self.execute.idle().count(), weight }
    }

    /// Ends so many workers that have nothing to do.
    #[must_use]
    pub fn dismiss(&mut self, count: usize) -> Vec<Action> {
        let dismissed: Vec<WorkerId> = self.execute.idle().take(count).collect();
        for worker in &dismissed {
            self.execute.condemn(*worker);
        }
        let reason = Reason::Retired("was not needed for longer than the others");
        dismissed.into_iter().map(|worker| Action::Kill { worker, reason: reason.clone() }).collect()
    }

    /// Whether it matters how much CPU time a batch took: a single item alone is not worth the question.
    #[must_use]
    pub fn is_to_measure(&self) -> bool {
        self.execute.jobs.has_many()
    }

    fn busy(&self) -> usize {
        self.execute.busy() + self.isolation.busy()
    }

    /// Batches to be taken back from the queues of workers: for workers that have nothing to do, and for whoever else waits.
    pub(super) fn to_recall(&self, post: Post) -> Vec<(WorkerId, BatchId)> {
        let crew = self.crew_of(post);
        let keeps_waiting = |batch: &BatchId| {
            self.cores.is_contested || self.batches.get(batch).is_some_and(|batch| crew.jobs.keeps_waiting(batch.job))
        };
        let mut recalled: Vec<_> = crew.queued().filter(|(_, batch)| keeps_waiting(batch)).collect();
        let spare = self.cores.lent.map_or(usize::MAX, |lent| lent.saturating_sub(self.busy()));
        if recalled.is_empty() {
            recalled.extend(crew.waiting().into_iter().take(spare));
        }
        recalled
    }

    /// Whether this worker may be given something.
    pub(super) fn has_core(&self, post: Post, worker: WorkerId) -> bool {
        let Some(lent) = self.cores.lent.filter(|_| post != Post::Convert) else { return true };
        let is_busy = self.crew_of(post).head(worker).is_some();
        self.busy() < lent + usize::from(is_busy)
    }
}
