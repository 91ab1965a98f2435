//! The decisions of the pool: a pure state machine. Events go in, actions come out; there are no sockets, no files
//! and no clock in here, so that everything hard can be tested without a process.
//!
//! * [`State`] owns the batches that are out; a [`crew::Crew`] the queues of the workers of one role.
//! * A [`job::Job`] says what it wants to run next and what becomes of a finished batch.
//! * Back-pressure is a job that has nothing to run: because its window is full, or its input has not arrived.

mod check;
mod crew;
mod input;
mod items;
mod job;
mod picture;
mod reduction;
mod rest;
pub mod sizing;
mod supply;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, HashMap};

use taskhost_protocol::ids::{BatchId, Generation, JobId, WorkerId};
use taskhost_protocol::limits::COUNTERS;
use taskhost_protocol::message::Role;
use taskhost_protocol::work::Done;

use crate::death::Death;
use crate::event::{Action, Event, JobFailure, JobPlan, JobTotals, Order, Task};
use crew::Crew;
use items::ItemsJob;
use job::{AnyJob, Pick};
use picture::PictureJob;

/// Batches a worker has at a time: one that runs, and one to begin with while the reply to the first is on its way.
const QUEUE: usize = 2;

/// Attempts at a batch whose worker died: once more, on another worker, and no more.
const ATTEMPTS: u32 = 2;

/// A batch that is out, or waits to be given out again.
#[derive(Debug)]
struct Batch {
    job: JobId,
    pick: Pick,
    /// Raised whenever the batch is taken from a worker: tells a late reply from a new one.
    generation: u32,
    /// Workers that died while they ran it.
    deaths: u32,
}

/// The state of a pool.
#[derive(Debug)]
pub struct State {
    /// Execute workers that the pool wants.
    target: usize,
    execute: Crew,
    convert: Crew,
    jobs: BTreeMap<JobId, AnyJob>,
    batches: HashMap<BatchId, Batch>,
    next_batch: u64,
    next_part: u64,
    /// What a batch took lately, in nanoseconds; `None` before the first.
    pace: Option<u64>,
    /// Jobs that something happened to since the last look at them.
    touched: Vec<JobId>,
    actions: Vec<Action>,
}

impl State {
    /// A pool that will have at most `target` execute workers, of which `started` are on their way.
    #[must_use]
    pub fn new(target: usize, started: usize) -> Self {
        Self {
            target,
            execute: Crew::new(target, started),
            convert: Crew::new(target, 0),
            jobs: BTreeMap::new(),
            batches: HashMap::new(),
            next_batch: 0,
            next_part: 0,
            pace: None,
            touched: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done, in order. Costs no more with more jobs or more batches:
    /// only jobs that something happened to are looked at.
    #[must_use]
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        self.apply(event);
        self.schedule(Role::Execute);
        self.schedule(Role::Convert);
        self.settle();
        std::mem::take(&mut self.actions)
    }

    /// Whether no job is left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Number of jobs that are not finished.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::JobAdded { job, plan } => {
                let new = match plan {
                    JobPlan::Items(plan) => AnyJob::Items(Box::new(ItemsJob::new(job, plan))),
                    JobPlan::Picture(plan) => AnyJob::Picture(Box::new(PictureJob::new(job, plan))),
                };
                self.jobs.insert(job, new);
                self.touch(job);
            }
            Event::SourceOpened { job, source, start, end } => {
                self.with_items(job, |items, actions| items.source_opened(source, start, end, actions));
            }
            Event::SourcesEnded { job } => self.with_items(job, |items, _| items.sources_ended()),
            Event::PipeOpened { job, source: _, start } => self.with_items(job, |items, _| items.pipe_opened(start)),
            Event::Block { job, piece } => self.with_items(job, |items, _| items.block(piece)),
            Event::PipeEnded { job, end } => self.with_items(job, |items, _| items.pipe_ended(end)),
            Event::JobBroken { job, failure } => self.fail(job, failure),
            Event::WorkerReady { worker, role } => self.crew(role).ready(worker),
            Event::WorkerLost { worker, role, death } => self.lost(worker, role, &death),
            Event::Done { worker, done } => self.done(worker, &done),
            Event::Decoded { worker, result } => {
                let is_asked = |task: &Task| matches!(task, Task::Decode);
                self.converted(worker, is_asked, result, PictureJob::decoded);
            }
            Event::Encoded { worker, result } => {
                let is_asked = |task: &Task| matches!(task, Task::Encode(_));
                self.converted(worker, is_asked, result, PictureJob::encoded);
            }
            Event::OutputOpened { job, at } => {
                if let Some(AnyJob::Picture(picture)) = self.jobs.get_mut(&job) {
                    picture.output_opened(at);
                    self.touch(job);
                }
            }
            Event::Appended { job, bytes } => {
                if let Some(running) = self.jobs.get_mut(&job) {
                    running.get_mut().appended(bytes);
                }
            }
            Event::Written { job, bytes } => {
                if let Some(running) = self.jobs.get_mut(&job) {
                    running.get_mut().written(bytes);
                    self.touch(job);
                }
            }
        }
    }

    fn with_items(&mut self, job: JobId, act: impl FnOnce(&mut ItemsJob, &mut Vec<Action>)) {
        if let Some(AnyJob::Items(items)) = self.jobs.get_mut(&job) {
            act(items, &mut self.actions);
            self.touch(job);
        }
    }

    /// A worker of this role is on its way that no action asked for.
    pub fn expect_worker(&mut self, role: Role) {
        self.crew(role).expect();
    }

    fn crew(&mut self, role: Role) -> &mut Crew {
        match role {
            Role::Execute => &mut self.execute,
            // Compiling comes before there is a pool.
            Role::Convert | Role::Compile => &mut self.convert,
        }
    }

    /// Something happened to the job: it may have something to run, ask for something, or be finished.
    fn touch(&mut self, job: JobId) {
        let Some(role) = self.jobs.get(&job).map(AnyJob::role) else { return };
        let other = if role == Role::Execute { Role::Convert } else { Role::Execute };
        self.crew(other).jobs.remove(&job);
        self.crew(role).jobs.insert(job);
        if self.touched.last() != Some(&job) {
            self.touched.push(job);
        }
    }

    /// Looks at the jobs that something happened to.
    fn settle(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.get_mut().pump(self.target, &mut self.actions);
            if job.get().is_finished() {
                let totals = std::mem::take(job.get_mut().totals_mut());
                self.jobs.remove(&id);
                self.forget(id);
                self.actions.push(Action::FinishJob { job: id, totals });
            }
        }
    }

    fn kill(&mut self, worker: WorkerId, reason: impl Into<String>) {
        self.execute.condemn(worker);
        self.convert.condemn(worker);
        self.actions.push(Action::Kill { worker, reason: reason.into() });
    }

    fn done(&mut self, worker: WorkerId, done: &Done) {
        if self.execute.is_condemned(worker) {
            return;
        }
        let Some((id, batch)) = self.execute.head(worker).and_then(|id| Some((id, self.batches.get(&id)?))) else {
            return self.kill(worker, "replied without having been asked");
        };
        if done.batch != id || done.job != batch.job || done.generation.0 != batch.generation {
            return self.kill(worker, "replied to another batch than the one it was given");
        }
        let job = batch.job;
        if let Some(running) = self.jobs.get(&job)
            && let Err(reason) = running.get().check(&batch.pick, done)
        {
            return self.kill(worker, reason);
        }
        self.execute.replied(worker);
        let (Some(batch), Some(running)) = (self.batches.remove(&id), self.jobs.get_mut(&job)) else {
            return self.actions.push(Action::ReleaseBatch { batch: id });
        };
        if matches!(batch.pick.task, Task::Items(_) | Task::Rows(_)) {
            let took = done.spent.total;
            self.pace = Some(self.pace.map_or(took, |before| before.midpoint(took)));
        }
        count(running.get_mut().totals_mut(), done);
        match running.get_mut().done(id, &batch.pick, done, &mut self.next_part, &mut self.actions) {
            Ok(None) => {}
            Ok(Some(pick)) => {
                let id = self.new_batch(job, pick);
                self.execute.again.push_back(id);
            }
            Err(failure) => self.fail(job, failure),
        }
        self.touch(job);
    }

    /// A convert worker replied.
    fn converted<T>(
        &mut self,
        worker: WorkerId,
        is_asked: impl FnOnce(&Task) -> bool,
        result: Result<T, JobFailure>,
        act: impl FnOnce(&mut PictureJob, T),
    ) {
        if self.convert.is_condemned(worker) {
            return;
        }
        let head = self.convert.head(worker);
        let Some(id) = head.filter(|id| self.batches.get(id).is_some_and(|batch| is_asked(&batch.pick.task))) else {
            return self.kill(worker, "replied without having been asked");
        };
        self.convert.replied(worker);
        self.actions.push(Action::ReleaseBatch { batch: id });
        let Some(job) = self.batches.remove(&id).map(|batch| batch.job) else { return };
        match (result, self.jobs.get_mut(&job)) {
            (Err(failure), _) => self.fail(job, failure),
            (Ok(value), Some(AnyJob::Picture(picture))) => act(picture, value),
            (Ok(_), _) => {}
        }
        self.touch(job);
    }

    /// What the worker had goes back; the batch it was at has one attempt less.
    fn lost(&mut self, worker: WorkerId, role: Role, death: &Death) {
        let Some(queue) = self.crew(role).lost(worker, || death.describe()) else { return };
        for (place, id) in queue.into_iter().enumerate().rev() {
            self.actions.push(Action::ReleaseBatch { batch: id });
            let Some(batch) = self.batches.get_mut(&id) else { continue };
            let job = batch.job;
            batch.generation += 1;
            // Workers run their batches in order, so only the first can have been at work.
            batch.deaths += u32::from(place == 0);
            let is_given_up = batch.deaths >= ATTEMPTS;
            if is_given_up || !self.jobs.contains_key(&job) {
                self.batches.remove(&id);
            } else {
                self.crew(role).again.push_front(id);
            }
            if is_given_up {
                let how = death.describe();
                let what = format!("a batch was lost twice: the last worker {how}; nothing was written for it");
                self.fail(job, JobFailure::Lost(what));
            }
        }
    }

    fn fail(&mut self, job: JobId, failure: JobFailure) {
        let Some(mut gone) = self.jobs.remove(&job) else { return };
        gone.get_mut().abandon(&mut self.actions);
        let totals = std::mem::take(gone.get_mut().totals_mut());
        self.forget(job);
        self.actions.push(Action::FailJob { job, failure, totals });
    }

    /// The job is over. What is still out of it is released when its worker replies or is lost.
    fn forget(&mut self, job: JobId) {
        for crew in [&mut self.execute, &mut self.convert] {
            crew.jobs.remove(&job);
            crew.again.retain(|id| {
                let is_other = self.batches.get(id).is_some_and(|batch| batch.job != job);
                if !is_other {
                    self.batches.remove(id);
                }
                is_other
            });
        }
    }

    fn new_batch(&mut self, job: JobId, pick: Pick) -> BatchId {
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        self.batches.insert(id, Batch { job, pick, generation: 0, deaths: 0 });
        id
    }

    /// Gives free workers work: what has to be run again first, then the oldest job that has something to run.
    fn schedule(&mut self, role: Role) {
        let depth = self.depth(role);
        while let Some(worker) = self.crew(role).freest(depth) {
            let Some(batch) = self.next_for(role) else { break };
            self.assign(role, worker, batch);
        }
        self.grow(role);
    }

    /// How many batches a worker may have at a time.
    fn depth(&self, role: Role) -> usize {
        // Pictures are large, and another worker may be free sooner. So may one be when batches are long, which they
        // only are when single items are: a worker hands back what it cannot do in its budget.
        let is_short = self.pace.is_some_and(|pace| u128::from(pace) <= sizing::BUDGET.as_nanos());
        if role == Role::Execute && is_short { QUEUE } else { 1 }
    }

    /// Asks for more workers when those there are cannot take what could be run.
    fn grow(&mut self, role: Role) {
        let target = self.target;
        let crew = match role {
            Role::Execute => &mut self.execute,
            Role::Convert | Role::Compile => &mut self.convert,
        };
        if !crew.can_grow() {
            return;
        }
        let has_more = |id: &&JobId| self.jobs.get(id).is_some_and(|job| job.get().has_more());
        let jobs: Vec<JobId> = crew.jobs.iter().filter(has_more).take(target).copied().collect();
        if jobs.is_empty() && crew.again.is_empty() {
            return;
        }
        if let Some(why) = crew.hopeless() {
            let what = format!("workers cannot be started: the last one {why}");
            crew.forgive();
            let again = crew.again.iter().filter_map(|id| self.batches.get(id)).map(|batch| batch.job);
            for job in again.chain(jobs).collect::<Vec<_>>() {
                self.fail(job, JobFailure::Lost(what.clone()));
            }
            return;
        }
        // A picture is for one convert worker; what execute workers run can be divided among all of them.
        let can_divide = role == Role::Execute && !jobs.is_empty();
        let wanted = if can_divide { target } else { jobs.len().max(crew.again.len()) };
        for _ in 0..crew.grow(wanted) {
            self.actions.push(Action::Spawn { role });
        }
    }

    /// The batch to be given out next.
    fn next_for(&mut self, role: Role) -> Option<BatchId> {
        if let Some(again) = self.crew(role).again.pop_front() {
            return Some(again);
        }
        while let Some(id) = self.crew(role).jobs.first().copied() {
            let target = self.target;
            if let Some(pick) = self.jobs.get_mut(&id).and_then(|job| job.get_mut().next(target)) {
                // Having given something out, it may need more input.
                self.touch(id);
                return Some(self.new_batch(id, pick));
            }
            self.crew(role).jobs.remove(&id);
        }
        None
    }

    fn assign(&mut self, role: Role, worker: WorkerId, batch: BatchId) {
        let Some(entry) = self.batches.get(&batch) else { return };
        let Some(job) = self.jobs.get(&entry.job).map(AnyJob::get) else { return };
        let (split, merge) = job.split_and_merge();
        let order = Order {
            job: entry.job,
            batch,
            generation: Generation(entry.generation),
            task: entry.pick.task.clone(),
            split,
            merge,
            destination: entry.pick.destination,
            length: job.length(),
            budget: job.budget(self.target),
            care: taskhost_protocol::work::Care::default(),
        };
        self.crew(role).assign(worker, batch);
        self.actions.push(Action::Assign { worker, order });
    }
}

/// Adds up what a batch says of itself.
fn count(totals: &mut JobTotals, done: &Done) {
    totals.busy = totals.busy.saturating_add(done.spent.total);
    for (name, amount) in &done.counters {
        // A reply has no more names than this, but a hostile worker has others in each.
        if totals.counters.len() >= COUNTERS && !totals.counters.contains_key(name) {
            continue;
        }
        let counter = totals.counters.entry(name.clone()).or_default();
        *counter = counter.saturating_add(*amount);
    }
}
