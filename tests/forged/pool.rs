//! The coordinator under test: a pool whose workers are the forger, with an input of which nothing is kept.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use taskhost::pool::error::PoolError;
use taskhost::pool::event::JobFailure;
use taskhost::pool::job::{
    CapturedItem, FailedItem, Feed, JobFeed, JobReport, JobSpec, JobWork, KeptParts, Output, SourceFeed, SourceFile,
    SourceKind,
};
use taskhost::pool::plan::{ItemsPlan, OnError, Placement};
use taskhost::pool::runner::{Observer, Policy, Pool, PoolConfig, Progress, RunReport};
use taskhost::pool::state::sizing::BatchRule;
use taskhost_os::spawn::Program;
use taskhost_protocol::given::Given;
use taskhost_protocol::kernel::{CompileOptions, ResultLength};
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::{Fresh, Level, Sandbox};
use taskhost_protocol::work::{Merge, Split};
use tempfile::TempDir;

use crate::forger::{ITEM, NAME};

/// Items of the input.
pub(crate) const ITEMS: u64 = 16;

/// Items of a batch.
const BATCH: u64 = 4;

/// A kernel that is compiled, but never run: the forger does not even look at it.
const KERNEL: &str = include_str!("../kernels/echo.wat");

/// A run that takes longer has gone wrong.
const DEADLINE: Duration = Duration::from_secs(60);

/// The forger's executable, and a cache with its kernel in it.
pub(crate) struct Machine {
    folder: TempDir,
}

/// How a run came out.
pub(crate) struct Ended {
    pub(crate) result: Result<RunReport, PoolError>,
    pub(crate) job: Option<JobReport>,
    pub(crate) failed: Vec<FailedItem>,
    pub(crate) log_lines: u64,
}

impl Machine {
    /// Has an honest worker compile the kernel.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix_in("forged-", env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let this = Self { folder };
        let own = std::env::current_exe().expect("this program has a path");
        std::fs::hard_link(&own, this.forger())
            .or_else(|_| std::fs::copy(&own, this.forger()).map(drop))
            .expect("a copy");
        let honest = PoolConfig { program: Program::ProcSelfExe, ..this.config("", 1, Policy::default()) };
        Pool::start(PoolConfig { settings: Vec::new(), ..honest }).expect("an honest worker starts");
        this
    }

    fn forger(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    fn config(&self, lie: &str, workers: usize, policy: Policy) -> PoolConfig {
        let forger = CString::new(self.forger().as_os_str().as_bytes()).expect("a path");
        PoolConfig {
            kernel_name: "forged".into(),
            kernel: KERNEL.into(),
            options: CompileOptions::default(),
            invoke: None,
            cache: Some(self.folder.path().join("cache")),
            program: Program::Path(forger),
            cores: vec![None; workers],
            initial: workers,
            limits: WorkerLimits::default(),
            fresh: Fresh::default(),
            sandbox: Sandbox::default(),
            settings: vec![("lie".into(), lie.into())],
            grants: Vec::new(),
            given: Given::default(),
            broadcast: None,
            describe_only: false,
            clock: SystemTime::UNIX_EPOCH,
            policy: Policy { deadline: Some(DEADLINE), ..policy },
            sync: false,
            capture: false,
            signals: None,
        }
    }

    /// Starts a pool of liars.
    pub(crate) fn start(&self, lie: &str, policy: Policy) -> Result<Pool, PoolError> {
        Pool::start(self.config(lie, 2, policy))
    }

    /// A run in which failed items are left out.
    pub(crate) fn run(&self, lie: &str, policy: Policy) -> Ended {
        let mut pool = self.start(lie, policy).expect("the forger starts like an honest worker");
        // A name for each: runs may go on side by side.
        let input = self.folder.path().join(format!("input of {lie}"));
        let len = ITEM * ITEMS;
        std::fs::write(&input, vec![b'x'; usize::try_from(len).expect("it is short")]).expect("space");
        let file = OwnedFd::from(std::fs::File::open(&input).expect("it was just written"));
        let source = SourceFile { name: "input".into(), file, kind: SourceKind::Regular { len }, unpack: false };
        let plan = ItemsPlan {
            split: Split::Records(ITEM),
            merge: Merge::Discard,
            placement: Placement::Nowhere,
            length: ResultLength::Unknown,
            ordered: true,
            batch: BatchRule::Items(BATCH),
            bytes: Some(len),
            on_error: OnError::Skip,
            origin: None,
            portion: None,
        };
        let work = JobWork::Items {
            plan,
            sources: Box::new(One(Some(source))),
            header: false,
            keep_header: false,
            output: Output::Nothing,
            resume: None,
            parts: KeptParts::new(),
            splice: None,
        };
        let mut watching = Watching::default();
        let result = pool.run(&mut OneJob(Some(JobSpec { name: "input".into(), work })), &mut watching);
        pool.shut_down();
        let Watching { job, failed, log_lines } = watching;
        Ended { result, job, failed, log_lines }
    }
}

struct One(Option<SourceFile>);

impl SourceFeed for One {
    fn next(&mut self) -> Feed<Result<SourceFile, JobFailure>> {
        self.0.take().map_or(Feed::Ended, |file| Feed::Next(Ok(file)))
    }
}

struct OneJob(Option<JobSpec>);

impl JobFeed for OneJob {
    fn next(&mut self) -> Feed<JobSpec> {
        self.0.take().map_or(Feed::Ended, Feed::Next)
    }
}

#[derive(Default)]
struct Watching {
    job: Option<JobReport>,
    failed: Vec<FailedItem>,
    log_lines: u64,
}

impl Observer for Watching {
    fn progress(&mut self, _: &Progress) {}
    fn log(&mut self, _: Level, _: Option<(&str, u64)>, _: &str) {
        self.log_lines += 1;
    }
    fn item_failed(&mut self, item: &FailedItem) {
        self.failed.push(item.clone());
    }
    fn captured(&mut self, _: &CapturedItem<'_>) {}
    fn job_finished(&mut self, report: JobReport) {
        self.job = Some(report);
    }
    fn warning(&mut self, _: &str) {}
}
