//! The workers of one role: what each has to do, which jobs may have something for them, and when more are needed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use taskhost_protocol::ids::{BatchId, JobId, WorkerId};

/// Workers that may die one after the other before they are ready: then something is wrong with all of them.
const FAILED_STARTS: u32 = 3;

#[derive(Debug, Default)]
struct Worker {
    /// Batches it was given and has not answered, oldest first. It runs them in this order.
    queue: VecDeque<BatchId>,
    /// It broke the protocol and is being ended: it gets nothing more, and nothing it says counts.
    condemned: bool,
}

/// The workers of one role.
#[derive(Debug)]
pub(crate) struct Crew {
    workers: BTreeMap<WorkerId, Worker>,
    /// Most workers it may have.
    limit: usize,
    /// Workers asked for and not lost, ready or not.
    expected: usize,
    /// Workers lost before they were ready, since the last one that was.
    failed_starts: u32,
    /// How the last of them was lost.
    last_failure: String,
    /// Batches to be given out again before anything new.
    pub(crate) again: VecDeque<BatchId>,
    /// Jobs that may have something to run, oldest first: all but those that had nothing since they were last touched.
    pub(crate) jobs: BTreeSet<JobId>,
}

impl Crew {
    /// A crew of at most `limit` workers, of which `started` are on their way.
    pub(crate) fn new(limit: usize, started: usize) -> Self {
        Self {
            workers: BTreeMap::new(),
            limit,
            expected: started,
            failed_starts: 0,
            last_failure: String::new(),
            again: VecDeque::new(),
            jobs: BTreeSet::new(),
        }
    }

    /// A worker is on its way that was not asked for.
    pub(crate) fn expect(&mut self) {
        self.expected += 1;
    }

    /// A worker can be given work.
    pub(crate) fn ready(&mut self, worker: WorkerId) {
        self.failed_starts = 0;
        self.workers.insert(worker, Worker::default());
    }

    /// A worker is gone. Returns what it had to do, oldest first; `None` when it was never ready.
    pub(crate) fn lost(&mut self, worker: WorkerId, describe: impl FnOnce() -> String) -> Option<VecDeque<BatchId>> {
        self.expected = self.expected.saturating_sub(1);
        let lost = self.workers.remove(&worker);
        if lost.is_none() {
            self.failed_starts += 1;
            self.last_failure = describe();
        }
        lost.map(|worker| worker.queue)
    }

    /// Nothing the worker says counts any more.
    pub(crate) fn condemn(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.condemned = true;
        }
    }

    /// Whether the worker is being ended.
    pub(crate) fn is_condemned(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|worker| worker.condemned)
    }

    /// The batch that a worker must be replying to.
    pub(crate) fn head(&self, worker: WorkerId) -> Option<BatchId> {
        self.workers.get(&worker)?.queue.front().copied()
    }

    /// The worker has replied to the batch at its head.
    pub(crate) fn replied(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.queue.pop_front();
        }
    }

    /// The worker is given a batch.
    pub(crate) fn assign(&mut self, worker: WorkerId, batch: BatchId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.queue.push_back(batch);
        }
    }

    /// The worker with the least to do, when that is fewer than `depth` batches.
    pub(crate) fn freest(&self, depth: usize) -> Option<WorkerId> {
        let candidates = self.workers.iter().filter(|(_, worker)| !worker.condemned && worker.queue.len() < depth);
        candidates.min_by_key(|(_, worker)| worker.queue.len()).map(|(id, _)| *id)
    }

    /// Whether more workers are allowed.
    pub(crate) fn can_grow(&self) -> bool {
        self.expected < self.limit
    }

    /// Why there is no worker and no use in starting another, if that is so.
    pub(crate) fn hopeless(&self) -> Option<&str> {
        (self.expected == 0 && self.failed_starts >= FAILED_STARTS).then_some(&self.last_failure)
    }

    /// Jobs that come later may try again.
    pub(crate) fn forgive(&mut self) {
        self.failed_starts = 0;
    }

    /// How many more workers to ask for, when `wanted` could begin at once. Those on their way count.
    pub(crate) fn grow(&mut self, wanted: usize) -> usize {
        if self.failed_starts >= FAILED_STARTS {
            return 0;
        }
        let starting = self.expected - self.workers.len().min(self.expected);
        let more = wanted.saturating_sub(starting).min(self.limit.saturating_sub(self.expected));
        self.expected += more;
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_with_the_least_to_do_is_next() {
        let mut crew = Crew::new(2, 2);
        crew.ready(WorkerId(0));
        crew.ready(WorkerId(1));
        crew.assign(WorkerId(0), BatchId(0));
        assert_eq!(crew.freest(2), Some(WorkerId(1)));
        crew.assign(WorkerId(1), BatchId(1));
        assert_eq!((crew.freest(1), crew.freest(2)), (None, Some(WorkerId(0))));
        crew.condemn(WorkerId(0));
        assert_eq!(crew.freest(2), Some(WorkerId(1)), "nothing more for one that is being ended");
    }

    #[test]
    fn workers_on_their_way_count() {
        let mut crew = Crew::new(4, 1);
        assert_eq!(crew.grow(1), 0, "one is on its way");
        assert_eq!(crew.grow(2), 1);
        crew.ready(WorkerId(0));
        crew.ready(WorkerId(1));
        assert_eq!(crew.grow(9), 2, "no more than the limit");
        assert!(!crew.can_grow());
    }

    #[test]
    fn starts_that_fail_one_after_the_other_are_given_up() {
        let mut crew = Crew::new(4, 0);
        for worker in 0..FAILED_STARTS {
            assert_eq!(crew.grow(1), 1);
            assert!(crew.hopeless().is_none());
            assert!(crew.lost(WorkerId(worker), || "broke".into()).is_none());
        }
        assert_eq!((crew.grow(1), crew.hopeless()), (0, Some("broke")));
        crew.forgive();
        assert_eq!(crew.grow(1), 1);
    }
}
