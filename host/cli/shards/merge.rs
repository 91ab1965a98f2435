//! `taskhost merge`: looks for a whole part of every shard, names what is missing, joins the others in order.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use taskhost_data::size::human_size;
use taskhost_data::split::parse_split;
use taskhost_protocol::work::Split;

use super::Plan;
use super::cut::Stretch;
use super::joined::{self, Joined};
use super::make::refuse_output;
use super::part::{Found, MadeFile, Part};
use super::reduction;
use crate::args::{MergeArguments, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::feed::sidecar_path;
use crate::inputs::Found as Input;
use crate::output::{self, Place};
use crate::picture::sidecar;
use crate::report::errors::ErrorFile;
use crate::report::failures::{Failures, Said};
use crate::report::{self, Notes};
use crate::run::picture_work::PictureWork;

/// Shards that are named one by one.
const NAMED: usize = 20;

/// `taskhost merge`.
pub(crate) fn merge(arguments: &MergeArguments) -> Result<Exit> {
    if let Some(round) = arguments.heal {
        return crate::cluster::merge_job(arguments, round);
    }
    let plan = Plan::read(&arguments.plan)?;
    let output = arguments.output.as_deref().map(std::path::absolute).transpose()?;
    let merging = Merging::new(&plan, output, arguments.quiet)?;
    match merging.perform()? {
        Merged::Ended(exit) => {
            if arguments.remove_parts && exit == Exit::Done {
                plan.remove_parts();
            }
            Ok(exit)
        }
        Merged::Missing(missing) => {
            let shown = arguments.plan.display();
            report::hint(&format!("to run one, type: taskhost shard run --plan {shown} --index {}", missing[0]));
            Err(Failure::input(missing_text(&missing, plan.shards.len())).into())
        }
    }
}

/// What of a plan is missing, in words.
pub(crate) fn missing_text(missing: &[u32], of: usize) -> String {
    let named: Vec<String> = missing.iter().take(NAMED).map(ToString::to_string).collect();
    let more = missing.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shards = report::count(of as u64, "shard");
    format!("{} of {shards} have no whole part: {}{more}", missing.len(), named.join(", "))
}

/// A merge.
pub(crate) struct Merging<'a> {
    plan: &'a Plan,
    arguments: RunArguments,
    place: Place,
    split: Option<Split>,
    quiet: bool,
}

/// What a merge came to.
#[derive(Debug)]
pub(crate) enum Merged {
    Ended(Exit),
    /// These shards have no part.
    Missing(Vec<u32>),
}

impl<'a> Merging<'a> {
    /// A merge of a plan, into another file than it says if there is one. Goes to the plan's folder.
    pub(crate) fn new(plan: &'a Plan, output: Option<PathBuf>, quiet: bool) -> Result<Self, Failure> {
        let mut arguments = plan.arguments()?;
        plan.enter()?;
        if output.is_some() {
            arguments.output.output = output;
        }
        let place = output::place(arguments.output.output.as_deref())?;
        refuse_output(&arguments, &place)?;
        let split = plan.split.as_deref().map(parse_split).transpose();
        let split = split.map_err(|error| Failure::input(format!("the plan: {error}")))?;
        let quiet = quiet || arguments.report.messages.quiet;
        Ok(Self { plan, arguments, place, split, quiet })
    }

    /// Joins what there is, if it is everything.
    pub(crate) fn perform(&self) -> Result<Merged, Failure> {
        loop {
            let found = Found::look(self.plan)?;
            let count = u32::try_from(self.plan.shards.len()).unwrap_or(u32::MAX);
            let parts: Vec<Option<Part>> = (0..count).map(|shard| found.part(self.plan, shard, false)).collect();
            // What comes behind a failure that ends the run is not needed.
            let failing =
                parts.iter().position(|part| part.as_ref().is_some_and(|part| part.manifest.failure.is_some()));
            let needed = failing.map_or(parts.len(), |failing| failing + 1);
            let missing: Vec<u32> =
                (0..count).zip(&parts[..needed]).filter(|(_, part)| part.is_none()).map(|(shard, _)| shard).collect();
            if !missing.is_empty() {
                return Ok(Merged::Missing(missing));
            }
            let parts: Vec<Part> = parts.into_iter().take(needed).flatten().collect();
            if failing.is_some() {
                return self.fail(&parts).map(Merged::Ended);
            }
            match self.join(&parts)? {
                Joined::Damaged(damaged) => damaged.iter().for_each(|number| parts[*number].set_aside()),
                joined => return self.conclude(&parts, &joined).map(Merged::Ended),
            }
        }
    }

    fn join(&self, parts: &[Part]) -> Result<Joined, Failure> {
        match &self.place {
            Place::PerInput(_) => {
                let is_there = |made: &MadeFile| MadeFile::at(&made.path).is_ok_and(|now| now == *made);
                let is_whole = |part: &Part| part.manifest.files.iter().all(is_there);
                let damaged: Vec<usize> = (0..parts.len()).filter(|number| !is_whole(&parts[*number])).collect();
                Ok(if damaged.is_empty() { Joined::Made } else { Joined::Damaged(damaged) })
            }
            place if self.plan.merge.as_deref() == Some("reduce") => {
                reduction::join(self.plan, &self.arguments, parts, place)
            }
            Place::File(path) => joined::into_file(path, parts),
            Place::Stdout { .. } => joined::into_stdout(parts),
        }
    }

    /// The run has failed with an item of its last part.
    fn fail(&self, parts: &[Part]) -> Result<Exit, Failure> {
        self.tell_failures(parts)?;
        let Some((manifest, (code, said))) =
            parts.last().and_then(|part| Some((&part.manifest, part.manifest.failure.as_ref()?)))
        else {
            return Ok(Exit::Host);
        };
        if !manifest.by_item {
            report::message("error", said);
        }
        let advice =
            if manifest.by_item { "; to have it without the items that fail, type --on-error skip" } else { "" };
        let path = self.path().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
        report::message("failed", &format!("no output: {path}{advice}"));
        Ok(Exit::from_code(*code).unwrap_or(Exit::ItemsFailed))
    }

    fn path(&self) -> Option<&Path> {
        self.arguments.output.output.as_deref()
    }

    /// Says what the run has come to.
    fn conclude(&self, parts: &[Part], joined: &Joined) -> Result<Exit, Failure> {
        let failures = self.tell_failures(parts)?;
        let broken: Vec<&String> = parts.iter().flat_map(|part| &part.manifest.broken).collect();
        broken.iter().for_each(|said| report::message("error", said));
        self.write_sidecar(parts)?;
        let failed = failures.items + broken.len() as u64;
        let exit = if failures.broken.is_some() { Exit::InputOutput } else { joined::exit(joined, failed) };
        if exit != Exit::ReaderGone && !self.quiet {
            self.summarize(parts, failed);
        }
        if failed > 0 && exit != Exit::ReaderGone {
            joined::say_lacking(failed, self.path());
        }
        Ok(exit)
    }

    fn summarize(&self, parts: &[Part], failed: u64) {
        let sum = |of: fn(&Part) -> u64| parts.iter().map(of).sum::<u64>();
        let mut counters = std::collections::BTreeMap::<&str, u64>::new();
        for (name, amount) in parts.iter().flat_map(|part| &part.manifest.counters) {
            let sum = counters.entry(name).or_default();
            *sum = sum.saturating_add(*amount);
        }
        for (name, amount) in counters {
            report::note(&format!("{}: {amount}", report::escape(name)));
        }
        let items = report::count(self.plan.items(parts), "item");
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let (input, output) = (sum(|part| part.manifest.input), sum(|part| part.manifest.output));
        let work = std::time::Duration::from_nanos(sum(|part| part.manifest.busy));
        report::note(&format!(
            "{items}{failed}, {} in, {} out, {}, {} of work",
            human_size(input),
            human_size(output),
            report::count(parts.len() as u64, "part"),
            taskhost_data::duration::human_duration(work)
        ));
    }

    /// Tells of failed items, as one run would.
    fn tell_failures(&self, parts: &[Part]) -> Result<Failures, Failure> {
        let errors = self.arguments.failures.attempts.errors.as_deref().map(ErrorFile::create).transpose()?;
        let mut failures = Failures::new(errors, None, self.split);
        let mut items = 0;
        // The input in which the parts so far end, and its lines until there.
        let mut last: Option<(u32, u64)> = None;
        let lines = |last: Option<(u32, u64)>, input: u32| last.filter(|last| last.0 == input).map_or(0, |last| last.1);
        for (shard, part) in self.plan.shards.iter().zip(parts) {
            let first = match shard.work {
                Stretch::Items { first, .. } | Stretch::Files { first, .. } => first,
                Stretch::All | Stretch::Rows { .. } => 0,
            };
            for failed in &part.manifest.failed {
                let before = if matches!(shard.work, Stretch::Files { .. }) { 0 } else { items };
                let item = failed.within(before, failed.input.map_or(0, |input| lines(last, first + input)));
                failures.add(&item).into_iter().for_each(say);
            }
            items += part.manifest.items;
            if let Some((input, count)) = part.manifest.last {
                last = Some((first + input, count + lines(last, first + input)));
            }
        }
        if failures.unshown > 0 {
            let advice = if failures.errors.is_some() { "" } else { "; --errors FILE lists all of them" };
            report::message("error", &format!("{} failed{advice}", report::count(failures.unshown, "more item")));
        }
        Ok(failures)
    }

    /// The header beside a raw picture whose input had one.
    fn write_sidecar(&self, parts: &[Part]) -> Result<(), Failure> {
        let format = parts.first().and_then(|part| part.manifest.format);
        let (Some(format), Place::File(path), Some(input)) = (format, &self.place, self.plan.inputs.first()) else {
            return Ok(());
        };
        let notes = Rc::new(Notes::default());
        let failed = |why: String| Failure::input(format!("{} cannot be written: {why}", sidecar_path(path).display()));
        PictureWork::new(&Input::File(input.file.clone()), Some(path), &self.arguments)
            .map_err(|failure| failed(failure.to_string()))?
            .note(Some(path), &notes);
        let planes = notes.sidecars.borrow_mut().remove(path);
        planes
            .map_or(Ok(()), |planes| std::fs::write(sidecar_path(path), sidecar(format, planes)))
            .map_err(|error| failed(error.to_string()))
    }
}

impl Plan {
    /// Items of a run: a picture is one.
    fn items(&self, parts: &[Part]) -> u64 {
        let is_rows = self.shards.iter().any(|shard| matches!(shard.work, Stretch::Rows { .. } | Stretch::All));
        if is_rows { 1 } else { parts.iter().map(|part| part.manifest.items).sum() }
    }

    /// Removes the folder of parts. What cannot be removed stays.
    pub(crate) fn remove_parts(&self) {
        let _ = std::fs::remove_dir_all(self.parts());
    }

    /// Removes the plan with its parts. For whoever looks on, the folder of parts is gone at once, and the plan with it:
    /// that is how others see that a run has ended well.
    pub(crate) fn put_away(&self) {
        let parts = self.parts();
        let mut aside = parts.clone().into_os_string();
        aside.push(".removed");
        let aside = PathBuf::from(aside);
        let is_aside = std::fs::rename(&parts, &aside).is_ok();
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir_all(if is_aside { aside } else { parts });
    }
}

fn say(said: Said) {
    match said {
        Said::Error(text) => report::message("error", &text),
        Said::Warning(text) => report::message("warning", &text),
    }
}
