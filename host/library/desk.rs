//! What a reactor is asked for: jobs to begin, and what is wanted of those that run. Anybody may put something on the
//! desk; only the reactor takes it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use taskhost_pool::job::{Blocks, Feed, JobFeed, JobSpec, JobWork, Recipient, Request};
use taskhost_pool::plan::{ItemsPlan, Share};
use taskhost_pool::runner::Progress;
use taskhost_protocol::ids::JobId;

use super::drive::Drive;

/// A job that is to begin.
pub(crate) struct NewJob {
    pub(crate) plan: ItemsPlan,
    pub(crate) blocks: Box<dyn Blocks>,
    pub(crate) recipient: Box<dyn Recipient>,
    pub(crate) share: Share,
}

/// Whether the reactor takes jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hours {
    Open,
    /// What was asked for is done, and no more.
    Closing,
    /// Nothing more is done.
    Over,
}

struct Inbox {
    hours: Hours,
    /// Why nothing more is done, when nobody asked for that.
    why: Option<String>,
    jobs: VecDeque<NewJob>,
    requests: Vec<Request>,
    next: u64,
    /// Jobs that go on only as long as somebody takes their results.
    open_ended: BTreeSet<JobId>,
    /// All jobs that may not be over.
    running: BTreeSet<JobId>,
}

/// The desk of a reactor.
pub(crate) struct Desk {
    inbox: Mutex<Inbox>,
    /// What takes things from it, once that is there; it is gone before the desk.
    drive: OnceLock<Weak<Drive>>,
    progress: Mutex<Progress>,
}

/// The reactor takes no more: the job, and why, when nobody asked for that.
pub(crate) struct Closed {
    pub(crate) job: NewJob,
    pub(crate) why: Option<String>,
}

/// A lock that outlives panics: what it guards is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(crate) fn new() -> Self {
        let inbox = Inbox {
            hours: Hours::Open,
            why: None,
            jobs: VecDeque::new(),
            requests: Vec::new(),
            next: 0,
            open_ended: BTreeSet::new(),
            running: BTreeSet::new(),
        };
        Self { inbox: Mutex::new(inbox), drive: OnceLock::new(), progress: Mutex::default() }
    }

    /// The reactor is there.
    pub(crate) fn opened(&self, drive: &Arc<Drive>) {
        // There is one reactor to a desk, which says this once.
        let _ = self.drive.set(Arc::downgrade(drive));
    }

    /// What takes things from the desk.
    pub(crate) fn drive(&self) -> Option<Arc<Drive>> {
        self.drive.get()?.upgrade()
    }

    /// Makes the reactor look.
    pub(crate) fn wake(&self) {
        if let Some(drive) = self.drive() {
            drive.wake();
        }
    }

    /// Puts a job on the desk; `open_ended` when it goes on only as long as somebody takes its results.
    pub(crate) fn add(&self, job: NewJob, open_ended: bool) -> Result<JobId, Box<Closed>> {
        let mut inbox = lock(&self.inbox);
        if inbox.hours != Hours::Open {
            let why = inbox.why.clone();
            drop(inbox);
            return Err(Box::new(Closed { job, why }));
        }
        // As the reactor counts them.
        let id = JobId(inbox.next);
        inbox.next += 1;
        inbox.jobs.push_back(job);
        inbox.running.insert(id);
        if open_ended {
            inbox.open_ended.insert(id);
        }
        drop(inbox);
        if open_ended {
            self.wake();
        } else if let Some(drive) = self.drive() {
            drive.begin();
        }
        Ok(id)
    }

    /// Asks for something about a job.
    pub(crate) fn request(&self, request: Request) {
        lock(&self.inbox).requests.push(request);
        self.wake();
    }

    /// The job is over.
    pub(crate) fn forget(&self, job: JobId) {
        let mut inbox = lock(&self.inbox);
        inbox.running.remove(&job);
        inbox.open_ended.remove(&job);
    }

    /// No more jobs; with `now`, those that run are given up.
    pub(crate) fn close(&self, now: bool) {
        let mut inbox = lock(&self.inbox);
        if inbox.hours == Hours::Open {
            inbox.hours = Hours::Closing;
        }
        let given_up = if now { &inbox.running } else { &inbox.open_ended };
        let given_up: Vec<Request> = given_up.iter().map(|job| Request::Cancel(*job)).collect();
        inbox.requests.extend(given_up);
        drop(inbox);
        self.wake();
    }

    /// A desk at which nobody ever is, and why.
    pub(crate) fn unmanned(why: String) -> Self {
        let desk = Self::new();
        desk.over(Some(why));
        desk
    }

    /// Why nothing is done here any more, when nobody asked for that.
    pub(crate) fn why_over(&self) -> Option<String> {
        lock(&self.inbox).why.clone()
    }

    /// The reactor is gone, and with it what nobody took.
    pub(crate) fn over(&self, why: Option<String>) {
        let mut inbox = lock(&self.inbox);
        inbox.hours = Hours::Over;
        inbox.why = why;
        let left = std::mem::take(&mut inbox.jobs);
        drop(inbox);
        // Whoever waits for one of these hears of it now.
        drop(left);
    }

    /// Notes how far the reactor is.
    pub(crate) fn tell(&self, progress: &Progress) {
        lock(&self.progress).clone_from(progress);
    }

    /// How far the reactor is.
    pub(crate) fn progress(&self) -> Progress {
        lock(&self.progress).clone()
    }
}

/// The desk as the reactor sees it.
pub(crate) struct Counter(pub(crate) Arc<Desk>);

impl JobFeed for Counter {
    fn next(&mut self) -> Feed<JobSpec> {
        let mut inbox = lock(&self.0.inbox);
        let Some(NewJob { plan, blocks, recipient, share }) = inbox.jobs.pop_front() else {
            return if inbox.hours == Hours::Open { Feed::Later } else { Feed::Ended };
        };
        Feed::Next(JobSpec { name: "-".to_owned(), work: JobWork::Table { plan, blocks, recipient, share } })
    }

    fn requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.0.inbox).requests)
    }

    fn at_once(&self) -> Option<usize> {
        // They have no descriptors of their own.
        Some(usize::MAX)
    }
}
