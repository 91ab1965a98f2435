//! `taskhost shard run`: one shard, on the cores that this process may use, into one part.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Read as _;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use taskhost_os::cores::ClaimedCores;

use super::part::{self, Found, Manifest};
use super::trouble::Trouble;
use super::watch::Watch;
use super::{Plan, cut::Shard};
use crate::args::{ShardArguments, ShardCommand, ShardRunArguments};
use crate::exit_code::{Exit, Failure};
use crate::given::{self, Gifts};
use crate::output;
use crate::plan;
use crate::report::{self, Notes};
use crate::run::starting;
use crate::start::start;
use crate::{invoke, kernel};

/// Where schedulers say which element of an array this is, and what they call the first. One that runs inside of another's
/// jobs stands before it: `HyperQueue` in those of Slurm or PBS, these in the machines of a cloud.
const INDICES: [(&str, u32); 7] = [
    ("HQ_TASK_ID", 0),
    ("SLURM_ARRAY_TASK_ID", 0),
    ("PBS_ARRAY_INDEX", 0),
    ("PBS_ARRAYID", 0),
    ("SGE_TASK_ID", 1),
    ("JOB_COMPLETION_INDEX", 0),
    ("AWS_BATCH_JOB_ARRAY_INDEX", 0),
];

pub(crate) fn shard(arguments: ShardArguments) -> Result<Exit> {
    let ShardCommand::Run(arguments) = arguments.command;
    let plan = Plan::read(&arguments.plan)?;
    let index = index(&arguments, |name| std::env::var(name).ok())?;
    let count = plan.shards.len();
    let shard = plan.shards.get(index as usize).ok_or_else(|| {
        Failure::usage(format!(
            "there is no shard {index}: the plan has {}, from 0",
            report::count(count as u64, "shard")
        ))
    })?;
    Trouble::forget(&plan, index);
    Ok(run(&plan, (index, shard), &arguments).inspect_err(|failure| Trouble::leave(&plan, index, failure))?)
}

/// Which shard it is.
fn index(arguments: &ShardRunArguments, variable: impl Fn(&str) -> Option<String>) -> Result<u32, Failure> {
    if let Some(index) = arguments.index {
        return Ok(index);
    }
    for (name, first) in INDICES {
        let Some(text) = variable(name) else { continue };
        let number = text.trim().parse::<u32>().ok().and_then(|number| number.checked_sub(first));
        // Outside of an array, some say `undefined`.
        return number.ok_or_else(|| Failure::usage(format!("{name}={text} names no shard; name it with --index N")));
    }
    Err(Failure::usage("which shard? Name it with --index N: no scheduler has said it"))
}

fn run(plan: &Plan, (index, shard): (u32, &Shard), given: &ShardRunArguments) -> Result<Exit, Failure> {
    let mut arguments = plan.arguments()?;
    plan.enter()?;
    if let Some(workers) = given.workers {
        arguments.workers.workers = workers;
    }
    if let Some(part) = Found::look(plan)?.part(plan, index, true) {
        report::note(&format!("shard {index} is done: {}", part.path.display()));
        return Ok(exit(&part.manifest));
    }
    let folder = plan.parts();
    fs::create_dir_all(&folder).map_err(|error| Failure::input(format!("{}: {error}", folder.display())))?;
    let kernel = kernel::find(&arguments.kernel.kernel)?;
    if blake3::hash(&kernel.bytes).to_hex().as_str() != plan.kernel {
        let name = &kernel.name;
        return Err(Failure::input(format!("{name} is not the kernel that was planned with; plan it again")));
    }
    let gifts = Gifts::new(&arguments.given)?.prepare(&kernel.name)?;
    let cores = ClaimedCores::claim(arguments.workers.workers.0, !arguments.workers.no_pin);
    let mut starting = starting(&arguments, kernel, &cores, cores.plan.len());
    starting.given = gifts;
    starting.clock = plan.clock();
    let (mut pool, name) = start(starting)?;
    invoke::check_kernel(&arguments.items.call, &name, pool.kernel())?;
    given::check_kernel(&arguments.given, &arguments.items.call, pool.kernel())?;
    let shape = plan::shape(&arguments, pool.kernel().exports, pool.description())?;
    if shape.describe() != plan.shape {
        return Err(Failure::input("the kernel describes itself otherwise than when it was planned; plan it again"));
    }
    let place = output::place(arguments.output.output.as_deref())?;
    let many = matches!(place, output::Place::PerInput(_));
    let making = plan.making(&arguments, shape);
    let names = making.inputs_of(&shard.work).iter().map(|input| input.file.name.as_str()).collect();
    let manifest = Manifest { plan: plan.digest.clone(), shard: index, ..Manifest::default() };
    let mut watch = Watch { manifest, level: arguments.report.messages.log.into(), many, names, broken: None };
    let (part, data) = part::names(plan, index, &attempt());
    let mut jobs = making.jobs(shard, place, &data, (pool.waker(), Rc::new(Notes::default())))?;
    let result = pool.run(jobs.as_mut(), &mut watch);
    drop(jobs);
    let Watch { mut manifest, broken, .. } = watch;
    let written = result.map_err(Failure::from).and_then(|_| match broken {
        Some((exit, said)) => Err(Failure::new(exit, said)),
        None => write(&data, &part, &mut manifest),
    });
    if written.is_err() {
        let _ = fs::remove_file(&data);
    }
    written?;
    let items = report::count(manifest.items, "item");
    report::note(&format!("shard {index}: {items}, {} failed, in {}", manifest.failed.len(), part.display()));
    Ok(exit(&manifest))
}

fn write(data: &Path, part: &Path, manifest: &mut Manifest) -> Result<(), Failure> {
    part::write(data, part, manifest)
        .map_err(|error| Failure::input(format!("the part {} cannot be written: {error}", part.display())))
}

/// How a shard ends that has a part: an item that fails is a result, too.
fn exit(manifest: &Manifest) -> Exit {
    match &manifest.failure {
        Some((code, said)) => {
            report::message("failed", said);
            Exit::from_code(*code).unwrap_or(Exit::ItemsFailed)
        }
        None => Exit::Done,
    }
}

/// Tells this attempt from all others, on whatever machine.
fn attempt() -> String {
    let mut host = String::new();
    let read = fs::File::open("/proc/sys/kernel/hostname").and_then(|file| file.take(64).read_to_string(&mut host));
    let host: String = match read {
        Ok(_) => host.trim().chars().filter(char::is_ascii_alphanumeric).collect(),
        Err(_) => String::new(),
    };
    let random = RandomState::new().build_hasher().finish();
    format!("{host}-{}-{random:016x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(index: Option<u32>) -> ShardRunArguments {
        ShardRunArguments { plan: "p".into(), index, workers: None }
    }

    #[test]
    fn the_scheduler_says_which_shard_it_is() {
        let of = |set: &'static [(&str, &str)]| {
            index(&given(None), |name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
        };
        for (name, first) in [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("HQ_TASK_ID", "7"),
            ("JOB_COMPLETION_INDEX", "7"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "7"),
            ("PBS_ARRAY_INDEX", "7"),
            ("PBS_ARRAYID", "7"),
            ("SGE_TASK_ID", "8"),
        ] {
            let one = index(&given(None), |asked| (asked == name).then(|| first.to_owned()));
            assert_eq!(one.expect("a number"), 7, "{name}");
        }
        assert_eq!(of(&[("SLURM_ARRAY_TASK_ID", "7"), ("SGE_TASK_ID", "3")]).expect("a number"), 7);
        assert_eq!(of(&[("SLURM_ARRAY_TASK_ID", "7"), ("HQ_TASK_ID", "3")]).expect("a number"), 3, "it runs inside");
        assert_eq!(of(&[("SGE_TASK_ID", "3")]).expect("a number"), 2, "the first is 1 there");
        assert_eq!(of(&[("SGE_TASK_ID", "undefined")]).expect_err("none").exit, Exit::Usage);
        assert_eq!(of(&[("SGE_TASK_ID", "0")]).expect_err("none").exit, Exit::Usage);
        assert_eq!(of(&[]).expect_err("none").exit, Exit::Usage);
        assert_eq!(index(&given(Some(4)), |_| Some("9".into())).expect("a number"), 4, "what was typed wins");
    }
}
