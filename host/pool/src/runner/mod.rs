//! Performs what the state machine decides: one thread, one loop. Descriptors become ready, that becomes events, events
//! become actions, actions are performed.
//!
//! * [`course`] is a run from its beginning to its end, in steps. [`staff`] starts workers and notes what became of them, [`starter`]
//!   starts their processes; [`process`] is one of these, [`slots`] its open files, [`regions`] its output arena.
//! * [`jobs`] are the files of a running job, [`sources`] opens its inputs, [`pipe`] and [`cutter`] read one that is a pipe.
//! * [`table`] takes items from, and hands results to, the program that this is part of.
//! * [`room`] is how much may be open at a time; [`sink`] writes outputs in a thread of its own; [`converters`] are workers
//!   between a file and the pipe it is read or written by.
//! * [`perform`] turns actions into effects, [`incoming`] messages into events, [`failed`] tells of failed items.
//! * [`keeper`] and [`saving`] keep the journal, [`splice`] adds results to an output that lacks some.
//! * [`vigil`] does what goes by the clock, [`watch`] tells whether an item is late, [`start_up`] how long a start took.
//! * [`seat`] is its place among pools that share cores.
//! * [`tokens`] are what the poller watches.
//! * [`times`] are where the time of each worker went, [`timeline`] is the course of a run, for those who want to see it.

mod allowance;
mod checked;
mod config;
mod converters;
mod course;
pub(crate) mod cutter;
mod failed;
mod frontier;
mod grants;
mod groups;
mod incoming;
mod jobs;
mod keeper;
mod leaves;
mod origin;
mod parts;
mod perform;
mod pipe;
pub(crate) mod process;
mod regions;
mod room;
mod saving;
mod seat;
mod sink;
mod slots;
mod sources;
mod splice;
mod staff;
mod start_up;
pub(crate) mod starter;
mod table;
pub mod timeline;
mod times;
mod tokens;
mod vigil;
mod walls;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use taskhost_os::eventfd::Waker;
use taskhost_os::poll::{Event as Readiness, Interest, Poller};
use taskhost_os::process_id::ProcessId;
use taskhost_os::sandbox::Missing;
use taskhost_os::usage::{OomCount, cpu_time, oom_kills};
use taskhost_protocol::ids::{BatchId, JobId, SlotId, WorkerId};
use taskhost_protocol::kernel::{Description, KernelInfo};
use taskhost_protocol::limits::MESSAGE_BYTES;
use taskhost_protocol::work::Piece;

use crate::artifact::{self, Artifact, Cache, Digest};
use crate::death::Reason;
use crate::error::{PoolError, Tried as _};
use crate::event::{Event, Post};
use crate::state::{Rules, State, counting};
use converters::Converters;
use jobs::RunningJob;
use keeper::Keeper;
use parts::Parts;
use process::{Phase, WorkerProcess};
use regions::{Region, Regions};
use seat::Seat;
use sink::Sink;
use starter::Starter;
use table::{Held, Tables};
use timeline::Recorder;
use tokens::Watched;
use vigil::Vigil;

pub use config::{GrantedFolder, Observer, Policy, PoolConfig, Progress, RunReport, WorkerNow, WorkerReport};
pub use course::{Course, Next};
pub use keeper::Journaling;
pub use origin::prepare;
pub use seat::SharedCores;
pub use start_up::StartUp;
pub use table::SHORT_BLOCK;
pub use times::{PoolTimes, WorkerTimes};

/// How often the observer hears of the progress.
const TICK: Duration = Duration::from_millis(100);

/// Attempts to have a first worker: being killed, as with a batch, says little.
const START_TRIES: u32 = 5;

/// How long a worker may live after it closed its socket.
const LINGER: Duration = Duration::from_secs(1);

/// A batch that is out or not yet merged: where its results are.
#[derive(Debug)]
struct OutBatch {
    job: JobId,
    /// What it is to run, when that is items.
    pieces: Vec<Piece>,
    /// The inputs of these, when somebody will say something of them.
    names: checked::Names,
    regions: Option<(Arc<Regions>, Region)>,
    /// Where its items are, as long as it may be read.
    #[expect(dead_code, reason = "it is held, not looked at")]
    held: Option<Arc<Held>>,
    written: u64,
    /// Items that were run.
    items: u64,
    /// Those of them that failed, counted from the first.
    failed: Vec<u64>,
}

/// A job of which everything is written but not yet committed.
struct Finishing {
    job: RunningJob,
    totals: crate::event::JobTotals,
}

/// A pool of workers for one kernel.
pub struct Pool {
    config: PoolConfig,
    artifact: Artifact,
    starter: Starter,
    description: Option<Option<Description>>,
    state: State,
    workers: BTreeMap<WorkerId, WorkerProcess>,
    next_worker: u32,
    /// Workers that convert streams.
    converters: Converters,
    batches: HashMap<BatchId, OutBatch>,
    parts: Parts,
    tables: Tables,
    jobs: HashMap<JobId, RunningJob>,
    next_job: u64,
    poller: Poller,
    waker: Waker,
    sink: Sink,
    buffer: Vec<u8>,
    warnings: Vec<String>,
    missing: Vec<Missing>,
    reports: Vec<WorkerReport>,
    progress: Progress,
    began: Instant,
    vigil: Vigil,
    keeper: Option<Keeper>,
    /// The line of the error file for a failed item.
    describe: Option<fn(&crate::job::FailedItem) -> String>,
    /// Jobs of which everything is written but not yet committed.
    finishing: HashMap<JobId, Finishing>,
    /// Processes that the system killed for want of memory, when last looked.
    oom: Option<OomCount>,
    /// Workers that died, told and untold.
    deaths: u64,
    /// Writes the course of the run down.
    recorder: Option<Recorder>,
    /// Where workers write down what their kernel spends its time on, with their numbers.
    profiles: Vec<(u32, OwnedFd)>,
    /// CPU time of this process before the pool began.
    cpu_before: Duration,
    /// CPU time of workers that are gone.
    cpu_of_gone: Duration,
    /// What was counted in jobs that are over.
    counted: BTreeMap<String, u64>,
    /// Set when the pool as a whole cannot go on.
    broken: Option<PoolError>,
    /// What happened while actions were performed.
    pending: std::collections::VecDeque<Event>,
    /// How many descriptors this process may have, when that is known.
    descriptors: Option<u64>,
    /// The thread that starts workers: they end with it.
    home: ThreadId,
    /// Its place among pools that share cores. Given up last, when the workers are gone.
    seat: Option<Seat>,
}

impl Pool {
    /// Finds or makes the kernel's artifact, starts the first workers, and waits until one of them is ready, so that
    /// what the kernel says of itself is known.
    ///
    /// # Errors
    /// When the kernel is refused, or no worker can be started.
    pub fn start(config: PoolConfig) -> Result<Self, PoolError> {
        let mut warnings = Vec::new();
        let mut starter = Starter::new(&config)?;
        let initial = config.initial.clamp(1, config.cores.len().max(1));
        starter.order_ahead(config.cores.get(..initial).unwrap_or_default());
        let cache = config.cache.as_deref().and_then(|folder| match Cache::open(folder) {
            Ok(cache) => Some(cache),
            Err(error) => {
                warnings.push(format!("{error}; compiling the kernel without it"));
                None
            }
        });
        let artifact = artifact::obtain(
            &config.kernel,
            &config.kernel_name,
            config.options,
            cache.as_ref(),
            &mut starter,
            &mut |warning| warnings.push(warning),
        )?;
        let poller = Poller::new().tried("watching descriptors")?;
        let waker = Waker::new().tried("making a waker")?;
        poller.add(&waker, Watched::Waker.token(), Interest::Read).tried("watching the waker")?;
        if let Some(signals) = &config.signals {
            poller.add(signals, Watched::Signals.token(), Interest::Read).tried("watching signals")?;
        }
        let sink = Sink::start(waker.clone()).tried("starting the writing thread")?;
        let rules = Rules { retries: config.policy.retries, recycle: config.policy.recycle };
        let mut pool = Self {
            state: State::new(config.cores.len().max(1), initial, rules),
            vigil: Vigil::new(config.policy.deadline),
            keeper: None,
            describe: None,
            finishing: HashMap::new(),
            oom: None,
            deaths: 0,
            config,
            artifact,
            starter,
            description: None,
            workers: BTreeMap::new(),
            next_worker: 0,
            converters: Converters::default(),
            batches: HashMap::new(),
            parts: Parts::default(),
            tables: Tables::default(),
            jobs: HashMap::new(),
            next_job: 0,
            poller,
            waker,
            sink,
            buffer: vec![0; MESSAGE_BYTES],
            warnings,
            missing: Vec::new(),
            reports: Vec::new(),
            progress: Progress::default(),
            began: Instant::now(),
            recorder: None,
            profiles: Vec::new(),
            cpu_before: own_cpu_time(),
            cpu_of_gone: Duration::ZERO,
            counted: BTreeMap::new(),
            broken: None,
            pending: std::collections::VecDeque::new(),
            descriptors: taskhost_os::descriptors::limit(),
            home: std::thread::current().id(),
            seat: None,
        };
        for _ in 0..initial {
            pool.spawn(Post::Execute)?;
        }
        let mut tries = 1;
        while pool.description.is_none() {
            pool.turn(None)?;
            let was_killed = pool.reports.last().is_some_and(|report| report.killed);
            if pool.workers.is_empty() && was_killed && tries < START_TRIES {
                tries += 1;
                pool.state.expect_worker(Post::Execute);
                pool.spawn(Post::Execute)?;
            } else if pool.workers.is_empty() {
                let why = pool.reports.last().and_then(|report| report.death.clone()).unwrap_or_default();
                return Err(PoolError::Start(format!("the worker {why}")));
            }
        }
        Ok(pool)
    }

    /// What is known of the kernel from its file.
    #[must_use]
    pub fn kernel(&self) -> &KernelInfo {
        &self.artifact.info
    }

    /// The digest of the kernel's file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.artifact.digest
    }

    /// Whether the kernel had to be compiled.
    #[must_use]
    pub fn compiled(&self) -> bool {
        self.artifact.compiled
    }

    /// What the kernel says of itself, if it says anything.
    #[must_use]
    pub fn description(&self) -> Option<&Description> {
        self.description.as_ref()?.as_ref()
    }

    /// Wakes the pool when a feed that said [`Feed::Later`](crate::job::Feed::Later) has something.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Walls around the workers that this machine does not allow.
    #[must_use]
    pub fn missing_layers(&self) -> &[Missing] {
        &self.missing
    }

    /// How failed items are described when they are run again and fail again.
    pub fn describe_failures(&mut self, describe: fn(&crate::job::FailedItem) -> String) {
        self.describe = Some(describe);
    }

    /// Keeps a journal from now on.
    pub fn keep_journal(&mut self, journaling: Journaling) {
        self.keeper = Some(Keeper::new(journaling));
        self.state.keep_journal();
    }

    /// Whether there is a journal, and something in it to go on with.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| !keeper.is_empty())
    }

    fn tell(&mut self, observer: &mut dyn Observer) {
        self.progress.elapsed = self.began.elapsed();
        self.progress.saved = self.keeper.as_ref().map_or(0, Keeper::output);
        self.progress.workers = self.workers.values().filter(|worker| worker.phase == Phase::Ready).count();
        for warning in self.warnings.drain(..) {
            observer.warning(&warning);
        }
        observer.progress(&self.progress);
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the kernel counted so far, over all jobs.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut sums = self.counted.clone();
        counting::add(&mut sums, &self.state.counters());
        sums
    }

    /// All has been run, and only outputs are to be finished: the processes of workers may end meanwhile, which takes a millisecond.
    fn dismiss(&mut self) {
        for worker in self.workers.values_mut().filter(|worker| worker.post == Post::Execute && !worker.is_killed()) {
            // They are waited for in the end, and nothing they say counts any more. What is not watched need not be told of.
            let _ = self.poller.remove(worker.socket_fd());
            let _ = self.poller.remove(worker.child_fd());
            worker.kill(Reason::Retired("was not needed any more"));
        }
    }

    /// Ends all workers and says what they did.
    pub fn shut_down(&mut self) -> RunReport {
        for worker in self.workers.values_mut() {
            worker.kill(Reason::Retired("was not needed any more"));
        }
        for (_, worker) in std::mem::take(&mut self.workers) {
            self.report(worker, false);
        }
        self.end_all_converters();
        RunReport {
            progress: self.progress.clone(),
            workers: std::mem::take(&mut self.reports),
            missing: self.missing.clone(),
            times: PoolTimes { cpu: own_cpu_time().saturating_sub(self.cpu_before), write: self.sink.took() },
            timeline: self.recorder.take().map(Recorder::finish),
        }
    }

    /// One turn of the loop without anybody watching.
    fn turn(&mut self, until: Option<Instant>) -> Result<(), PoolError> {
        struct Nobody;
        impl Observer for Nobody {
            fn progress(&mut self, _: &Progress) {}
            fn log(&mut self, _: taskhost_protocol::message::Level, _: Option<(&str, u64)>, _: &str) {}
            fn item_failed(&mut self, _: &crate::job::FailedItem) {}
            fn captured(&mut self, _: &crate::job::CapturedItem<'_>) {}
            fn job_finished(&mut self, _: crate::job::JobReport) {}
            fn warning(&mut self, _: &str) {}
        }
        self.turn_with(until, &mut Nobody)
    }

    /// How long nothing has to be done, if nothing happens; not beyond `until`.
    fn time_left(&mut self, until: Option<Instant>) -> Option<Duration> {
        let vigil = self.next_vigil();
        let all = self.workers.values().chain(self.converters.workers());
        let starting = all.filter(|worker| worker.phase != Phase::Ready || worker.is_closing());
        let deadline = starting.map(|worker| worker.ready_by).chain(until).chain(vigil);
        let deadline = deadline.chain(self.keeper.as_ref().and_then(Keeper::next)).min();
        if self.pending.is_empty() && !self.waits_for_busy_input() {
            deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
        } else {
            Some(Duration::ZERO)
        }
    }

    /// Waits until something happens, but not beyond `until`, and deals with it.
    fn turn_with(&mut self, until: Option<Instant>, observer: &mut dyn Observer) -> Result<(), PoolError> {
        // Not sooner: the first worker starts meanwhile.
        self.oom.get_or_insert_with(oom_kills);
        let timeout = self.time_left(until);
        let mut ready: Vec<Readiness> = Vec::new();
        self.poller.wait(timeout, &mut ready).tried("waiting for events")?;
        for event in &ready {
            match Watched::from_token(event.token) {
                Some(Watched::Waker) => self.waker.clear(),
                Some(Watched::Signals) => self.signalled()?,
                Some(Watched::Socket(worker)) if self.converters.has(worker) => self.hear_converter(worker, observer),
                Some(Watched::Exit(worker)) if self.converters.has(worker) => self.converter_gone(worker, observer),
                Some(Watched::Socket(worker)) => {
                    // What is left is told again: the socket stays readable.
                    self.hear(worker, observer);
                }
                Some(Watched::Exit(worker)) => self.gone(worker, observer),
                Some(Watched::Pipe(job)) => self.read_pipe(job),
                None => {}
            }
        }
        self.read_busy_inputs();
        self.collect_written(observer);
        self.open_waiting();
        self.keep_vigil(observer)?;
        self.save_due();
        self.settle(observer);
        match self.broken.take() {
            Some(error) => Err(error),
            None => self.end_when_drained(),
        }
    }

    /// Feeds the state machine until nothing more happens.
    fn settle(&mut self, observer: &mut dyn Observer) {
        while let Some(event) = self.pending.pop_front() {
            for action in self.state.handle(event) {
                self.perform(action, observer);
            }
        }
    }

    fn tell_state(&mut self, event: Event) {
        self.pending.push_back(event);
    }

    /// A worker has answered: what it used is free. Returns since when it was at that, at most.
    fn slot_users(&mut self, worker: WorkerId) -> Option<Instant> {
        let worker = self.workers.get_mut(&worker)?;
        {
            worker.watch.reset();
            for slot in worker.asked.pop_front().map(|asked| asked.slots).unwrap_or_default() {
                worker.slots.release(slot);
            }
        }
        worker.times.answered(worker.asked.is_empty())
    }
}

/// CPU time of this process so far.
fn own_cpu_time() -> Duration {
    cpu_time(ProcessId::current()).unwrap_or_default()
}

/// The slots that one assignment uses.
type Used = Vec<SlotId>;

/// Several threads may drive it, one at a time.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Pool>();
};
