//! `taskhost replay`: one failed item again, alone, as it was run when it failed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use clap::ValueEnum as _;
use taskhost_data::merge::parse_merge;
use taskhost_data::split::parse_split;
use taskhost_os::cores::Workers;
use taskhost_os::memfd;
use taskhost_pool::artifact::Digest;
use taskhost_pool::event::{ItemsPlan, JobFailure, OnError, Origin, Placement};
use taskhost_pool::job::{
    CapturedItem, FailedItem, Feed, JobReport, JobSpec, JobWork, SourceFeed, SourceFile, SourceKind,
};
use taskhost_pool::runner::{Observer, Policy, Progress};
use taskhost_pool::state::sizing::BatchRule;
use taskhost_protocol::kernel::{CompileOptions, Kind, Profile, ResultLength};
use taskhost_protocol::limits::{ITEM_BYTES, SOURCE_NAME_BYTES, WorkerLimits};
use taskhost_protocol::message::{Fresh, Level, Sandbox};
use taskhost_protocol::work::{Merge, Split};

use crate::args::{KindName, ReplayArguments};
use crate::capsule::{Capsule, Manifest};
use crate::exit_code::{Exit, Failure, of_job};
use crate::feed::OneJob;
use crate::given::Prepared;
use crate::invoke::{self, Invocation};
use crate::kernel::{self, KernelFile};
use crate::output;
use crate::report::failures::describe;
use crate::report::{self, escape, log_line, message};
use crate::start::{Starting, start};
use taskhost_os::cores::ClaimedCores;

/// Runs the item of a capsule again.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<Exit> {
    let mut capsule = Capsule::open(&arguments.capsule)?;
    let damaged = |why: String| Failure::input(format!("{}: {why}", arguments.capsule.display()));
    let kernel = match &arguments.kernel {
        Some(path) => kernel::find(path)?,
        None => {
            let bytes = std::mem::take(&mut capsule.kernel);
            if Digest::of(&bytes).to_string() != capsule.manifest.kernel.blake3 {
                return Err(damaged("it is damaged: the kernel in it is not the one that failed".into()).into());
            }
            KernelFile { name: capsule.manifest.kernel.name.clone(), bytes }
        }
    };
    let manifest = &capsule.manifest;
    if manifest.taskhost != env!("CARGO_PKG_VERSION") {
        let (then, now) = (escape(&manifest.taskhost), env!("CARGO_PKG_VERSION"));
        message("warning", &format!("the item failed with taskhost {then}; this is {now}"));
    }
    let cores = ClaimedCores::claim(Workers::Exactly(1), true);
    // A mended kernel may be of another kind.
    let kind = manifest.kernel.kind.as_deref().filter(|_| arguments.kernel.is_none());
    let kind = kind.and_then(|kind| KindName::from_str(kind, false).ok());
    let invoke = manifest.kernel.invoke.as_deref().map(Invocation::parse).transpose().map_err(damaged)?;
    let kind = invoke::kind(kind, invoke.as_ref());
    let given = manifest.given.prepare(&kernel.name)?;
    let mut starting = starting(manifest, kernel, kind, cores.plan);
    starting.given = given;
    starting.sandbox = arguments.sandbox.insistence.into();
    starting.invoke = invoke.as_ref().map(Invocation::invoke);
    let (mut pool, _) = start(starting)?;
    let work = work(&capsule).map_err(damaged)?;
    let mut job = OneJob(Some(JobSpec { name: capsule.manifest.item.source.clone(), work }));
    let mut watching = Watching::default();
    pool.run(&mut job, &mut watching).map_err(Failure::from)?;
    Ok(watching.conclude(&capsule.manifest))
}

/// The pool in which the item failed, with one worker.
fn starting(manifest: &Manifest, kernel: KernelFile, kind: Option<Kind>, cores: Vec<Option<u32>>) -> Starting {
    let limits = &manifest.limits;
    let profile = if limits.fuel.is_some() { Profile::Fuel } else { Profile::Plain };
    Starting {
        kernel,
        options: CompileOptions { profile, kind },
        invoke: None,
        settings: manifest.settings.clone(),
        limits: WorkerLimits {
            memory: limits.memory_bytes,
            output: limits.output_bytes,
            fuel: limits.fuel,
            ..WorkerLimits::default()
        },
        fresh: Fresh::Worker,
        sandbox: Sandbox::Auto,
        policy: Policy { timeout: limits.timeout_nanoseconds.map(Duration::from_nanos), ..Policy::default() },
        clock: UNIX_EPOCH + Duration::from_nanos(manifest.clock),
        sync: false,
        capture: false,
        given: Prepared::default(),
        cores,
        initial: 1,
        describe_only: false,
    }
}

/// The item as an input of its own.
fn work(capsule: &Capsule) -> Result<JobWork, String> {
    let item = &capsule.manifest.item;
    let split = parse_split(&capsule.manifest.split).map_err(|error| error.to_string())?;
    let merge = parse_merge(&capsule.manifest.merge).map_err(|error| error.to_string())?;
    let mut bytes = capsule.header.clone().unwrap_or_default();
    if capsule.header.is_some() {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(&capsule.input);
    let split = match split {
        // An empty line is an item, which an empty file has not.
        Split::Lines => {
            bytes.push(b'\n');
            Split::Lines
        }
        Split::Blocks(_) if capsule.header.is_some() => Split::Blocks(ITEM_BYTES),
        // All of the bytes are one item, wherever they were cut.
        Split::Blocks(_) | Split::Records(_) | Split::Chunks(_) | Split::Whole | Split::Table => Split::Whole,
    };
    let failed = |error: std::io::Error| format!("there is no memory for the item: {error}");
    let mut file = File::from(memfd::create(c"taskhost-item").map_err(failed)?);
    file.write_all(&bytes).map_err(failed)?;
    let name = if item.source.len() > SOURCE_NAME_BYTES { "(a very long name)".into() } else { item.source.clone() };
    let len = bytes.len() as u64;
    // As for any input: what says it is empty is read to see.
    let kind = if len == 0 { SourceKind::Pipe } else { SourceKind::Regular { len } };
    std::io::Seek::rewind(&mut file).map_err(failed)?;
    let source = SourceFile { name, file: OwnedFd::from(file), kind, unpack: false };
    let output = output::stdout().map_err(|failure| failure.message)?;
    let plan = ItemsPlan {
        split,
        // One result has nothing to be joined with.
        merge: if merge == Merge::Lines { Merge::Lines } else { Merge::Concat },
        placement: Placement::Append,
        length: ResultLength::Unknown,
        ordered: true,
        batch: BatchRule::Auto,
        bytes: Some(len),
        on_error: OnError::Fail,
        origin: Some(Origin { offset: item.offset, position: item.position }),
        portion: None,
    };
    let header = capsule.header.is_some();
    Ok(JobWork::Items {
        plan,
        sources: Box::new(OneSource(Some(source))),
        header,
        keep_header: false,
        output,
        resume: None,
        parts: taskhost_pool::job::KeptParts::new(),
        splice: None,
    })
}

struct OneSource(Option<SourceFile>);

impl SourceFeed for OneSource {
    fn next(&mut self) -> Feed<Result<SourceFile, JobFailure>> {
        self.0.take().map_or(Feed::Ended, |source| Feed::Next(Ok(source)))
    }
}

/// Remembers what became of the item.
#[derive(Default)]
struct Watching {
    failed: VecDeque<FailedItem>,
    job: Option<JobReport>,
}

impl Observer for Watching {
    fn progress(&mut self, _: &Progress) {}

    fn log(&mut self, level: Level, place: Option<(&str, u64)>, text: &str) {
        report::note(&log_line(level, place, text));
    }

    fn item_failed(&mut self, item: &FailedItem) {
        self.failed.push_back(item.clone());
    }

    fn captured(&mut self, _: &CapturedItem<'_>) {}

    fn job_finished(&mut self, report: JobReport) {
        self.job = Some(report);
    }

    fn warning(&mut self, text: &str) {
        message("warning", text);
    }
}

impl Watching {
    /// Says what became of the item, then and now.
    fn conclude(mut self, manifest: &Manifest) -> Exit {
        let failure = self.job.as_ref().and_then(|job| Some((job, job.failure.as_ref()?)));
        let Some(failed) = self.failed.pop_front() else {
            let Some((job, failure)) = failure else {
                message("replay", &format!("the item succeeds now; it failed with {}", manifest.failure.verdict));
                return Exit::Done;
            };
            message("error", &report::describe(job, failure));
            return of_job(&failure.failure);
        };
        // Its place is that in the input it came from.
        let item = &manifest.item;
        let failed = FailedItem { offset: item.offset, item: item.number, line: item.line, ..failed };
        message("error", &describe(&failed, parse_split(&manifest.split).ok()));
        let (name, blame) = (failed.verdict.name(), failed.verdict.blame().name());
        let then = &manifest.failure.verdict;
        let compared = if then == name { "as before".to_owned() } else { format!("before it was {then}") };
        message("replay", &format!("the item fails with {name} (blame: {blame}), {compared}"));
        Exit::ItemsFailed
    }
}
