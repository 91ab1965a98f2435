//! Whose turn it is. A decision and no more: no clock, no processes.
//!
//! Each tenant has a *debt*: the CPU time that its jobs and its calls have used, over its weight. Whoever owes least comes
//! first, so that in the long run each uses what its weight says of what there is, however many jobs it has and however long
//! they are. A tenant that comes back owes as much as the one who owes least of those at work: nobody saves turns up. Inside a
//! tenant, jobs are begun by their [`Rank`]: by priority, by when they are to be ready, in the order in which they came.
//!
//! Calls do not take turns with jobs, since they would wait for the next one: the system gives them the cores first, and
//! their tenant pays with its debt. One that is far ahead of others who have jobs is *held*: see [`Fair::is_held`].

mod explain;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::{JobId, Rank};
use crate::tenant::TenantId;

/// CPU time of each core that calls of a tenant may be ahead of the jobs of others: more than turns of jobs go astray by.
const LEAD: Duration = Duration::from_millis(400);

pub use explain::{Reason, Wait};

/// What is to happen now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Jobs that are started.
    pub start: Vec<JobId>,
    /// Jobs that go on.
    pub go_on: Vec<JobId>,
    /// Jobs that are stopped until it is their turn again.
    pub stop: Vec<JobId>,
    /// Jobs that give their process up, since it will not be their turn for long.
    pub park: Vec<JobId>,
}

/// What of a tenant the operator holds back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pause {
    /// Nothing.
    #[default]
    None,
    /// Jobs that have no process: those that have one go on.
    Starts,
    /// All of its jobs.
    All,
}

/// What a tenant may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its share of the CPU time, beside those of others.
    pub weight: u32,
    /// Jobs that have a process at a time; none at all for one that is disabled.
    pub jobs: u32,
    /// Cores that its jobs have at a time, and that its calls have.
    pub cores: u32,
}

#[derive(Debug)]
struct Queue {
    weight: u32,
    /// Jobs that have a process at a time.
    most: usize,
    /// Cores of those whose turn it is.
    cores: usize,
    /// Its CPU time of today is used up.
    is_spent: bool,
    pause: Pause,
    /// Seconds of CPU time over weight.
    debt: f64,
    /// Those that have a process, oldest first.
    running: Vec<JobId>,
    /// Those that wait for one: whichever comes next is found at once, however many there are.
    waiting: BTreeMap<Rank, JobId>,
    /// Calls that wait or run.
    calls: usize,
}

#[derive(Debug)]
struct Job {
    tenant: TenantId,
    cores: usize,
    rank: Rank,
    is_on: bool,
    is_parking: bool,
}

/// The jobs that wait and run.
#[derive(Debug)]
pub struct Fair {
    cores: usize,
    /// Jobs of all tenants that have a process at a time.
    most: usize,
    queues: BTreeMap<TenantId, Queue>,
    jobs: HashMap<JobId, Job>,
}

impl Fair {
    /// For a machine of so many cores, with so many processes of jobs at a time.
    #[must_use]
    pub fn new(cores: usize, most: usize) -> Self {
        Self { cores: cores.max(1), most: most.max(1), queues: BTreeMap::new(), jobs: HashMap::new() }
    }

    /// What a tenant may have from now on.
    pub fn know(&mut self, tenant: TenantId, standing: Standing) {
        let Standing { weight, jobs, cores } = standing;
        if jobs > 0 {
            self.wake(tenant);
        }
        let (weight, most, cores) = (weight.max(1), jobs as usize, cores.max(1) as usize);
        if let Some(queue) = self.queues.get_mut(&tenant) {
            (queue.weight, queue.most, queue.cores) = (weight, most, cores);
            return;
        }
        let (running, waiting) = (Vec::new(), BTreeMap::new());
        let (is_spent, pause) = (false, Pause::None);
        let queue = Queue { weight, most, cores, is_spent, pause, debt: 0.0, running, waiting, calls: 0 };
        self.queues.insert(tenant, queue);
    }

    /// Cores that the calls of a tenant may have at a time.
    #[must_use]
    pub fn cores_of(&self, tenant: TenantId) -> usize {
        self.queues.get(&tenant).map_or(1, |queue| queue.cores)
    }

    /// Whether a tenant has used up its CPU time of today: until that changes, none of its jobs has its turn.
    pub fn spend(&mut self, tenant: TenantId, is_spent: bool) {
        if !is_spent {
            self.wake(tenant);
        }
        if let Some(queue) = self.queues.get_mut(&tenant) {
            queue.is_spent = is_spent;
        }
    }

    /// What of a tenant is held back, until that changes.
    pub fn pause(&mut self, tenant: TenantId, pause: Pause) {
        if pause == Pause::None {
            self.wake(tenant);
        }
        if let Some(queue) = self.queues.get_mut(&tenant) {
            queue.pause = pause;
        }
    }

    /// Tenants that have jobs.
    #[must_use]
    pub fn tenants(&self) -> Vec<TenantId> {
        let with_jobs = self.queues.iter().filter(|(_, queue)| !queue.running.is_empty() || !queue.waiting.is_empty());
        with_jobs.map(|(tenant, _)| *tenant).collect()
    }

    /// Whether several jobs have a process, so that they take turns.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        let cores =
            self.queues.values().flat_map(|queue| &queue.running).map(|job| self.jobs[job].cores).sum::<usize>();
        cores > self.cores
    }

    /// A job has come, which is worth so many cores. Its tenant is known, and has no other of this rank.
    pub fn add(&mut self, job: JobId, tenant: TenantId, cores: usize, rank: Rank) {
        self.wake(tenant);
        let Some(queue) = self.queues.get_mut(&tenant) else { return };
        queue.waiting.insert(rank, job.clone());
        self.jobs.insert(job, Job { tenant, cores: cores.clamp(1, self.cores), rank, is_on: false, is_parking: false });
    }

    /// A job that waits has another place in line from now on. One that has a process keeps it.
    pub fn move_to(&mut self, job: &JobId, rank: Rank) {
        let Some(known) = self.jobs.get_mut(job) else { return };
        let Some(queue) = self.queues.get_mut(&known.tenant) else { return };
        if let Some(job) = queue.waiting.remove(&known.rank) {
            queue.waiting.insert(rank, job);
        }
        known.rank = rank;
    }

    /// A tenant has something to do: it owes no less than others who have.
    fn wake(&mut self, tenant: TenantId) {
        let least = self.queues.values().filter(|queue| queue.is_busy()).map(|queue| queue.debt).reduce(f64::min);
        if let Some(queue) = self.queues.get_mut(&tenant)
            && !queue.is_busy()
        {
            queue.debt = queue.debt.max(least.unwrap_or(0.0));
        }
    }

    /// A call has come. Its tenant is known.
    pub fn call_came(&mut self, tenant: TenantId) {
        self.wake(tenant);
        if let Some(queue) = self.queues.get_mut(&tenant) {
            queue.calls += 1;
        }
    }

    /// A call is over.
    pub fn call_went(&mut self, tenant: TenantId) {
        if let Some(queue) = self.queues.get_mut(&tenant) {
            queue.calls = queue.calls.saturating_sub(1);
        }
    }

    /// Jobs or calls of a tenant have used so many seconds of CPU time, or less than was thought.
    pub fn charge(&mut self, tenant: TenantId, seconds: f64) {
        if let Some(queue) = self.queues.get_mut(&tenant) {
            queue.debt += seconds / f64::from(queue.weight);
        }
    }

    /// What a tenant owes, in seconds of CPU time over its weight.
    #[must_use]
    pub fn debt(&self, tenant: TenantId) -> f64 {
        self.queues.get(&tenant).map_or(0.0, |queue| queue.debt)
    }

    /// Whether the calls of a tenant have had so much more than another tenant who has jobs that they keep to one worker
    /// until that one has caught up.
    #[must_use]
    pub fn is_held(&self, tenant: TenantId) -> bool {
        let Some(own) = self.queues.get(&tenant) else { return false };
        let lead = LEAD.as_secs_f64() * self.cores as f64 / f64::from(own.weight);
        let others = self.queues.iter().filter(|(other, queue)| **other != tenant && queue.has_jobs());
        others.into_iter().any(|(_, queue)| queue.debt + lead < own.debt)
    }

    /// A job is over, or does not want its turn any more.
    pub fn remove(&mut self, job: &JobId) {
        let Some(known) = self.jobs.remove(job) else { return };
        if let Some(queue) = self.queues.get_mut(&known.tenant)
            && queue.waiting.remove(&known.rank).is_none()
        {
            queue.running.retain(|other| other != job);
        }
    }

    /// Whether there is any job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many jobs of a tenant wait or run.
    #[must_use]
    pub fn jobs_of(&self, tenant: TenantId) -> usize {
        self.queues.get(&tenant).map_or(0, |queue| queue.waiting.len() + queue.running.len())
    }

    /// How many jobs of a tenant have a process, and how many calls of it wait or run.
    #[must_use]
    pub fn at_work(&self, tenant: TenantId) -> (usize, usize) {
        self.queues.get(&tenant).map_or((0, 0), |queue| (queue.running.len(), queue.calls))
    }

    /// How many jobs of all tenants wait for a process.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queues.values().map(|queue| queue.waiting.len()).sum()
    }

    /// Decides.
    pub fn turn(&mut self) -> Turn {
        self.decide(true)
    }

    /// Decides about those alone that have a process.
    pub fn turn_of_running(&mut self) -> Turn {
        self.decide(false)
    }

    fn decide(&mut self, may_start: bool) -> Turn {
        let mut order: Vec<TenantId> =
            self.queues.iter().filter(|(_, queue)| queue.is_busy()).map(|(tenant, _)| *tenant).collect();
        // Of those who owe as much, the one that has less: who has just come need not wait for the next turn.
        let key = |tenant: &TenantId| (self.queues[tenant].debt, self.queues[tenant].running.len());
        order.sort_by(|one, other| {
            let ((owes, has), (other_owes, other_has)) = (key(one), key(other));
            owes.total_cmp(&other_owes).then(has.cmp(&other_has))
        });
        let mut running = self.queues.values().map(|queue| queue.running.len()).sum::<usize>();
        let (mut chosen, mut started) = (HashSet::new(), Vec::new());
        let mut left = self.cores;
        for tenant in order {
            let Some(queue) = self.queues.get_mut(&tenant) else { continue };
            let (most, mut own) = (queue.most(), queue.cores);
            // One that has more of them than its tenant may have by now goes alone.
            let cores_of = |job: &JobId| self.jobs[job].cores.min(queue.cores);
            for job in queue.running.iter().filter(|_| most > 0) {
                let cores = cores_of(job);
                if cores <= left.min(own) {
                    (left, own) = (left - cores, own - cores);
                    chosen.insert(job.clone());
                }
            }
            while may_start
                && queue.pause == Pause::None
                && left.min(own) > 0
                && queue.running.len() < most
                && running < self.most
            {
                let Some((_, next)) = queue.waiting.first_key_value() else { break };
                let cores = self.jobs[next].cores.min(queue.cores);
                if cores > left.min(own) {
                    break;
                }
                let Some((_, job)) = queue.waiting.pop_first() else { break };
                (left, own) = (left - cores, own - cores);
                running += 1;
                started.push(job.clone());
                chosen.insert(job.clone());
                queue.running.push(job);
            }
        }
        let mut turn = Turn { start: started, ..Turn::default() };
        let all = self.queues.values().flat_map(|queue| queue.running.iter().map(|job| (job, queue.most() == 0)));
        for (job, is_kept_out) in all {
            let Some(known) = self.jobs.get_mut(job).filter(|known| !known.is_parking) else { continue };
            let is_chosen = chosen.contains(job);
            match (known.is_on, is_chosen) {
                _ if is_kept_out => {
                    known.is_parking = true;
                    turn.park.push(job.clone());
                }
                (false, true) if !turn.start.contains(job) => turn.go_on.push(job.clone()),
                (true, false) => turn.stop.push(job.clone()),
                _ => {}
            }
            known.is_on = is_chosen;
        }
        turn
    }
}

impl Queue {
    /// Jobs that may have a process at a time, as things are.
    fn most(&self) -> usize {
        if self.is_spent || self.pause == Pause::All { 0 } else { self.most }
    }

    fn is_busy(&self) -> bool {
        self.has_jobs() || self.calls > 0
    }

    /// Whether there are jobs that may run.
    fn has_jobs(&self) -> bool {
        let may_start = self.pause == Pause::None;
        self.most() > 0 && (!self.running.is_empty() || (may_start && !self.waiting.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::job::Urgency;

    const ANNA: TenantId = TenantId(1);
    const BERT: TenantId = TenantId(2);

    fn fair(cores: usize, weights: [u32; 2]) -> Fair {
        let mut fair = Fair::new(cores, 100);
        fair.know(ANNA, standing(weights[0], 4));
        fair.know(BERT, standing(weights[1], 4));
        fair
    }

    fn standing(weight: u32, jobs: u32) -> Standing {
        Standing { weight, jobs, cores: 64 }
    }

    fn add(fair: &mut Fair, tenant: TenantId, cores: usize) -> JobId {
        add_urgent(fair, tenant, cores, Urgency::default())
    }

    fn add_urgent(fair: &mut Fair, tenant: TenantId, cores: usize, urgency: Urgency) -> JobId {
        let job = JobId::create();
        fair.add(job.clone(), tenant, cores, Rank::new(urgency, next()));
        job
    }

    /// How many jobs came before.
    fn next() -> u64 {
        static CAME: AtomicU64 = AtomicU64::new(0);
        CAME.fetch_add(1, Ordering::Relaxed)
    }

    /// How often each has its turn in so many, when a turn uses all cores for as long.
    fn turns(fair: &mut Fair, jobs: &[JobId], count: usize) -> Vec<usize> {
        let mut had = vec![0; jobs.len()];
        let mut on: HashSet<JobId> = fair.jobs.iter().filter(|(_, job)| job.is_on).map(|(id, _)| id.clone()).collect();
        for _ in 0..count {
            let turn = fair.turn();
            turn.stop.iter().for_each(|job| assert!(on.remove(job)));
            turn.start.iter().chain(&turn.go_on).for_each(|job| assert!(on.insert(job.clone())));
            for (number, job) in jobs.iter().enumerate().filter(|(_, job)| on.contains(job)) {
                had[number] += 1;
                let tenant = fair.jobs[job].tenant;
                fair.charge(tenant, 0.1);
            }
        }
        had
    }

    #[test]
    fn time_goes_by_weight() {
        let mut fair = fair(2, [1, 3]);
        let jobs = [add(&mut fair, ANNA, 2), add(&mut fair, BERT, 2)];
        let had = turns(&mut fair, &jobs, 400);
        assert!(had[0].abs_diff(100) <= 1 && had[1].abs_diff(300) <= 1, "{had:?}");
    }

    #[test]
    fn many_jobs_are_no_more_than_one() {
        let mut fair = fair(2, [1, 1]);
        let mut jobs: Vec<_> = (0..100).map(|_| add(&mut fair, ANNA, 2)).collect();
        turns(&mut fair, &jobs, 50);
        jobs.push(add(&mut fair, BERT, 2));
        let had = turns(&mut fair, &jobs, 100);
        assert!(had[100].abs_diff(50) <= 1, "{had:?}");
    }

    #[test]
    fn nobody_saves_turns_up() {
        let mut fair = fair(1, [1, 1]);
        let first = add(&mut fair, ANNA, 1);
        turns(&mut fair, std::slice::from_ref(&first), 1000);
        let jobs = [first, add(&mut fair, BERT, 1)];
        let had = turns(&mut fair, &jobs, 100);
        assert!(had[0] >= 49, "{had:?}");
    }

    #[test]
    fn who_has_just_come_is_next() {
        let mut fair = fair(1, [1, 1]);
        let first = add(&mut fair, ANNA, 1);
        turns(&mut fair, std::slice::from_ref(&first), 10);
        let second = add(&mut fair, BERT, 1);
        assert_eq!(fair.turn(), Turn { start: vec![second], stop: vec![first], ..Turn::default() });
    }

    #[test]
    fn what_is_used_by_calls_is_owed_like_what_is_used_by_jobs() {
        let mut fair = fair(2, [1, 1]);
        let jobs = [add(&mut fair, ANNA, 2), add(&mut fair, BERT, 2)];
        turns(&mut fair, &jobs, 100);
        fair.call_came(ANNA);
        fair.charge(ANNA, 0.5);
        assert!(!fair.is_held(ANNA), "so much is lent");
        fair.charge(ANNA, 2.5);
        assert!(fair.is_held(ANNA) && !fair.is_held(BERT));
        let had = turns(&mut fair, &jobs, 30);
        assert!(had[0] <= 1 && had[1] >= 29, "{had:?}");
        assert!(!fair.is_held(ANNA), "the other has caught up");
        fair.charge(ANNA, 10.0);
        fair.remove(&jobs[1]);
        assert!(!fair.is_held(ANNA), "nobody else wants anything");
    }

    #[test]
    fn cores_that_are_left_are_used() {
        let mut fair = fair(4, [1, 1]);
        let jobs = [add(&mut fair, ANNA, 3), add(&mut fair, BERT, 1), add(&mut fair, BERT, 1)];
        let turn = fair.turn();
        assert_eq!(turn.start.len(), 2);
        fair.remove(&jobs[0]);
        assert_eq!(fair.turn().start, [jobs[2].clone()]);
    }

    #[test]
    fn a_tenant_has_no_more_processes_than_it_may_and_a_disabled_one_has_none() {
        let mut fair = fair(8, [1, 1]);
        let jobs: Vec<_> = (0..6).map(|_| add(&mut fair, ANNA, 1)).collect();
        assert_eq!(fair.turn().start, jobs[..4]);
        assert_eq!(fair.waiting(), 2);
        fair.know(ANNA, standing(1, 0));
        assert_eq!(fair.turn(), Turn { park: jobs[..4].to_vec(), ..Turn::default() });
        assert_eq!(fair.turn(), Turn::default(), "it is said once");
        fair.know(ANNA, standing(1, 4));
        assert_eq!(fair.turn(), Turn::default(), "they are on their way out");
        fair.remove(&jobs[0]);
        assert_eq!(fair.turn().start, [jobs[4].clone()]);
    }

    #[test]
    fn the_jobs_of_a_tenant_have_its_cores_together() {
        let mut fair = fair(8, [1, 1]);
        let own = |cores| Standing { cores, ..standing(1, 4) };
        fair.know(ANNA, own(3));
        let jobs: Vec<_> = [2, 1, 2, 1].map(|cores| add(&mut fair, ANNA, cores)).into();
        let other = add(&mut fair, BERT, 4);
        assert_eq!(fair.turn().start, [jobs[0].clone(), jobs[1].clone(), other]);
        assert_eq!(fair.explain(&jobs[2]).map(|wait| wait.reason), Some(Reason::CoresOfTenant));
        fair.remove(&jobs[1]);
        assert_eq!(fair.turn(), Turn::default(), "one core is left for one that wants two");
        fair.know(ANNA, own(4));
        assert_eq!(fair.turn().start, jobs[2..3]);
        // With fewer than one has that runs, they take turns.
        fair.know(ANNA, own(1));
        assert_eq!(fair.turn(), Turn { stop: jobs[2..3].to_vec(), ..Turn::default() });
        fair.remove(&jobs[0]);
        assert_eq!(fair.turn(), Turn { go_on: jobs[2..3].to_vec(), ..Turn::default() });
        assert_eq!(fair.cores_of(ANNA), 1);
    }

    fn urgent(priority: i32, ready_by: Option<i64>) -> Urgency {
        Urgency { priority, ready_by }
    }

    #[test]
    fn inside_a_tenant_jobs_are_begun_by_how_urgent_they_are() {
        let mut fair = fair(1, [1, 1]);
        let wishes = [(0, None), (-1, Some(1)), (7, None), (0, Some(2)), (7, Some(9)), (0, Some(1)), (0, None)];
        let jobs = wishes.map(|(priority, ready_by)| add_urgent(&mut fair, ANNA, 1, urgent(priority, ready_by)));
        for expected in [4, 2, 5, 3, 0, 6, 1] {
            assert_eq!(fair.turn().start, [jobs[expected].clone()]);
            fair.remove(&jobs[expected]);
        }
    }

    #[test]
    fn whatever_is_urgent_for_one_tenant_is_nothing_to_others() {
        let mut fair = fair(1, [1, 1]);
        let running = add(&mut fair, ANNA, 1);
        turns(&mut fair, std::slice::from_ref(&running), 10);
        let other = add_urgent(&mut fair, BERT, 1, urgent(-100, None));
        add_urgent(&mut fair, ANNA, 1, urgent(100, Some(0)));
        assert_eq!(fair.turn(), Turn { start: vec![other], stop: vec![running], ..Turn::default() });
    }

    #[test]
    fn one_that_waits_can_be_given_another_place_and_one_that_runs_goes_on() {
        let mut fair = fair(1, [1, 1]);
        let jobs: Vec<_> = (0..3).map(|_| add(&mut fair, ANNA, 1)).collect();
        assert_eq!(fair.turn().start, jobs[..1]);
        fair.move_to(&jobs[0], Rank::new(urgent(-5, None), next()));
        fair.move_to(&jobs[2], Rank::new(urgent(5, None), next()));
        fair.move_to(&JobId::create(), Rank::new(urgent(9, None), next()));
        assert_eq!((fair.turn(), fair.waiting()), (Turn::default(), 2));
        fair.remove(&jobs[0]);
        assert_eq!(fair.turn().start, jobs[2..]);
        fair.remove(&jobs[1]);
        fair.remove(&jobs[2]);
        assert!(fair.is_empty() && fair.waiting() == 0);
    }

    #[test]
    fn who_has_used_up_what_it_has_today_has_no_turn_until_it_has_more() {
        let mut fair = fair(2, [1, 1]);
        let (spent, other) = (add(&mut fair, ANNA, 2), add(&mut fair, BERT, 2));
        assert_eq!(fair.turn().start, std::slice::from_ref(&spent));
        fair.spend(ANNA, true);
        let turn = fair.turn();
        assert_eq!((turn.park, turn.start), (vec![spent.clone()], vec![other.clone()]));
        // Parked, it waits like one that has just come.
        fair.remove(&spent);
        fair.add(spent.clone(), ANNA, 2, Rank::new(Urgency::default(), next()));
        fair.remove(&other);
        assert_eq!(fair.turn(), Turn::default());
        assert!(!fair.is_held(BERT), "nobody waits for who may not run");
        fair.charge(BERT, 100.0);
        let other = add(&mut fair, BERT, 2);
        assert_eq!(fair.turn().start, [other]);
        fair.spend(ANNA, false);
        assert!((fair.debt(ANNA) - fair.debt(BERT)).abs() < 0.1, "and it has saved no turns up");
        fair.charge(BERT, 1.0);
        assert_eq!(fair.turn().start, [spent]);
    }
}
