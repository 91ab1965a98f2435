//! Watches a run: shows progress and the kernel's log, and remembers what became of each job.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{JobReport, ReportedFailure};
use taskhost_pool::runner::{Observer, Progress};
use taskhost_protocol::message::Level;

use super::progress::Meter;
use super::{describe, escape, message, note};
use crate::args::ReportArguments;
use crate::feed::sidecar_path;
use crate::picture::sidecar;

/// Failures of single files that are printed one by one; beyond, they are counted, and the report has them all.
const FAILURES_SHOWN: u64 = 20;

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
}

/// What whoever makes the jobs tells whoever reports on them.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Inputs that were left out, since their results are there.
    pub(crate) left_out: Cell<u64>,
    /// Results that get an ENVI header beside them, and the number of their bands.
    pub(crate) sidecars: RefCell<HashMap<PathBuf, u32>>,
}

/// Watches a run.
pub(crate) struct Reporter {
    meter: Meter,
    shown: Shown,
    pub(crate) notes: Rc<Notes>,
    pub(crate) jobs: Vec<JobReport>,
    pub(crate) failed: u64,
    /// What the kernel counted in all jobs.
    pub(crate) counters: std::collections::BTreeMap<String, u64>,
}

impl Reporter {
    pub(crate) fn new(arguments: &ReportArguments, shown: Shown, bytes: Option<u64>, notes: Rc<Notes>) -> Self {
        let meter = Meter::new(arguments.progress, arguments.quiet, bytes);
        Self { meter, shown, notes, jobs: Vec::new(), failed: 0, counters: std::collections::BTreeMap::new() }
    }

    /// Whether all inputs were one job.
    pub(crate) fn is_single(&self) -> bool {
        !self.shown.many
    }

    /// The file that was made because a terminal is no place for the result.
    pub(crate) fn spared_terminal(&self) -> Option<&std::path::Path> {
        self.jobs.first()?.path.as_deref().filter(|_| !self.shown.named)
    }

    /// The run is over; what follows is printed on a clean line.
    pub(crate) fn end(&self) {
        self.meter.clear();
    }
}

impl Observer for Reporter {
    fn progress(&mut self, progress: &Progress) {
        self.meter.show(progress, self.notes.left_out.get());
    }

    fn log(&mut self, level: Level, place: Option<(&str, u64)>, text: &str) {
        if level < self.shown.level {
            return;
        }
        let word = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let place = place.map_or_else(|| "[kernel]".to_owned(), |(name, offset)| format!("[{name}:{offset}]"));
        let line = escape(&format!("{place} {word} {}", text.trim_end().replace('\n', "\n    ")));
        self.meter.aside(|| note(&line));
    }

    fn item_failed(&mut self, _: &taskhost_pool::job::FailedItem) {}

    fn captured(&mut self, _: &taskhost_pool::job::CapturedItem<'_>) {}

    fn job_finished(&mut self, mut report: JobReport) {
        for (name, amount) in &report.totals.counters {
            let counter = self.counters.entry(name.clone()).or_default();
            *counter = counter.saturating_add(*amount);
        }
        if let Some(failure) = &report.failure {
            self.failed += 1;
            if self.shown.many && self.failed <= FAILURES_SHOWN {
                let text = describe(&report, failure);
                self.meter.aside(|| message("error", &text));
            }
        } else if let (Some(path), Some(format)) = (&report.path, report.result) {
            let planes = self.notes.sidecars.borrow_mut().remove(path);
            let written = planes.map(|planes| std::fs::write(sidecar_path(path), sidecar(format, planes)));
            if let Some(Err(error)) = written {
                let failure =
                    JobFailure::Output(format!("{} cannot be written: {error}", sidecar_path(path).display()));
                report.failure = Some(ReportedFailure { failure, source: None });
                self.failed += 1;
            }
        }
        // A folder of a million files: only what went wrong is kept.
        if report.failure.is_some() || !self.shown.many {
            self.jobs.push(report);
        }
    }

    fn warning(&mut self, text: &str) {
        if !self.shown.quiet {
            self.meter.aside(|| message("warning", text));
        }
    }
}
