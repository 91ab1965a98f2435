//! Watches a shard while it runs, and notes what its part has to say.

use taskhost_pool::job::{CapturedItem, FailedItem, JobReport};
use taskhost_pool::runner::{Observer, Progress};
use taskhost_protocol::message::Level;

use super::part::{FailedPart, MadeFile, Manifest};
use crate::exit_code::of_job;
use crate::report::{self, describe, log_line, message, note};

/// What a shard has come to.
pub(super) struct Watch<'a> {
    pub(super) manifest: Manifest,
    /// Least grave line of the kernel's log.
    pub(super) level: Level,
    /// Whether each input has a result of its own.
    pub(super) many: bool,
    /// The names of the inputs, in order.
    pub(super) names: Vec<&'a str>,
    /// A failure that may be another's on another machine: it makes no part.
    pub(super) broken: Option<(crate::exit_code::Exit, String)>,
}

impl Watch<'_> {
    /// A result of its own.
    fn made(&mut self, report: &JobReport) {
        let Some(path) = &report.path else { return };
        match MadeFile::at(path) {
            Ok(made) => self.manifest.files.push(made),
            Err(error) => {
                self.broken = Some((crate::exit_code::Exit::InputOutput, format!("{}: {error}", path.display())));
            }
        }
    }
}

impl Observer for Watch<'_> {
    fn progress(&mut self, _progress: &Progress) {}

    fn log(&mut self, level: Level, place: Option<(&str, u64)>, text: &str) {
        if level >= self.level {
            note(&log_line(level, place, text));
        }
    }

    fn item_failed(&mut self, item: &FailedItem) {
        let input = self.names.iter().position(|name| *name == item.source).and_then(|input| u32::try_from(input).ok());
        self.manifest.failed.push(FailedPart { input, ..FailedPart::of(item) });
    }

    fn captured(&mut self, _item: &CapturedItem<'_>) {}

    fn job_finished(&mut self, report: JobReport) {
        let manifest = &mut self.manifest;
        let totals = &report.totals;
        manifest.items += totals.items;
        manifest.input += totals.input;
        manifest.output += totals.output;
        manifest.busy += totals.busy;
        for (name, amount) in &totals.counters {
            match manifest.counters.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = sum.saturating_add(*amount),
                None => manifest.counters.push((name.clone(), *amount)),
            }
        }
        manifest.last = totals.last.map(|(source, items)| (source.0, items));
        manifest.partials.clone_from(&report.partials);
        manifest.format = report.result.or(manifest.format);
        let Some(failure) = &report.failure else {
            if self.many {
                self.made(&report);
            }
            return;
        };
        let by_item = matches!(failure.failure, taskhost_pool::event::JobFailure::Item(_));
        let (exit, said) = (of_job(&failure.failure), describe(&report, failure));
        if !by_item {
            message("error", &said);
        }
        if exit != crate::exit_code::Exit::ItemsFailed {
            // Of an input or an output; elsewhere, or later, it may be another.
            self.broken.get_or_insert((exit, said));
        } else if !self.many {
            manifest.failure = Some((exit.code(), said));
            manifest.by_item = by_item;
        } else if !by_item {
            manifest.broken.push(said);
        }
    }

    fn warning(&mut self, text: &str) {
        report::message("warning", text);
    }
}
