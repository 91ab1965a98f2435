//! The decisions of the pool: a pure state machine. Events go in, actions come out; there are no sockets, no files
//! and no clock in here, so that everything hard can be tested without a process.
//!
//! * [`State`] owns the batches that are out; a [`crew::Crew`] the queues of the workers of one role.
//! * A [`job::Job`] says what it wants to run next and what becomes of a finished batch.
//! * Back-pressure is a job that has nothing to run: because its window is full, or its input has not arrived.

mod charge;
mod check;
pub(crate) mod checking;
mod cores;
pub(crate) mod counting;
mod crew;
mod ending;
mod growth;
mod input;
mod items;
mod job;
mod ledger;
mod losses;
mod mark;
mod picture;
mod portion;
mod reduction;
mod rest;
pub mod sizing;
mod supply;
#[cfg(test)]
mod tests;
mod turns;
mod window;

use std::collections::{BTreeMap, HashMap};

use taskhost_protocol::ids::{BatchId, Generation, JobId, WorkerId};
use taskhost_protocol::work::{Care, Done, Split};

use crate::death::Reason;
use crate::event::{Action, Event, JobFailure, JobPlan, OnError, Order, Post, Task};
use crate::plan::Share;
use cores::Cores;
use crew::Crew;
use items::ItemsJob;
use job::{AnyJob, Pick, Ran};
use mark::Mark;
use picture::PictureJob;

/// Batches a worker has at a time: one that runs, and one to begin with while the reply to the first is on its way.
const QUEUE: usize = 2;

/// All posts. What is suspected waits for nobody.
const POSTS: [Post; 3] = [Post::Execute, Post::Isolation, Post::Convert];

/// A batch that is out, or waits to be given out again.
#[derive(Debug)]
struct Batch {
    job: JobId,
    pick: Pick,
    /// Nanoseconds that its job was charged with when it was given out.
    charged: u64,
}

/// What holds for all jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How often an item is run again that failed for reasons that may pass.
    pub retries: u32,
    /// Items after which a worker is replaced.
    pub recycle: Option<u64>,
}

/// The state of a pool.
#[derive(Debug)]
pub struct State {
    /// Execute workers that the pool wants.
    target: usize,
    rules: Rules,
    execute: Crew,
    /// At most one worker, fresh for each thing it runs.
    isolation: Crew,
    convert: Crew,
    /// Nothing new is begun.
    draining: bool,
    /// What is merged is told, for a journal.
    is_kept: bool,
    /// Why the kernel is not run any more, whatever comes.
    quarantined: Option<JobFailure>,
    jobs: BTreeMap<JobId, AnyJob>,
    batches: HashMap<BatchId, Batch>,
    next_batch: u64,
    next_part: u64,
    /// What a batch took lately, in nanoseconds; `None` before the first.
    pace: Option<u64>,
    /// The cores that it may use now.
    cores: Cores,
    /// Jobs that something happened to since the last look at them.
    touched: Vec<JobId>,
    actions: Vec<Action>,
}

impl State {
    /// A pool that will have at most `target` execute workers, of which `started` are on their way.
    #[must_use]
    pub fn new(target: usize, started: usize, rules: Rules) -> Self {
        Self {
            target,
            rules,
            execute: Crew::new(target, started),
            isolation: Crew::new(1, 0),
            convert: Crew::new(target, 0),
            draining: false,
            is_kept: false,
            quarantined: None,
            jobs: BTreeMap::new(),
            batches: HashMap::new(),
            next_batch: 0,
            next_part: 0,
            pace: None,
            cores: Cores::default(),
            touched: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done, in order. Costs no more with more jobs or more batches:
    /// only jobs that something happened to are looked at.
    #[must_use]
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        self.apply(event);
        for post in POSTS {
            self.schedule(post);
        }
        self.settle();
        std::mem::take(&mut self.actions)
    }

    /// Whether no job is left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Tells from now on how far jobs are, for a journal: [`Action::Merged`] and [`Action::Reduced`].
    pub fn keep_journal(&mut self) {
        self.is_kept = true;
    }

    /// The job shares the workers with others that do, by weight, instead of going before all that came later.
    pub fn share(&mut self, job: JobId, share: Share) {
        for crew in [&mut self.execute, &mut self.isolation] {
            crew.jobs.share(job, share);
        }
    }

    /// Begins nothing new: what is being run may be finished.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no worker has anything to do.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        [&self.execute, &self.isolation, &self.convert].into_iter().all(Crew::is_quiet)
    }

    /// Number of jobs that are not finished.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::JobAdded { job, plan, resume } => {
                let new = match plan {
                    JobPlan::Items(plan) => {
                        AnyJob::Items(Box::new(ItemsJob::new(job, plan, resume).telling(self.is_kept)))
                    }
                    JobPlan::Picture(plan) => AnyJob::Picture(Box::new(PictureJob::new(job, plan))),
                };
                self.jobs.insert(job, new);
                match self.quarantined.clone() {
                    Some(failure) => self.fail(job, failure),
                    None => self.touch(job),
                }
            }
            Event::SourceOpened { job, source, start, end } => {
                if let Some(AnyJob::Items(items)) = self.jobs.get_mut(&job) {
                    items.source_opened(source, (start, end), &mut self.next_part, &mut self.actions);
                    self.touch(job);
                }
            }
            Event::SourcesEnded { job } => self.with_items(job, |items, _| items.sources_ended()),
            Event::PipeOpened { job, source, start } => {
                self.with_items(job, |items, _| items.pipe_opened(source, start));
            }
            Event::Block { job, piece } => self.with_items(job, |items, actions| items.block(piece, actions)),
            Event::PipeEnded { job, end } => self.with_items(job, |items, _| items.pipe_ended(end)),
            Event::JobBroken { job, failure } => self.fail(job, failure),
            Event::JobCancelled { job } => self.cancel(job),
            Event::WorkerReady { worker, post } => self.crew(post).ready(worker),
            Event::WorkerLost { worker, post, death } => self.lost(worker, post, &death),
            Event::Recalled { worker, batch } => self.recalled(worker, batch),
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
            Event::Checked { job, checked } => {
                self.with_items(job, |items, actions| items.checked(checked, actions));
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

    /// A worker for this post is on its way that no action asked for.
    pub fn expect_worker(&mut self, post: Post) {
        self.crew(post).expect();
    }

    fn crew(&mut self, post: Post) -> &mut Crew {
        match post {
            Post::Execute => &mut self.execute,
            Post::Isolation => &mut self.isolation,
            Post::Convert => &mut self.convert,
        }
    }

    fn crew_of(&self, post: Post) -> &Crew {
        match post {
            Post::Execute => &self.execute,
            Post::Isolation => &self.isolation,
            Post::Convert => &self.convert,
        }
    }

    /// The post of a worker that is ready.
    fn post_of(&self, worker: WorkerId) -> Post {
        match worker {
            worker if self.isolation.has(worker) => Post::Isolation,
            worker if self.convert.has(worker) => Post::Convert,
            _ => Post::Execute,
        }
    }

    /// Something happened to the job: it may have something to run, ask for something, or be finished.
    fn touch(&mut self, job: JobId) {
        let Some(running) = self.jobs.get(&job) else { return };
        let usual = running.post();
        let is_suspected = running.get().has_more(Post::Isolation);
        for post in POSTS {
            let is_wanted = if post == Post::Isolation { is_suspected } else { post == usual };
            let jobs = &mut self.crew(post).jobs;
            if is_wanted {
                jobs.insert(job);
            } else {
                jobs.remove(job);
            }
        }
        if self.touched.last() != Some(&job) {
            self.touched.push(job);
        }
    }

    /// Looks at the jobs that something happened to.
    fn settle(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.get_mut().pump(self.target, &mut self.actions);
            if let Some(failure) = job.get_mut().failure() {
                self.fail(id, failure);
            } else if job.get().is_finished() {
                let totals = std::mem::take(job.get_mut().totals_mut());
                self.jobs.remove(&id);
                self.forget(id);
                self.actions.push(Action::FinishJob { job: id, totals });
            }
        }
    }

    /// Ends a worker that broke the protocol.
    fn kill(&mut self, worker: WorkerId, what: &str) {
        for post in POSTS {
            self.crew(post).condemn(worker);
        }
        self.actions.push(Action::Kill { worker, reason: Reason::Violation(what.to_owned()) });
    }

    /// A worker has answered: one that has had its share is ended.
    fn retire(&mut self, worker: WorkerId, post: Post) {
        let why = match (post, self.rules.recycle) {
            (Post::Isolation, _) => "was only for one item",
            (Post::Execute, Some(share)) if self.execute.items(worker) >= share => "has run its share of items",
            _ => return,
        };
        self.crew(post).retire(worker);
        if self.crew(post).is_retired(worker) {
            self.crew(post).condemn(worker);
            self.actions.push(Action::Kill { worker, reason: Reason::Retired(why) });
        }
    }

    fn done(&mut self, worker: WorkerId, done: &Done) {
        let post = self.post_of(worker);
        if self.crew(post).is_condemned(worker) {
            return;
        }
        // Those that convert have answers of their own.
        let head = self.crew(post).head(worker).filter(|_| post != Post::Convert);
        let Some((id, batch)) = head.and_then(|id| Some((id, self.batches.get(&id)?))) else {
            return self.kill(worker, "replied without having been asked");
        };
        if done.batch != id || done.job != batch.job || done.generation.0 != batch.pick.attempts {
            return self.kill(worker, "replied to another batch than the one it was given");
        }
        let (job, charged) = (batch.job, batch.charged);
        if let Some(running) = self.jobs.get(&job)
            && let Err(reason) = running.get().check(&batch.pick, done)
        {
            return self.kill(worker, reason);
        }
        self.crew(post).replied(worker, done.items);
        self.retire(worker, post);
        let took = self.cores.measured(worker).unwrap_or(done.spent.total);
        self.crew(post).jobs.took(job, charged, took);
        self.crew(post).jobs.ended(job);
        let (Some(batch), Some(running)) = (self.batches.remove(&id), self.jobs.get_mut(&job)) else {
            return self.actions.push(Action::ReleaseBatch { batch: id });
        };
        if matches!(batch.pick.task, Task::Items(_) | Task::Rows(_)) {
            let took = done.spent.total;
            self.pace = Some(self.pace.map_or(took, |before| before.midpoint(took)));
        }
        let running = running.get_mut();
        let busy = &mut running.totals_mut().busy;
        *busy = busy.saturating_add(done.spent.total);
        let ran = Ran { worker, batch: id, pick: &batch.pick, done };
        match running.done(ran, &mut self.next_part, &mut self.actions) {
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
        self.convert.replied(worker, 0);
        self.actions.push(Action::ReleaseBatch { batch: id });
        let Some(job) = self.batches.remove(&id).map(|batch| batch.job) else { return };
        match (result, self.jobs.get_mut(&job)) {
            (Err(failure), _) => self.fail(job, failure),
            (Ok(value), Some(AnyJob::Picture(picture))) => act(picture, value),
            (Ok(_), _) => {}
        }
        self.touch(job);
    }

    fn new_batch(&mut self, job: JobId, pick: Pick) -> BatchId {
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        self.batches.insert(id, Batch { job, pick, charged: 0 });
        id
    }

    /// Gives free workers work: what has to be run again first, then the oldest job that has something to run.
    fn schedule(&mut self, post: Post) {
        if self.draining {
            return;
        }
        let depth = self.depth(post);
        while let Some(worker) = self.crew(post).freest(depth).filter(|worker| self.has_core(post, *worker)) {
            let Some(batch) = self.next_for(post) else { break };
            self.assign(post, worker, batch);
        }
        for (worker, batch) in self.to_recall(post) {
            self.actions.push(Action::Recall { worker, batch });
        }
        self.grow(post);
    }

    /// How many batches a worker may have at a time.
    fn depth(&self, post: Post) -> usize {
        // Pictures are large, and another worker may be free sooner. So may one be when batches are long, which they
        // only are when single items are: a worker hands back what it cannot do in its budget.
        let is_short = self.pace.is_some_and(|pace| u128::from(pace) <= sizing::BUDGET.as_nanos());
        // The share of a worker is only known when it has replied.
        let is_alone = !self.cores.is_contested() && !self.execute.jobs.is_contested();
        // What the only worker hands back comes before what is given to it next, so that it runs the input from its beginning to
        // its end. Where items are counted somebody hands them over one by one: that takes as many replies as there are items.
        let are_handed_over =
            self.jobs.values().next().is_some_and(|job| job.get().split_and_merge().0 == Split::Table);
        let is_in_order = self.target == 1 && !are_handed_over;
        // Somebody else may be next.
        let is_sure = is_short && is_alone && !is_in_order && self.rules.recycle.is_none();
        if post == Post::Execute && is_sure { QUEUE } else { 1 }
    }

    /// The batch to be given out next.
    fn next_for(&mut self, post: Post) -> Option<BatchId> {
        if let Some(again) = self.crew(post).again.pop_front() {
            return Some(again);
        }
        while let Some(id) = self.crew(post).jobs.first() {
            let target = self.target;
            if let Some(pick) = self.jobs.get_mut(&id).and_then(|job| job.get_mut().next(post, target)) {
                let charged = self.crew(post).jobs.gave(id);
                // Having given something out, it may need more input.
                self.touch(id);
                let batch = self.new_batch(id, pick);
                if let Some(batch) = self.batches.get_mut(&batch) {
                    batch.charged = charged;
                }
                return Some(batch);
            }
            self.crew(post).jobs.remove(id);
        }
        None
    }

    fn assign(&mut self, post: Post, worker: WorkerId, batch: BatchId) {
        let Some(entry) = self.batches.get(&batch) else { return };
        let Some(job) = self.jobs.get(&entry.job).map(AnyJob::get) else { return };
        let (split, merge) = job.split_and_merge();
        let mut budget = job.budget(self.target);
        let skip_failed = job.on_error() == OnError::Skip;
        let mut care = Care { skip_failed, retries: self.rules.retries, ..Care::default() };
        Mark::apply(entry.pick.mark.as_ref(), &mut budget, &mut care);
        if let Some(share) = self.rules.recycle {
            budget.items = budget.items.min(share.saturating_sub(self.execute.items(worker)).max(1));
        }
        let order = Order {
            job: entry.job,
            batch,
            generation: Generation(entry.pick.attempts),
            task: entry.pick.task.clone(),
            split,
            merge,
            destination: entry.pick.destination,
            length: job.length(),
            budget,
            care,
        };
        self.crew(post).assign(worker, batch);
        self.crew(post).jobs.began(order.job);
        self.actions.push(Action::Assign { worker, order });
    }
}
