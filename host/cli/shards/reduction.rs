//! The merge of a reduction: the joins that no shard could make, by the kernel, in the tree of a run on one machine.

use std::os::fd::AsFd as _;

use taskhost_os::cores::ClaimedCores;
use taskhost_os::exact::pread_exact;
use taskhost_pool::event::{DoneRange, Resume};
use taskhost_pool::job::{CapturedItem, FailedItem, JobReport, JobSpec, JobWork, KeptParts, Output};
use taskhost_pool::runner::{Observer, Progress};
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::message::Level;

use super::Plan;
use super::cut::Stretch;
use super::feed::PlannedSources;
use super::joined::Joined;
use super::part::Part;
use crate::args::RunArguments;
use crate::exit_code::{Failure, of_job};
use crate::feed::OneJob;
use crate::given::Gifts;
use crate::output::{self, Place};
use crate::report::{describe, log_line, message, note};
use crate::run::starting;
use crate::start::start;
use crate::{kernel, plan};

/// Joins the partial results of all parts.
pub(super) fn join(plan: &Plan, arguments: &RunArguments, parts: &[Part], place: &Place) -> Result<Joined, Failure> {
    let (resume, kept) = match gather(plan, parts)? {
        Ok(gathered) => gathered,
        Err(damaged) => return Ok(Joined::Damaged(damaged)),
    };
    let output = match place {
        Place::File(path) => output::file(path, None)?,
        Place::Stdout { .. } | Place::PerInput(_) => output::stdout()?,
    };
    let kernel = kernel::find(&arguments.kernel.kernel)?;
    if blake3::hash(&kernel.bytes).to_hex().as_str() != plan.kernel {
        let name = &kernel.name;
        return Err(Failure::input(format!("{name} is not the kernel that was planned with; plan it again")));
    }
    let gifts = Gifts::new(&arguments.given)?.prepare(&kernel.name)?;
    let cores = ClaimedCores::claim(arguments.workers.workers.0, !arguments.workers.no_pin);
    let mut starting = starting(arguments, kernel, &cores, 1);
    starting.given = gifts;
    starting.clock = plan.clock();
    let (mut pool, _) = start(starting)?;
    let shape = plan::shape(arguments, pool.kernel().exports, pool.description())?;
    let own_file = matches!(output, Output::File(_));
    let items = plan::items_plan(shape, arguments, Some(plan.bytes()), own_file)
        .ok_or_else(|| Failure::usage("the kernel filters pictures, not items"))?;
    let sources = PlannedSources { inputs: plan.inputs.iter().cloned().collect() };
    let work = JobWork::Items {
        plan: items,
        sources: Box::new(sources),
        header: arguments.items.header,
        keep_header: false,
        output,
        resume: Some(Box::new(resume)),
        parts: kept,
        splice: None,
    };
    let mut joining = Joining { failure: None };
    pool.run(&mut OneJob(Some(JobSpec { name: "the merge".into(), work })), &mut joining)?;
    match joining.failure {
        Some(taskhost_pool::event::JobFailure::ReaderGone) => Ok(Joined::ReaderGone),
        Some(failure) => Err(Failure::new(of_job(&failure), failure.to_string())),
        None => Ok(Joined::Made),
    }
}

/// What a run that is gone on with has done: every stretch of every input. Or the parts that are damaged.
type Gathered = Result<(Resume, KeptParts), Vec<usize>>;

fn gather(plan: &Plan, parts: &[Part]) -> Result<Gathered, Failure> {
    let (mut resume, mut kept) = (Resume::default(), KeptParts::new());
    let mut damaged = Vec::new();
    for (number, (shard, part)) in plan.shards.iter().zip(parts).enumerate() {
        let Stretch::Items { first, portion } = shard.work else { continue };
        let manifest = &part.manifest;
        let mut bytes = vec![0; usize::try_from(manifest.bytes).unwrap_or(usize::MAX)];
        let file = part.open_file().map_err(|error| Failure::input(format!("{}: {error}", part.path.display())))?;
        let read = pread_exact(file.as_fd(), &mut bytes, 0);
        if read.is_err() || *blake3::hash(&bytes).as_bytes() != manifest.digest {
            damaged.push(number);
            continue;
        }
        // Its parts stand with the first stretch; that they are all items of the others is known when these are there.
        let mut bytes = Some(bytes);
        for input in 0..=portion.last {
            let source = SourceId(first + input);
            let Some(planned) = plan.inputs.get(source.0 as usize) else { continue };
            let (start, end) = portion.within(SourceId(input), planned.bytes);
            let own = bytes.take();
            resume.done.entry(source).or_default().push(DoneRange {
                source,
                start,
                end,
                items: if own.is_some() { manifest.items } else { 0 },
                failed: Vec::new(),
                counters: Vec::new(),
                parts: if own.is_some() { manifest.partials.clone() } else { Vec::new() },
            });
            kept.insert((source, start), own.unwrap_or_default());
        }
    }
    Ok(if damaged.is_empty() { Ok((resume, kept)) } else { Err(damaged) })
}

/// Hears what the joins come to.
struct Joining {
    failure: Option<taskhost_pool::event::JobFailure>,
}

impl Observer for Joining {
    fn progress(&mut self, _progress: &Progress) {}
    fn item_failed(&mut self, _item: &FailedItem) {}
    fn captured(&mut self, _item: &CapturedItem<'_>) {}

    fn log(&mut self, level: Level, place: Option<(&str, u64)>, text: &str) {
        if level >= Level::Info {
            note(&log_line(level, place, text));
        }
    }

    fn warning(&mut self, text: &str) {
        message("warning", text);
    }

    fn job_finished(&mut self, report: JobReport) {
        if let Some(failure) = &report.failure {
            message("error", &describe(&report, failure));
        }
        self.failure = report.failure.map(|failure| failure.failure);
    }
}
