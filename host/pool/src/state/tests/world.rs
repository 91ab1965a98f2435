//! The world of the tests: acts out what the state machine decides, and checks that each decision can be acted out.
//! What happens next is up to the test.

mod actions;
mod checker;
mod resuming;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use std::time::Duration;

use taskhost_protocol::ids::{BatchId, JobId, SourceId, WorkerId};
use taskhost_protocol::limits::PIECES_PER_BATCH;
use taskhost_protocol::picture::PicturePlan;
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Done, Partial, Piece, Split};

use super::filter::{PictureSpec, run_rows};
use super::input::{Input, Spec};
use super::worker::{Effort, Fate, Ran, Runs, Tells, run_items, run_join};
use crate::death::{Death, Reason};
use crate::event::{
    Action, Checked, Destination, DoneRange, Event, FailedItem, JobFailure, JobPlan, JobTotals, OnError, Order, PartId,
    Placement, Post, Prefix, Resume, Task,
};
use crate::runner::cutter;
use crate::state::mark::Mark;
use crate::state::{Rules, State};
use crate::verdict::Verdict;

/// How often items are run again that fail for what may pass.
pub(super) const RETRIES: u32 = 2;

/// Far more than any of these runs needs.
pub(super) const STEPS: usize = 100_000;

/// Where row 0 of a picture goes: behind a header.
pub(super) const PICTURE_AT: u64 = 10;

/// A worker, as far as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    /// It was told to end, but its exit was not yet seen.
    Killed,
}

#[derive(Debug)]
pub(super) struct FakeWorker {
    pub(super) post: Post,
    pub(super) phase: Phase,
    /// Why it is being ended.
    reason: Option<Reason>,
    /// Orders it was given in its life.
    given: usize,
    /// Items it said it ran.
    items: u64,
    /// Orders it has not answered, with the parts they are to join.
    pub(super) queue: VecDeque<(Order, Vec<Vec<u8>>)>,
}

/// A batch that was given out and not yet released.
#[derive(Debug)]
struct Held {
    job: JobId,
    /// Its results, once it was run; `None` while it is out.
    results: Option<Vec<u8>>,
    is_appended: bool,
}

/// A pipe, read as far as `read`.
#[derive(Debug)]
struct FakePipe {
    source: SourceId,
    read: usize,
    ended: bool,
    from: u64,
    start: u64,
    split: Split,
}

#[derive(Debug)]
pub(super) enum Kind {
    Items(Spec),
    Picture(PictureSpec),
}

#[derive(Debug)]
pub(super) struct FakeJob {
    kind: Kind,
    /// Inputs opened so far.
    opened: u32,
    pipe: Option<FakePipe>,
    /// Files by source, and blocks by source and first byte, that are open.
    open: BTreeSet<(SourceId, u64)>,
    pub(super) output: Vec<u8>,
    /// How often each item was begun.
    pub(super) runs: Runs,
    /// Failed items that the job went on without.
    pub(super) failed: Vec<FailedItem>,
    /// Bytes asked to be appended, and how far the merge says it is.
    appended: u64,
    pub(super) prefix: Prefix,
    /// What the job came to until there.
    totals: JobTotals,
    /// Stretches of a reduction that are done, with their parts.
    pub(super) reduced: Vec<(DoneRange, Vec<u8>)>,
    /// Of a portion of a reduction: its parts.
    pub(super) handed_over: Option<(Vec<Partial>, Vec<u8>)>,
    is_over: bool,
}

/// What a job came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) failure: Option<JobFailure>,
    pub(super) totals: JobTotals,
    pub(super) output: Vec<u8>,
}

/// Something that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    OpenNext(JobId),
    ReadPipe(JobId),
    OpenOutput(JobId),
    Reply(WorkerId),
    BecomeReady(WorkerId),
    Exit(WorkerId),
    Write,
    Check,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) state: State,
    target: usize,
    rules: Rules,
    /// Nothing may be given out any more.
    draining: bool,
    pub(super) workers: BTreeMap<WorkerId, FakeWorker>,
    next_worker: u32,
    pub(super) jobs: BTreeMap<JobId, FakeJob>,
    batches: BTreeMap<BatchId, Held>,
    parts: BTreeMap<PartId, Vec<u8>>,
    /// Appended but not written.
    pub(super) sink: VecDeque<(JobId, BatchId, u64)>,
    /// What is said of results that were written, and was not yet heard.
    checks: VecDeque<(JobId, Checked)>,
    /// Jobs that asked for their next input, and those that asked for more of their pipe.
    pub(super) feeds: BTreeSet<JobId>,
    pub(super) reads: BTreeMap<JobId, u64>,
    opening: BTreeMap<JobId, (PicturePlan, u32)>,
    pub(super) outcomes: BTreeMap<JobId, Outcome>,
    /// Batches that were taken back, of which the machine was not told yet.
    recalled: VecDeque<(WorkerId, BatchId)>,
    /// How many were.
    pub(super) recalls: usize,
    /// Workers that broke the protocol, and how.
    pub(super) kills: Vec<(WorkerId, String)>,
    /// Workers that had had their share.
    pub(super) retired: Vec<WorkerId>,
    pub(super) spawned: usize,
    /// How long to wait before each of them.
    pub(super) delays: Vec<Duration>,
    /// Deaths of workers that were ready, but for those that had had their share.
    pub(super) deaths: usize,
    /// Most bytes of results that were held at a time, and most that one batch made.
    pub(super) most_held: u64,
    pub(super) largest_batch: u64,
}

impl World {
    /// A pool of at most `target` execute workers, all of them on their way.
    pub(super) fn new(target: usize) -> Self {
        Self::with_started(target, target)
    }

    /// A pool of at most `target` execute workers, of which `started` are on their way.
    pub(super) fn with_started(target: usize, started: usize) -> Self {
        Self::with_rules(target, started, Rules { retries: RETRIES, recycle: None })
    }

    /// A pool in which these rules hold.
    pub(super) fn with_rules(target: usize, started: usize, rules: Rules) -> Self {
        let mut world = Self {
            state: State::new(target, started, rules),
            target,
            rules,
            draining: false,
            workers: BTreeMap::new(),
            next_worker: 0,
            jobs: BTreeMap::new(),
            batches: BTreeMap::new(),
            parts: BTreeMap::new(),
            sink: VecDeque::new(),
            checks: VecDeque::new(),
            feeds: BTreeSet::new(),
            reads: BTreeMap::new(),
            opening: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            recalled: VecDeque::new(),
            recalls: 0,
            kills: Vec::new(),
            retired: Vec::new(),
            spawned: 0,
            delays: Vec::new(),
            deaths: 0,
            most_held: 0,
            largest_batch: 0,
        };
        world.state.keep_journal();
        for _ in 0..started {
            world.start(Post::Execute);
        }
        world
    }

    fn start(&mut self, post: Post) {
        let queue = VecDeque::new();
        let worker = FakeWorker { post, phase: Phase::Starting, reason: None, given: 0, items: 0, queue };
        self.workers.insert(WorkerId(self.next_worker), worker);
        self.next_worker += 1;
    }

    /// Puts a job of items on the pool.
    pub(super) fn add(&mut self, number: u64, spec: Spec) -> JobId {
        let plan = JobPlan::Items(spec.plan);
        self.add_job(number, Kind::Items(spec), plan)
    }

    /// Puts a picture on the pool.
    pub(super) fn add_picture(&mut self, number: u64, spec: PictureSpec) -> JobId {
        let plan = JobPlan::Picture(spec.plan);
        self.add_job(number, Kind::Picture(spec), plan)
    }

    fn add_job(&mut self, number: u64, kind: Kind, plan: JobPlan) -> JobId {
        let job = JobId(number);
        let fake = FakeJob {
            kind,
            opened: 0,
            pipe: None,
            open: BTreeSet::new(),
            output: Vec::new(),
            runs: Runs::new(),
            failed: Vec::new(),
            appended: 0,
            prefix: Prefix::default(),
            totals: JobTotals::default(),
            reduced: Vec::new(),
            handed_over: None,
            is_over: false,
        };
        assert!(self.jobs.insert(job, fake).is_none(), "job numbers are never used twice");
        self.tell(Event::JobAdded { job, plan, resume: None });
        job
    }

    /// Lends it cores.
    pub(super) fn lend(&mut self, cores: usize, is_contested: bool) {
        for action in self.state.lend(cores, is_contested) {
            self.perform(action);
        }
    }

    /// Hands an event in and acts out what comes of it.
    pub(super) fn tell(&mut self, event: Event) {
        for action in self.state.handle(event) {
            self.perform(action);
        }
        while let Some((worker, batch)) = self.recalled.pop_front() {
            self.recalls += 1;
            self.tell(Event::Recalled { worker, batch });
        }
        let held = self.batches.values().filter_map(|held| Some((held.job, held.results.as_ref()?.len() as u64)));
        let held: u64 = held.map(|(job, bytes)| bytes * self.scale(job)).sum();
        self.most_held = self.most_held.max(held);
    }

    fn scale(&self, job: JobId) -> u64 {
        match &self.jobs[&job].kind {
            Kind::Items(spec) => spec.scale,
            Kind::Picture(_) => 1,
        }
    }

    /// Nothing new may be begun from now on.
    pub(super) fn drain(&mut self) {
        self.state.drain();
        self.draining = true;
    }

    /// Everything that may happen next.
    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves: Vec<Move> = self.feeds.iter().map(|job| Move::OpenNext(*job)).collect();
        moves.extend(self.reads.keys().map(|job| Move::ReadPipe(*job)));
        moves.extend(self.opening.keys().map(|job| Move::OpenOutput(*job)));
        for (id, worker) in &self.workers {
            match worker.phase {
                Phase::Starting => moves.push(Move::BecomeReady(*id)),
                Phase::Ready if !worker.queue.is_empty() => moves.push(Move::Reply(*id)),
                Phase::Ready => {}
                Phase::Killed => moves.push(Move::Exit(*id)),
            }
        }
        moves.extend((!self.checks.is_empty()).then_some(Move::Check));
        moves.extend((!self.sink.is_empty()).then_some(Move::Write));
        moves
    }

    /// Has something happen. A worker that replies makes that effort; a pipe gives so many bytes.
    pub(super) fn make(&mut self, next: Move, effort: Effort, bytes: usize) {
        match next {
            Move::OpenNext(job) => self.open_next(job),
            Move::ReadPipe(job) => self.read_pipe(job, bytes),
            Move::OpenOutput(job) => self.open_output(job),
            Move::Reply(worker) => self.reply(worker, effort),
            Move::BecomeReady(worker) => self.become_ready(worker),
            Move::Exit(worker) => self.obey(worker),
            Move::Write => self.write(),
            Move::Check => self.check(),
        }
    }

    /// Everything but replies and writes happens until there is nothing else.
    pub(super) fn wait(&mut self) {
        let is_awaited = |next: &Move| !matches!(next, Move::Reply(_) | Move::Write);
        while let Some(next) = self.moves().into_iter().find(is_awaited) {
            self.make(next, Effort::FULL, usize::MAX);
        }
    }

    /// Everything happens until nothing is left to happen.
    pub(super) fn finish(&mut self) {
        for steps in 0.. {
            let Some(next) = self.moves().first().copied() else { break };
            assert!(steps < STEPS, "it does not come to an end");
            self.make(next, Effort::FULL, usize::MAX);
        }
        self.assert_clean();
    }

    /// Nothing is left over.
    pub(super) fn assert_clean(&self) {
        assert!(self.state.is_idle(), "stuck: nothing more can happen, but jobs are left: {:#?}", self.state);
        assert!(self.batches.is_empty(), "batches that were never released: {:?}", self.batches);
        assert!(self.parts.is_empty(), "parts that were never dropped: {:?}", self.parts);
        assert!(self.state.batches.is_empty(), "batches that were never forgotten: {:?}", self.state.batches);
        for (id, job) in &self.jobs {
            let is_done = self.outcomes[id].failure.is_none();
            assert!(!is_done || job.open.is_empty(), "inputs of {id} that were never released: {:?}", job.open);
        }
    }

    /// The worker's queue, by batch.
    pub(super) fn queue(&self, worker: u32) -> Vec<BatchId> {
        self.workers[&WorkerId(worker)].queue.iter().map(|(order, _)| order.batch).collect()
    }

    /// The pieces that a worker was given, by queue place.
    pub(super) fn pieces(&self, worker: u32, place: usize) -> &[Piece] {
        match &self.workers[&WorkerId(worker)].queue[place].0.task {
            Task::Items(pieces) => pieces,
            task => panic!("these are no items: {task:?}"),
        }
    }

    /// The output as written so far.
    pub(super) fn output(&self, job: JobId) -> String {
        String::from_utf8(self.jobs[&job].output.clone()).unwrap()
    }

    /// Files and blocks of the job that are open.
    pub(super) fn open_inputs(&self, job: JobId) -> usize {
        self.jobs[&job].open.len()
    }

    fn open_next(&mut self, id: JobId) {
        self.feeds.remove(&id);
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.is_over) else { return };
        let Kind::Items(spec) = &job.kind else { panic!("pictures have no feed") };
        let source = SourceId(job.opened);
        let event = match spec.inputs.get(job.opened as usize) {
            None => Event::SourcesEnded { job: id },
            Some(Input::File(bytes)) => {
                let (start, end) = (spec.first_item(source), bytes.len() as u64);
                job.open.insert((source, start));
                Event::SourceOpened { job: id, source, start, end }
            }
            Some(Input::Pipe(_)) => {
                let start = spec.first_item(source);
                let split = spec.plan.split;
                let read = start as usize;
                job.pipe = Some(FakePipe { source, read, ended: false, from: start, start, split });
                Event::PipeOpened { job: id, source, start }
            }
        };
        job.opened += 1;
        self.tell(event);
    }

    /// The pipe brings at most so many bytes, or its end.
    fn read_pipe(&mut self, id: JobId, bytes: usize) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.is_over) else {
            self.reads.remove(&id);
            return;
        };
        let Kind::Items(spec) = &job.kind else { panic!("pictures are no pipes") };
        let pipe = job.pipe.as_mut().expect("a pipe is open");
        let data = spec.inputs[pipe.source.0 as usize].bytes();
        if pipe.read == data.len() {
            pipe.ended = true;
        }
        pipe.read = pipe.read.saturating_add(bytes).min(data.len());
        let held = &data[pipe.from as usize..pipe.read];
        let event = match cutter::cut(pipe.split, held, pipe.from, pipe.start, pipe.ended) {
            None if pipe.ended => Event::PipeEnded { job: id, end: pipe.from },
            None => return,
            Some(cut) => {
                let (source, from, start) = (pipe.source, pipe.from, pipe.start);
                pipe.from += cut.bytes;
                pipe.start = cut.end;
                if pipe.split == Split::Whole {
                    pipe.split = Split::Lines;
                }
                assert!(job.open.insert((source, from)), "a block begins where none did");
                // Anything: whoever talks to the worker knows the slot, and the arena is not looked at.
                let slot = taskhost_protocol::ids::SlotId(0);
                let piece = Piece { source, slot, start, end: cut.end, from, to: pipe.from, at: 7, base: 0 };
                Event::Block { job: id, piece }
            }
        };
        self.reads.remove(&id);
        self.tell(event);
    }

    fn open_output(&mut self, id: JobId) {
        let Some((plan, planes)) = self.opening.remove(&id) else { panic!("no output was asked for") };
        let job = self.jobs.get_mut(&id).unwrap();
        job.output = vec![b'h'; PICTURE_AT as usize];
        let Kind::Picture(spec) = &job.kind else { panic!("only pictures have an output to be opened") };
        assert_eq!((plan, planes), (spec.kernel, spec.plan.planes));
        self.tell(Event::OutputOpened { job: id, at: PICTURE_AT });
    }
}

impl FakeJob {
    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    fn on_error(&self) -> OnError {
        match &self.kind {
            Kind::Items(spec) => spec.plan.on_error,
            Kind::Picture(spec) => spec.plan.on_error,
        }
    }
}

/// Writes bytes at a place in the output, which may be beyond its end.
fn write_at(output: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let at = at as usize;
    if output.len() < at + bytes.len() {
        output.resize(at + bytes.len(), 0);
    }
    output[at..at + bytes.len()].copy_from_slice(bytes);
}
