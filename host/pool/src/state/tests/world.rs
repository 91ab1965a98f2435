//! The world of the tests: acts out what the state machine decides, and checks that each decision can be acted out.
//! What happens next is up to the test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use taskhost_protocol::fault::Fault;
use taskhost_protocol::ids::{BatchId, JobId, SourceId, WorkerId};
use taskhost_protocol::limits::PIECES_PER_BATCH;
use taskhost_protocol::message::Role;
use taskhost_protocol::picture::{Format, PicturePlan};
use taskhost_protocol::work::{Done, Piece, Split};

use super::input::{Input, Spec};
use super::worker::{Effort, empty_reply, run_items, run_join, run_rows};
use crate::death::{Cause, Death};
use crate::event::{
    Action, Destination, Event, JobFailure, JobPlan, JobTotals, Order, PartId, PictureJobPlan, Placement, Task,
};
use crate::runner::cutter;
use crate::state::State;

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
    pub(super) role: Role,
    pub(super) phase: Phase,
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

/// A picture job, as a test describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PictureSpec {
    pub(super) plan: PictureJobPlan,
    pub(super) format: Format,
    pub(super) kernel: PicturePlan,
}

#[derive(Debug)]
enum Kind {
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
    /// Batches that are out or not written.
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
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) state: State,
    target: usize,
    pub(super) workers: BTreeMap<WorkerId, FakeWorker>,
    next_worker: u32,
    pub(super) jobs: BTreeMap<JobId, FakeJob>,
    batches: BTreeMap<BatchId, Held>,
    parts: BTreeMap<PartId, Vec<u8>>,
    /// Appended but not written.
    pub(super) sink: VecDeque<(JobId, BatchId, u64)>,
    /// Jobs that asked for their next input, and those that asked for more of their pipe.
    pub(super) feeds: BTreeSet<JobId>,
    pub(super) reads: BTreeMap<JobId, u64>,
    opening: BTreeMap<JobId, (PicturePlan, u32)>,
    pub(super) outcomes: BTreeMap<JobId, Outcome>,
    pub(super) kills: Vec<(WorkerId, String)>,
    pub(super) spawned: usize,
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
        let mut world = Self {
            state: State::new(target, started),
            target,
            workers: BTreeMap::new(),
            next_worker: 0,
            jobs: BTreeMap::new(),
            batches: BTreeMap::new(),
            parts: BTreeMap::new(),
            sink: VecDeque::new(),
            feeds: BTreeSet::new(),
            reads: BTreeMap::new(),
            opening: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            kills: Vec::new(),
            spawned: 0,
            most_held: 0,
            largest_batch: 0,
        };
        for _ in 0..started {
            world.start(Role::Execute);
        }
        world
    }

    fn start(&mut self, role: Role) {
        let worker = FakeWorker { role, phase: Phase::Starting, queue: VecDeque::new() };
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
        self.add_job(number, Kind::Picture(spec), JobPlan::Picture(spec.plan))
    }

    fn add_job(&mut self, number: u64, kind: Kind, plan: JobPlan) -> JobId {
        let job = JobId(number);
        let fake = FakeJob { kind, opened: 0, pipe: None, open: BTreeSet::new(), output: Vec::new(), is_over: false };
        assert!(self.jobs.insert(job, fake).is_none(), "job numbers are never used twice");
        self.tell(Event::JobAdded { job, plan });
        job
    }

    /// Hands an event in and acts out what comes of it.
    pub(super) fn tell(&mut self, event: Event) {
        for action in self.state.handle(event) {
            self.perform(action);
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
            Move::Exit(worker) => self.exit(worker, "was told to"),
            Move::Write => self.write(),
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

    pub(super) fn become_ready(&mut self, id: WorkerId) {
        let worker = self.workers.get_mut(&id).unwrap();
        assert_eq!(worker.phase, Phase::Starting);
        worker.phase = Phase::Ready;
        let role = worker.role;
        self.tell(Event::WorkerReady { worker: id, role });
    }

    /// The worker's process is gone.
    pub(super) fn exit(&mut self, id: WorkerId, reason: &str) {
        self.spoil(id);
        let worker = self.workers.remove(&id).unwrap();
        let was_ready = worker.phase != Phase::Starting;
        let death = Death { cause: Cause::Killed(reason.into()), last_words: None, was_ready };
        self.tell(Event::WorkerLost { worker: id, role: worker.role, death });
    }

    /// The worker was in the middle of writing to the output: some of what is there is wrong.
    fn spoil(&mut self, id: WorkerId) {
        let Some((order, _)) = self.workers[&id].queue.front() else { return };
        let (Destination::Output(at), job) = (order.destination, order.job) else { return };
        if !self.answer(id, Effort::FULL).1.is_empty() {
            write_at(&mut self.jobs.get_mut(&job).unwrap().output, at, &[0xAA]);
        }
    }

    /// What the worker answers to the order at the head of its queue, and the bytes it made.
    pub(super) fn answer(&self, id: WorkerId, effort: Effort) -> (Done, Vec<u8>) {
        let (order, parts) = self.workers[&id].queue.front().expect("the worker has something to do");
        match (&self.jobs[&order.job].kind, &order.task) {
            (Kind::Items(spec), Task::Items(_)) => run_items(spec, order, effort),
            (Kind::Items(spec), Task::Combine(_) | Task::Finish(_)) => run_join(spec, order, parts),
            (Kind::Picture(spec), Task::Rows(rows)) => run_rows(order, rows, spec.plan.at, effort),
            (Kind::Picture(spec), Task::Prepare(format)) => {
                assert_eq!(*format, spec.format);
                (Done { plan: Some(spec.kernel), ..empty_reply(order) }, Vec::new())
            }
            (_, task) => panic!("this job has no such task: {task:?}"),
        }
    }

    /// The worker runs the batch at the head of its queue and says so.
    pub(super) fn reply(&mut self, id: WorkerId, effort: Effort) {
        let order = &self.workers[&id].queue.front().expect("the worker has something to do").0;
        let job = order.job;
        match &order.task {
            Task::Decode => {
                let Kind::Picture(spec) = &self.jobs[&job].kind else { panic!("no picture to decode") };
                let result = Ok(spec.format);
                self.workers.get_mut(&id).unwrap().queue.pop_front();
                self.tell(Event::Decoded { worker: id, result });
            }
            Task::Encode(_) => {
                self.workers.get_mut(&id).unwrap().queue.pop_front();
                let output = &mut self.jobs.get_mut(&job).unwrap().output;
                output.extend(b"encoded");
                self.tell(Event::Encoded { worker: id, result: Ok(0) });
            }
            _ => {
                let (done, bytes) = self.answer(id, effort);
                self.say(id, done, bytes);
            }
        }
    }

    /// The worker gives this answer, having made these bytes.
    pub(super) fn say(&mut self, id: WorkerId, done: Done, bytes: Vec<u8>) {
        if let Some((order, _)) = self.workers.get_mut(&id).unwrap().queue.pop_front() {
            let job = self.jobs.get_mut(&order.job).unwrap();
            self.largest_batch = self.largest_batch.max(done.output);
            let held = self.batches.get_mut(&order.batch).expect("batches are released after they were run");
            held.results = Some(match order.destination {
                Destination::Arena => bytes,
                Destination::Nowhere => Vec::new(),
                Destination::Output(at) => {
                    write_at(&mut job.output, at, &bytes);
                    Vec::new()
                }
            });
        }
        self.tell(Event::Done { worker: id, done: Box::new(done) });
    }

    /// The oldest results that were appended are written.
    pub(super) fn write(&mut self) {
        let (job, batch, bytes) = self.sink.pop_front().expect("something was appended");
        let held = self.batches.remove(&batch).expect("it was not released before");
        self.jobs.get_mut(&job).unwrap().output.extend(held.results.expect("it was run"));
        self.tell(Event::Written { job, bytes });
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Assign { worker, order } => self.assign(worker, order),
            Action::NextSource { job } => {
                assert!(!self.jobs[&job].is_over);
                assert!(self.feeds.insert(job), "asked twice for the next input");
            }
            Action::Release { job, source, from } => {
                let fake = self.jobs.get_mut(&job).unwrap();
                assert!(fake.open.remove(&(source, from)), "released what is not open: {source} from {from}");
                let reads = |order: &Order| {
                    let Task::Items(pieces) = &order.task else { return false };
                    order.job == job && pieces.iter().any(|piece| (piece.source, piece.from) == (source, from))
                };
                let mut orders = self.workers.values().flat_map(|worker| &worker.queue);
                assert!(!orders.any(|(order, _)| reads(order)), "released what a worker still reads");
            }
            Action::Read { job, bytes } => {
                assert!(self.jobs[&job].pipe.is_some() && bytes > 0);
                assert!(self.reads.insert(job, bytes).is_none(), "asked twice for the pipe to be read");
            }
            Action::OpenOutput { job, plan, planes } => {
                assert!(self.opening.insert(job, (plan, planes)).is_none(), "asked twice for the output");
            }
            Action::Append { job, batch, bytes } => {
                let scale = self.scale(job);
                let held = self.batches.get_mut(&batch).expect("only what was run is appended");
                assert!(!std::mem::replace(&mut held.is_appended, true), "appended twice");
                assert_eq!(held.results.as_ref().unwrap().len() as u64 * scale, bytes);
                assert!(bytes > 0, "nothing to append");
                self.sink.push_back((job, batch, bytes));
            }
            Action::TakeParts { batch, parts } => {
                let held = &self.batches[&batch];
                let (mut at, scale) = (0, self.scale(held.job));
                let results = held.results.as_ref().unwrap();
                for (part, len) in parts {
                    let end = at + (len / scale) as usize;
                    assert!(self.parts.insert(part, results[at..end].to_vec()).is_none(), "one part of a number");
                    at = end;
                }
                assert_eq!(at, results.len(), "all parts are taken");
            }
            Action::DropParts { parts } => {
                for part in parts {
                    assert!(self.parts.remove(&part).is_some(), "dropped a part that is not there");
                }
            }
            Action::ReleaseBatch { batch } => {
                let held = self.batches.remove(&batch).expect("released what is not held");
                assert!(!held.is_appended, "what was appended is released when it is written");
            }
            Action::FinishJob { job, totals } => self.over(job, totals, None),
            Action::FailJob { job, failure, totals } => self.over(job, totals, Some(failure)),
            Action::Kill { worker, reason } => {
                self.workers.get_mut(&worker).expect("it lives").phase = Phase::Killed;
                self.kills.push((worker, reason));
            }
            Action::Spawn { role } => {
                self.spawned += 1;
                self.start(role);
                let count = self.workers.values().filter(|worker| worker.role == role).count();
                assert!(count <= self.target, "more workers than wanted");
            }
        }
    }

    fn assign(&mut self, id: WorkerId, order: Order) {
        let job = &self.jobs[&order.job];
        assert!(!job.is_over, "work for a job that is over");
        let held = Held { job: order.job, results: None, is_appended: false };
        assert!(self.batches.insert(order.batch, held).is_none(), "a batch is with one worker at a time");
        let mut parts = Vec::new();
        match &order.task {
            Task::Items(pieces) => {
                assert!(!pieces.is_empty() && pieces.len() <= PIECES_PER_BATCH);
                for piece in pieces {
                    assert!(job.open.contains(&(piece.source, piece.from)), "the input is open: {piece:?}");
                }
            }
            Task::Combine(ids) => parts = ids.iter().map(|id| self.parts[id].clone()).collect(),
            Task::Finish(id) => parts = vec![self.parts[id].clone()],
            Task::Rows(_) | Task::Prepare(_) | Task::Decode | Task::Encode(_) => {}
        }
        let worker = self.workers.get_mut(&id).expect("work for a worker that lives");
        assert_eq!((worker.phase, worker.role), (Phase::Ready, order.task.role()));
        worker.queue.push_back((order, parts));
        assert!(worker.queue.len() <= 2, "two batches in flight");
    }

    fn over(&mut self, id: JobId, totals: JobTotals, failure: Option<JobFailure>) {
        let job = self.jobs.get_mut(&id).unwrap();
        assert!(!std::mem::replace(&mut job.is_over, true), "a job is over once");
        let is_out = |worker: &FakeWorker| worker.queue.iter().any(|(order, _)| order.job == id);
        if failure.is_none() {
            assert!(!self.workers.values().any(is_out), "work of a finished job is out");
            assert!(!self.sink.iter().any(|(job, ..)| *job == id), "a finished job is written");
        }
        self.reads.remove(&id);
        self.opening.remove(&id);
        let outcome = Outcome { failure, totals, output: job.output.clone() };
        assert!(self.outcomes.insert(id, outcome).is_none());
    }

    /// What the job must have written.
    pub(super) fn expected(&self, job: JobId) -> Vec<u8> {
        match &self.jobs[&job].kind {
            Kind::Items(spec) => spec.output(),
            Kind::Picture(spec) => {
                let output = &spec.kernel.output;
                let rows = (0..u64::from(spec.plan.planes)).flat_map(|plane| {
                    (0..output.height).flat_map(move |row| super::worker::row_of(output, plane, row))
                });
                let end: &[u8] = if spec.plan.encode { b"encoded" } else { b"" };
                vec![b'h'; PICTURE_AT as usize].into_iter().chain(rows).chain(end.iter().copied()).collect()
            }
        }
    }

    /// Asserts that the job was done, with the right output and totals.
    pub(super) fn assert_done(&self, job: JobId) {
        let outcome = &self.outcomes[&job];
        assert_eq!(outcome.failure, None);
        assert_eq!(String::from_utf8_lossy(&outcome.output), String::from_utf8_lossy(&self.expected(job)));
        let Kind::Items(spec) = &self.jobs[&job].kind else { return };
        let items = spec.items();
        assert_eq!(outcome.totals.items, items.len() as u64);
        let counted = outcome.totals.counters.get("items").copied().unwrap_or(0);
        assert_eq!(counted, items.len() as u64, "each item counts once");
        if spec.plan.placement != Placement::Nowhere {
            let bytes = outcome.output.len() as u64 * spec.scale;
            assert_eq!(outcome.totals.output, bytes);
        }
    }

    /// The item that made the job fail: its number, its input and its place there.
    pub(super) fn failed_item(&self, job: JobId) -> (u64, u32, u64) {
        match &self.outcomes[&job].failure {
            Some(JobFailure::Item(item)) => {
                let place = item.failure.place;
                assert_eq!(item.failure.fault, Fault::Failed("there is an X in it".into()));
                (item.number, place.source.0, place.offset)
            }
            other => panic!("no item failed: {other:?}"),
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
