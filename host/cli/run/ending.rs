//! The end of a run: what it came to, what is said about it, the exit code.

use std::path::Path;
use std::time::Duration;

use taskhost_pool::event::JobFailure;
use taskhost_pool::runner::{Pool, RunReport};
use taskhost_pool::verdict::Verdict;

use crate::args::RunArguments;
use crate::capture::Capture;
use crate::exit_code::{Exit, of_job};
use crate::given;
use crate::report::{self, Before, Reporter, Summary, describe, html, json};
use crate::words;
use taskhost_os::cores::ClaimedCores;

/// What is known when a run is over.
pub(super) struct Ending<'a> {
    pub(super) run: &'a RunReport,
    pub(super) cores: &'a ClaimedCores,
    pub(super) reporter: &'a Reporter,
    pub(super) pool: &'a Pool,
    pub(super) kernel: &'a str,
    pub(super) arguments: &'a RunArguments,
    /// What another process has done of it.
    pub(super) before: Option<Before>,
}

impl Ending<'_> {
    /// Says what a run came to.
    pub(super) fn conclude(&self, wall: Duration) -> Exit {
        let Self { run, cores, reporter, arguments, .. } = *self;
        let (many, failures) = (!reporter.is_single(), &reporter.failures);
        let summary = Summary {
            report: run,
            cores,
            wall,
            left_out: reporter.notes.left_out.get(),
            lost: reporter.lost(),
            in_items: !self.pool.kernel().exports.image_filter,
            counters: &reporter.counters,
        };
        let failed = reporter.jobs.iter().find_map(|job| job.failure.as_ref().map(|failure| (job, failure)));
        let exit = match failed {
            None if failures.items == 0 => Exit::Done,
            None => Exit::ItemsFailed,
            Some(_) if many => Exit::ItemsFailed,
            Some((_, failure)) => of_job(&failure.failure),
        };
        let exit = match (exit, &failures.broken) {
            (Exit::Done | Exit::ItemsFailed, Some(_)) => Exit::InputOutput,
            (exit, _) => exit,
        };
        if let Some((job, failure)) = failed
            && !many
            // An item was told of when it failed.
            && !matches!(failure.failure, JobFailure::Item(_))
            && exit != Exit::ReaderGone
        {
            report::message("error", &describe(job, failure));
        }
        if failures.unshown > 0 {
            let advice = if failures.errors.is_some() { "" } else { "; --errors FILE lists all of them" };
            report::message("error", &format!("{} failed{advice}", report::count(failures.unshown, "more item")));
        }
        if !arguments.report.messages.quiet && exit != Exit::ReaderGone {
            summary.print();
            if let Some(note) = given::not_reproducible(&arguments.given) {
                report::note(&note);
            }
            closing_line(exit, reporter, arguments);
        }
        // The page first: the report says that all is written.
        let exit = match &arguments.served.page {
            Some(path) => self.write_page(&summary, path, exit),
            None => exit,
        };
        match &arguments.report.report {
            Some(path) => self.write_report(&summary, path, exit),
            None => exit,
        }
    }

    fn facts(&self) -> json::KernelFacts<'_> {
        json::KernelFacts {
            name: self.kernel,
            digest: self.pool.digest().to_string(),
            kind: self.pool.kernel().kind.name(),
            compiled: self.pool.compiled(),
        }
    }

    fn course<'a>(&'a self, summary: &'a Summary<'a>, exit: Exit) -> html::Course<'a> {
        html::Course { summary, before: self.before, reporter: self.reporter, exit_code: exit.code() }
    }

    /// `--page`.
    fn write_page(&self, summary: &Summary<'_>, path: &Path, exit: Exit) -> Exit {
        let course = self.course(summary, exit);
        let of = html::Of::Service { command: &self.arguments.served.as_typed };
        write(path, html::render(course, &self.facts(), of), exit)
    }

    /// `--report`.
    fn write_report(&self, summary: &Summary<'_>, path: &Path, exit: Exit) -> Exit {
        let facts = self.facts();
        let text = if html::is_wanted(path) {
            html::render(self.course(summary, exit), &facts, html::Of::Here { command: words::shown() })
        } else {
            json::render(summary, self.before, &facts, self.reporter, exit.code())
        };
        if path.as_os_str() == "-" {
            report::text(&text);
            return exit;
        }
        write(path, text, exit)
    }
}

fn write(path: &Path, text: String, exit: Exit) -> Exit {
    let Err(error) = std::fs::write(path, text) else { return exit };
    report::message("error", &format!("the report {} cannot be written: {error}", path.display()));
    if exit == Exit::Done { Exit::InputOutput } else { exit }
}

/// The last lines of a run: what there is when something failed, and what to type.
fn closing_line(exit: Exit, reporter: &Reporter, arguments: &RunArguments) {
    let made = reporter.failures.capture.as_ref().map(Capture::made).unwrap_or_default();
    if let Some(first) = made.first() {
        let count = report::count(made.len() as u64, "failed item");
        report::hint(&format!("{count} kept; to run one again, type: taskhost replay {}", first.display()));
    }
    let path = arguments.output.output.as_ref().map(|path| path.display().to_string());
    let lost = report::count(reporter.lost(), "item");
    if !reporter.is_single() {
        if let (true, Some(path)) = (exit != Exit::Done, path) {
            report::message("failed", &format!("output written without {lost}: {path}"));
        }
        return;
    }
    let failure = reporter.jobs.first().and_then(|job| job.failure.as_ref());
    let by_item = failure.is_some_and(|failure| match &failure.failure {
        // Such a kernel is not run any more.
        JobFailure::Item(item) => item.verdict != Verdict::SandboxViolation,
        _ => false,
    });
    match (exit, failure, path) {
        (Exit::Done, ..) => {
            if let Some(path) = reporter.spared_terminal() {
                report::hint(&format!("the result is in {}", path.display()));
            }
        }
        (Exit::ItemsFailed, None, path) => {
            let path = path.unwrap_or_else(|| "standard output".to_owned());
            report::message("failed", &format!("output written without {lost}: {path}"));
        }
        (Exit::ItemsFailed, Some(_), Some(path)) if by_item => report::message(
            "failed",
            &format!("no output: {path}; to have it without the items that fail, {}", words::to_skip()),
        ),
        (Exit::ItemsFailed, Some(_), None) if by_item => {
            report::message(
                "failed",
                &format!("the output is not whole; to go on without the items that fail, {}", words::to_skip()),
            );
        }
        (Exit::ItemsFailed, Some(_), Some(path)) => report::message("failed", &format!("no output: {path}")),
        (..) => {}
    }
}
