//! The jobs of a service: one thread that decides whose turn it is, and one for each process that runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::attempt::{Conclusion, Way, WorkFolder};
use super::launch::{self, Launcher};
use super::spec::Allowed;
use super::{Fair, JobId, JobSpec, JobState, Wait};
use crate::blobs::Blobs;
use crate::counts::Counts;
use crate::store::contents::Stay;
use crate::store::{self, Store, contents, jobs};
use crate::sweep;
use crate::tenant::{Directory, TenantId};

/// How often it is looked whose turn it is, while there is more than one to choose from.
const TURN: Duration = Duration::from_millis(100);

/// How often a job is given another process after one that ended for no fault of its own.
const FAULTS: u32 = 3;

/// Processes of jobs at a time, for each core: those that wait for their turn cost memory.
const PROCESSES_PER_CORE: usize = 8;

/// Takes what is known of a job that waits.
pub type Explained = Box<dyn FnOnce(Option<Wait>) + Send>;

/// What the thread is told.
pub enum Order {
    /// Somebody wants to know why a job does not run.
    Explain(JobId, Explained),
    /// A job was accepted, and is kept.
    Submitted(JobId, TenantId, Box<JobSpec>),
    /// A job is not wanted any more, which is kept.
    Cancelled(JobId),
    /// Tenants were changed.
    Refresh,
    /// No job is started any more; those that run are parked.
    Stop,
    /// The process of a job runs.
    Started(JobId, u32),
    /// The process of a job has ended.
    Ended(JobId, Outcome),
}

/// What came of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job is over.
    Over,
    /// It was asked to stop, and goes on later.
    Parked,
    /// Something went wrong that is not the job's fault.
    Fault,
}

/// Is told when a job is over.
pub type Over = Box<dyn Fn(&JobId) + Send + Sync>;

/// Is told of a job what the operator should know.
pub type Warn = Box<dyn Fn(&JobId, &str) + Send + Sync>;

/// What all threads share.
pub struct Shared {
    /// What is kept.
    pub directory: Arc<Directory>,
    /// Contents.
    pub blobs: Arc<dyn Blobs>,
    /// How processes are started.
    pub launcher: Launcher,
    /// The data folder.
    pub data: PathBuf,
    /// Cores that jobs have together.
    pub cores: usize,
    /// What is counted of jobs.
    pub counts: Arc<Counts>,
    /// Told when a job is over.
    pub over: Over,
    /// Told what the operator should know.
    pub warn: Warn,
}

impl Shared {
    fn store(&self) -> &Store {
        self.directory.store()
    }

    /// The folder of compiled kernels of a tenant.
    #[must_use]
    pub fn cache(&self, tenant: TenantId) -> PathBuf {
        self.data.join("tenants").join(tenant.0.to_string()).join("cache")
    }
}

/// The jobs of a service.
pub struct JobService {
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
    waiting: Arc<std::sync::atomic::AtomicUsize>,
}

impl JobService {
    /// Goes on with all jobs that are not over, and takes new ones.
    ///
    /// # Errors
    /// When they cannot be read, or no thread can be started.
    pub fn start(shared: Arc<Shared>) -> store::Result<Self> {
        let to_do = shared.store().read(jobs::to_do)?;
        sweep(&shared, &to_do);
        let (orders, incoming) = mpsc::channel();
        let waiting = Arc::default();
        let runner = Runner {
            fair: Fair::new(shared.cores, shared.cores * PROCESSES_PER_CORE),
            known: HashMap::new(),
            orders: orders.clone(),
            is_stopping: false,
            waiting: Arc::clone(&waiting),
            shared,
        };
        let thread = std::thread::Builder::new()
            .name("jobs".into())
            .spawn(move || runner.run(&incoming, to_do))
            .map_err(|error| store::StoreError::Database(format!("no thread can be started: {error}")))?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)), waiting })
    }

    /// Tells the thread something.
    pub fn tell(&self, order: Order) {
        // One that has ended needs to know nothing.
        let _ = self.orders.send(order);
    }

    /// Jobs that wait for a process.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Parks all jobs that run, and returns when none does.
    pub fn stop(&self) {
        self.tell(Order::Stop);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// Removes the folders of jobs that are over: their server was killed before it could.
fn sweep(shared: &Shared, to_do: &[(JobId, TenantId, JobSpec)]) {
    let folders = std::fs::read_dir(shared.data.join("work")).into_iter().flatten().filter_map(Result::ok);
    for folder in folders {
        if !to_do.iter().any(|(job, ..)| folder.file_name() == job.as_str()) {
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

/// A job that is not over.
struct Known {
    tenant: TenantId,
    spec: Arc<JobSpec>,
    /// Its process, when that has started.
    process: Option<u32>,
    /// Whether there is a thread for it.
    has_thread: bool,
    is_stopped: bool,
    is_cancelled: bool,
    /// CPU time of its processes that have ended, and of the one that runs, in milliseconds; for the account at the end.
    used: Arc<std::sync::atomic::AtomicU64>,
    of_process: u64,
    faults: u32,
}

struct Runner {
    shared: Arc<Shared>,
    fair: Fair,
    known: HashMap<JobId, Known>,
    orders: Sender<Order>,
    is_stopping: bool,
    waiting: Arc<std::sync::atomic::AtomicUsize>,
}

impl Runner {
    fn run(mut self, incoming: &Receiver<Order>, to_do: Vec<(JobId, TenantId, JobSpec)>) {
        for (job, tenant, spec) in to_do {
            self.accept(job, tenant, spec);
        }
        let mut next = Instant::now() + TURN;
        loop {
            self.take_turns();
            self.waiting.store(self.fair.waiting(), std::sync::atomic::Ordering::Relaxed);
            if self.is_stopping && !self.known.values().any(|known| known.has_thread) {
                return;
            }
            let order = if self.known.values().any(|known| known.has_thread) {
                incoming.recv_timeout(next.saturating_duration_since(Instant::now()))
            } else {
                incoming.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(order) => self.handle(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            incoming.try_iter().for_each(|order| self.handle(order));
            if Instant::now() >= next {
                next = Instant::now() + TURN;
                self.measure();
            }
        }
    }

    fn accept(&mut self, job: JobId, tenant: TenantId, spec: JobSpec) {
        self.know(tenant);
        let most = self.shared.directory.tenant(tenant).map_or(1, |tenant| tenant.quotas.cores);
        let cores = spec.workers(most.min(u32::try_from(self.shared.cores).unwrap_or(u32::MAX)));
        self.fair.add(job.clone(), tenant, cores as usize);
        let known = Known {
            tenant,
            spec: Arc::new(spec),
            process: None,
            has_thread: false,
            is_stopped: false,
            is_cancelled: false,
            used: Arc::default(),
            of_process: 0,
            faults: 0,
        };
        self.known.insert(job, known);
    }

    fn know(&mut self, id: TenantId) {
        if let Some(tenant) = self.shared.directory.tenant(id) {
            let most = if tenant.enabled { tenant.quotas.concurrent_jobs } else { 0 };
            self.fair.know(id, tenant.weight, most);
        }
    }

    fn handle(&mut self, order: Order) {
        match order {
            Order::Submitted(job, tenant, spec) => self.accept(job, tenant, *spec),
            Order::Explain(job, tell) => tell(self.fair.explain(&job)),
            Order::Cancelled(job) => self.cancel(&job),
            Order::Refresh => {
                let tenants: Vec<_> = self.known.values().map(|known| known.tenant).collect();
                tenants.into_iter().for_each(|tenant| self.know(tenant));
            }
            Order::Stop => {
                self.is_stopping = true;
                for process in self.known.values().filter_map(|known| known.process) {
                    signal(process, Signal::CONT);
                    signal(process, Signal::TERM);
                }
            }
            Order::Started(job, process) => {
                if let Some(known) = self.known.get_mut(&job) {
                    known.process = Some(process);
                    if known.is_cancelled {
                        signal(process, Signal::KILL);
                    } else if self.is_stopping {
                        signal(process, Signal::TERM);
                    } else if known.is_stopped {
                        signal(process, Signal::TSTP);
                    }
                }
            }
            Order::Ended(job, outcome) => self.ended(&job, outcome),
        }
    }

    fn cancel(&mut self, job: &JobId) {
        self.fair.remove(job);
        let Some(known) = self.known.get_mut(job) else { return };
        known.is_cancelled = true;
        if let Some(process) = known.process {
            signal(process, Signal::KILL);
        } else if !known.has_thread {
            self.known.remove(job);
        }
    }

    fn ended(&mut self, job: &JobId, outcome: Outcome) {
        self.fair.remove(job);
        let Some(known) = self.known.get_mut(job) else { return };
        (known.process, known.has_thread, known.of_process, known.is_stopped) = (None, false, 0, false);
        if outcome == Outcome::Fault {
            known.faults += 1;
        }
        if outcome == Outcome::Over || known.is_cancelled {
            self.known.remove(job);
            (self.shared.over)(job);
        } else if known.faults < FAULTS {
            let cores = known.spec.workers(u32::try_from(self.shared.cores).unwrap_or(u32::MAX));
            let tenant = known.tenant;
            self.fair.add(job.clone(), tenant, cores as usize);
        } else {
            self.known.remove(job);
        }
    }

    fn take_turns(&mut self) {
        if self.is_stopping {
            return;
        }
        let turn = self.fair.turn();
        for job in turn.stop {
            self.set_stopped(&job, true);
        }
        for job in turn.go_on {
            self.set_stopped(&job, false);
        }
        for job in turn.start {
            self.start(&job);
        }
    }

    fn set_stopped(&mut self, job: &JobId, is_stopped: bool) {
        let Some(known) = self.known.get_mut(job) else { return };
        known.is_stopped = is_stopped;
        if let Some(process) = known.process {
            // A run takes the first by stopping its workers and then itself.
            signal(process, if is_stopped { Signal::TSTP } else { Signal::CONT });
        }
    }

    fn start(&mut self, job: &JobId) {
        let Some(known) = self.known.get_mut(job) else { return };
        let most = self.shared.directory.tenant(known.tenant).map_or(1, |tenant| tenant.quotas.cores);
        let most = most.min(u32::try_from(self.shared.cores).unwrap_or(u32::MAX));
        let attempt = Attempt {
            shared: Arc::clone(&self.shared),
            job: job.clone(),
            tenant: known.tenant,
            spec: Arc::clone(&known.spec),
            workers: known.spec.workers(most),
            used: Arc::clone(&known.used),
            is_last: known.faults + 1 >= FAULTS,
            orders: self.orders.clone(),
        };
        known.has_thread = true;
        if let Err(error) = std::thread::Builder::new().name("job".into()).spawn(move || attempt.perform()) {
            (self.shared.warn)(job, &format!("no thread can be started: {error}"));
            self.ended(job, Outcome::Fault);
        }
    }

    /// Looks what each process has used.
    fn measure(&mut self) {
        for (job, known) in &mut self.known {
            let Some(process) = known.process else { continue };
            let now = launch::cpu_ms(process).max(known.of_process);
            let more = now - known.of_process;
            known.of_process = now;
            known.used.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
            self.fair.charge(job, Duration::from_millis(more));
        }
    }
}

fn signal(process: u32, signal: Signal) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // One that has just ended needs no signal; it was not waited for unless its thread has said so.
        let _ = kill_process(process, signal);
    }
}

/// One process of a job, from its start to what came of it.
struct Attempt {
    shared: Arc<Shared>,
    job: JobId,
    tenant: TenantId,
    spec: Arc<JobSpec>,
    workers: u32,
    used: Arc<std::sync::atomic::AtomicU64>,
    is_last: bool,
    orders: Sender<Order>,
}

impl Attempt {
    fn perform(self) {
        let outcome = self.outcome().unwrap_or_else(|error| {
            (self.shared.warn)(&self.job, &error.to_string());
            Outcome::Fault
        });
        let text = match outcome {
            Outcome::Over => "over",
            Outcome::Parked => "parked",
            Outcome::Fault => "fault",
        };
        let job = self.job.clone();
        let kept = self.shared.store().write(move |rows| jobs::end_attempt(rows, &job, text));
        if let Err(error) = kept {
            (self.shared.warn)(&self.job, &error.to_string());
        }
        let _ = self.orders.send(Order::Ended(self.job, outcome));
    }

    fn outcome(&self) -> Result<Outcome, Box<dyn std::error::Error>> {
        let folder = WorkFolder::new(&self.shared.data.join("work"), &self.job);
        let taken = folder.take()?;
        if self.is_over()? {
            folder.remove();
            return Ok(Outcome::Over);
        }
        let job = self.job.clone();
        let before = self.shared.store().write(move |rows| jobs::begin(rows, &job))?;
        let way = if before == 0 { Way::Run } else { folder.way() };
        let sandbox = self.shared.launcher.sandbox.as_str();
        let memory = self.shared.directory.tenant(self.tenant).map_or(0, |tenant| tenant.quotas.worker_memory);
        let arguments = match way {
            Way::Conclude(code) => return self.conclude(&folder, code, String::new()),
            Way::Run => {
                folder.lay_out(&*self.shared.blobs, self.tenant, &self.spec)?;
                self.spec.arguments(Allowed { workers: self.workers, memory, sandbox })
            }
            Way::Resume => vec!["resume".into(), format!("--workers={}", self.workers), "journal".into()],
        };
        let cache = self.shared.cache(self.tenant);
        let child = self.shared.launcher.start(folder.path(), &cache, taken, &arguments)?;
        let _ = self.orders.send(Order::Started(self.job.clone(), child.id()));
        let ended = launch::wait(child, Some(folder.open_log()?))?;
        if self.is_over()? {
            folder.remove();
            return Ok(Outcome::Over);
        }
        match ended.code {
            Some(130 | 143) => Ok(Outcome::Parked),
            Some(code @ (0 | 2..=7)) => self.conclude(&folder, code, ended.said),
            _ if self.is_last => self.give_up(&folder, &ended.said),
            _ => {
                self.shared.counts.restarts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                (self.shared.warn)(&self.job, &format!("its process ended unexpectedly: {}", ended.said));
                Ok(Outcome::Fault)
            }
        }
    }

    /// Whether somebody has cancelled it.
    fn is_over(&self) -> store::Result<bool> {
        let job = self.shared.store().read(|rows| jobs::get(rows, &self.job))?;
        Ok(job.is_none_or(|job| job.state.is_over()))
    }

    fn conclude(&self, folder: &WorkFolder, code: u8, said: String) -> Result<Outcome, Box<dyn std::error::Error>> {
        let (mut conclusion, kept) = folder.conclude(code, &*self.shared.blobs, self.tenant, &self.spec)?;
        conclusion.message = Some(said).filter(|said| code != 0 && !said.is_empty());
        let state = match (code, conclusion.result) {
            (0, _) => JobState::Succeeded,
            (_, Some(_)) => JobState::Partial,
            (_, None) => JobState::Failed,
        };
        self.finish(folder, state, conclusion, kept)
    }

    /// It has cost enough processes.
    fn give_up(&self, folder: &WorkFolder, said: &str) -> Result<Outcome, Box<dyn std::error::Error>> {
        let message = format!("its process ended unexpectedly, {FAULTS} times: {said}");
        let conclusion = Conclusion { exit: Some(1), message: Some(message), ..Conclusion::default() };
        self.finish(folder, JobState::Failed, conclusion, Vec::new())
    }

    fn finish(
        &self,
        folder: &WorkFolder,
        state: JobState,
        mut conclusion: Conclusion,
        kept: Vec<(crate::blobs::Digest, u64)>,
    ) -> Result<Outcome, Box<dyn std::error::Error>> {
        let seen = self.used.load(std::sync::atomic::Ordering::Relaxed);
        // What a run says of itself is exact, but only of its last process.
        conclusion.cpu_ms = conclusion.cpu_ms.max(seen);
        let (job, tenant, blobs, done) =
            (self.job.clone(), self.tenant, Arc::clone(&self.shared.blobs), conclusion.clone());
        let over = self.shared.store().write(move |rows| {
            for (digest, bytes) in kept {
                sweep::check_kept(&*blobs, tenant, &digest)?;
                contents::add(rows, tenant, &digest, bytes, Stay::WhileNeeded)?;
            }
            let is_first = jobs::finish(rows, &job, tenant, state, &conclusion)?;
            Ok(if is_first { jobs::get(rows, &job)? } else { None })
        })?;
        if let Some(job) = over {
            self.shared.counts.over(tenant, state, &done);
            let (created, started) = (job.created, job.started.unwrap_or(job.created));
            self.shared.counts.queued.add(started.since(created));
            self.shared.counts.ran.add(job.ended.unwrap_or(started).since(started));
        }
        folder.remove();
        Ok(Outcome::Over)
    }
}
