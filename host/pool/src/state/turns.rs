//! Whose turn it is: which of the jobs that have something to run is next.
//!
//! A job without a share goes before all that came later, as the files of one run do. Jobs with shares get the workers'
//! time in proportion to their weights: each has a clock that runs with the time it was given, the slower the more it
//! weighs, and the one whose clock is furthest behind is next (start-time fair queueing: Goyal, Vin and Cheng, 1996). A
//! job that comes later, or had nothing to run for a while, begins where the others are: nobody saves time up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;

use taskhost_protocol::ids::JobId;

use crate::plan::Share;

/// What a batch is taken to cost before one of the job was run, in nanoseconds: what batches aim at.
const FIRST: u64 = super::sizing::TARGET.as_nanos() as u64;

/// Those that share a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Group {
    /// All single items, however many were asked for: together they are one job.
    Singles,
    /// A job of its own.
    Job(JobId),
}

/// The clock of a group with a share.
#[derive(Clone, Copy, Debug)]
struct Clock {
    weight: NonZeroU32,
    /// Nanoseconds it was given, by its weight.
    time: u64,
    /// What its last batch cost in nanoseconds, and the next is charged with until it is known.
    cost: u64,
    /// Jobs of the group that are not over.
    jobs: usize,
    /// Batches of it that are out.
    out: usize,
}

impl Clock {
    fn weigh(&self, nanos: u64) -> u64 {
        nanos / u64::from(self.weight.get())
    }
}

/// What is known of a job with a share.
#[derive(Clone, Copy, Debug)]
struct Member {
    group: Group,
    /// Batches that may be out at a time.
    most: usize,
    /// Batches that are.
    out: usize,
    /// It may have more to run than may be out.
    is_held: bool,
}

/// The jobs that may have something to run.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Groups of which some wait, by clock; those without a share stand at 0.
    order: BTreeSet<(u64, Group)>,
    /// Those that wait, by their groups.
    waiting: BTreeMap<Group, BTreeSet<JobId>>,
    clocks: HashMap<Group, Clock>,
    members: HashMap<JobId, Member>,
    /// Where the clock stands of whoever was last given something.
    now: u64,
}

impl Turns {
    /// The job has a share from now on.
    pub(crate) fn share(&mut self, job: JobId, share: Share) {
        let was_waiting = self.contains(job);
        self.remove(job);
        let group = if share.is_single { Group::Singles } else { Group::Job(job) };
        let new = Clock { weight: share.weight, time: self.now.max(1), cost: FIRST, jobs: 0, out: 0 };
        self.clocks.entry(group).or_insert(new).jobs += 1;
        let most = share.most.map_or(usize::MAX, std::num::NonZeroUsize::get);
        self.members.insert(job, Member { group, most, out: 0, is_held: false });
        if was_waiting {
            self.insert(job);
        }
    }

    fn group(&self, job: JobId) -> Group {
        self.members.get(&job).map_or(Group::Job(job), |member| member.group)
    }

    fn time(&self, group: Group) -> u64 {
        self.clocks.get(&group).map_or(0, |clock| clock.time)
    }

    fn contains(&self, job: JobId) -> bool {
        self.waiting.get(&self.group(job)).is_some_and(|jobs| jobs.contains(&job))
    }

    /// The job may have something to run.
    pub(crate) fn insert(&mut self, job: JobId) {
        if let Some(member) = self.members.get_mut(&job)
            && member.out >= member.most
        {
            member.is_held = true;
            return;
        }
        let group = self.group(job);
        let jobs = self.waiting.entry(group).or_default();
        let is_first = jobs.is_empty();
        jobs.insert(job);
        if !is_first {
            return;
        }
        if let Some(clock) = self.clocks.get_mut(&group) {
            clock.time = clock.time.max(self.now);
        }
        self.order.insert((self.time(group), group));
    }

    /// It has nothing for now.
    pub(crate) fn remove(&mut self, job: JobId) {
        if let Some(member) = self.members.get_mut(&job) {
            member.is_held = false;
        }
        self.take_out(job);
    }

    fn take_out(&mut self, job: JobId) {
        let group = self.group(job);
        let Some(jobs) = self.waiting.get_mut(&group) else { return };
        jobs.remove(&job);
        if jobs.is_empty() {
            self.waiting.remove(&group);
            self.order.remove(&(self.time(group), group));
        }
    }

    /// It is over.
    pub(crate) fn forget(&mut self, job: JobId) {
        self.remove(job);
        let Some(Member { group, out, .. }) = self.members.remove(&job) else { return };
        let Some(clock) = self.clocks.get_mut(&group) else { return };
        clock.jobs -= 1;
        clock.out -= out;
        // Those of single items go on where they were: they come and go.
        if clock.jobs == 0 && group != Group::Singles {
            self.clocks.remove(&group);
        }
    }

    /// Whose turn it is.
    pub(crate) fn first(&self) -> Option<JobId> {
        let (_, group) = self.order.first()?;
        self.waiting.get(group)?.first().copied()
    }

    /// All that wait, in the order of their turns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &JobId> {
        self.order.iter().filter_map(|(_, group)| self.waiting.get(group)).flatten()
    }

    /// Whether there are jobs with shares that have many items.
    pub(crate) fn has_many(&self) -> bool {
        self.clocks.len() > usize::from(self.clocks.contains_key(&Group::Singles))
    }

    /// Whether several with shares wait for their turn.
    pub(crate) fn is_contested(&self) -> bool {
        self.order.iter().filter(|(time, _)| *time > 0).nth(1).is_some()
    }

    /// Whether somebody with a share waits with whom the job has nothing in common but that it has one, too.
    pub(crate) fn keeps_waiting(&self, job: JobId) -> bool {
        let group = self.group(job);
        let is_other = |(time, waiting): &(u64, Group)| *time > 0 && *waiting != group;
        self.clocks.contains_key(&group) && self.order.iter().take(2).any(is_other)
    }

    /// Batches that the job may be given now.
    pub(crate) fn room(&self, job: JobId) -> usize {
        self.members.get(&job).map_or(usize::MAX, |member| member.most.saturating_sub(member.out))
    }

    /// What those weigh together that wait or are at work.
    pub(crate) fn weight(&self) -> u64 {
        let is_active = |group: &Group, clock: &Clock| clock.out > 0 || self.waiting.contains_key(group);
        let active = self.clocks.iter().filter(|(group, clock)| is_active(group, clock));
        active.map(|(_, clock)| u64::from(clock.weight.get())).sum()
    }

    /// A batch of the job is out.
    pub(crate) fn began(&mut self, job: JobId) {
        let Some(member) = self.members.get_mut(&job) else { return };
        member.out += 1;
        let is_full = member.out >= member.most;
        if let Some(clock) = self.clocks.get_mut(&member.group) {
            clock.out += 1;
        }
        if is_full && self.contains(job) {
            self.take_out(job);
            if let Some(member) = self.members.get_mut(&job) {
                member.is_held = true;
            }
        }
    }

    /// A batch of the job is not out any more.
    pub(crate) fn ended(&mut self, job: JobId) {
        let Some(member) = self.members.get_mut(&job) else { return };
        member.out = member.out.saturating_sub(1);
        let was_held = std::mem::take(&mut member.is_held);
        if let Some(clock) = self.clocks.get_mut(&member.group) {
            clock.out = clock.out.saturating_sub(1);
        }
        if was_held {
            self.insert(job);
        }
    }

    /// The job was given a batch. Returns the nanoseconds that it is charged with until it is known what that took.
    pub(crate) fn gave(&mut self, job: JobId) -> u64 {
        let group = self.group(job);
        let Some(clock) = self.clocks.get(&group).copied() else { return 0 };
        self.now = self.now.max(clock.time);
        self.move_clock(group, clock.time.saturating_add(clock.weigh(clock.cost)));
        clock.cost
    }

    /// A batch of the job, which was charged with so much, took so long.
    pub(crate) fn took(&mut self, job: JobId, charged: u64, nanos: u64) {
        let group = self.group(job);
        let Some(clock) = self.clocks.get_mut(&group) else { return };
        clock.cost = nanos;
        let time = clock.time.saturating_add(clock.weigh(nanos)).saturating_sub(clock.weigh(charged)).max(1);
        self.move_clock(group, time);
    }

    /// A batch of the job, which was charged with so much, was taken back: it is charged again with whoever gets it.
    pub(crate) fn gave_back(&mut self, job: JobId, charged: u64) {
        let group = self.group(job);
        let Some(clock) = self.clocks.get(&group).copied() else { return };
        self.move_clock(group, clock.time.saturating_sub(clock.weigh(charged)).max(1));
    }

    fn move_clock(&mut self, group: Group, time: u64) {
        let was_waiting = self.order.remove(&(self.time(group), group));
        if let Some(clock) = self.clocks.get_mut(&group) {
            clock.time = time;
        }
        if was_waiting {
            self.order.insert((time, group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: JobId = JobId(1);
    const B: JobId = JobId(2);

    fn share_of(weight: u32) -> Share {
        Share { weight: NonZeroU32::new(weight).expect("not 0"), ..Share::default() }
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
            turns.share(job, share_of(share));
            turns.insert(job);
        }
        let got = run(&mut turns, [7_000_000, 10_000_000], 10_000_000_000);
        let ratio = got[0] as f64 / got[1] as f64;
        assert!((2.95..3.05).contains(&ratio), "{ratio}");
    }

    #[test]
    fn several_batches_may_be_out_and_cost_what_nobody_foresaw() {
        let mut turns = Turns::default();
        for (job, share) in [(A, 3), (B, 1)] {
            turns.share(job, share_of(share));
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
        turns.share(A, share_of(1));
        turns.insert(A);
        run(&mut turns, [10_000_000, 0], 1_000_000_000);
        turns.share(B, share_of(1));
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

    #[test]
    fn single_items_are_together_one_job() {
        let single = Share { is_single: true, ..Share::default() };
        let mut turns = Turns::default();
        turns.share(A, share_of(1));
        turns.insert(A);
        let (mut got, mut next) = ([0_u64, 0], 10_u64);
        let singles = |turns: &mut Turns, next: &mut u64| {
            turns.share(JobId(*next), single);
            turns.insert(JobId(*next));
            *next += 1;
        };
        (0..100).for_each(|_| singles(&mut turns, &mut next));
        for _ in 0..1000 {
            let job = turns.first().expect("some wait");
            let charged = turns.gave(job);
            turns.took(job, charged, 1_000_000);
            got[usize::from(job != A)] += 1;
            if job != A {
                turns.forget(job);
                singles(&mut turns, &mut next);
            }
        }
        assert!(got[0].abs_diff(got[1]) <= 2, "{got:?}");
        assert_eq!(turns.weight(), 2);
    }

    #[test]
    fn no_more_are_out_than_may_be() {
        let mut turns = Turns::default();
        turns.share(A, Share { most: std::num::NonZeroUsize::new(2), ..Share::default() });
        turns.insert(A);
        for out in 0..2 {
            assert_eq!((turns.first(), turns.room(A)), (Some(A), 2 - out));
            turns.gave(A);
            turns.began(A);
        }
        assert_eq!(turns.first(), None);
        turns.insert(A);
        assert_eq!(turns.first(), None, "however often it says that it has more");
        turns.ended(A);
        assert_eq!(turns.first(), Some(A));
        turns.remove(A);
        turns.ended(A);
        assert_eq!((turns.first(), turns.weight()), (None, 0));
    }
}
