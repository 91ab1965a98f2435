//! The end of a run: what it came to, what is said about it, the exit code.

use std::path::Path;
use std::time::Duration;

use taskhost_pool::runner::{Pool, RunReport};

use crate::args::RunArguments;
use crate::exit_code::{Exit, of_job};
use crate::kernel::KernelFile;
use crate::report::{self, Reporter, Summary, describe, json};
use crate::start::Cores;

/// What is known when a run is over.
pub(super) struct Ending<'a> {
    pub(super) run: &'a RunReport,
    pub(super) cores: &'a Cores,
    pub(super) reporter: &'a Reporter,
    pub(super) pool: &'a Pool,
    pub(super) kernel: &'a KernelFile,
    pub(super) arguments: &'a RunArguments,
}

impl Ending<'_> {
    /// Says what a run came to.
    pub(super) fn conclude(&self, wall: Duration) -> Exit {
        let Self { run, cores, reporter, arguments, .. } = *self;
        let many = !reporter.is_single();
        let summary = Summary {
            report: run,
            cores,
            wall,
            left_out: reporter.notes.left_out.get(),
            many,
            in_items: !self.pool.kernel().exports.image_filter,
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
            report::message("error", &describe(job, failure));
        }
        if !arguments.report.quiet && exit != Exit::ReaderGone {
            summary.print();
            closing_line(exit, reporter, arguments);
        }
        match &arguments.report.report {
            Some(path) => self.write_report(&summary, path, exit),
            None => exit,
        }
    }

    /// `--report`.
    fn write_report(&self, summary: &Summary<'_>, path: &Path, exit: Exit) -> Exit {
        let facts = json::KernelFacts {
            name: &self.kernel.name,
            digest: self.pool.digest().to_string(),
            kind: self.pool.kernel().kind.name(),
            compiled: self.pool.compiled(),
        };
        let text = json::render(summary, &facts, &self.reporter.jobs, exit.code());
        if path.as_os_str() == "-" {
            report::text(&text);
        } else if let Err(error) = std::fs::write(path, text) {
            report::message("error", &format!("the report {} cannot be written: {error}", path.display()));
            return if exit == Exit::Done { Exit::InputOutput } else { exit };
        }
        exit
    }
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
            report::message(
                "failed",
                &format!("output written without {}: {path}", report::count(reporter.failed, "item")),
            );
        }
        (Exit::ItemsFailed, true, Some(path)) => report::message("failed", &format!("no output: {path}")),
        (..) => {}
    }
}
