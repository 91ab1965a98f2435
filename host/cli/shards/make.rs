//! `taskhost plan`: freezes a run, and cuts it into shards.

use std::path::Path;

use anyhow::Result;
use taskhost_data::merge::merge_name;
use taskhost_data::split::split_name;
use taskhost_os::cores::{ClaimedCores, Workers};
use taskhost_pool::job::{JobWork, Output};
use taskhost_protocol::work::Split;

use super::cut::{self, Shard, Stretch};
use super::feed::print;
use super::file::{Frozen, Plan, PlannedInput};
use super::job::Making;
use super::probe;
use crate::args::{PlanArguments, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::feed::{Foreign, foreign};
use crate::given::{self, Gifts};
use crate::inputs::Found;
use crate::inputs::outputs::OutputNames;
use crate::output::{self, Place};
use crate::plan::{self, Shape};
use crate::report;
use crate::run::{Given, clashes, find_inputs, misplaced_kernel, starting};
use crate::start::start;
use crate::{invoke, kernel};

/// Seconds that a shard should take at least: what a scheduler does around it takes half a second.
const SHARD_SECONDS: f64 = 30.0;

/// Most shards that are made without being asked for: schedulers take about a thousand elements in an array, and
/// everybody looks through the parts.
pub(crate) const MOST_SHARDS: u32 = 1000;

/// `taskhost plan`.
pub(crate) fn plan(arguments: PlanArguments) -> Result<Exit> {
    let mut run = arguments.run;
    if run.cluster.engine.is_some() {
        return Err(Failure::usage("a plan is for any engine: --engine is a flag of taskhost run").into());
    }
    let path = run.output.output.take().ok_or_else(|| Failure::usage("name the plan: -o PLAN"))?;
    if path.as_os_str() == "-" {
        return Err(Failure::usage("a plan is a file, since its parts stand beside it: -o PLAN").into());
    }
    run.output.output = arguments.result;
    let quiet = run.report.messages.quiet;
    let shards = run.cluster.shards;
    let plan = freeze(&path, run, (shards, MOST_SHARDS))?;
    if !quiet {
        let shown = path.display();
        report::note(&format!("{shown}: {}", plan.describe()));
        report::hint(&format!(
            "to run the first shard, type: taskhost shard run --plan {shown} --index 0; and when all are run: taskhost \
             merge --plan {shown}"
        ));
    }
    Ok(Exit::Done)
}

impl Plan {
    /// What it consists of, in words.
    pub(crate) fn describe(&self) -> String {
        let shards = report::count(self.shards.len() as u64, "shard");
        let bytes = taskhost_data::size::human_size(self.bytes());
        let inputs = report::count(self.inputs.len() as u64, "input");
        let work = self.seconds.map_or_else(String::new, |seconds| {
            let time = taskhost_data::duration::human_duration(std::time::Duration::from_secs_f64(seconds.max(0.001)));
            format!(", about {time} of work for one core")
        });
        format!("{shards} of {inputs}, {bytes}{work}")
    }
}

/// Freezes a run. The number of shards as it was asked for, and the most that there may be otherwise.
pub(crate) fn freeze(path: &Path, run: RunArguments, (wanted, most): (Option<u32>, u32)) -> Result<Plan, Failure> {
    let mut arguments = run;
    arguments.inputs.append(&mut arguments.input.input);
    misplaced_kernel(&arguments)?;
    invoke::check_flags(&arguments)?;
    refuse(&arguments)?;
    let place = output::place(arguments.output.output.as_deref())?;
    let given = find_inputs(&arguments, &place)?;
    clashes::check(&arguments, &place, &given)?;
    let inputs = inputs(given)?;
    refuse_converted(&arguments, &place, &inputs)?;
    let kernel = kernel::find(&arguments.kernel.kernel)?;
    let digest = blake3::hash(&kernel.bytes);
    let gifts = Gifts::new(&arguments.given)?.prepare(&kernel.name)?;
    let cores = ClaimedCores::claim(arguments.workers.workers.0, !arguments.workers.no_pin);
    let mut starting = starting(&arguments, kernel, &cores, 1);
    starting.given = gifts;
    starting.describe_only = wanted.is_some();
    let clock = starting.clock;
    let (mut pool, name) = start(starting)?;
    invoke::check_kernel(&arguments.items.call, &name, pool.kernel())?;
    given::check_kernel(&arguments.given, &arguments.items.call, pool.kernel())?;
    let shape = plan::shape(&arguments, pool.kernel().exports, pool.description())?;
    let cutting = Cutting::new(Making { arguments: &arguments, inputs: &inputs, shape }, &place)?;
    let seconds = match wanted {
        Some(_) => None,
        None => probe::seconds(&mut pool, &cutting)?,
    };
    let count = wanted.unwrap_or_else(|| {
        let workers = if let Workers::Exactly(count) = arguments.workers.workers.0 { count } else { 1 };
        // Rounded up where it matters: half a shard is one.
        let count = seconds.unwrap_or(0.0) / (SHARD_SECONDS * workers as f64);
        if count < 1.0 { 1 } else { count.min(f64::from(most)) as u32 }
    });
    let shards = cutting.cut(count);
    let (split, merge) = match shape {
        Shape::Items { split, merge, .. } => (Some(split_name(split.0)), Some(merge_name(merge.0).to_owned())),
        Shape::Picture => (None, None),
    };
    let frozen = Frozen { kernel: digest, shape: shape.describe(), split, merge, clock, seconds, inputs, shards };
    let mut plan = Plan::new(path, frozen)?;
    plan.write()?;
    Ok(plan)
}

/// Refuses what has no meaning when the run is done in several places.
fn refuse(arguments: &RunArguments) -> Result<(), Failure> {
    let refused = [
        (arguments.journal.journal.is_some(), "--journal", "shards that are done are not run again anyway"),
        (arguments.report.report.is_some(), "--report", "there is none for several machines yet"),
        (arguments.report.profile.is_some(), "--profile", "profile a run on one machine"),
        (arguments.report.dry_run, "--dry-run", "the plan is what would be done"),
        (arguments.failures.capture.is_some(), "--capture", "run the shard's input again on one machine to keep items"),
        (arguments.output.skip_existing, "--skip-existing", "name the inputs that are to be done"),
    ];
    match refused.into_iter().find(|(given, ..)| *given) {
        Some((_, flag, why)) => Err(Failure::usage(format!("{flag} has no meaning in a plan: {why}"))),
        None => Ok(()),
    }
}

/// What is compressed can be cut nowhere, and parts are laid end to end. Where each input has a result of its own, neither
/// has to be.
fn refuse_converted(arguments: &RunArguments, place: &Place, inputs: &[PlannedInput]) -> Result<(), Failure> {
    if matches!(place, Place::PerInput(_)) {
        return Ok(());
    }
    let look = |input: &PlannedInput| Some((input.file.name.clone(), foreign(&Found::File(input.file.clone()))?));
    match inputs.iter().find_map(look).filter(|_| !arguments.input.no_compression) {
        Some((name, Foreign::Packed(_))) => Err(Failure::usage(format!(
            "{name} is compressed, and cannot be cut; decompress it first, or run it on one machine"
        ))),
        Some((name, Foreign::Parquet)) => Err(Failure::usage(format!(
            "{name} is Parquet, and cannot be cut; have a result made for each input, or run it on one machine"
        ))),
        None => refuse_output(arguments, place),
    }
}

/// Refuses a result that is more than its parts, one behind the other.
pub(super) fn refuse_output(arguments: &RunArguments, place: &Place) -> Result<(), Failure> {
    let Place::File(path) = place else { return Ok(()) };
    let Some(work) = output::work(path, arguments) else { return Ok(()) };
    let (path, kind) = (path.display(), output::kind(&work));
    Err(Failure::usage(format!(
        "{path} would be {kind}, and parts are only laid one behind the other; name a plain file, and make it of that, or \
         run it on one machine"
    )))
}

/// The inputs, as they are now.
fn inputs(given: Given) -> Result<Vec<PlannedInput>, Failure> {
    let found: Vec<Found> = match given {
        Given::Known(known) => known.into(),
        Given::List(list) => list.collect::<Result<_, _>>().map_err(|error| Failure::input(error.to_string()))?,
    };
    let planned = |found: Found| match found {
        Found::File(file) => {
            let name = &file.name;
            let metadata = std::fs::metadata(&file.path);
            let metadata = metadata.map_err(|error| Failure::input(format!("{name} cannot be read: {error}")))?;
            if !metadata.is_file() {
                return Err(Failure::usage(format!("{name} is no regular file: a plan is for files that stay")));
            }
            let (bytes, modified) = print(&metadata);
            Ok(PlannedInput { file, bytes, modified })
        }
        Found::Stdin => Err(Failure::usage("a plan is for files: standard input can be read once, and here")),
        Found::Call(_) => Err(Failure::usage("a single call has no shards; run it with taskhost run")),
    };
    found.into_iter().map(planned).collect()
}

/// How a run can be cut.
pub(super) struct Cutting<'a> {
    pub(super) making: Making<'a>,
    pub(super) units: Units,
}

/// What a run is cut into.
pub(super) enum Units {
    Items(Split),
    Files,
    /// So many rows, of so many bytes each.
    Rows(u64, u64),
    /// It is not.
    Nothing,
}

impl<'a> Cutting<'a> {
    fn new(making: Making<'a>, place: &Place) -> Result<Self, Failure> {
        let target = match place {
            Place::PerInput(destination) => {
                let found: Vec<Found> = making.inputs.iter().map(|input| Found::File(input.file.clone())).collect();
                let mut names = OutputNames::new(destination.clone(), false);
                names.name_all(&found).map_err(|error| Failure::usage(error.to_string()))?;
                return Ok(Self { making, units: Units::Files });
            }
            Place::File(path) => Some(path.as_path()),
            Place::Stdout { .. } => None,
        };
        let units = match making.shape {
            Shape::Items { split, .. } => Units::Items(split.0),
            Shape::Picture if making.inputs.len() > 1 => {
                return Err(Failure::usage(
                    "the kernel makes one picture of each input: name a folder for them, --result FOLDER/",
                ));
            }
            Shape::Picture => {
                let all = Shard { work: Stretch::All, bytes: 0 };
                match making.one(&all, target, Output::Nothing)?.work {
                    JobWork::Picture { plan, .. } => match plan.format.filter(|_| !plan.encode) {
                        Some(format) => {
                            let rows = u64::from(plan.planes) * u64::from(format.height);
                            Units::Rows(rows, format.row_bytes().unwrap_or(0))
                        }
                        None => Units::Nothing,
                    },
                    JobWork::Items { .. } | JobWork::Table { .. } => Units::Nothing,
                }
            }
        };
        Ok(Self { making, units })
    }

    /// The sizes of the inputs.
    pub(super) fn sizes(&self) -> Vec<u64> {
        self.making.inputs.iter().map(|input| input.bytes).collect()
    }

    /// Cuts it into at most `count` shards.
    pub(super) fn cut(&self, count: u32) -> Vec<Shard> {
        match self.units {
            Units::Items(split) => cut::items(split, &self.sizes(), count),
            Units::Files => cut::files(&self.sizes(), count),
            Units::Rows(rows, bytes) => cut::rows(rows, bytes, count),
            Units::Nothing => vec![Shard { work: Stretch::All, bytes: self.sizes().iter().sum() }],
        }
    }
}
