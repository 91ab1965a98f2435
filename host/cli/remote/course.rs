//! The course of a run by a service: one job, or one for each input, some of them at a time; what is said at its end.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::Value;
use taskhost_data::duration::human_duration;
use taskhost_data::size::human_size;
use taskhost_pool::runner::Progress;

use super::connection::Connection;
use super::dry_run;
use super::follow::{self, Watch};
use super::outcome::{self, Brought, Outcome, Streamed, Target};
use super::upload;
use super::wanted::{Wanted, Work};
use crate::exit_code::{Exit, Failure};
use crate::output::Place;
use crate::report::errors::ErrorFile;
use crate::report::{self, Meter};

/// Jobs at a time: enough that the service always has one to begin, few enough to leave a tenant room for others.
const AT_A_TIME: usize = 8;

/// A job that was handed in.
struct Pending<'a> {
    work: &'a Work,
    target: Option<Target>,
    job: String,
}

/// A run that goes on.
struct Course<'a> {
    connection: &'a Connection,
    wanted: &'a Wanted<'a>,
    watch: Watch,
    errors: Option<ErrorFile>,
    pending: VecDeque<Pending<'a>>,
    /// How the run ends, by what has ended so far.
    exit: Exit,
    /// Jobs without a result.
    lost: u64,
    last: Option<(Brought, String)>,
}

/// From the first request to the last.
pub(super) fn perform(connection: &Connection, wanted: &Wanted<'_>) -> Result<Exit, Failure> {
    let report = &wanted.arguments.report;
    if report.dry_run {
        return dry_run::tell(connection, wanted);
    }
    let watch = Watch {
        meter: Meter::new(report.progress, report.messages.quiet, wanted.bytes()),
        began: Instant::now(),
        done: Progress::default(),
        left_out: wanted.left_out,
    };
    // What cannot be written is known before anything is asked for.
    let errors = wanted.arguments.failures.attempts.errors.as_deref().map(ErrorFile::create).transpose()?;
    let (pending, exit) = (VecDeque::new(), Exit::Done);
    let mut course = Course { connection, wanted, watch, errors, pending, exit, lost: 0, last: None };
    let first = match wanted.works.first().filter(|_| !wanted.is_many) {
        Some(work) => Some(Target::prepare(&work.place, false)?),
        None => None,
    };
    let done = course.go(first);
    course.watch.meter.clear();
    done?;
    if !report.messages.quiet {
        course.conclude();
    }
    Ok(course.exit)
}

impl<'a> Course<'a> {
    fn go(&mut self, mut first: Option<Target>) -> Result<(), Failure> {
        let wanted = self.wanted;
        if wanted.works.is_empty() {
            return Ok(());
        }
        let kernel = upload::kernel(self.connection, wanted)?;
        for work in &wanted.works {
            if self.pending.len() >= AT_A_TIME {
                self.settle()?;
            }
            let inputs = upload::inputs(self.connection, work)?;
            let body = wanted.body(&kernel, work, &inputs);
            let job = loop {
                match follow::submit(self.connection, &body) {
                    // Others of the same tenant have jobs, too: there is room when one of these is over.
                    Err(failure) if failure.exit == Exit::RunLimit && !self.pending.is_empty() => self.settle()?,
                    job => break job?,
                }
            };
            self.pending.push_back(Pending { work, target: first.take(), job });
        }
        while !self.pending.is_empty() {
            self.settle()?;
        }
        Ok(())
    }

    /// Waits for the job that was handed in first, and brings what came of it.
    fn settle(&mut self) -> Result<(), Failure> {
        let Some(Pending { work, target, job }) = self.pending.pop_front() else { return Ok(()) };
        let (view, streamed) = self.follow(work, &job);
        streamed.check()?;
        let view = view?;
        self.connection.stop.ended(&job);
        self.watch.add(&view);
        // From here on, lines are printed.
        self.watch.meter.clear();
        let has_result = !view["result"].is_null();
        let target = match target {
            Some(target) => target,
            // A folder is not made for a result that is not there.
            None if has_result => Target::prepare(&work.place, true)?,
            None => Target::Stdout,
        };
        let outcome = Outcome { connection: self.connection, work, job: &view, streamed: streamed.bytes };
        let mut brought = outcome.bring(target, &mut self.errors)?;
        let report = self.wanted.arguments.report.report.as_deref().map(|path| outcome.fetch_report(path));
        if let Some(Err(failure)) = report {
            report::message("error", &failure.message);
            brought.exit = if brought.exit == Exit::Done { failure.exit } else { brought.exit };
        }
        self.exit = match (self.exit, brought.exit) {
            (exit, Exit::Done) => exit,
            (Exit::Done, Exit::InputOutput) if self.wanted.is_many => Exit::ItemsFailed,
            (Exit::Done | Exit::ItemsFailed, exit) => exit,
            (exit, _) => exit,
        };
        self.lost += u64::from(!brought.has_result && !brought.by_item);
        self.last = Some((brought, job));
        Ok(())
    }

    /// Waits for the end of a job, and writes its result as it comes to be when that goes into a pipe or a file.
    fn follow(&mut self, work: &Work, job: &str) -> (Result<Value, Failure>, Streamed) {
        let is_streamed = matches!(work.place, Place::Stdout { .. }) && !std::io::stdout().is_terminal();
        let (connection, watch, is_over) = (self.connection, &mut self.watch, AtomicBool::new(false));
        std::thread::scope(|scope| {
            let streaming = is_streamed.then(|| scope.spawn(|| outcome::stream(connection, job, &is_over)));
            let view = follow::follow(connection, job, watch);
            is_over.store(true, Ordering::Relaxed);
            // A thread that panics has said so.
            let streamed = streaming.map_or_else(Streamed::default, |thread| thread.join().unwrap_or_default());
            (view, streamed)
        })
    }

    /// The last lines, as a run here has them.
    fn conclude(&self) {
        // Of one that came to nothing, why is told already.
        let came_to_nothing = self.last.as_ref().is_some_and(|(last, _)| !last.has_result && !last.by_item);
        if came_to_nothing && !self.wanted.is_many {
            return;
        }
        let Progress { items, failed, input, output, jobs, .. } = self.watch.done;
        let mut text = report::count(items, "item");
        if failed + self.lost > 0 {
            text.push_str(&format!(", {} failed", failed + self.lost));
        }
        if self.watch.left_out > 0 {
            text.push_str(&format!(", {} left out", self.watch.left_out));
        }
        let url = self.connection.url();
        let by = match &self.last {
            Some((_, job)) if !self.wanted.is_many => format!("job {job} of {url}"),
            _ => format!("{} of {url}", report::count(jobs, "job")),
        };
        let (input, output) = (human_size(input), human_size(output));
        report::note(&format!(
            "{text}, {input} in, {output} out, {}, {by}",
            human_duration(self.watch.began.elapsed())
        ));
        let path = self.wanted.arguments.output.output.as_ref().map(|path| path.display().to_string());
        let lost = report::count(failed + self.lost, "item");
        let Some((last, _)) = &self.last else { return };
        match (self.exit, last.has_result || self.wanted.is_many) {
            (Exit::Done, _) => {
                if let Some(path) = &last.spared {
                    report::hint(&format!("the result is in {}", path.display()));
                }
            }
            (Exit::ItemsFailed, true) => {
                let path = path.unwrap_or_else(|| "standard output".into());
                report::message("failed", &format!("output written without {lost}: {path}"));
            }
            (Exit::ItemsFailed, false) => {
                let path = path.map_or_else(|| "no output".into(), |path| format!("no output: {path}"));
                let advice = "; to have it without the items that fail, type --on-error skip";
                report::message("failed", &format!("{path}{}", if last.by_item { advice } else { "" }));
            }
            (..) => {}
        }
    }
}
