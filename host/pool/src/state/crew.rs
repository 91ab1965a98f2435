//! The workers of one role: what each has to do, which jobs may have something for them, and when more are needed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use taskhost_protocol::ids::{BatchId, WorkerId};

use super::turns::Turns;
use crate::death::Death;
use crate::verdict::Verdict;

/// Workers that may die one after the other before they are ready: then something is wrong with all of them.
const FAILED_STARTS: u32 = 3;

/// Workers that somebody may kill one after the other before they are ready: whoever does it may stop, or the machine
/// find memory again, so it is tried for some 15 seconds.
const KILLED_STARTS: u32 = 12;

/// Workers that may be lost one after the other without anything being learned or done: then it is not the items.
const STRIKES: u32 = 10;

/// Batches that may be taken back from a worker until it replies, far fewer than it tells apart (see
/// [`taskhost_os::progress::ORDERS`]) and its socket holds: then it is at something long, and nothing more waits for it.
const MOST_RECALLED: u32 = 4;

/// How long to wait before the third replacement in a row; doubled with each that follows …
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// … up to this.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Worker {
    /// Batches it was given and has not answered, oldest first. It runs them in this order.
    queue: VecDeque<BatchId>,
    /// It broke the protocol and is being ended: it gets nothing more, and nothing it says counts.
    condemned: bool,
    /// It has had its share and gets nothing more.
    retiring: bool,
    /// Items it ran.
    items: u64,
    /// Batches that were taken back since its last reply: it has not read those orders yet.
    recalled: u32,
}

impl Worker {
    /// Whether it can be given something, when it may have `depth` batches.
    fn is_free(&self, depth: usize) -> bool {
        let depth = if self.recalled < MOST_RECALLED { depth } else { 1 };
        !self.condemned && !self.retiring && self.queue.len() < depth
    }
}

/// The workers of one role.
#[derive(Debug)]
pub(crate) struct Crew {
    workers: BTreeMap<WorkerId, Worker>,
    /// Most workers it may have.
    limit: usize,
    /// Workers asked for and not lost, ready or not.
    expected: usize,
    /// The most it had of these at a time.
    most: usize,
    /// Workers lost before they were ready, since the last one that was.
    failed_starts: u32,
    /// Workers killed by somebody before they were ready, since the last one that was.
    killed_starts: u32,
    /// Workers lost since the last reply, of which nothing was learned.
    strikes: u32,
    /// How the last of them was lost.
    last_failure: String,
    /// Batches to be given out again before anything new.
    pub(crate) again: VecDeque<BatchId>,
    /// Jobs that may have something to run, in the order of their turns: all but those that had nothing since they were last touched.
    pub(crate) jobs: Turns,
}

impl Crew {
    /// A crew of at most `limit` workers, of which `started` are on their way.
    pub(crate) fn new(limit: usize, started: usize) -> Self {
        Self {
            workers: BTreeMap::new(),
            limit,
            expected: started,
            most: started,
            failed_starts: 0,
            killed_starts: 0,
            strikes: 0,
            last_failure: String::new(),
            again: VecDeque::new(),
            jobs: Turns::default(),
        }
    }

    /// A worker is on its way that was not asked for.
    pub(crate) fn expect(&mut self) {
        self.expected += 1;
    }

    /// A worker that was asked for is not on its way after all.
    pub(crate) fn do_without(&mut self) {
        self.expected = self.expected.saturating_sub(1);
        self.most = self.expected;
    }

    /// Whether one more would be more than it ever had, and there are some: none has to be replaced.
    pub(crate) fn is_content(&self) -> bool {
        !self.workers.is_empty() && self.expected >= self.most
    }

    /// Whether a worker is ready.
    pub(crate) fn has_workers(&self) -> bool {
        !self.workers.is_empty()
    }

    /// A worker can be given work.
    pub(crate) fn ready(&mut self, worker: WorkerId) {
        self.failed_starts = 0;
        self.killed_starts = 0;
        self.workers.insert(worker, Worker::default());
    }

    /// A worker is gone. Returns what it had to do, oldest first; `None` when it was never ready.
    pub(crate) fn lost(&mut self, worker: WorkerId, death: &Death) -> Option<VecDeque<BatchId>> {
        self.expected = self.expected.saturating_sub(1);
        let lost = self.workers.remove(&worker);
        if lost.is_none() {
            match death.verdict {
                Verdict::Killed(_) | Verdict::OutOfMemory => self.killed_starts += 1,
                _ => self.failed_starts += 1,
            }
            death.text.clone_into(&mut self.last_failure);
        }
        lost.map(|worker| worker.queue)
    }

    /// Nothing was learned from the loss of a worker.
    pub(crate) fn strike(&mut self, text: &str) {
        self.strikes += 1;
        text.clone_into(&mut self.last_failure);
    }

    /// Whether it is a worker of this crew.
    pub(crate) fn has(&self, worker: WorkerId) -> bool {
        self.workers.contains_key(&worker)
    }

    /// Whether nobody has anything to do.
    pub(crate) fn is_quiet(&self) -> bool {
        self.workers.values().all(|worker| worker.queue.is_empty())
    }

    /// The worker gets nothing more.
    pub(crate) fn retire(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.retiring = true;
        }
    }

    /// Whether the worker has had its share and has answered everything.
    pub(crate) fn is_retired(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|worker| worker.retiring && worker.queue.is_empty())
    }

    /// Items that the worker has run.
    pub(crate) fn items(&self, worker: WorkerId) -> u64 {
        self.workers.get(&worker).map_or(0, |worker| worker.items)
    }

    /// How long to wait before another worker is started.
    pub(crate) fn delay(&self) -> Duration {
        match self.failed_starts.max(self.killed_starts).max(self.strikes).checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => LONGEST_DELAY.min(FIRST_DELAY * 2_u32.saturating_pow(doublings)),
        }
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

    /// What each worker is at.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (WorkerId, BatchId)> + '_ {
        self.workers.iter().filter_map(|(id, worker)| Some((*id, *worker.queue.front()?)))
    }

    /// The worker has replied to the batch at its head, having run so many items.
    pub(crate) fn replied(&mut self, worker: WorkerId, items: u64) {
        self.strikes = 0;
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.queue.pop_front();
            worker.recalled = 0;
            worker.items = worker.items.saturating_add(items);
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
        let candidates = self.workers.iter().filter(|(_, worker)| worker.is_free(depth));
        candidates.min_by_key(|(_, worker)| worker.queue.len()).map(|(id, _)| *id)
    }

    /// Batches that wait behind others while workers have nothing to do, as many as there are such workers. The latest of
    /// each queue, since only that is not about to be begun.
    pub(crate) fn waiting(&self) -> Vec<(WorkerId, BatchId)> {
        let idle = self.workers.values().filter(|worker| worker.is_free(1)).count();
        if idle == 0 {
            return Vec::new();
        }
        self.queued().take(idle).collect()
    }

    /// The latest of the batches that wait behind others at each worker.
    pub(crate) fn queued(&self) -> impl Iterator<Item = (WorkerId, BatchId)> + '_ {
        let queued = self.workers.iter().filter(|(_, worker)| worker.queue.len() > 1 && !worker.condemned);
        queued.filter_map(|(id, worker)| Some((*id, *worker.queue.back()?)))
    }

    /// A batch was taken back from a worker. False when it is not in its queue.
    pub(crate) fn recalled(&mut self, worker: WorkerId, batch: BatchId) -> bool {
        let Some(worker) = self.workers.get_mut(&worker) else { return false };
        let Some(place) = worker.queue.iter().position(|queued| *queued == batch) else { return false };
        worker.queue.remove(place);
        worker.recalled += 1;
        true
    }

    /// It may have so many workers from now on; those it has beyond that stay.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Workers that have something to do.
    pub(crate) fn busy(&self) -> usize {
        self.workers.values().filter(|worker| !worker.queue.is_empty()).count()
    }

    /// Workers that could be given something and have nothing.
    pub(crate) fn idle(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.workers.iter().filter(|(_, worker)| worker.is_free(1)).map(|(id, _)| *id)
    }

    /// Whether more workers are allowed.
    pub(crate) fn can_grow(&self) -> bool {
        self.expected < self.limit
    }

    /// Why there is no use in going on, if that is so.
    pub(crate) fn hopeless(&self) -> Option<String> {
        let why = &self.last_failure;
        if self.strikes >= STRIKES {
            return Some(format!(
                "the pool is not healthy: {STRIKES} workers died one after the other; the last one {why}"
            ));
        }
        (self.expected == 0 && self.cannot_start()).then(|| format!("workers cannot be started: the last one {why}"))
    }

    /// Jobs that come later may try again.
    pub(crate) fn forgive(&mut self) {
        self.failed_starts = 0;
        self.killed_starts = 0;
        self.strikes = 0;
    }

    /// Whether there is no use in starting another.
    fn cannot_start(&self) -> bool {
        self.failed_starts >= FAILED_STARTS || self.killed_starts >= KILLED_STARTS
    }

    /// How many more workers to ask for, when `wanted` could begin at once. Those on their way count.
    pub(crate) fn grow(&mut self, wanted: usize) -> usize {
        if self.cannot_start() {
            return 0;
        }
        let starting = self.expected - self.workers.len().min(self.expected);
        let more = wanted.saturating_sub(starting).min(self.limit.saturating_sub(self.expected));
        self.expected += more;
        self.most = self.most.max(self.expected);
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(verdict: Verdict) -> Death {
        Death { verdict, text: "broke".into(), was_ready: false, cell: 0 }
    }

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
    fn what_waits_beside_an_idle_worker_is_taken_back() {
        let mut crew = Crew::new(3, 3);
        (0..3).for_each(|worker| crew.ready(WorkerId(worker)));
        (0..4).for_each(|batch| crew.assign(WorkerId(0), BatchId(batch)));
        crew.assign(WorkerId(1), BatchId(4));
        assert_eq!(crew.waiting(), [(WorkerId(0), BatchId(3))], "one for the idle worker");
        assert!(crew.recalled(WorkerId(0), BatchId(3)));
        assert!(!crew.recalled(WorkerId(0), BatchId(3)), "only once");
        crew.assign(WorkerId(2), BatchId(3));
        assert_eq!(crew.waiting(), [], "nobody is idle");
    }

    #[test]
    fn nothing_more_waits_for_a_worker_from_which_much_was_taken_back() {
        let mut crew = Crew::new(1, 1);
        crew.ready(WorkerId(0));
        crew.assign(WorkerId(0), BatchId(0));
        for batch in 1..=u64::from(MOST_RECALLED) {
            assert_eq!(crew.freest(2), Some(WorkerId(0)));
            crew.assign(WorkerId(0), BatchId(batch));
            assert!(crew.recalled(WorkerId(0), BatchId(batch)));
        }
        assert_eq!(crew.freest(2), None);
        crew.replied(WorkerId(0), 1);
        assert_eq!(crew.freest(2), Some(WorkerId(0)), "it has read them now");
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
            assert!(crew.lost(WorkerId(worker), &death(Verdict::StartUp("broke".into()))).is_none());
        }
        assert_eq!(crew.grow(1), 0);
        assert_eq!(crew.hopeless().as_deref(), Some("workers cannot be started: the last one broke"));
        crew.forgive();
        assert_eq!(crew.grow(1), 1);
    }
}
