//! `taskhost run --engine NAME` and `taskhost attach`: shards run by a cluster's own scheduler.
//!
//! The scheduler schedules, binds cores, accounts and survives the loss of machines; this describes the work to it. There is
//! nothing of ours that stays resident: an array of shards and a job behind it that merges what there is, and hands in
//! what is missing as a new array. Whoever waits only looks on.

mod campaign;
mod engine;
mod follow;
mod outcome;
mod slurm;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use taskhost_os::cores::Workers;

use crate::args::{AttachArguments, EngineName, MergeArguments, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::output::{self, Place};
use crate::report;
use crate::shards::{self, Merged, Merging, Plan};

use campaign::{Campaign, Settings};
use engine::{Engine, Wants};
use outcome::Outcome;

/// What a worker needs besides its kernel's memory, in bytes: itself, and the results that wait.
const WORKER_BYTES: u64 = 64 << 20;

/// What the coordinator needs, in bytes: windows of results.
const COORDINATOR_BYTES: u64 = 256 << 20;

/// Memory of a worker that nobody asked for is a limit, and not what it needs.
const USUAL_MEMORY: u64 = 1 << 30;

/// `taskhost run --engine`.
pub(crate) fn run(mut arguments: RunArguments, name: EngineName) -> Result<Exit> {
    let options = shards::engine_options(&mut arguments);
    let options = options.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let path = plan_path(&arguments)?;
    let engine = engine_of(name);
    let capabilities = engine.capabilities().map_err(Failure::from)?;
    let cluster = std::mem::take(&mut arguments.cluster);
    let settings =
        Settings { engine: name.into(), options, wants: wants(&arguments), rounds: cluster.rounds, made_for_run: true };
    let (quiet, progress) = (arguments.report.messages.quiet, arguments.report.progress);
    if path.exists() {
        let shown = path.display();
        return Err(Failure::usage(format!(
            "there is a plan {shown} already; to go on with it, type: taskhost attach {shown}; or remove it"
        ))
        .into());
    }
    if let Some(wanted) = cluster.shards.filter(|wanted| *wanted > capabilities.shards) {
        let most = capabilities.shards;
        return Err(Failure::usage(format!(
            "--shards {wanted}: this cluster takes {most} elements in an array; ask for so many, or have MaxArraySize raised"
        ))
        .into());
    }
    let plan = shards::freeze(&path, arguments, (cluster.shards, capabilities.shards.min(shards::MOST_SHARDS)))?;
    if !quiet {
        report::note(&format!("{}: {}", path.display(), plan.describe()));
    }
    // What was not handed in is typed again, perhaps otherwise.
    let campaign = Campaign::begin(&plan, settings, engine).inspect_err(|_| plan.put_away())?;
    Ok(follow::follow(&campaign, follow::Shown { quiet, progress })?)
}

/// `taskhost attach`.
pub(crate) fn attach(arguments: &AttachArguments) -> Result<Exit> {
    let plan = Plan::read(&arguments.plan)?;
    let campaign = Campaign::found(&plan)?;
    if arguments.cancel {
        campaign.cancel()?;
        report::note("its jobs are cancelled; what was done stays done");
        return Ok(Exit::Done);
    }
    campaign.go_on()?;
    Ok(follow::follow(&campaign, follow::Shown { quiet: arguments.quiet, progress: arguments.progress })?)
}

/// The job behind the shards of a round: merges, or hands in what is missing.
pub(crate) fn heal(plan: &Plan, merging: &Merging<'_>, round: u32) -> Result<Exit, Failure> {
    let campaign = Campaign::found(plan)?;
    let outcome = match merging.perform() {
        Ok(Merged::Ended(exit)) => Outcome { exit: exit.code(), said: String::new() },
        Ok(Merged::Missing(missing)) => match campaign.heal(round, &missing)? {
            None => return Ok(Exit::Done),
            Some(outcome) => outcome,
        },
        // A full disk, a kernel whose `combine` fails: another round would find it so, too.
        Err(failure) => Outcome { exit: failure.exit.code(), said: failure.message },
    };
    outcome.write(plan)?;
    outcome.tell();
    Ok(outcome.exit())
}

/// Merges for the flags of the command.
pub(crate) fn merge_job(arguments: &MergeArguments, round: u32) -> Result<Exit> {
    let plan = Plan::read(&arguments.plan)?;
    let merging = Merging::new(&plan, None, arguments.quiet)?;
    Ok(heal(&plan, &merging, round)?)
}

/// The engine of this name.
fn engine_of(name: EngineName) -> Box<dyn Engine> {
    match name {
        EngineName::Slurm => Box::new(slurm::Slurm),
    }
}

/// What the elements of the array are to have, from the flags of the run.
fn wants(arguments: &RunArguments) -> Wants {
    let workers = if let Workers::Exactly(count) = arguments.workers.workers.0 { Some(count) } else { None };
    let memory = arguments.limits.memory;
    let bytes = COORDINATOR_BYTES + (memory + WORKER_BYTES).saturating_mul(workers.unwrap_or(1) as u64);
    Wants {
        cores: workers.and_then(|count| u32::try_from(count).ok()),
        whole_cores: arguments.workers.workers.0 != Workers::Logical,
        memory: (memory != USUAL_MEMORY).then_some(bytes),
        // The shard ends by itself, with a word, before the scheduler ends it.
        time: arguments.limits.deadline.map(|deadline| deadline + Duration::from_secs(60)),
    }
}

/// Where the plan goes: beside the result, since that is on storage that all machines share.
fn plan_path(arguments: &RunArguments) -> Result<PathBuf, Failure> {
    let place = output::place(arguments.output.output.as_deref())?;
    let beside = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".plan");
        PathBuf::from(name)
    };
    match (&arguments.cluster.plan, place, &arguments.output.output) {
        (_, Place::Stdout { .. }, _) => Err(Failure::usage(
            "--engine needs a result that is a file or a folder on storage that all machines share: name it with -o",
        )),
        (Some(path), ..) => Ok(path.clone()),
        (None, Place::File(path), _) => Ok(beside(&path)),
        (None, Place::PerInput(destination), _) => match destination.folder() {
            Some(folder) => Ok(beside(&folder.components().collect::<PathBuf>())),
            None => Err(Failure::usage("with results named by a template, name the plan too: --plan FILE")),
        },
    }
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| Failure::usage(format!("{} is not UTF-8", word.to_string_lossy())))
}
