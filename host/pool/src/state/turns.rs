//! Whose turn it is: which of the jobs that have something to run is next.
//!
//! A job without a share goes before all that came later, as the files of one run do. Jobs with shares get the workers'
//! time in proportion to their weights: each has a clock that runs with the time it was given, the slower the more it
//! weighs, and the one whose clock is furthest behind is next (start-time fair queueing: Goyal, Vin and Cheng, 1996). A
//! job that comes later, or had nothing to run for a while, begins where the others are: nobody saves time up.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;

use taskhost_protocol::ids::JobId;

/// What a batch is taken to cost before one of the job was run, in nanoseconds: what batches aim at.
const FIRST: u64 = super::sizing::TARGET.as_nanos() as u64;

/// The clock of a job with a share.
#[derive(Clone, Copy, Debug)]
struct Clock {
    weight: NonZeroU32,
    /// Nanoseconds it was given, by its weight.
    time: u64,
    /// What its last batch cost in nanoseconds, and the next is charged with until it is known.
    cost: u64,
}

impl Clock {
    fn weigh(&self, nanos: u64) -> u64 {
        nanos / u64::from(self.weight.get())
    }
}

/// The jobs that may have something to run.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// By clock; those without a share stand at 0.
    waiting: BTreeSet<(u64, JobId)>,
    clocks: HashMap<JobId, Clock>,
    /// Where the clock stands of whoever was last given something.
    now: u64,
}

impl Turns {
    /// The job has a share from now on.
    pub(crate) fn share(&mut self, job: JobId, weight: NonZeroU32) {
        let was_waiting = self.waiting.remove(&(0, job));
        self.clocks.insert(job, Clock { weight, time: self.now.max(1), cost: FIRST });
        if was_waiting {
            self.insert(job);
        }
    }

    fn key(&self, job: JobId) -> (u64, JobId) {
        (self.clocks.get(&job).map_or(0, |clock| clock.time), job)
    }

    /// The job may have something to run.
    pub(crate) fn insert(&mut self, job: JobId) {
        if self.waiting.contains(&self.key(job)) {
            return;
        }
        if let Some(clock) = self.clocks.get_mut(&job) {
            clock.time = clock.time.max(self.now);
        }
        self.waiting.insert(self.key(job));
    }

    /// It has nothing for now.
    pub(crate) fn remove(&mut self, job: JobId) {
        self.waiting.remove(&self.key(job));
    }

    /// It is over.
    pub(crate) fn forget(&mut self, job: JobId) {
        self.remove(job);
        self.clocks.remove(&job);
    }

    /// Whose turn it is.
    pub(crate) fn first(&self) -> Option<JobId> {
        self.waiting.first().map(|(_, job)| *job)
    }

    /// All that wait, in the order of their turns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &JobId> {
        self.waiting.iter().map(|(_, job)| job)
    }

    /// The job was given a batch. Returns the nanoseconds that it is charged with until it is known what that took.
    pub(crate) fn gave(&mut self, job: JobId) -> u64 {
        let Some(clock) = self.clocks.get(&job).copied() else { return 0 };
        self.now = self.now.max(clock.time);
        self.move_clock(job, clock.time.saturating_add(clock.weigh(clock.cost)));
        clock.cost
    }

    /// A batch of the job, which was charged with so much, took so long.
    pub(crate) fn took(&mut self, job: JobId, charged: u64, nanos: u64) {
        let Some(clock) = self.clocks.get_mut(&job) else { return };
        clock.cost = nanos;
        let time = clock.time.saturating_add(clock.weigh(nanos)).saturating_sub(clock.weigh(charged)).max(1);
        self.move_clock(job, time);
    }

    /// A batch of the job, which was charged with so much, was taken back: it is charged again with whoever gets it.
    pub(crate) fn gave_back(&mut self, job: JobId, charged: u64) {
        let Some(clock) = self.clocks.get(&job) else { return };
        self.move_clock(job, clock.time.saturating_sub(clock.weigh(charged)).max(1));
    }

    fn move_clock(&mut self, job: JobId, time: u64) {
        let was_waiting = self.waiting.remove(&self.key(job));
        if let Some(clock) = self.clocks.get_mut(&job) {
            clock.time = time;
        }
        if was_waiting {
            self.waiting.insert((time, job));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: JobId = JobId(1);
    const B: JobId = JobId(2);

    fn weight(weight: u32) -> NonZeroU32 {
        NonZeroU32::new(weight).expect("not 0")
    }

    /// Gives out batches until so much time was given; how much each got.
    fn run(turns: &mut Turns, costs: [u64; 2], until: u64) -> [u64; 2] {
        let mut got = [0, 0];
        while got[0] + got[1] < until {
            let job = turns.first().expect("both wait");
            let index = usize::from(job == B);
            let charged = turns.gave(job);
            turns.took(job, charged, costs[index]);
            got[index] += costs[index];
        }
        got
    }

    #[test]
    fn time_is_given_by_weight() {
        let mut turns = Turns::default();
        for (job, share) in [(A, 3), (B, 1)] {
            turns.share(job, weight(share));
            turns.insert(job);
        }
        let got = run(&mut turns, [7_000_000, 10_000_000], 10_000_000_000);
        let ratio = got[0] as f64 / got[1] as f64;
        assert!((2.9..3.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn several_batches_may_be_out_and_cost_what_nobody_foresaw() {
        let mut turns = Turns::default();
        for (job, share) in [(A, 3), (B, 1)] {
            turns.share(job, weight(share));
            turns.insert(job);
        }
        let (mut got, mut out) = ([0_u64, 0], std::collections::VecDeque::new());
        for step in 0..40_000_u64 {
            let job = turns.first().expect("both wait");
            out.push_back((job, turns.gave(job)));
            if out.len() == 4 {
                let (job, charged) = out.pop_front().expect("four are out");
                // Most take long, and some next to nothing.
                let took = if step * 7 % 10 < 3 { 50_000 } else { 10_000_000 };
                turns.took(job, charged, took);
                got[usize::from(job == B)] += took;
            }
        }
        let ratio = got[0] as f64 / got[1] as f64;
        assert!((2.95..3.05).contains(&ratio), "{ratio}");
    }

    #[test]
    fn who_comes_later_is_next_and_no_more() {
        let mut turns = Turns::default();
        turns.share(A, weight(1));
        turns.insert(A);
        run(&mut turns, [10_000_000, 0], 1_000_000_000);
        turns.share(B, weight(1));
        turns.insert(B);
        let got = run(&mut turns, [10_000_000, 10_000_000], 1_000_000_000);
        assert!(got[0].abs_diff(got[1]) <= 20_000_000, "{got:?}");
    }

    #[test]
    fn without_shares_the_oldest_is_next() {
        let mut turns = Turns::default();
        turns.insert(B);
        turns.insert(A);
        for _ in 0..3 {
            assert_eq!(turns.first(), Some(A));
            let charged = turns.gave(A);
            turns.took(A, charged, 1_000_000);
        }
        turns.remove(A);
        assert_eq!(turns.first(), Some(B));
    }
}
