//! `taskhost stdio`: a filter that lives as long as the program that uses it. Items come on standard input, replies go to
//! standard output.
//!
//! Three threads share an [`exchange`]: the [`intake`] reads items, this one drives the pool, which takes them from there and
//! gives [`replies`] back, and the [`outlet`] writes these. What has arrived goes to the pool together; nothing waits for
//! more to arrive.

mod exchange;
mod frames;
mod intake;
mod outlet;
mod replies;
mod watcher;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use taskhost_os::cores::ClaimedCores;
use taskhost_pool::event::{ItemsPlan, OnError, Placement};
use taskhost_pool::job::{Feed, JobFeed, JobSpec, JobWork, Request};
use taskhost_pool::plan::Share;
use taskhost_pool::runner::Policy;
use taskhost_pool::state::sizing::BatchRule;
use taskhost_protocol::kernel::{CompileOptions, Exports, Profile, ResultLength};
use taskhost_protocol::work::{Merge, Split};

use crate::args::StdioArguments;
use crate::exit_code::{Exit, Failure};
use crate::given::{self, Gifts, Prepared};
use crate::invoke::{self, Invocation};
use crate::kernel::{self, KernelFile};
use crate::report::Summary;
use crate::report::errors::ErrorFile;
use crate::report::{self, message};
use crate::start::{Starting, start};

use exchange::{End, Exchange, Items};
use frames::Notation;
use replies::Replies;
use watcher::Watcher;

/// Serves whoever is at the other ends of standard input and output.
pub(crate) fn run(arguments: &StdioArguments) -> Result<Exit> {
    let began = Instant::now();
    let notation = if arguments.lines { Notation::Lines } else { Notation::Frames };
    check(arguments, notation)?;
    let cores = ClaimedCores::claim(arguments.workers.workers.0, !arguments.workers.no_pin);
    let kernel = kernel::find(&arguments.kernel.kernel)?;
    let errors = arguments.attempts.errors.as_deref().map(ErrorFile::create).transpose()?;
    let given = Gifts::new(&arguments.given)?.prepare(&kernel.name)?;
    let (mut pool, kernel) = start(starting(arguments, kernel, &cores, given))?;
    invoke::check_kernel(&arguments.call, &kernel, pool.kernel())?;
    given::check_kernel(&arguments.given, &arguments.call, pool.kernel())?;
    check_kernel(&kernel, pool.kernel().exports)?;
    let exchange = Arc::new(Exchange::new(pool.waker(), cores.plan.len()));
    let mut watcher = Watcher::new(&arguments.messages);
    let replies = Replies::new(Arc::clone(&exchange), notation, errors);
    let mut job = OneJob { spec: Some(spec(arguments, replies, &exchange)), exchange: Arc::clone(&exchange) };
    let writing = begin(&exchange, notation)?;
    let result = pool.run(&mut job, &mut watcher);
    exchange.over();
    let mut run = match result {
        Ok(run) => run,
        // Whoever does not read would be waited for.
        Err(error) => return Err(Failure::from(error).into()),
    };
    // A thread that panicked has said so.
    let _ = writing.join();
    let end = exchange.end();
    // The pool knows how many items there were, and not how long they were.
    run.progress.input = end.bytes;
    let failed = end.failed;
    let exit = conclude(end, &watcher);
    if !arguments.messages.quiet && exit != Exit::ReaderGone {
        let summary = Summary {
            report: &run,
            cores: &cores,
            wall: began.elapsed(),
            left_out: 0,
            lost: failed,
            // Items come when they come: there is no advice to be given on their number.
            in_items: false,
            counters: &watcher.counters(),
        };
        summary.print();
        if let Some(note) = given::not_reproducible(&arguments.given) {
            report::note(&note);
        }
    }
    Ok(exit)
}

/// Refuses what cannot work.
fn check(arguments: &StdioArguments, notation: Notation) -> Result<(), Failure> {
    invoke::check_call(&arguments.call, arguments.kernel.kind)?;
    if let Some(invoke) = arguments.call.invoke.as_ref().filter(|invoke| invoke.call.is_some()) {
        let function = &invoke.function;
        return Err(Failure::usage(format!(
            "arguments come on standard input here, as a list in JSON for each call: write --invoke {function}"
        )));
    }
    if notation == Notation::Frames && (std::io::stdin().is_terminal() || std::io::stdout().is_terminal()) {
        return Err(Failure::usage(
            "frames are nothing to type or to read: start this from a program, or give --lines",
        ));
    }
    Ok(())
}

/// Refuses kernels that do not have one result for each item.
fn check_kernel(kernel: &str, exports: Exports) -> Result<(), Failure> {
    let why = match exports {
        Exports { mapper: true, .. } => return Ok(()),
        Exports { flat_mapper: true, .. } => "gives none, one or many results for an item, and here each has one reply",
        Exports { image_filter: true, .. } => "filters pictures, and items here are bytes",
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{kernel} {why}; type: taskhost run {kernel} INPUT")))
}

fn starting(arguments: &StdioArguments, kernel: KernelFile, cores: &ClaimedCores, given: Prepared) -> Starting {
    let profile = if arguments.limits.fuel.is_some() { Profile::Fuel } else { Profile::Plain };
    Starting {
        kernel,
        options: CompileOptions { profile, kind: invoke::kind(arguments.kernel.kind, arguments.call.invoke.as_ref()) },
        invoke: arguments.call.invoke.as_ref().map(Invocation::invoke),
        settings: arguments.call.config.clone(),
        limits: arguments.limits.of_worker(),
        fresh: arguments.workers.fresh.into(),
        sandbox: arguments.kernel.sandbox.insistence.into(),
        policy: Policy {
            timeout: arguments.limits.timeout,
            deadline: arguments.limits.deadline,
            retries: arguments.attempts.retries,
            recycle: arguments.workers.recycle,
            ..Policy::default()
        },
        clock: SystemTime::now(),
        sync: false,
        capture: false,
        given,
        cores: cores.plan.clone(),
        initial: cores.plan.len(),
        describe_only: false,
    }
}

/// The one job: all items that come.
fn spec(arguments: &StdioArguments, replies: Replies, exchange: &Arc<Exchange>) -> JobSpec {
    let plan = ItemsPlan {
        split: Split::Table,
        merge: Merge::Framed,
        placement: Placement::Append,
        length: ResultLength::Unknown,
        ordered: true,
        batch: arguments.workers.batch.0.map_or(BatchRule::Auto, BatchRule::Items),
        bytes: None,
        on_error: OnError::Skip,
        origin: None,
        portion: None,
    };
    let work = JobWork::Table {
        plan,
        blocks: Box::new(Items(Arc::clone(exchange))),
        recipient: Box::new(replies),
        share: Share::default(),
    };
    JobSpec { name: "-".to_owned(), work }
}

/// Starts the threads that read and write, and gives back the one that writes.
fn begin(exchange: &Arc<Exchange>, notation: Notation) -> Result<thread::JoinHandle<()>, Failure> {
    let failed = |error| Failure::new(Exit::Host, format!("a thread cannot be started: {error}"));
    let start = |name: &str, live: fn(&Exchange, Notation)| {
        let exchange = Arc::clone(exchange);
        thread::Builder::new().name(name.into()).spawn(move || live(&exchange, notation))
    };
    start("taskhost-intake", intake::read).map_err(failed)?;
    start("taskhost-reader", |exchange, _| outlet::watch(exchange)).map_err(failed)?;
    start("taskhost-outlet", |exchange, _| outlet::write(exchange)).map_err(failed)
}

/// Says what went wrong, if something did.
fn conclude(end: End, watcher: &Watcher) -> Exit {
    if let Some(failure) = end.outlet {
        if failure.exit != Exit::ReaderGone {
            message("error", &failure.message);
        }
        return failure.exit;
    }
    if let Some((exit, text)) = watcher.failure() {
        message("error", &text);
        return exit;
    }
    for failure in [&end.intake, &end.errors].into_iter().flatten() {
        message("error", &failure.message);
    }
    match (end.intake.or(end.errors), end.failed) {
        (Some(failure), _) => failure.exit,
        (None, 0) => Exit::Done,
        (None, _) => Exit::ItemsFailed,
    }
}

/// Gives the pool its one job, and what is wanted of that.
struct OneJob {
    spec: Option<JobSpec>,
    exchange: Arc<Exchange>,
}

impl JobFeed for OneJob {
    fn next(&mut self) -> Feed<JobSpec> {
        self.spec.take().map_or(Feed::Ended, Feed::Next)
    }

    fn requests(&mut self) -> Vec<Request> {
        self.exchange.requests()
    }
}
