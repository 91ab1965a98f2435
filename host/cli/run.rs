//! `taskhost run`: from the command line to an exit code.

mod many;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use taskhost_data::formats::{ImageKind, image_kind};
use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{JobFeed, JobSpec, JobWork, Output};
use taskhost_pool::runner::{Pool, RunReport};
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::work::Merge;

use crate::args::RunArguments;
use crate::exit_code::{Exit, Failure, of_job};
use crate::feed::{AllSources, OneJob, Sources, name_of, path_of, picture_source, total_bytes};
use crate::inputs::{Found, InputOptions, Inputs, ListSource};
use crate::kernel::KernelFile;
use crate::output::{self, Place};
use crate::plan::{self, Shape};
use crate::report::{Notes, Reporter, Shown, Summary, describe, json};
use crate::start::{Cores, Starting, start};
use crate::{dry_run, picture, report};

use many::{ManyJobs, Outputs};

/// Input that one worker has done before a second could have been started: below it, one is enough to begin with.
const SMALL_INPUT: u64 = 64 << 10;

/// What is known before the pool is started.
pub(crate) struct Request<'a> {
    pub(crate) arguments: &'a RunArguments,
    /// The inputs; those of a list that another program may still be writing stay unread.
    pub(crate) inputs: Given,
    pub(crate) place: Place,
    pub(crate) cores: Cores,
}

/// The inputs as they were given.
pub(crate) enum Given {
    Known(VecDeque<Found>),
    List(Inputs),
}

/// Runs a kernel over its inputs.
pub(crate) fn run(mut arguments: RunArguments) -> Result<Exit> {
    let began = Instant::now();
    arguments.inputs.append(&mut arguments.input.input);
    misplaced_kernel(&arguments)?;
    let place = output::place(arguments.output.output.as_deref())?;
    if arguments.output.skip_existing && !matches!(place, Place::PerInput(_)) {
        return Err(Failure::usage("--skip-existing needs a result for each input: -o FOLDER/ or -o 'FOLDER/{stem}.png'").into());
    }
    let inputs = find_inputs(&arguments, &place)?;
    let cores = Cores::plan(arguments.workers.workers, arguments.workers.no_pin);
    let bytes = match &inputs {
        Given::Known(known) => total_bytes(known),
        Given::List(_) => None,
    };
    let initial = if bytes.is_some_and(|bytes| bytes <= SMALL_INPUT) { 1 } else { cores.plan.len() };
    let starting = Starting {
        kernel: &arguments.kernel,
        settings: arguments.items.config.clone(),
        limits: WorkerLimits { memory: arguments.workers.memory, output: arguments.workers.max_output },
        cores: cores.plan.clone(),
        initial: if arguments.report.dry_run { 1 } else { initial },
        describe_only: arguments.report.dry_run,
    };
    let (mut pool, kernel) = start(starting)?;
    let shape = plan::shape(&arguments, pool.kernel().exports, pool.description())?;
    let request = Request { arguments: &arguments, inputs, place, cores };
    if arguments.report.dry_run {
        return Ok(dry_run::print(&request, &pool, &kernel, shape, bytes));
    }
    perform(request, &mut pool, &kernel, shape, bytes, began)
}

/// A kernel that stands where inputs stand.
fn misplaced_kernel(arguments: &RunArguments) -> Result<(), Failure> {
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
fn find_inputs(arguments: &RunArguments, place: &Place) -> Result<Given, Failure> {
    let list = arguments.input.input_list.as_ref().map(|path| ListSource {
        path: (path.as_os_str() != "-").then(|| path.clone()),
        nul: arguments.input.null,
    });
    let mut paths = arguments.inputs.clone();
    if paths.is_empty() && list.is_none() {
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(Failure::usage("there is no input: name a file or a folder, or pipe something in"));
        }
        paths.push(PathBuf::from("-"));
    }
    let exclude = match place {
        Place::PerInput(destination) => destination.folder().map(Path::to_owned),
        Place::Stdout | Place::File(_) => None,
    };
    let options = InputOptions { globs: arguments.input.glob.clone(), hidden: arguments.input.hidden, exclude };
    let failed = |error: crate::inputs::InputError| {
        if error.is_usage() { Failure::usage(error.to_string()) } else { Failure::input(error.to_string()) }
    };
    let mut inputs = Inputs::new(paths, list, options).map_err(failed)?;
    if inputs.is_open_ended() {
        return Ok(Given::List(inputs));
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
    Ok(Given::Known(known))
}

fn perform(
    request: Request<'_>,
    pool: &mut Pool,
    kernel: &KernelFile,
    shape: Shape,
    bytes: Option<u64>,
    began: Instant,
) -> Result<Exit> {
    let Request { arguments, inputs, place, cores } = request;
    let many = matches!(place, Place::PerInput(_));
    let notes = Rc::new(Notes::default());
    let mut feed: Box<dyn JobFeed> = match place {
        Place::PerInput(destination) => {
            let outputs = Outputs { destination, notes: Rc::clone(&notes) };
            Box::new(ManyJobs::new(inputs, outputs, arguments, shape, pool.waker())?)
        }
        place => Box::new(OneJob(Some(one_job(inputs, place, arguments, shape, bytes, pool, &notes)?))),
    };
    let shown =
        Shown {
            level: arguments.report.log.into(),
            quiet: arguments.report.quiet,
            many,
            named: arguments.output.output.is_some(),
        };
    let mut reporter = Reporter::new(&arguments.report, shown, bytes, notes);
    let result = pool.run(feed.as_mut(), &mut reporter);
    reporter.end();
    let run = match result {
        Ok(run) => run,
        Err(error) => {
            // The partial counts still help whoever interrupted.
            pool.shut_down();
            return Err(Failure::from(error).into());
        }
    };
    Ok(conclude(&run, &cores, &reporter, pool, kernel, arguments, began))
}

/// Says what a run came to.
fn conclude(
    run: &RunReport,
    cores: &Cores,
    reporter: &Reporter,
    pool: &Pool,
    kernel: &KernelFile,
    arguments: &RunArguments,
    began: Instant,
) -> Exit {
    let many = !reporter.is_single();
    let summary = Summary {
        report: run,
        cores,
        wall: began.elapsed(),
        left_out: reporter.notes.left_out.get(),
        many,
        counters: &reporter.counters,
    };
    let failed = reporter.jobs.iter().find_map(|job| job.failure.as_ref().map(|failure| (job, failure)));
    let exit = match failed {
        None => Exit::Done,
        Some(_) if many => Exit::ItemsFailed,
        Some((_, failure)) => of_job(&failure.failure),
    };
    if let Some((job, failure)) = failed
        && !many
        && exit != Exit::ReaderGone
    {
        report::message("error", &describe(&job.name, failure));
    }
    if !arguments.report.quiet && exit != Exit::ReaderGone {
        summary.print();
        closing_line(exit, reporter, arguments);
    }
    if let Some(path) = &arguments.report.report {
        let facts = json::KernelFacts {
            name: &kernel.name,
            digest: pool.digest().to_string(),
            kind: pool.kernel().kind.name(),
            compiled: pool.compiled(),
        };
        let text = json::render(&summary, &facts, &reporter.jobs, exit.code());
        if path.as_os_str() == "-" {
            report::text(&text);
        } else if let Err(error) = std::fs::write(path, text) {
            report::message("error", &format!("the report {} cannot be written: {error}", path.display()));
            return if exit == Exit::Done { Exit::InputOutput } else { exit };
        }
    }
    exit
}

/// The last line of a run that failed: what there is, and what to type.
fn closing_line(exit: Exit, reporter: &Reporter, arguments: &RunArguments) {
    let path = arguments.output.output.as_ref().map(|path| path.display().to_string());
    match (exit, reporter.is_single(), path) {
        (Exit::Done, true, _) => {
            if let Some(path) = reporter.spared_terminal() {
                report::hint(&format!("the result is in {}", path.display()));
            }
        }
        (Exit::Done, false, _) => {}
        (_, false, Some(path)) => {
            report::message("failed", &format!("output written without {} items: {path}", reporter.failed));
        }
        (Exit::ItemsFailed, true, Some(path)) => report::message("failed", &format!("no output: {path}")),
        (..) => {}
    }
}

/// All inputs make one result.
fn one_job(
    inputs: Given,
    place: Place,
    arguments: &RunArguments,
    shape: Shape,
    bytes: Option<u64>,
    pool: &Pool,
    notes: &Notes,
) -> Result<JobSpec, Failure> {
    if shape == Shape::Picture {
        return one_picture(inputs, place, arguments, notes);
    }
    let first = match &inputs {
        Given::Known(known) => known.front().cloned(),
        Given::List(_) => None,
    };
    let input = first.as_ref().and_then(path_of);
    let output = match place {
        Place::File(path) => output::file(&path)?,
        Place::Stdout | Place::PerInput(_) => match &shape {
            Shape::Items { merge: (Merge::Discard, _), .. } => Output::Nothing,
            shape if shape.is_binary() => match output::spare_terminal(input) {
                Some(path) => output::file(&path)?,
                None => output::stdout()?,
            },
            _ => output::stdout()?,
        },
    };
    let own_file = matches!(output, Output::File(_));
    let plan = plan::items_plan(shape, arguments, bytes, own_file)
        .ok_or_else(|| Failure::usage("the kernel filters pictures, not items"))?;
    let (name, sources) = match inputs {
        Given::Known(known) if known.len() == 1 => {
            (known.front().map(name_of).unwrap_or_default(), Sources::Known(known))
        }
        Given::Known(known) => ("the input".to_owned(), Sources::Known(known)),
        Given::List(list) => {
            let listed = Sources::listed(list, pool.waker());
            ("the input".to_owned(), listed.map_err(|error| Failure::new(Exit::Host, error.to_string()))?)
        }
    };
    let split = plan.split;
    let work = JobWork::Items {
        plan,
        sources: Box::new(AllSources { sources, split }),
        header: arguments.items.header,
        keep_header: arguments.items.keep_header,
        output,
    };
    Ok(JobSpec { name, work })
}

/// One picture makes one picture.
fn one_picture(
    inputs: Given,
    place: Place,
    arguments: &RunArguments,
    notes: &Notes,
) -> Result<JobSpec, Failure> {
    let several = || {
        Failure::usage("the kernel makes one picture of each input: name a folder for them, -o FOLDER/, or -o 'FOLDER/{stem}.png'")
    };
    let Given::Known(mut known) = inputs else { return Err(several()) };
    let found = known.pop_front().ok_or_else(several)?;
    if !known.is_empty() {
        return Err(several());
    }
    let path = match place {
        Place::File(path) => Some(path),
        Place::Stdout | Place::PerInput(_) => output::spare_terminal(path_of(&found)),
    };
    let failed = |failure: JobFailure| Failure::input(failure.to_string());
    let name = name_of(&found);
    let job = PictureWork::new(&found, path.as_deref(), arguments).map_err(failed)?;
    let output = match &path {
        Some(path) => output::file(path)?,
        None => output::stdout()?,
    };
    job.note(path.as_deref(), notes);
    Ok(job.spec(name, output, arguments))
}

/// A picture job in the making.
pub(crate) struct PictureWork {
    source: taskhost_pool::job::SourceFile,
    input: picture::PictureInput,
    form: taskhost_pool::job::PictureForm,
}

impl PictureWork {
    /// Looks at an input and decides what its result looks like.
    pub(crate) fn new(found: &Found, output: Option<&Path>, arguments: &RunArguments) -> Result<Self, JobFailure> {
        let (source, len) = picture_source(found)?;
        let name = source.name.clone();
        let wrong = |text: String| JobFailure::Input(format!("{name}: {text}"));
        let file = source.file.try_clone().map_err(|error| wrong(error.to_string()))?;
        let file = std::fs::File::from(file);
        let input = picture::look(&file, path_of(found), len, &arguments.picture).map_err(&wrong)?;
        let form = picture::form(&input, output.or_else(|| path_of(found))).map_err(&wrong)?;
        Ok(Self { source, input, form })
    }

    /// Notes that a raw result gets an ENVI header beside it when its input had one, so that it can be an input again.
    pub(crate) fn note(&self, output: Option<&Path>, notes: &Notes) {
        let samples = matches!(&self.form, taskhost_pool::job::PictureForm::Samples { .. });
        if let Some(path) = output.filter(|path| samples && image_kind(path) != Some(ImageKind::Npy))
            && self.input.kind == picture::InputKind::Envi
        {
            notes.sidecars.borrow_mut().insert(path.to_owned(), self.input.planes);
        }
    }

    /// The job.
    pub(crate) fn spec(self, name: String, output: Output, arguments: &RunArguments) -> JobSpec {
        let own_file = matches!(output, Output::File(_));
        let plan = picture::plan(&self.input, &self.form, own_file, plan::batch(arguments));
        JobSpec { name, work: JobWork::Picture { plan, source: self.source, output, form: self.form } }
    }
}
