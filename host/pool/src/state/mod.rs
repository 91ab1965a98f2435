//! The decisions of the pool: a pure state machine. Events go in, actions come out; there are no sockets, no files
//! and no clock in here, so that everything hard can be tested without a process.
//!
//! * [`State`] owns the workers' queues and the batches that are out.
//! * A [`Job`] says what it wants to run next and what becomes of a finished batch.
//! * Back-pressure is a job that has nothing to run: because its window is full, or its input has not arrived.

pub(crate) mod items;
pub(crate) mod order;
pub(crate) mod picture;
pub(crate) mod rest;
pub mod sizing;
pub(crate) mod supply;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use taskhost_data::tree::NodeId;
use taskhost_protocol::fault::ItemFailure;
use taskhost_protocol::ids::{BatchId, Generation, JobId, WorkerId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::message::Role;
use taskhost_protocol::work::{Budget, Done, Merge, Split};

use crate::death::Death;
use crate::event::{Action, Destination, Event, JobFailure, JobPlan, JobTotals, Order, Task};
use items::ItemsJob;
use picture::PictureJob;

/// Batches a worker has at a time: one that runs, and one to begin with while the reply to the first is on its way.
const QUEUE: usize = 2;

/// Attempts at a batch whose worker died: once more, on another worker, and no more.
const ATTEMPTS: u32 = 2;

/// Workers that may die one after the other before they are ready: then something is wrong with all of them.
const FAILED_STARTS: u32 = 3;

/// A task, and where its results go.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) task: Task,
    pub(crate) destination: Destination,
    /// For `combine`: the node it resolves; `None` for the identity.
    pub(crate) node: Option<NodeId>,
}

/// What is kept of a batch until it is merged.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) batch: BatchId,
    pub(crate) items: u64,
    pub(crate) output: u64,
    pub(crate) failure: Option<ItemFailure>,
}

/// What the machine asks of a job.
pub(crate) trait Job {
    /// Asks for input or output, if any is needed now.
    fn pump(&mut self, workers: usize, actions: &mut Vec<Action>);
    /// What is to be run next, if anything can be.
    fn next(&mut self, workers: usize) -> Option<Pick>;
    /// A batch was run. May ask for one more task at once.
    fn done(
        &mut self,
        batch: BatchId,
        pick: &Pick,
        done: &Done,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure>;
    /// Bytes that were appended are now in the output.
    fn written(&mut self, bytes: u64);
    /// Whether more could be run now if there were more workers.
    fn has_more(&self) -> bool;
    /// Whether everything is in the output.
    fn is_finished(&self) -> bool;
    fn budget(&self) -> Budget;
    fn split_and_merge(&self) -> (Split, Merge);
    /// How long each result must be.
    fn length(&self) -> ResultLength;
    fn totals_mut(&mut self) -> &mut JobTotals;
}

/// The two kinds of job.
#[derive(Debug)]
enum AnyJob {
    Items(ItemsJob),
    Picture(PictureJob),
}

impl AnyJob {
    fn get(&mut self) -> &mut dyn Job {
        match self {
            Self::Items(job) => job,
            Self::Picture(job) => job,
        }
    }
}

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

#[derive(Debug)]
struct Worker {
    role: Role,
    queue: VecDeque<BatchId>,
}

/// The state of a pool.
#[derive(Debug)]
pub struct State {
    /// Execute workers that the pool wants.
    target: usize,
    workers: BTreeMap<WorkerId, Worker>,
    /// Workers asked for and not lost, ready or not.
    expected: HashMap<Role, usize>,
    /// Workers lost before they were ready, since the last one that was.
    failed_starts: u32,
    jobs: BTreeMap<JobId, AnyJob>,
    batches: HashMap<BatchId, Batch>,
    /// Batches to be given out again before anything new.
    again: VecDeque<BatchId>,
    next_batch: u64,
    next_part: u64,
    actions: Vec<Action>,
}

impl State {
    /// A pool that will have at most `target` execute workers, of which `started` are on their way.
    #[must_use]
    pub fn new(target: usize, started: usize) -> Self {
        Self {
            target,
            workers: BTreeMap::new(),
            expected: HashMap::from([(Role::Execute, started)]),
            failed_starts: 0,
            jobs: BTreeMap::new(),
            batches: HashMap::new(),
            again: VecDeque::new(),
            next_batch: 0,
            next_part: 0,
            actions: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        self.apply(event);
        self.finish_jobs();
        for job in self.jobs.values_mut() {
            job.get().pump(self.target, &mut self.actions);
        }
        self.schedule();
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

    /// Whether the worker has something to do.
    #[must_use]
    pub fn is_busy(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|worker| !worker.queue.is_empty())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::JobAdded { job, plan } => {
                let new = match plan {
                    JobPlan::Items(plan) => AnyJob::Items(ItemsJob::new(job, plan)),
                    JobPlan::Picture(plan) => AnyJob::Picture(PictureJob::new(job, plan)),
                };
                self.jobs.insert(job, new);
            }
            Event::SourceOpened { job, source, start, end } => {
                if let Some(AnyJob::Items(items)) = self.jobs.get_mut(&job) {
                    items.source_opened(source, start, end, &mut self.actions);
                }
            }
            Event::SourcesEnded { job } => self.with_items(job, ItemsJob::sources_ended),
            Event::PipeOpened { job, source, start } => self.with_items(job, |items| items.pipe_opened(source, start)),
            Event::Block { job, piece } => self.with_items(job, |items| items.block(piece)),
            Event::PipeEnded { job, end } => self.with_items(job, |items| items.pipe_ended(end)),
            Event::JobBroken { job, failure } => self.fail(job, failure),
            Event::WorkerReady { worker, role } => {
                self.failed_starts = 0;
                self.workers.insert(worker, Worker { role, queue: VecDeque::new() });
            }
            Event::WorkerLost { worker, role, death } => self.lost(worker, role, &death),
            Event::Done { worker, done } => self.done(worker, &done),
            Event::Decoded { worker, result } => {
                self.converted(worker, |job, result| if let Ok(format) = result { job.decoded(format) }, result);
            }
            Event::Encoded { worker, result } => self.converted(worker, |job, _| job.encoded(), result),
            Event::OutputOpened { job, at } => {
                if let Some(AnyJob::Picture(picture)) = self.jobs.get_mut(&job) {
                    picture.output_opened(at);
                }
            }
            Event::Written { job, bytes } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.get().written(bytes);
                }
            }
        }
    }

    fn with_items(&mut self, job: JobId, act: impl FnOnce(&mut ItemsJob)) {
        if let Some(AnyJob::Items(items)) = self.jobs.get_mut(&job) {
            act(items);
        }
    }

    /// Takes the batch that a worker must be replying to off its queue.
    fn head(&mut self, worker: WorkerId) -> Option<(BatchId, Batch)> {
        let id = self.workers.get_mut(&worker)?.queue.pop_front()?;
        Some((id, self.batches.remove(&id)?))
    }

    fn kill(&mut self, worker: WorkerId, reason: impl Into<String>) {
        self.actions.push(Action::Kill { worker, reason: reason.into() });
    }

    fn done(&mut self, worker: WorkerId, done: &Done) {
        if let Err(reason) = self.check(worker, done) {
            return self.kill(worker, reason);
        }
        let Some((id, batch)) = self.head(worker) else { return };
        let Some(job) = self.jobs.get_mut(&batch.job) else {
            return self.actions.push(Action::ReleaseBatch { batch: id });
        };
        let totals = job.get().totals_mut();
        totals.busy += done.spent.total;
        for (name, amount) in &done.counters {
            let counter = totals.counters.entry(name.clone()).or_default();
            *counter = counter.saturating_add(*amount);
        }
        match job.get().done(id, &batch.pick, done, &mut self.next_part, &mut self.actions) {
            Ok(None) => {}
            Ok(Some(pick)) => {
                let id = self.new_batch(batch.job, pick);
                self.again.push_back(id);
            }
            Err(failure) => self.fail(batch.job, failure),
        }
    }

    /// Whether a reply can be true. Nothing a worker says is evidence.
    fn check(&self, worker: WorkerId, done: &Done) -> Result<(), &'static str> {
        let queue = self.workers.get(&worker).map(|worker| &worker.queue);
        let head = queue.and_then(VecDeque::front).ok_or("replied without having been asked")?;
        let batch = self.batches.get(head).ok_or("replied to an unknown batch")?;
        if done.batch != *head || done.job != batch.job || done.generation.0 != batch.generation {
            return Err("replied to another batch than the one it was given");
        }
        let parts: Option<u64> = done.partials.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.len));
        match (&batch.pick.task, done.rest) {
            (Task::Items(pieces), Some(rest)) if !rest::is_plausible(pieces, rest) => {
                Err("handed back work that it was not given")
            }
            (Task::Items(_), _) if !done.partials.is_empty() && parts != Some(done.output) => {
                Err("returned partial results that do not add up")
            }
            (Task::Rows(rows), Some(rest))
                if rest.start <= u64::from(rows.first) || rest.start > u64::from(rows.first) + u64::from(rows.count) =>
            {
                Err("handed back rows that it was not given")
            }
            _ => Ok(()),
        }
    }

    fn converted<T>(
        &mut self,
        worker: WorkerId,
        act: impl FnOnce(&mut PictureJob, Result<T, JobFailure>),
        result: Result<T, JobFailure>,
    ) {
        let Some((_, batch)) = self.head(worker) else {
            return self.kill(worker, "replied without having been asked");
        };
        if let Err(failure) = result {
            return self.fail(batch.job, failure);
        }
        if let Some(AnyJob::Picture(picture)) = self.jobs.get_mut(&batch.job) {
            act(picture, result);
        }
    }

    /// What the worker had goes back; the batch it was at has one attempt less.
    fn lost(&mut self, worker: WorkerId, role: Role, death: &Death) {
        let expected = self.expected.entry(role).or_default();
        *expected = expected.saturating_sub(1);
        let Some(lost) = self.workers.remove(&worker) else {
            self.failed_starts += 1;
            if self.failed_starts >= FAILED_STARTS {
                let what = format!("workers cannot be started: the last one {}", death.describe());
                for job in self.jobs.keys().copied().collect::<Vec<_>>() {
                    self.fail(job, JobFailure::Lost(what.clone()));
                }
            }
            return;
        };
        for (place, id) in lost.queue.into_iter().enumerate().rev() {
            let Some(batch) = self.batches.get_mut(&id) else { continue };
            let job = batch.job;
            if !self.jobs.contains_key(&job) {
                self.batches.remove(&id);
                continue;
            }
            self.actions.push(Action::ReleaseBatch { batch: id });
            batch.generation += 1;
            // Workers run their batches in order, so only the first can have been at work.
            batch.deaths += u32::from(place == 0);
            if batch.deaths >= ATTEMPTS {
                let what = format!(
                    "a batch was lost twice: the last worker {}; nothing was written for it",
                    death.describe()
                );
                self.batches.remove(&id);
                self.fail(job, JobFailure::Lost(what));
                continue;
            }
            self.again.push_front(id);
        }
    }

    fn fail(&mut self, job: JobId, failure: JobFailure) {
        let Some(mut gone) = self.jobs.remove(&job) else { return };
        let totals = std::mem::take(gone.get().totals_mut());
        self.again.retain(|id| self.batches.get(id).is_some_and(|batch| batch.job != job));
        self.actions.push(Action::FailJob { job, failure, totals });
    }

    fn finish_jobs(&mut self) {
        let finished: Vec<JobId> =
            self.jobs.iter_mut().filter_map(|(id, job)| job.get().is_finished().then_some(*id)).collect();
        for job in finished {
            let Some(mut gone) = self.jobs.remove(&job) else { continue };
            let totals = std::mem::take(gone.get().totals_mut());
            self.actions.push(Action::FinishJob { job, totals });
        }
    }

    fn new_batch(&mut self, job: JobId, pick: Pick) -> BatchId {
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        self.batches.insert(id, Batch { job, pick, generation: 0, deaths: 0 });
        id
    }

    /// Gives free workers work: what has to be run again first, then the oldest job that has something to run.
    fn schedule(&mut self) {
        for role in [Role::Execute, Role::Convert] {
            while let Some(worker) = self.freest(role) {
                let Some(batch) = self.next_for(role) else { break };
                self.assign(worker, batch);
            }
            self.grow(role);
        }
    }

    /// Asks for another worker when those there are cannot take what could be run.
    fn grow(&mut self, role: Role) {
        let expected = self.expected.get(&role).copied().unwrap_or(0);
        let starting = expected - self.workers.values().filter(|worker| worker.role == role).count().min(expected);
        let again = self.again.iter().filter_map(|id| self.batches.get(id)).any(|batch| batch.pick.task.role() == role);
        let more = self.jobs.values_mut().filter_map(|job| (job_role(job) == role && job.get().has_more()).then_some(())).count();
        // A worker on its way will take one of them; more of them than that justify one more worker.
        let wanted = more.max(usize::from(again)) + if role == Role::Execute && more > 0 { self.target } else { 0 };
        for _ in expected..self.target.min(expected + wanted.saturating_sub(starting)) {
            *self.expected.entry(role).or_default() += 1;
            self.actions.push(Action::Spawn { role });
        }
    }

    /// The worker of this role with the shortest queue, if one has room.
    fn freest(&self, role: Role) -> Option<WorkerId> {
        // A convert worker has one picture at a time: pictures are large, and another worker may be free sooner.
        let depth = if role == Role::Convert { 1 } else { QUEUE };
        let candidates = self.workers.iter().filter(|(_, worker)| worker.role == role);
        let (id, worker) = candidates.min_by_key(|(_, worker)| worker.queue.len())?;
        (worker.queue.len() < depth).then_some(*id)
    }

    fn next_for(&mut self, role: Role) -> Option<BatchId> {
        let waiting = self.again.iter().position(|id| {
            self.batches.get(id).is_some_and(|batch| batch.pick.task.role() == role)
        });
        if let Some(index) = waiting {
            return self.again.remove(index);
        }
        let target = self.target;
        let mut found = None;
        for (id, job) in &mut self.jobs {
            if job_role(job) != role {
                continue;
            }
            if let Some(pick) = job.get().next(target) {
                found = Some((*id, pick));
                break;
            }
        }
        let (job, pick) = found?;
        Some(self.new_batch(job, pick))
    }

    fn assign(&mut self, worker: WorkerId, batch: BatchId) {
        let Some(entry) = self.batches.get(&batch) else { return };
        let Some(job) = self.jobs.get_mut(&entry.job) else { return };
        let (split, merge) = job.get().split_and_merge();
        let order = Order {
            job: entry.job,
            batch,
            generation: Generation(entry.generation),
            task: entry.pick.task.clone(),
            split,
            merge,
            destination: entry.pick.destination,
            length: job.get().length(),
            budget: job.get().budget(),
        };
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.queue.push_back(batch);
        }
        self.actions.push(Action::Assign { worker, order });
    }
}

/// Which workers the job's next task needs.
fn job_role(job: &AnyJob) -> Role {
    match job {
        AnyJob::Items(_) => Role::Execute,
        AnyJob::Picture(picture) => picture.role(),
    }
}
