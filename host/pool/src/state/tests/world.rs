//! The world of the tests: acts out what the state machine decides, and checks that each decision can be acted out.
//! What happens next is up to the test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use std::time::Duration;

use taskhost_protocol::ids::{BatchId, JobId, SourceId, WorkerId};
use taskhost_protocol::limits::PIECES_PER_BATCH;
use taskhost_protocol::picture::PicturePlan;
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Done, Piece, Split};

use super::filter::{PictureSpec, run_rows};
use super::input::{Input, Spec};
use super::worker::{Effort, Fate, Ran, Runs, Tells, run_items, run_join};
use crate::death::{Death, Reason};
use crate::event::{
    Action, Destination, DoneRange, Event, FailedItem, JobFailure, JobPlan, JobTotals, OnError, Order, PartId,
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
    /// Jobs that asked for their next input, and those that asked for more of their pipe.
    pub(super) feeds: BTreeSet<JobId>,
    pub(super) reads: BTreeMap<JobId, u64>,
    opening: BTreeMap<JobId, (PicturePlan, u32)>,
    pub(super) outcomes: BTreeMap<JobId, Outcome>,
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
            feeds: BTreeSet::new(),
            reads: BTreeMap::new(),
            opening: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            kills: Vec::new(),
            retired: Vec::new(),
            spawned: 0,
            delays: Vec::new(),
            deaths: 0,
            most_held: 0,
            largest_batch: 0,
        };
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
            is_over: false,
        };
        assert!(self.jobs.insert(job, fake).is_none(), "job numbers are never used twice");
        self.tell(Event::JobAdded { job, plan, resume: None });
        job
    }

    /// Goes on with a job where another world has stopped; `before` is what was left of it there.
    pub(super) fn resume(&mut self, job: JobId, spec: Spec, before: FakeJob) {
        let mut resume = Resume { prefix: before.prefix, totals: before.totals.clone(), ..Resume::default() };
        for (range, _) in &before.reduced {
            resume.done.entry(range.source).or_default().push(range.clone());
        }
        resume.done.values_mut().for_each(|ranges| ranges.sort_by_key(|range| range.start));
        let plan = JobPlan::Items(spec.plan);
        let fake = FakeJob {
            kind: Kind::Items(spec),
            opened: 0,
            pipe: None,
            open: BTreeSet::new(),
            runs: Runs::new(),
            appended: resume.prefix.output,
            is_over: false,
            ..before
        };
        assert!(self.jobs.insert(job, fake).is_none(), "job numbers are never used twice");
        self.tell(Event::JobAdded { job, plan, resume: Some(Box::new(resume)) });
    }

    /// The run is broken off: what is left of the job, with the output as far as it is merged.
    pub(super) fn stop(&mut self, job: JobId) -> FakeJob {
        let fake = &self.jobs[&job];
        let (prefix, totals, failed) = (fake.prefix, fake.totals.clone(), fake.failed.clone());
        while !self.sink.is_empty() {
            self.write();
        }
        let scale = self.scale(job);
        let mut fake = self.jobs.remove(&job).unwrap();
        if matches!(&fake.kind, Kind::Items(spec) if spec.plan.placement == Placement::Append) {
            fake.output.truncate((prefix.output / scale) as usize);
        }
        let failed = failed.into_iter().take(totals.failed as usize).collect();
        FakeJob { prefix, totals, failed, ..fake }
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
        let post = worker.post;
        self.tell(Event::WorkerReady { worker: id, post });
    }

    /// The worker is killed from outside, and nobody knows what it was at.
    pub(super) fn exit(&mut self, id: WorkerId, text: &str) {
        self.die(id, Verdict::Killed(text.into()), text, 0);
    }

    /// A worker that was told to end has ended.
    fn obey(&mut self, id: WorkerId) {
        let worker = &self.workers[&id];
        let reason = worker.reason.clone().expect("it was told to end");
        // That is what a worker stores when it is between items.
        let cell = worker
            .queue
            .front()
            .map_or(0, |(order, _)| Progress { batch: order.batch, piece: 0, offset: 0, packed: true }.encode());
        let verdict = match &reason {
            Reason::Retired(why) => Verdict::Retired((*why).to_owned()),
            _ => Verdict::ProtocolViolation(reason.to_string()),
        };
        self.die(id, verdict, &reason.to_string(), cell);
    }

    /// The worker's process is gone.
    pub(super) fn die(&mut self, id: WorkerId, verdict: Verdict, text: &str, cell: u64) {
        let was_ready = self.workers[&id].phase != Phase::Starting;
        if was_ready {
            self.spoil(id);
        }
        let verdict = if was_ready { verdict } else { Verdict::StartUp(text.into()) };
        self.deaths += usize::from(was_ready && !matches!(verdict, Verdict::Retired(_)));
        let post = self.workers.remove(&id).unwrap().post;
        let death = Death { verdict, text: text.into(), was_ready, cell };
        self.tell(Event::WorkerLost { worker: id, post, death });
    }

    /// The worker was in the middle of writing to the output: some of what is there is wrong.
    fn spoil(&mut self, id: WorkerId) {
        let Some((order, _)) = self.workers[&id].queue.front() else { return };
        let (Destination::Output(at), job) = (order.destination, order.job) else { return };
        let fake = self.jobs.get_mut(&job).unwrap();
        let is_empty = match (&order.task, &fake.kind) {
            (Task::Items(pieces), Kind::Items(spec)) => {
                let is_same = spec.plan.placement == Placement::Direct(crate::event::DirectLength::Same);
                is_same && pieces.iter().all(|piece| piece.start == piece.end)
            }
            _ => false,
        };
        if !is_empty {
            write_at(&mut fake.output, at, &[0xAA]);
        }
    }

    /// What the worker makes of the order at the head of its queue.
    fn attempt(&self, id: WorkerId, effort: Effort) -> Ran {
        let (order, parts) = self.workers[&id].queue.front().expect("the worker has something to do");
        let job = &self.jobs[&order.job];
        match (&job.kind, &order.task) {
            (Kind::Items(spec), Task::Items(_)) => run_items(spec, order, effort, &job.runs),
            (Kind::Items(spec), Task::Combine(_) | Task::Finish(_)) => run_join(spec, order, parts),
            (Kind::Picture(spec), Task::Rows(rows)) => run_rows(spec, order, rows, effort, &job.runs),
            (Kind::Picture(spec), Task::Prepare(format)) => {
                assert_eq!(*format, spec.format);
                let mut ran = Ran::of(order);
                ran.done.plan = Some(spec.kernel);
                ran
            }
            (_, task) => panic!("this job has no such task: {task:?}"),
        }
    }

    /// What the worker answers to the order at the head of its queue, and the bytes it made.
    pub(super) fn answer(&self, id: WorkerId, effort: Effort) -> (Done, Vec<u8>) {
        let ran = self.attempt(id, effort);
        assert!(ran.death.is_none(), "it does not live to answer");
        (ran.done, ran.output)
    }

    /// The first item that the worker will begin, whether that is well whatever happens, and what its progress cell says
    /// while it is run.
    pub(super) fn first_item(&self, id: WorkerId) -> Option<((SourceId, u64), bool, Progress)> {
        let (order, _) = self.workers[&id].queue.front()?;
        let progress = |piece, offset| Progress { batch: order.batch, piece, offset, packed: false };
        match (self.jobs[&order.job].kind(), &order.task) {
            (Kind::Items(spec), Task::Items(pieces)) => {
                let key = *self.attempt(id, Effort::FULL).begun.first()?;
                let has_it = |piece: &Piece| piece.source == key.0 && piece.start <= key.1;
                let index = pieces.iter().position(has_it)?;
                let item = spec.items().into_iter().find(|item| (item.source, item.offset) == key)?;
                let is_well = Fate::of(&item.bytes, 0) == Fate::Well;
                Some((key, is_well, progress(index as u32, key.1 - pieces[index].start)))
            }
            (Kind::Picture(spec), Task::Rows(rows)) if rows.plan.cut != taskhost_protocol::picture::Cut::Whole => {
                let key = *self.attempt(id, Effort::FULL).begun.first()?;
                let row = u32::try_from(key.1).unwrap();
                let is_well = spec.fate(key.0.0.into(), row, 0) == Fate::Well;
                Some((key, is_well, progress(0, key.1 - u64::from(rows.first))))
            }
            _ => None,
        }
    }

    /// What is known of the batch at the head of the worker's queue from attempts before.
    pub(super) fn mark(&self, id: WorkerId) -> Option<&Mark> {
        let (order, _) = self.workers[&id].queue.front()?;
        self.state.batches.get(&order.batch)?.pick.mark.as_ref()
    }

    /// Whether the worker will die of the order at the head of its queue.
    pub(super) fn is_doomed(&self, id: WorkerId, effort: Effort) -> bool {
        let task = self.workers[&id].queue.front().map(|(order, _)| &order.task);
        !matches!(task, None | Some(Task::Decode | Task::Encode(_))) && self.attempt(id, effort).death.is_some()
    }

    /// The worker dies of what it was at.
    fn die_of(&mut self, id: WorkerId, fate: Fate, at: Progress, tells: Tells) {
        let cell = match tells {
            Tells::Truth => at.encode(),
            Tells::Nothing => 0,
            Tells::AnotherBatch => Progress { batch: BatchId(at.batch.0 + 1), ..at }.encode(),
        };
        let (verdict, text) = match fate {
            Fate::Crashes => (Verdict::Crash("died of signal 11".into()), "died of signal 11"),
            Fate::Late => (Verdict::Deadline(Duration::from_secs(1)), "was late"),
            Fate::Killed => (Verdict::Killed("died of signal 9".into()), "died of signal 9"),
            Fate::Well | Fate::Fails => panic!("nobody dies of that"),
        };
        self.die(id, verdict, text, cell);
    }

    /// The worker runs the batch at the head of its queue and says so, or dies of it.
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
                let ran = self.attempt(id, effort);
                let runs = &mut self.jobs.get_mut(&job).unwrap().runs;
                ran.begun.iter().for_each(|key| *runs.entry(*key).or_default() += 1);
                match ran.death {
                    None => self.say(id, ran.done, ran.output),
                    Some((fate, at)) => self.die_of(id, fate, at, effort.tells),
                }
            }
        }
    }

    /// The worker gives this answer, having made these bytes.
    pub(super) fn say(&mut self, id: WorkerId, done: Done, bytes: Vec<u8>) {
        let worker = self.workers.get_mut(&id).unwrap();
        if let Some((order, _)) = worker.queue.pop_front() {
            worker.items += done.items;
            assert!(self.rules.recycle.is_none_or(|share| worker.items <= share), "{id:?} has run more than its share");
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
        let kept = (bytes / self.scale(job)) as usize;
        self.jobs.get_mut(&job).unwrap().output.extend(&held.results.expect("it was run")[..kept]);
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
                // Of a batch in which the job failed, what is in front of that is kept.
                assert!(held.results.as_ref().unwrap().len() as u64 * scale >= bytes);
                assert!(bytes > 0, "nothing to append");
                self.jobs.get_mut(&job).unwrap().appended += bytes;
                self.sink.push_back((job, batch, bytes));
            }
            Action::Reduced { job, batch, ranges } => {
                let scale = self.scale(job) as usize;
                let mut results = self.batches[&batch].results.as_ref().unwrap().as_slice();
                for range in ranges {
                    let len: u64 = range.parts.iter().map(|part| part.len).sum();
                    let (own, others) = results.split_at(len as usize / scale);
                    results = others;
                    self.jobs.get_mut(&job).unwrap().reduced.push((range, own.to_vec()));
                }
                assert!(results.is_empty(), "all parts belong to a stretch");
            }
            Action::RestoreParts { job, source, start, parts } => {
                let scale = self.scale(job) as usize;
                let is_it = |(range, _): &&(DoneRange, Vec<u8>)| (range.source, range.start) == (source, start);
                let mut bytes = self.jobs[&job].reduced.iter().find(is_it).unwrap().1.clone();
                for (part, len) in parts {
                    let others = bytes.split_off(len as usize / scale);
                    assert!(self.parts.insert(part, bytes).is_none(), "one part of a number");
                    bytes = others;
                }
                assert!(bytes.is_empty(), "all parts are restored");
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
                let fake = self.workers.get_mut(&worker).expect("it lives");
                fake.phase = Phase::Killed;
                fake.reason = Some(reason.clone());
                match reason {
                    Reason::Violation(what) => self.kills.push((worker, what)),
                    Reason::Retired(_) => {
                        assert!(fake.queue.is_empty(), "it has something to do");
                        self.retired.push(worker);
                    }
                    Reason::Deadline(_) | Reason::Stopped => panic!("this is for others to find out: {reason:?}"),
                }
            }
            Action::Spawn { post, after } => {
                assert!(!self.draining, "a worker that will get nothing");
                self.spawned += 1;
                self.delays.push(after);
                self.start(post);
                let count = self.workers.values().filter(|worker| worker.post == post).count();
                let most = if post == Post::Isolation { 1 } else { self.target };
                assert!(count <= most, "more workers than wanted");
            }
            Action::ItemFailed { job, item } => {
                let fake = self.jobs.get_mut(&job).unwrap();
                assert!(!fake.is_over && fake.on_error() == OnError::Skip);
                fake.failed.push(*item);
            }
            Action::Merged { job, prefix, totals } => {
                let fake = self.jobs.get_mut(&job).unwrap();
                assert!(prefix >= fake.prefix, "{prefix:?} is behind {:?}", fake.prefix);
                let is_direct = match &fake.kind {
                    Kind::Items(spec) => matches!(spec.plan.placement, Placement::Direct(_)),
                    Kind::Picture(spec) => spec.plan.direct,
                };
                assert!(is_direct || prefix.output == fake.appended, "what was merged was asked to be appended");
                assert!(totals.failed == fake.failed.len() as u64 && totals.items >= totals.failed);
                fake.prefix = prefix;
                fake.totals = *totals;
            }
        }
    }

    fn assign(&mut self, id: WorkerId, order: Order) {
        let job = &self.jobs[&order.job];
        assert!(!job.is_over, "work for a job that is over");
        assert!(!self.draining, "nothing new is begun");
        assert_eq!(order.care.retries, self.rules.retries);
        assert_eq!(order.care.skip_failed, job.on_error() == OnError::Skip);
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
        let post = self.state.batches[&order.batch].pick.post();
        assert_eq!((worker.phase, worker.post), (Phase::Ready, post), "{order:?}");
        worker.given += 1;
        assert!(post != Post::Isolation || worker.given == 1, "what is suspected needs a fresh worker");
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
