//! What a pool is made of, and what it tells whoever watches it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use taskhost_os::sandbox::Missing;
use taskhost_os::signals::Signals;
use taskhost_os::spawn::Program;
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::{Fresh, Level};

use crate::job::JobReport;

/// What a pool is made of.
#[derive(Debug)]
pub struct PoolConfig {
    /// What messages and the cache call the kernel.
    pub kernel_name: String,
    /// The kernel's file.
    pub kernel: Vec<u8>,
    /// How it is compiled.
    pub options: CompileOptions,
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
    /// How long an instance of the kernel is kept.
    pub fresh: Fresh,
    /// `--config`, as the user gave it.
    pub settings: Vec<(String, String)>,
    /// Ask the kernel only for its description.
    pub describe_only: bool,
    /// When the run began: what the kernel's clocks show.
    pub clock: SystemTime,
    /// Signals that end the run.
    pub signals: Option<Signals>,
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Items run.
    pub items: u64,
    /// Bytes of input run.
    pub input: u64,
    /// Bytes of results.
    pub output: u64,
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
    /// How it ended, when not at the end of the run.
    pub death: Option<String>,
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
}
