//! Watches a run: shows progress and the kernel's log, and remembers what became of each job.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{CapturedItem, FailedItem, JobReport, ReportedFailure};
use taskhost_pool::runner::{Observer, Progress};
use taskhost_protocol::message::Level;

use super::errors::ErrorFile;
use super::failures::{Failures, Said};
use super::progress::Meter;
use super::progress_file::ProgressFile;
use super::{describe, log_line, message, note};
use crate::args::{Earlier, ReportArguments};
use crate::feed::sidecar_path;
use crate::picture::sidecar;

/// What a run shows, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// Least grave log line.
    pub(crate) level: Level,
    pub(crate) quiet: bool,
    /// Whether each input is a job of its own, so that a failed one costs one file.
    pub(crate) many: bool,
    /// Whether the user named the output.
    pub(crate) named: bool,
    /// Whether the run ends with the first of many jobs that fails.
    pub(crate) stops: bool,
    /// Processes that were at the run before.
    pub(crate) earlier: Option<Earlier>,
}

/// What whoever makes the jobs tells whoever reports on them.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Inputs that were left out, since their results are there.
    pub(crate) left_out: Cell<u64>,
    /// Results that get an ENVI header beside them, and the number of their bands.
    pub(crate) sidecars: RefCell<HashMap<PathBuf, u32>>,
    /// Items of the one job that were done before, and are not run again.
    pub(crate) taken_over: Cell<Option<u64>>,
    /// Set when no further job is to be begun, since one has failed (`--on-error fail`).
    pub(crate) stop: Cell<bool>,
}

/// Watches a run.
pub(crate) struct Reporter {
    meter: Meter,
    progress_file: Option<ProgressFile>,
    shown: Shown,
    pub(crate) notes: Rc<Notes>,
    pub(crate) jobs: Vec<JobReport>,
    /// Jobs that failed.
    pub(crate) failed: u64,
    /// Jobs of those that failed for another reason than an item.
    broken_jobs: u64,
    pub(crate) failures: Failures,
    /// What the kernel counted in all jobs.
    pub(crate) counters: std::collections::BTreeMap<String, u64>,
}

impl Reporter {
    /// `bytes` is the size of all input, when known.
    pub(crate) fn new(arguments: &ReportArguments, shown: Shown, bytes: Option<u64>, notes: Rc<Notes>) -> Self {
        Self {
            meter: Meter::new(arguments.progress, arguments.messages.quiet, bytes),
            progress_file: arguments.progress_file.clone().map(|path| ProgressFile::new(path, shown.earlier)),
            shown,
            notes,
            jobs: Vec::new(),
            failed: 0,
            broken_jobs: 0,
            failures: Failures::default(),
            counters: std::collections::BTreeMap::new(),
        }
    }

    /// What did not come to a result: failed items, and jobs that failed for another reason.
    pub(crate) fn lost(&self) -> u64 {
        self.failures.items + self.broken_jobs
    }

    /// Whether all inputs were one job.
    pub(crate) fn is_single(&self) -> bool {
        !self.shown.many
    }

    /// The file that was made because a terminal is no place for the result.
    pub(crate) fn spared_terminal(&self) -> Option<&std::path::Path> {
        self.jobs.first()?.path.as_deref().filter(|_| !self.shown.named)
    }

    fn say(&self, said: &[Said]) {
        for said in said {
            match said {
                Said::Error(text) => self.meter.aside(|| message("error", text)),
                Said::Warning(text) if !self.shown.quiet => self.meter.aside(|| message("warning", text)),
                Said::Warning(_) => {}
            }
        }
    }

    /// The run is over; what follows is printed on a clean line.
    pub(crate) fn end(&self) {
        self.meter.clear();
    }
}

impl Observer for Reporter {
    fn progress(&mut self, progress: &Progress) {
        self.meter.show(progress, self.notes.left_out.get());
        if let Some(file) = &mut self.progress_file {
            file.show(progress);
        }
    }

    fn log(&mut self, level: Level, place: Option<(&str, u64)>, text: &str) {
        if level < self.shown.level {
            return;
        }
        let line = log_line(level, place, text);
        self.meter.aside(|| note(&line));
    }

    fn job_finished(&mut self, mut report: JobReport) {
        for (name, amount) in &report.totals.counters {
            let counter = self.counters.entry(name.clone()).or_default();
            *counter = counter.saturating_add(*amount);
        }
        if let Some(failure) = &report.failure {
            self.failed += 1;
            // A kernel that did what the sandbox forbids is not run any more: there is no use in opening other inputs.
            let is_over = self.shown.stops || matches!(failure.failure, JobFailure::Violation(_));
            self.notes.stop.set(self.notes.stop.get() || is_over);
            // The item was told of already.
            if !matches!(failure.failure, JobFailure::Item(_)) {
                self.broken_jobs += 1;
                if self.shown.many && self.failures.is_shown() {
                    let text = describe(&report, failure);
                    self.meter.aside(|| message("error", &text));
                }
            }
        } else if let (Some(path), Some(format)) = (&report.path, report.result) {
            let planes = self.notes.sidecars.borrow_mut().remove(path);
            let written = planes.map(|planes| std::fs::write(sidecar_path(path), sidecar(format, planes)));
            if let Some(Err(error)) = written {
                let failure =
                    JobFailure::Output(format!("{} cannot be written: {error}", sidecar_path(path).display()));
                report.failure = Some(ReportedFailure { failure, source: None });
                self.failed += 1;
                self.broken_jobs += 1;
            }
        }
        // A folder of a million files: only what went wrong is kept.
        if report.failure.is_some() || !self.shown.many {
            self.jobs.push(report);
        }
    }

    fn item_failed(&mut self, item: &FailedItem) {
        let said = match self.failures.errors {
            Some(ErrorFile::Stderr) => self.meter.aside(|| self.failures.add(item)),
            _ => self.failures.add(item),
        };
        self.say(&said);
    }

    fn captured(&mut self, place: &CapturedItem<'_>) {
        let said = self.failures.captured(place);
        self.say(said.as_slice());
    }

    fn warning(&mut self, text: &str) {
        if !self.shown.quiet {
            self.meter.aside(|| message("warning", text));
        }
    }
}
