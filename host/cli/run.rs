//! `taskhost run`: from the command line to an exit code.

pub(crate) mod clashes;
mod ending;
mod keeping;
pub(crate) mod many;
pub(crate) mod picture_work;
mod single;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use taskhost_pool::job::JobFeed;
use taskhost_pool::journal::Journal;
use taskhost_pool::runner::{Policy, Pool};
use taskhost_protocol::kernel::{CompileOptions, Kind, Profile};

use crate::args::{OnErrorName, RunArguments};
use crate::dry_run;
use crate::exit_code::{Exit, Failure};
use crate::feed::{Foreign, OneJob, foreign, name_of, total_bytes};
use crate::given::{self, Gifts};
use crate::inputs::{Found, InputOptions, Inputs, ListSource};
use crate::invoke::{self, Invocation};
use crate::journal::{self, Left, RunJournal};
use crate::kernel::{self, KernelFile};
use crate::output::{self, Place};
use crate::plan::{self, Shape};
use crate::profile;
use crate::report::failures::Failures;
use crate::report::{self, errors};
use crate::report::{Before, Notes, Reporter, Shown};
use crate::start::{Starting, start};
use taskhost_os::cores::ClaimedCores;

use ending::Ending;
use keeping::Keeping;
use many::{ManyJobs, Outputs};
use single::SingleJob;

/// Input that one worker has done before a second could have been started: below it, one is enough to begin with.
const SMALL_INPUT: u64 = 64 << 10;

/// What is known before the pool is started.
pub(crate) struct Request<'a> {
    pub(crate) arguments: &'a RunArguments,
    /// The inputs; those of a list that another program may still be writing stay unread.
    pub(crate) inputs: Given,
    pub(crate) place: Place,
    pub(crate) cores: ClaimedCores,
    /// Bytes of all inputs, when known.
    pub(crate) bytes: Option<u64>,
}

/// The inputs as they were given.
pub(crate) enum Given {
    Known(VecDeque<Found>),
    List(Box<Inputs>),
}

/// Runs a kernel over its inputs.
pub(crate) fn run(arguments: RunArguments) -> Result<Exit> {
    if let Some(engine) = arguments.cluster.engine {
        return crate::cluster::run(arguments, engine);
    }
    if arguments.cluster.shards.is_some() {
        return Err(Failure::usage("--shards is for --engine, or for taskhost plan").into());
    }
    run_with(arguments, None)
}

/// What another run left behind, with its journal.
pub(crate) struct Again {
    pub(crate) journal: RunJournal,
    pub(crate) left: Left,
    /// Whether the kernel is meant to be another.
    pub(crate) other_kernel: bool,
}

/// Goes on with a run.
pub(crate) fn again(arguments: RunArguments, again: Again) -> Result<Exit> {
    run_with(arguments, Some(again))
}

fn run_with(mut arguments: RunArguments, mut again: Option<Again>) -> Result<Exit> {
    let began = Instant::now();
    arguments.inputs.append(&mut arguments.input.input);
    misplaced_kernel(&arguments)?;
    invoke::check_flags(&arguments)?;
    // It is loaded while the inputs are looked at.
    taskhost_pool::runner::prepare();
    let place = output::place(arguments.output.output.as_deref())?;
    if arguments.output.skip_existing && !matches!(place, Place::PerInput(_)) {
        return Err(Failure::usage(
            "--skip-existing needs a result for each input: -o FOLDER/ or -o 'FOLDER/{stem}.png'",
        )
        .into());
    }
    let inputs = find_inputs(&arguments, &place)?;
    clashes::check(&arguments, &place, &inputs)?;
    let cores = ClaimedCores::claim(arguments.workers.workers.0, !arguments.workers.no_pin);
    let bytes = match &inputs {
        Given::Known(known) => total_bytes(known, !arguments.input.no_compression),
        Given::List(_) => None,
    };
    let header = new_journal(&arguments, &place, &inputs, again.is_some())?;
    let initial = if bytes.is_some_and(|bytes| bytes <= SMALL_INPUT) { 1 } else { cores.plan.len() };
    let kernel = kernel::find(&arguments.kernel.kernel)?;
    if let Some(again) = &mut again {
        again.check(&inputs, &kernel)?;
    }
    let header = header.map(|inputs| journal::header(&kernel, inputs, SystemTime::now())).transpose()?;
    let keeping = if arguments.report.dry_run { Keeping::default() } else { Keeping::new(&arguments, &kernel)? };
    let gifts = Gifts::new(&arguments.given)?.prepare(&kernel.name)?;
    let mut starting = starting(&arguments, kernel, &cores, initial);
    starting.given = gifts;
    starting.given.given.profile = arguments.report.profile.is_some();
    if let Some(again) = &again {
        starting.clock = again.left.clock();
    }
    let clock = starting.clock;
    let (mut pool, kernel) = start(starting)?;
    invoke::check_kernel(&arguments.items.call, &kernel, pool.kernel())?;
    given::check_kernel(&arguments.given, &arguments.items.call, pool.kernel())?;
    let shape = plan::shape(&arguments, pool.kernel().exports, pool.description())?;
    if let Some(again) = &again {
        again.check_shape(shape)?;
    }
    let request = Request { arguments: &arguments, inputs, place, cores, bytes };
    if arguments.report.dry_run {
        return Ok(dry_run::print(&request, &pool, &kernel, shape));
    }
    let failures = keeping.begin(&arguments, &pool, &kernel, shape, clock);
    let (journal, left) = match (again, header, &arguments.journal.journal) {
        (Some(again), ..) => (Some(again.journal), Some(again.left)),
        (None, Some(mut header), Some(path)) => {
            header.shape = shape.describe();
            (Some(RunJournal::create(path, &header)?), None)
        }
        (None, ..) => (None, None),
    };
    perform(request, Started { pool: &mut pool, kernel: &kernel, shape, began, journal, left }, failures)
}

/// The inputs, when the run keeps a journal and can.
fn new_journal<'a>(
    arguments: &RunArguments,
    place: &Place,
    inputs: &'a Given,
    is_resumed: bool,
) -> Result<Option<&'a VecDeque<Found>>, Failure> {
    let Some(path) = arguments.journal.journal.as_deref().filter(|_| !is_resumed && !arguments.report.dry_run) else {
        return Ok(None);
    };
    // Of what went into a pipe or a device nothing is known.
    let is_kept = match place {
        Place::Stdout { .. } => false,
        Place::File(path) => path.metadata().map_or(true, |metadata| metadata.is_file()),
        Place::PerInput(_) => true,
    };
    if !is_kept {
        return Err(Failure::usage(
            "--journal needs a result that can be gone on with: name a file or a folder with -o",
        ));
    }
    if let Place::File(path) = place
        && let Some(work) = output::work(path, arguments)
    {
        return Err(Failure::usage(format!(
            "--journal cannot go on in the middle of a result that is {}: name a file that is not, and make one of it afterwards; \
             or have a result made for each input, with -o FOLDER/",
            output::kind(&work)
        )));
    }
    if let (Given::Known(known), Place::File(_), false) = (inputs, place, arguments.input.no_compression)
        && let Some(found) = known.iter().find(|found| foreign(found) == Some(Foreign::Parquet))
    {
        return Err(Failure::usage(format!(
            "--journal cannot go on in the middle of {}, which is Parquet: have a result made for each input, with -o FOLDER/",
            name_of(found)
        )));
    }
    let Given::Known(known) = inputs else {
        return Err(Failure::usage(
            "--journal needs inputs that are there again: name them, or give --input-list a file",
        ));
    };
    // Before the files of the run that it belongs to, such as --errors, are begun anew.
    Journal::check_free(path).map_err(journal::failure)?;
    Ok(Some(known))
}

impl Again {
    /// Refuses to go on with something else.
    fn check(&mut self, inputs: &Given, kernel: &KernelFile) -> Result<(), Failure> {
        if let Given::Known(known) = inputs {
            self.left.check_inputs(&journal::prints(known)?)?;
        }
        let digest = *blake3::hash(&kernel.bytes).as_bytes();
        let (first, last) = (self.left.header.kernel, self.left.kernel);
        if self.other_kernel {
            self.left.kernel = digest;
            return Ok(());
        }
        // Where only failed items are run, either may do that.
        if digest == last || (digest == first && self.left.runs_single_items()) {
            return Ok(());
        }
        let name = &kernel.name;
        Err(Failure::input(if first == last {
            format!("{name} is not the kernel that the run began with; put that one there, or run it from the start")
        } else {
            format!("the run was gone on with another kernel than {name}: name it with --retry-failed --kernel FILE")
        }))
    }

    /// Refuses a kernel that makes something else of the input, and writes down that it is another.
    fn check_shape(&self, shape: Shape) -> Result<(), Failure> {
        let (before, now) = (&self.left.header.shape, shape.describe());
        if *before != now {
            return Err(Failure::input(format!(
                "the run was one of {before}, and this kernel makes it one of {now}: its results would not fit together; \
                 run it from the start"
            )));
        }
        if self.other_kernel { self.journal.note_kernel(self.left.kernel) } else { Ok(()) }
    }
}

/// What the pool of a run is started with.
pub(crate) fn starting(arguments: &RunArguments, kernel: KernelFile, cores: &ClaimedCores, initial: usize) -> Starting {
    let profile = match (&arguments.report.profile, arguments.limits.fuel) {
        (Some(_), _) => Profile::Sampled,
        (None, Some(_)) => Profile::Fuel,
        (None, None) => Profile::Plain,
    };
    Starting {
        kernel,
        options: CompileOptions {
            profile,
            kind: invoke::kind(arguments.kernel.kind, arguments.items.call.invoke.as_ref()),
        },
        invoke: arguments.items.call.invoke.as_ref().map(Invocation::invoke),
        settings: arguments.items.call.config.clone(),
        limits: arguments.limits.of_worker(),
        fresh: arguments.workers.fresh.into(),
        sandbox: arguments.kernel.sandbox.insistence.into(),
        policy: Policy {
            timeout: arguments.limits.timeout,
            deadline: arguments.limits.deadline,
            retries: arguments.failures.attempts.retries,
            recycle: arguments.workers.recycle,
            output: arguments.served.most_output,
            drain: arguments.journal.drain_timeout,
            ..Policy::default()
        },
        clock: SystemTime::now(),
        sync: arguments.journal.sync,
        capture: arguments.failures.capture.is_some(),
        given: given::Prepared::default(),
        cores: cores.plan.clone(),
        initial: if arguments.report.dry_run { 1 } else { initial },
        describe_only: arguments.report.dry_run,
    }
}

/// A run whose pool has started.
struct Started<'a> {
    pool: &'a mut Pool,
    kernel: &'a str,
    shape: Shape,
    began: Instant,
    journal: Option<RunJournal>,
    /// What another run left behind.
    left: Option<Left>,
}

/// A kernel that stands where inputs stand.
pub(crate) fn misplaced_kernel(arguments: &RunArguments) -> Result<(), Failure> {
    let is_wasm = |path: &Path| path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat");
    let first = &arguments.kernel.kernel;
    if let Some(kernel) = arguments.inputs.iter().find(|input| is_wasm(input))
        && !is_wasm(first)
        && (first.exists() || first.extension().is_some())
    {
        let (kernel, first) = (kernel.display(), first.display());
        return Err(Failure::usage(format!("the kernel comes first: taskhost run {kernel} {first} …")));
    }
    Ok(())
}

/// The inputs, standard input when there are none and it is no terminal.
pub(crate) fn find_inputs(arguments: &RunArguments, place: &Place) -> Result<Given, Failure> {
    let list = arguments
        .input
        .input_list
        .as_ref()
        .map(|path| ListSource { path: (path.as_os_str() != "-").then(|| path.clone()), nul: arguments.input.null });
    if let Some(call) = arguments.items.call.invoke.as_ref().and_then(|invoke| invoke.call.as_ref()) {
        return Ok(Given::Known(VecDeque::from([Found::Call(call.clone())])));
    }
    let mut paths = arguments.inputs.clone();
    if paths.is_empty() && list.is_none() {
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(Failure::usage("there is no input: name a file or a folder, or pipe something in"));
        }
        paths.push(PathBuf::from("-"));
    }
    let exclude = match place {
        Place::PerInput(destination) => destination.folder().map(Path::to_owned),
        Place::Stdout { .. } | Place::File(_) => None,
    };
    let options = InputOptions { globs: arguments.input.glob.clone(), hidden: arguments.input.hidden, exclude };
    let failed = |error: crate::inputs::InputError| {
        if error.is_usage() { Failure::usage(error.to_string()) } else { Failure::input(error.to_string()) }
    };
    let mut inputs = Inputs::new(paths, list, options).map_err(failed)?;
    if inputs.is_open_ended() {
        return Ok(Given::List(Box::new(inputs)));
    }
    let known = inputs.by_ref().collect::<Result<VecDeque<Found>, _>>().map_err(failed)?;
    if known.is_empty() {
        let skipped = inputs.skipped();
        return Err(Failure::input(format!(
            "no input was found: {} hidden, {} not matching --glob, {} in linked folders, {} no regular files were \
             left out",
            skipped.hidden, skipped.filtered, skipped.linked_folders, skipped.special
        )));
    }
    rename(known, &arguments.served.input_name).map(Given::Known)
}

/// The inputs under the names that somebody else has for them.
fn rename(mut known: VecDeque<Found>, names: &[String]) -> Result<VecDeque<Found>, Failure> {
    if names.is_empty() {
        return Ok(known);
    }
    if names.len() != known.len() {
        return Err(Failure::usage(format!("--input-name is given {} times for {} inputs", names.len(), known.len())));
    }
    for (found, name) in known.iter_mut().zip(names) {
        if let Found::File(file) = found {
            file.name.clone_from(name);
        }
    }
    Ok(known)
}

fn perform(request: Request<'_>, started: Started<'_>, failures: Failures) -> Result<Exit> {
    let Started { pool, kernel, shape, began, journal, left } = started;
    let Request { arguments, inputs, place, cores, bytes } = request;
    let many = matches!(place, Place::PerInput(_));
    let is_program = pool.kernel().kind == Kind::Command;
    let notes = Rc::new(Notes::default());
    if let (Some(left), Place::File(path)) = (&left, &place) {
        left.sweep_beside(path);
    }
    let made: Result<Box<dyn JobFeed>, Failure> = match place {
        Place::PerInput(destination) => {
            let outputs = Outputs { destination, notes: Rc::clone(&notes), left: left.as_ref() };
            ManyJobs::new(inputs, outputs, arguments, shape, pool.waker()).map(|jobs| Box::new(jobs) as _)
        }
        place => SingleJob { arguments, shape, is_program, bytes, notes: &notes, left: left.as_ref() }
            .spec(inputs, place, pool.waker())
            .map(|job| Box::new(OneJob(Some(job))) as _),
    };
    let mut feed = made.inspect_err(|_| {
        // The run has not begun, so there is nothing to go on with.
        journal.iter().filter(|_| left.is_none()).for_each(RunJournal::remove);
    })?;
    let shown = Shown {
        level: arguments.report.messages.log.into(),
        quiet: arguments.report.messages.quiet,
        many,
        named: arguments.output.output.is_some(),
        stops: many && arguments.failures.on_error == Some(OnErrorName::Fail),
        earlier: arguments.served.earlier,
    };
    let taken_over = notes.taken_over.get();
    let mut reporter = Reporter::new(&arguments.report, shown, bytes, notes);
    reporter.failures = failures;
    let is_retry = left.as_ref().is_some_and(|left| left.ended.is_some() && !left.has_parts());
    // Failed items that are run again are a run of their own.
    let goes_on = left.is_some() && !is_retry;
    let before = (goes_on || shown.earlier.is_some()).then_some(Before { items: taken_over, earlier: shown.earlier });
    if let (Some(left), false) = (&left, is_retry) {
        reporter.failures.restore(left.all_failed().map(|failed| failed.json.as_str()));
    }
    match &journal {
        Some(_) if is_retry && !many => pool.describe_failures(errors::line),
        Some(journal) => journal.keep(pool, many),
        None => {}
    }
    let is_page = arguments.report.report.as_deref().is_some_and(report::html::is_wanted);
    if is_page || arguments.served.page.is_some() {
        pool.record();
    }
    // What the run before has done stays done.
    let can_resume = left.is_some();
    let result = pool.run(feed.as_mut(), &mut reporter);
    reporter.end();
    let run = match result {
        Ok(run) => run,
        Err(error) => {
            // How far it came still helps whoever interrupted.
            let came = pool.shut_down().progress;
            let failure = Failure::from(error);
            let items = report::count(came.items, "item");
            report::message("error", &format!("{} after {items}", failure.message));
            if let Some(journal) = journal.filter(|_| !is_retry || many) {
                journal.end(failure.exit, false, can_resume || pool.can_resume());
            }
            return Ok(failure.exit);
        }
    };
    let ending = Ending { run: &run, cores: &cores, reporter: &reporter, pool, kernel, arguments, before };
    let mut exit = ending.conclude(began.elapsed());
    if let Some(path) = &arguments.report.profile
        && let Err(failure) = profile::write(path, kernel, pool.take_profiles(), arguments.report.messages.quiet)
    {
        report::message("error", &failure.message);
        exit = if exit == Exit::Done { failure.exit } else { exit };
    }
    let Some(journal) = journal else { return Ok(exit) };
    let job = reporter.jobs.first();
    let made = many || job.is_none_or(|job| job.failure.is_none());
    match (&left, job) {
        (Some(left), Some(job)) if is_retry && !many && made && exit == Exit::ItemsFailed => {
            let output = job.path.clone().unwrap_or_default();
            journal.replace(left, &output, job.failed_again.clone())?;
        }
        (Some(_), _) if is_retry && !many && !made => {}
        _ => journal.end(exit, made, can_resume || pool.can_resume()),
    }
    Ok(exit)
}
