//! One run of a kernel over a sample, through what `taskhost run` is made of; nothing of it is shown.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use clap::Parser as _;
use taskhost_os::cores::ClaimedCores;
use taskhost_os::memfd;
use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{CapturedItem, FailedItem, JobReport, JobSpec, JobWork, KeptParts, Output};
use taskhost_pool::runner::{Observer, Pool, Progress};
use taskhost_protocol::message::Level;
use taskhost_protocol::work::{Merge, Split};

use crate::args::{Arguments, CheckArguments, Command, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::feed::{AllSources, OneJob, Sources};
use crate::given::{self, Gifts};
use crate::invoke;
use crate::kernel;
use crate::plan::{self, Shape};
use crate::report;
use crate::run::{self, picture_work::PictureWork};
use crate::start::{Starting, start};

use super::regroup::Behind;
use super::sample::Sample;

/// How one run differs from the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How {
    /// Flags of `taskhost run`.
    pub(super) flags: &'static str,
    pub(super) split: Option<Split>,
    pub(super) merge: Option<Merge>,
    /// What the clocks show is so much later.
    pub(super) later: Duration,
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The result.
    pub(super) output: Vec<u8>,
    pub(super) failed: Vec<FailedItem>,
    /// Why there is no result.
    pub(super) failure: Option<JobFailure>,
    pub(super) items: u64,
    /// In calls of the kernel.
    pub(super) called: Duration,
    /// Most memory that a worker held, in bytes.
    pub(super) resident: u64,
    /// Most memory that an instance had at the end of a batch, in bytes.
    pub(super) memory: u64,
}

/// What all runs of a check have in common.
pub(super) struct Setup<'a> {
    pub(super) arguments: &'a CheckArguments,
    /// When the check began.
    pub(super) clock: SystemTime,
}

impl Setup<'_> {
    /// The same as if it had been typed.
    fn typed(&self, how: How) -> Result<RunArguments, Failure> {
        let words = ["taskhost", "run", "KERNEL", "--on-error", "skip", "--no-pin"];
        let parsed = Arguments::try_parse_from(words.into_iter().chain(how.flags.split_whitespace()));
        let Ok(Arguments { command: Command::Run(command) }) = parsed else {
            return Err(Failure::new(Exit::Host, format!("taskhost run does not take {}", how.flags)));
        };
        let (mut run, Self { arguments, .. }) = (command.run, self);
        let fuel = run.limits.fuel;
        run.kernel = arguments.kernel.clone();
        run.limits = arguments.limits.clone();
        run.limits.fuel = run.limits.fuel.or(fuel);
        run.items.call.config.clone_from(&arguments.config);
        run.items.call.invoke.clone_from(&arguments.invoke);
        run.given = arguments.given.clone();
        run.items.header = arguments.header;
        run.items.split = how.split.or(arguments.split);
        run.items.merge = how.merge.or(arguments.merge);
        Ok(run)
    }

    fn starting(&self, run: &RunArguments, cores: &ClaimedCores, initial: usize) -> Result<Starting, Failure> {
        let kernel = kernel::find(&self.arguments.kernel.kernel)?;
        let given = Gifts::new(&run.given)?.prepare(&kernel.name)?;
        Ok(Starting { given, ..run::starting(run, kernel, cores, initial) })
    }

    /// A pool that has asked the kernel what it is, and what becomes of an input.
    pub(super) fn ask(&self) -> Result<(Pool, Shape), Failure> {
        let run = self.typed(How { flags: "--workers 1", ..How::default() })?;
        invoke::check_flags(&run)?;
        let cores = ClaimedCores::claim(run.workers.workers.0, false);
        let (pool, name) = start(self.starting(&run, &cores, 1)?)?;
        invoke::check_kernel(&run.items.call, &name, pool.kernel())?;
        given::check_kernel(&run.given, &run.items.call, pool.kernel())?;
        let shape = plan::shape(&run, pool.kernel().exports, pool.description())?;
        Ok((pool, shape))
    }

    /// Runs the kernel over a sample.
    pub(super) fn run(&self, sample: &Sample, how: How) -> Result<Seen, Failure> {
        let run = self.typed(how)?;
        let cores = ClaimedCores::claim(run.workers.workers.0, false);
        let mut starting = self.starting(&run, &cores, cores.plan.len())?;
        starting.clock = self.clock + how.later;
        let (mut pool, _) = start(starting)?;
        let shape = plan::shape(&run, pool.kernel().exports, pool.description())?;
        let host = |error: std::io::Error| Failure::new(Exit::Host, format!("there is no memory for results: {error}"));
        let result = memfd::create(c"taskhost-result").map_err(host)?;
        let output = Output::Stream(result.try_clone().map_err(host)?);
        let job = match shape {
            Shape::Picture => picture(sample, output, &run)?,
            Shape::Items { .. } => items(sample, output, (&run, shape))?,
        };
        let mut watching = Watching::default();
        let report = pool.run(&mut OneJob(Some(job)), &mut watching).map_err(Failure::from)?;
        drop(pool);
        let mut seen = watching.0;
        seen.output = all_of(result).map_err(host)?;
        seen.items = report.progress.items;
        seen.called = report.workers.iter().map(|worker| worker.times.call).sum();
        seen.resident = report.workers.iter().map(|worker| worker.max_resident).max().unwrap_or(0);
        seen.memory = report.workers.iter().map(|worker| worker.memory).max().unwrap_or(0);
        Ok(seen)
    }
}

/// Reads a file from its beginning, wherever it was written last.
fn all_of(file: OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut file = File::from(file);
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file)?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn picture(sample: &Sample, output: Output, run: &RunArguments) -> Result<JobSpec, Failure> {
    let found = sample.found().pop_front().ok_or_else(|| Failure::input("there is no sample"))?;
    let job = PictureWork::new(&found, None, run).map_err(|failure| Failure::input(failure.to_string()))?;
    Ok(job.spec("sample".into(), output, run))
}

fn items(sample: &Sample, output: Output, what: (&RunArguments, Shape)) -> Result<JobSpec, Failure> {
    let (run, shape) = what;
    let bytes = sample.bytes.len() as u64 * sample.copies as u64;
    let plan = plan::items_plan(shape, run, Some(bytes), false)
        .ok_or_else(|| Failure::input("the kernel filters pictures, not items"))?;
    let (resume, parts) = sample.behind.as_ref().map(Behind::as_done).unzip();
    let parts: KeptParts = parts.unwrap_or_default();
    let work = JobWork::Items {
        plan,
        sources: Box::new(AllSources { sources: Sources::Known(sample.found()), unpack: true }),
        header: run.items.header,
        keep_header: false,
        output,
        resume,
        parts,
        splice: None,
    };
    Ok(JobSpec { name: "sample".into(), work })
}

/// Keeps what there is to be seen.
#[derive(Default)]
struct Watching(Seen);

impl Observer for Watching {
    fn progress(&mut self, _: &Progress) {}

    // What it logs is for its users.
    fn log(&mut self, _: Level, _: Option<(&str, u64)>, _: &str) {}

    fn item_failed(&mut self, item: &FailedItem) {
        self.0.failed.push(item.clone());
    }

    fn captured(&mut self, _: &CapturedItem<'_>) {}

    fn job_finished(&mut self, report: JobReport) {
        self.0.failure = report.failure.map(|failure| failure.failure);
    }

    fn warning(&mut self, text: &str) {
        report::message("warning", text);
    }
}
