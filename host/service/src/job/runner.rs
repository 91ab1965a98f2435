//! The jobs of a service: one thread that does what [`Roster`] decides, and one for each process that runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::attempt::WorkFolder;
use super::fair::{Pause, Standing};
use super::handle::Handle;
use super::launch::Launcher;
use super::process::Attempt;
use super::roster::{Action, Roster, Sleep, Word};
use super::{Fair, JobId, JobSize, Urgency, Wait, room};
use crate::account::Accounts;
use crate::blobs::Blobs;
use crate::compiled::Compiled;
use crate::counts::Counts;
use crate::starts::Starts;
use crate::store::{self, Store, jobs};
use crate::tenant::{Directory, TenantId};

/// How often a job is given another process after one that ended for no fault of its own.
pub(super) const FAULTS: u32 = 3;

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
    /// A job is more urgent than it was, or less, which is kept.
    Changed(JobId, Urgency),
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

/// Is told when a job is given a process: whose it is, and the how many-th that process is.
pub type Began = Box<dyn Fn(&JobId, TenantId, u32) + Send + Sync>;

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
    /// The code of kernels.
    pub compiled: Compiled,
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
    /// Whether processes can be started.
    pub starts: Starts,
    /// What jobs and calls have used and is not written down yet.
    pub accounts: Accounts,
    /// Told when a job is given a process.
    pub began: Began,
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
            let jobs = if tenant.enabled { tenant.quotas.concurrent_jobs } else { 0 };
            let pause = match self.directory.paused(id) {
                None => Pause::None,
                Some(pause) if pause.parks => Pause::All,
                Some(_) => Pause::Starts,
            };
            let mut fair = self.fair();
            fair.know(id, Standing { weight: tenant.weight, jobs, cores: tenant.quotas.cores });
            fair.pause(id, pause);
        }
    }

    /// Most workers of a job of this tenant.
    pub(crate) fn most_workers(&self, tenant: TenantId) -> u32 {
        let most = self.directory.tenant(tenant).map_or(1, |tenant| tenant.quotas.cores);
        most.min(u32::try_from(self.cores).unwrap_or(u32::MAX))
    }

    pub(crate) fn store(&self) -> &Store {
        self.directory.store()
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
        let asked = Arc::clone(&shared);
        let roster = Roster::new(Instant::now(), Box::new(move |tenant| asked.most_workers(tenant)));
        let (at_work, present_too) = (BTreeMap::new(), Arc::clone(&present));
        let runner = Runner { shared, roster, at_work, orders: orders.clone(), present: present_too };
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

/// A job that had a process and is not over.
struct AtWork {
    tenant: TenantId,
    handle: Arc<Handle>,
}

struct Runner {
    shared: Arc<Shared>,
    roster: Roster,
    /// Those that had a process, oldest first by their numbers.
    at_work: BTreeMap<JobId, AtWork>,
    orders: Sender<Order>,
    present: Arc<Present>,
}

impl Runner {
    fn run(mut self, incoming: &Receiver<Order>, to_do: Vec<(JobId, TenantId, JobSize)>) {
        for (job, tenant, size) in to_do {
            self.accept(job, tenant, size);
        }
        loop {
            if self.roster.is_due(Instant::now()) {
                self.look();
            }
            let (actions, sleep) = self.roster.decide(Instant::now(), &mut self.shared.fair());
            actions.into_iter().for_each(|action| self.perform(action));
            self.present.waiting.store(self.shared.fair().waiting(), Ordering::Relaxed);
            self.present.with_process.store(self.roster.at_work(), Ordering::Relaxed);
            let order = match sleep {
                Sleep::Over => return,
                Sleep::UntilTold => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Sleep::Until(at) => incoming.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match order {
                Ok(order) => self.handle(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            incoming.try_iter().for_each(|order| self.handle(order));
        }
    }

    fn accept(&mut self, job: JobId, tenant: TenantId, size: JobSize) {
        self.shared.know(tenant);
        self.roster.accept(&mut self.shared.fair(), job, tenant, size);
    }

    fn handle(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Submitted(job, tenant, size) => self.accept(job, tenant, size),
            Order::Explain(job, tell) => tell(self.shared.fair().explain(&job)),
            Order::Changed(job, urgency) => self.roster.change(&mut self.shared.fair(), &job, urgency),
            Order::Cancelled(job) => {
                let action = self.roster.cancel(&mut self.shared.fair(), &job);
                action.into_iter().for_each(|action| self.perform(action));
                self.forget(&job);
            }
            Order::Refresh => {
                let tenants = self.shared.fair().tenants();
                tenants.into_iter().for_each(|tenant| self.shared.know(tenant));
            }
            Order::Drain => self.roster.drain(),
            Order::Stop => self.roster.stop(now).into_iter().for_each(|action| self.perform(action)),
            Order::Started(job) => self.roster.started(&job).into_iter().for_each(|action| self.perform(action)),
            Order::Ended(job, outcome) => self.ended(&job, outcome),
        }
    }

    fn ended(&mut self, job: &JobId, outcome: Outcome) {
        if let Some(at_work) = self.at_work.get(job) {
            at_work.charge(&self.shared);
        }
        let action = self.roster.ended(Instant::now(), &mut self.shared.fair(), job, outcome);
        action.into_iter().for_each(|action| self.perform(action));
        self.forget(job);
    }

    /// Keeps nothing of a job that is over.
    fn forget(&mut self, job: &JobId) {
        if !self.roster.knows(job) {
            self.at_work.remove(job);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start { job, tenant, workers, is_last } => self.start(&job, tenant, workers, is_last),
            Action::Over(job) => (self.shared.over)(&job),
            Action::Tell(job, word) => {
                let Some(AtWork { handle, .. }) = self.at_work.get(&job) else { return };
                match word {
                    // A run takes this by stopping its workers and then itself.
                    Word::Stop => handle.signal(Signal::TSTP),
                    Word::GoOn => handle.signal(Signal::CONT),
                    Word::Park => {
                        handle.signal(Signal::CONT);
                        handle.signal(Signal::TERM);
                    }
                    Word::Die => handle.signal(Signal::KILL),
                }
            }
        }
    }

    fn start(&mut self, job: &JobId, tenant: TenantId, workers: u32, is_last: bool) {
        let new = || AtWork { tenant, handle: Arc::default() };
        let handle = Arc::clone(&self.at_work.entry(job.clone()).or_insert_with(new).handle);
        let (shared, orders) = (Arc::clone(&self.shared), self.orders.clone());
        let attempt = Attempt { shared, job: job.clone(), tenant, workers, handle, is_last, orders };
        if let Err(error) = std::thread::Builder::new().name("job".into()).spawn(move || attempt.perform()) {
            self.shared.starts.jobs.failed();
            (self.shared.warn)(job, &format!("no thread can be started: {error}"));
            self.ended(job, Outcome::Fault);
        }
    }

    /// Looks what each process has used, and who has used up what it may.
    fn look(&self) {
        // Calls want to know whose turn it is, too: nothing of this is done while they wait for that.
        self.at_work.values().for_each(|at_work| at_work.charge(&self.shared));
        // Not locked any more when one of them is told something.
        let tenants = self.shared.fair().tenants();
        for tenant in tenants {
            let Some(known) = self.shared.directory.tenant(tenant) else { continue };
            // When that cannot be read, nothing new can be written either.
            let Ok(used) = self.shared.accounts.today(self.shared.store(), tenant) else { continue };
            self.shared.fair().spend(tenant, used / 1000 >= known.quotas.cpu_seconds_per_day);
            self.end_who_has_no_room(tenant, known.quotas.stored_bytes);
        }
    }

    /// Each job may write as much as there was room for when it began; several may not write that much each.
    fn end_who_has_no_room(&self, tenant: TenantId, quota: u64) {
        let running =
            self.at_work.iter().filter(|(_, at_work)| at_work.tenant == tenant && at_work.handle.has_process());
        let writers: Vec<_> = running.collect();
        let Some(least) = writers.iter().map(|(_, at_work)| at_work.handle.room()).min().filter(|_| writers.len() > 1)
        else {
            return;
        };
        let work = self.shared.data.join("work");
        let written: Vec<u64> = writers.iter().map(|(job, _)| WorkFolder::new(&work, job).written()).collect();
        if written.iter().sum::<u64>() <= least {
            return;
        }
        let Ok(left) = self.shared.store().read(|rows| room::left(rows, tenant, quota)) else { return };
        for number in room::over(left, &written) {
            writers[number].1.handle.end_for_want_of_room();
        }
    }
}

impl AtWork {
    /// Has its tenant owe what it has used since this was last asked.
    fn charge(&self, shared: &Shared) {
        // Before it had a process it has used nothing.
        let Some(kernel) = self.handle.kernel() else { return };
        let more = Duration::from_millis(self.handle.charge(0));
        if !more.is_zero() {
            shared.accounts.used(self.tenant, kernel, more);
            shared.fair().charge(self.tenant, more.as_secs_f64());
        }
    }
}
