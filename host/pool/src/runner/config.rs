//! What a pool is made of, and what it tells whoever watches it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use taskhost_os::sandbox::Missing;
use taskhost_os::signals::Signals;
use taskhost_os::spawn::Program;
use taskhost_protocol::given::Given;
use taskhost_protocol::kernel::{CompileOptions, Invoke};
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::{Fresh, Level, Sandbox};

use super::timeline::Timeline;
use super::times::{PoolTimes, WorkerTimes};
use crate::job::{CapturedItem, FailedItem, JobReport};

/// What a pool is made of.
#[derive(Debug)]
pub struct PoolConfig {
    /// What messages and the cache call the kernel.
    pub kernel_name: String,
    /// The kernel's file.
    pub kernel: Vec<u8>,
    /// How it is compiled.
    pub options: CompileOptions,
    /// Which function is called, for a kernel of which that has to be said.
    pub invoke: Option<Invoke>,
    /// The folder of compiled kernels; `None` compiles every time.
    pub cache: Option<PathBuf>,
    /// The program that workers are.
    pub program: Program,
    /// One entry for each worker: the cpu it is pinned to, or none.
    pub cores: Vec<Option<u32>>,
    /// Workers to be started at once. More follow when there is work for them.
    pub initial: usize,
    /// What each worker may use.
    pub limits: WorkerLimits,
    /// How much of the sandbox is insisted on.
    pub sandbox: Sandbox,
    /// How long an instance of the kernel is kept.
    pub fresh: Fresh,
    /// `--config`, as the user gave it.
    pub settings: Vec<(String, String)>,
    /// Folders that the kernel may use.
    pub grants: Vec<GrantedFolder>,
    /// What else the user gives the kernel.
    pub given: Given,
    /// The data of `given.broadcast`: a sealed memfd.
    pub broadcast: Option<OwnedFd>,
    /// Ask the kernel only for its description.
    pub describe_only: bool,
    /// When the run began: what the kernel's clocks show.
    pub clock: SystemTime,
    /// When items, workers and the run are given up.
    pub policy: Policy,
    /// Whether a result is on the disk before the run ends.
    pub sync: bool,
    /// Whether [`Observer::captured`] is called.
    pub capture: bool,
    /// Signals that end the run.
    pub signals: Option<Signals>,
}

/// A folder that the kernel may use.
#[derive(Debug)]
pub struct GrantedFolder {
    /// A descriptor of it; one that was opened with `O_PATH` does. Workers open the folder by the name it has, as this user
    /// but without privileges.
    pub folder: OwnedFd,
    /// What the kernel calls it.
    pub guest: String,
    /// Whether files in it may be written, made and deleted.
    pub writable: bool,
}

/// When items, workers and the run are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long one item may take: CPU time, or four times as much by the clock.
    pub timeout: Option<Duration>,
    /// How long the run may take.
    pub deadline: Option<Duration>,
    /// How often an item is tried again whose failure may be nobody's fault.
    pub retries: u32,
    /// Items after which a worker is replaced.
    pub recycle: Option<u64>,
    /// Most bytes of a job's results. What a worker makes of them on their way to a file is not counted.
    pub output: Option<u64>,
    /// How long running items may go on after the first signal.
    pub drain: Duration,
    /// How long a worker may take until it is ready, the kernel's own start-up included.
    pub start_up: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: None,
            deadline: None,
            retries: 2,
            recycle: None,
            output: None,
            // Batches take some 30 ms; whoever presses Ctrl-C waits a few seconds, but not minutes.
            drain: Duration::from_secs(5),
            // Loading a 70 MB program takes under a second here; the rest is room for a slow disk and a busy machine.
            start_up: Duration::from_secs(60),
        }
    }
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Items run, failed ones included.
    pub items: u64,
    /// Items that failed.
    pub failed_items: u64,
    /// Bytes of input run.
    pub input: u64,
    /// Bytes of results.
    pub output: u64,
    /// Bytes at the beginning of an output that are saved, so that nothing changes them any more; 0 without a journal.
    pub saved: u64,
    /// Jobs that are over.
    pub jobs: u64,
    /// Jobs of those that failed.
    pub failed: u64,
    /// Workers that can be given work.
    pub workers: usize,
    /// Time since the run began.
    pub elapsed: Duration,
}

/// What is told while a run goes on. Nothing is printed by the pool itself.
pub trait Observer {
    /// Called some ten times a second.
    fn progress(&mut self, progress: &Progress);
    /// A line that the kernel wrote.
    fn log(&mut self, level: Level, place: Option<(&str, u64)>, text: &str);
    /// An item failed. In the order of the input, unless results come in any order.
    fn item_failed(&mut self, item: &FailedItem);
    /// An item failed and its bytes can be read now. Only with [`PoolConfig::capture`], and before `item_failed`.
    fn captured(&mut self, item: &CapturedItem<'_>);
    /// A job is over.
    fn job_finished(&mut self, report: JobReport);
    /// Something that the user should know, but that does not end anything.
    fn warning(&mut self, text: &str);
}

/// What one worker did.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerReport {
    /// Its number.
    pub id: u32,
    /// `execute` or `convert`.
    pub role: &'static str,
    /// The cpu it was pinned to.
    pub core: Option<u32>,
    /// CPU time, as the system measured it.
    pub cpu: Duration,
    /// Most memory it held, in bytes, shared pages included.
    pub max_resident: u64,
    /// Most memory that its kernel had at the end of a batch, in bytes: what the instance took, touched or not. As the worker
    /// says.
    pub memory: u64,
    /// How it ended, when not at the end of the run.
    pub death: Option<String>,
    /// Whether somebody else killed it.
    pub killed: bool,
    /// Where its time went.
    pub times: WorkerTimes,
}

/// What one worker is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerNow {
    /// Its number.
    pub id: u32,
    /// The number of its process.
    pub process: i32,
    /// The cpu it is pinned to.
    pub core: Option<u32>,
    /// Whether it has something to do.
    pub is_busy: bool,
    /// Items that it ran.
    pub items: u64,
    /// CPU time that it had, as the system measures it.
    pub cpu: Duration,
    /// Bytes of memory that it holds and shares with nobody.
    pub private: u64,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// The last word on how far it got.
    pub progress: Progress,
    /// The workers.
    pub workers: Vec<WorkerReport>,
    /// Walls that this machine does not allow.
    pub missing: Vec<Missing>,
    /// What the pool spent itself.
    pub times: PoolTimes,
    /// The course of the run, after [`super::Pool::record`].
    pub timeline: Option<Timeline>,
}
