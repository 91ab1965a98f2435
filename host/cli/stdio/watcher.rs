//! Watches the pool: prints the kernel's log and warnings, and remembers how the job ended.

use std::collections::BTreeMap;

use taskhost_pool::job::{CapturedItem, FailedItem, JobReport};
use taskhost_pool::runner::{Observer, Progress};
use taskhost_protocol::message::Level;

use crate::args::MessageArguments;
use crate::exit_code::{Exit, of_job};
use crate::report::{describe, log_line, message, note};

/// Watches the pool. Failed items are told to whoever sent them.
pub(super) struct Watcher {
    level: Level,
    quiet: bool,
    job: Option<JobReport>,
}

impl Watcher {
    pub(super) fn new(arguments: &MessageArguments) -> Self {
        Self { level: arguments.log.into(), quiet: arguments.quiet, job: None }
    }

    /// Why the job failed, when it did.
    pub(super) fn failure(&self) -> Option<(Exit, String)> {
        let job = self.job.as_ref()?;
        let failure = job.failure.as_ref()?;
        Some((of_job(&failure.failure), describe(job, failure)))
    }

    /// What the kernel counted.
    pub(super) fn counters(&self) -> BTreeMap<String, u64> {
        let counters = self.job.iter().flat_map(|job| &job.totals.counters);
        counters.map(|(name, amount)| (name.clone(), *amount)).collect()
    }
}

impl Observer for Watcher {
    fn progress(&mut self, _: &Progress) {}

    fn log(&mut self, level: Level, place: Option<(&str, u64)>, text: &str) {
        if level >= self.level {
            note(&log_line(level, place, text));
        }
    }

    fn item_failed(&mut self, _: &FailedItem) {}

    fn captured(&mut self, _: &CapturedItem<'_>) {}

    fn job_finished(&mut self, report: JobReport) {
        self.job = Some(report);
    }

    fn warning(&mut self, text: &str) {
        if !self.quiet {
            message("warning", text);
        }
    }
}
