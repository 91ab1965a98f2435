//! The jobs of a service: one thread that decides whose turn it is, and one for each process that runs.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::handle::Handle;
use super::launch::Launcher;
use super::process::Attempt;
use super::{Fair, JobId, JobSize, Wait};
use crate::blobs::Blobs;
use crate::counts::Counts;
use crate::store::{self, Store, jobs};
use crate::tenant::{Directory, TenantId};

/// How often it is looked whose turn it is, while there is more than one to choose from.
const TURN: Duration = Duration::from_millis(100);

/// How often a job is given another process after one that ended for no fault of its own.
pub(super) const FAULTS: u32 = 3;

/// How long a process may take to park: a run gives the items that are being run some seconds.
const PARKING: Duration = Duration::from_secs(20);

/// How long a job rests for which there was no room.
const REST: Duration = Duration::from_secs(1);

/// Processes of jobs at a time, for each core: those that wait for their turn cost memory.
#[cfg(feature = "http")]
pub(crate) const PROCESSES_PER_CORE: usize = 8;

/// Takes what is known of a job that waits.
pub type Explained = Box<dyn FnOnce(Option<Wait>) + Send>;

/// What the thread is told.
pub enum Order {
    /// Somebody wants to know why a job does not run.
    Explain(JobId, Explained),
    /// A job was accepted, and is kept.
    Submitted(JobId, TenantId, JobSize),
    /// A job is not wanted any more, which is kept.
    Cancelled(JobId),
    /// Tenants were changed.
    Refresh,
    /// No job is started any more; those that run may come to their end.
    Drain,
    /// No job is started any more; those that run are parked.
    Stop,
    /// The process of a job runs.
    Started(JobId),
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
    /// A disk is full: it goes on when there is room again.
    NoRoom,
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
    /// Whose turn it is, of jobs and of calls.
    pub fair: Mutex<Fair>,
    /// What is counted of jobs.
    pub counts: Arc<Counts>,
    /// Told when a job is over.
    pub over: Over,
    /// Told what the operator should know.
    pub warn: Warn,
}

impl Shared {
    /// Whose turn it is.
    pub fn fair(&self) -> MutexGuard<'_, Fair> {
        // Whole between any two statements.
        self.fair.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever decides about turns what a tenant may.
    pub fn know(&self, id: TenantId) {
        if let Some(tenant) = self.directory.tenant(id) {
            let most = if tenant.enabled { tenant.quotas.concurrent_jobs } else { 0 };
            self.fair().know(id, tenant.weight, most);
        }
    }

    /// Most workers of a job of this tenant.
    fn most_workers(&self, tenant: TenantId) -> u32 {
        let most = self.directory.tenant(tenant).map_or(1, |tenant| tenant.quotas.cores);
        most.min(u32::try_from(self.cores).unwrap_or(u32::MAX))
    }

    pub(crate) fn store(&self) -> &Store {
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
    present: Arc<Present>,
}

/// What others may know of the jobs that are not over.
#[derive(Debug, Default)]
struct Present {
    waiting: AtomicUsize,
    with_process: AtomicUsize,
    is_draining: AtomicBool,
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
        let present = Arc::<Present>::default();
        let runner = Runner {
            known: HashMap::new(),
            orders: orders.clone(),
            is_draining: false,
            is_stopping: false,
            kill_at: None,
            threads: 0,
            resting: Vec::new(),
            present: Arc::clone(&present),
            shared,
        };
        let thread = std::thread::Builder::new()
            .name("jobs".into())
            .spawn(move || runner.run(&incoming, to_do))
            .map_err(|error| store::StoreError::Database(format!("no thread can be started: {error}")))?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)), present })
    }

    /// Tells the thread something.
    pub fn tell(&self, order: Order) {
        // One that has ended needs to know nothing.
        let _ = self.orders.send(order);
    }

    /// Jobs that wait for a process.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.present.waiting.load(Ordering::Relaxed)
    }

    /// Jobs that have a process.
    #[must_use]
    pub fn with_process(&self) -> usize {
        self.present.with_process.load(Ordering::Relaxed)
    }

    /// Whether no new job is taken.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.present.is_draining.load(Ordering::Relaxed)
    }

    /// From now on no job is started, and those that run may come to their end.
    pub fn drain(&self) {
        self.present.is_draining.store(true, Ordering::Relaxed);
        self.tell(Order::Drain);
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
fn sweep(shared: &Shared, to_do: &[(JobId, TenantId, JobSize)]) {
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
    size: JobSize,
    /// Its process, when it has one.
    handle: Arc<Handle>,
    /// Whether there is a thread for it.
    has_thread: bool,
    is_stopped: bool,
    is_cancelled: bool,
    /// CPU time that its tenant owes for it already, in milliseconds.
    charged: u64,
    faults: u32,
}

struct Runner {
    shared: Arc<Shared>,
    known: HashMap<JobId, Known>,
    orders: Sender<Order>,
    is_draining: bool,
    is_stopping: bool,
    /// When processes are killed that were told to park and did not.
    kill_at: Option<Instant>,
    /// Jobs that have a thread.
    threads: usize,
    /// Jobs that are not tried again before a time.
    resting: Vec<(Instant, JobId)>,
    present: Arc<Present>,
}

impl Runner {
    fn run(mut self, incoming: &Receiver<Order>, to_do: Vec<(JobId, TenantId, JobSize)>) {
        for (job, tenant, size) in to_do {
            self.accept(job, tenant, size);
        }
        let mut next = Instant::now() + TURN;
        loop {
            for (_, job) in self.resting.extract_if(.., |(until, _)| *until <= Instant::now()).collect::<Vec<_>>() {
                self.again(&job);
            }
            self.take_turns();
            let waiting = self.shared.fair().waiting();
            self.present.waiting.store(waiting, Ordering::Relaxed);
            self.present.with_process.store(self.threads, Ordering::Relaxed);
            if self.is_stopping && self.threads == 0 {
                return;
            }
            if self.kill_at.is_some_and(|at| Instant::now() >= at) {
                // Their journals hold what is done.
                self.signal_all(Signal::KILL);
            }
            // Whoever waits may be one that could not be given a thread: nobody would say so.
            let is_idle = self.threads == 0 && self.resting.is_empty() && waiting == 0;
            let order = if is_idle {
                incoming.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                incoming.recv_timeout(next.saturating_duration_since(Instant::now()))
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

    fn accept(&mut self, job: JobId, tenant: TenantId, size: JobSize) {
        self.shared.know(tenant);
        let cores = size.workers(self.shared.most_workers(tenant));
        self.shared.fair().add(job.clone(), tenant, cores as usize);
        let known = Known {
            tenant,
            size,
            has_thread: false,
            is_stopped: false,
            is_cancelled: false,
            handle: Arc::default(),
            charged: 0,
            faults: 0,
        };
        self.known.insert(job, known);
    }

    fn handle(&mut self, order: Order) {
        match order {
            Order::Submitted(job, tenant, size) => self.accept(job, tenant, size),
            Order::Explain(job, tell) => tell(self.shared.fair().explain(&job)),
            Order::Cancelled(job) => self.cancel(&job),
            Order::Refresh => {
                let tenants: BTreeSet<_> = self.known.values().map(|known| known.tenant).collect();
                tenants.into_iter().for_each(|tenant| self.shared.know(tenant));
            }
            Order::Drain => self.is_draining = true,
            Order::Stop => {
                self.is_stopping = true;
                self.kill_at = Some(Instant::now() + PARKING);
                self.signal_all(Signal::CONT);
                self.signal_all(Signal::TERM);
            }
            Order::Started(job) => {
                // What was wanted of it before it was there.
                if let Some(known) = self.known.get(&job) {
                    if known.is_cancelled {
                        known.handle.signal(Signal::KILL);
                    } else if self.is_stopping {
                        known.handle.signal(Signal::TERM);
                    } else if known.is_stopped {
                        known.handle.signal(Signal::TSTP);
                    }
                }
            }
            Order::Ended(job, outcome) => self.ended(&job, outcome),
        }
    }

    fn signal_all(&self, what: Signal) {
        self.known.values().for_each(|known| known.handle.signal(what));
    }

    fn cancel(&mut self, job: &JobId) {
        self.shared.fair().remove(job);
        let Some(known) = self.known.get_mut(job) else { return };
        known.is_cancelled = true;
        known.handle.signal(Signal::KILL);
        if !known.has_thread {
            self.known.remove(job);
        }
    }

    fn ended(&mut self, job: &JobId, outcome: Outcome) {
        let Some(known) = self.known.get_mut(job) else { return };
        let (tenant, more) = known.more();
        self.shared.fair().charge(tenant, more);
        self.shared.fair().remove(job);
        self.threads -= usize::from(known.has_thread);
        (known.has_thread, known.is_stopped) = (false, false);
        if outcome == Outcome::Fault {
            known.faults += 1;
        }
        if outcome == Outcome::Over || known.is_cancelled {
            self.known.remove(job);
            (self.shared.over)(job);
        } else if outcome == Outcome::Parked || (outcome == Outcome::Fault && known.faults < FAULTS) {
            self.again(job);
        } else {
            // Until there is room, or it can at least be written down that it is given up.
            self.resting.push((Instant::now() + REST, job.clone()));
        }
    }

    /// It waits for its turn again.
    fn again(&self, job: &JobId) {
        let Some(known) = self.known.get(job) else { return };
        let cores = known.size.workers(self.shared.most_workers(known.tenant));
        self.shared.fair().add(job.clone(), known.tenant, cores as usize);
    }

    fn take_turns(&mut self) {
        if self.is_stopping {
            return;
        }
        let turn = {
            let mut fair = self.shared.fair();
            if self.is_draining { fair.turn_of_running() } else { fair.turn() }
        };
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
        // A run takes the first by stopping its workers and then itself.
        known.handle.signal(if is_stopped { Signal::TSTP } else { Signal::CONT });
    }

    fn start(&mut self, job: &JobId) {
        let Some(known) = self.known.get_mut(job) else { return };
        let most = self.shared.most_workers(known.tenant);
        let attempt = Attempt {
            shared: Arc::clone(&self.shared),
            job: job.clone(),
            tenant: known.tenant,
            workers: known.size.workers(most),
            handle: Arc::clone(&known.handle),
            is_last: known.faults + 1 >= FAULTS,
            orders: self.orders.clone(),
        };
        known.has_thread = true;
        self.threads += 1;
        if let Err(error) = std::thread::Builder::new().name("job".into()).spawn(move || attempt.perform()) {
            (self.shared.warn)(job, &format!("no thread can be started: {error}"));
            self.ended(job, Outcome::Fault);
        }
    }

    /// Looks what each process has used.
    fn measure(&mut self) {
        // Calls want to know whose turn it is, too: they do not wait for the looking.
        let all: Vec<_> = self.known.values_mut().filter(|known| known.has_thread).map(Known::more).collect();
        let mut fair = self.shared.fair();
        all.into_iter().for_each(|(tenant, seconds)| fair.charge(tenant, seconds));
    }
}

impl Known {
    /// What its tenant owes since this was last asked: seconds of CPU time. Cancelled jobs are paid for like others.
    fn more(&mut self) -> (TenantId, f64) {
        let now = self.handle.cpu_ms();
        let more = Duration::from_millis(now.saturating_sub(self.charged));
        self.charged = now.max(self.charged);
        (self.tenant, more.as_secs_f64())
    }
}
