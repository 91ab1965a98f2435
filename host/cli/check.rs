//! `taskhost check`: whether a kernel keeps the contract, found out by running it in several ways that must give the same.

mod calls;
mod compare;
mod growth;
mod page;
mod regroup;
mod rule;
mod sample;
mod trial;
mod unusual;
mod verdicts;

use std::time::{Duration, SystemTime};

use anyhow::Result;
use taskhost_data::split::split_name;
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::{Exports, KernelInfo, Kind};
use taskhost_protocol::work::{Merge, Split};

use crate::args::CheckArguments;
use crate::exit_code::{Exit, Failure};
use crate::invoke::Invocation;
use crate::plan::Shape;
use crate::report;

use compare::{differ_by_rounding, difference};
use page::Page;
use rule::{Finding, Rule, Severity};
use sample::Sample;
use trial::{How, Seen, Setup};

/// The usual run: one worker, which keeps its instance.
const PLAIN: How = How { flags: "--workers 1", split: None, merge: None, later: Duration::ZERO };

/// Of pictures the same in strips that are always the same: otherwise their rows are what takes some time, on this machine and now.
const STRIPS: How = How { flags: "--workers 1 --batch 16", ..PLAIN };

/// Items are run one by one when fuel is counted; nothing of a sample burns so much.
const ONE_BY_ONE: &str = "--workers 1 --fuel 1000000000000";

/// Fewer items than this have hardly met each other.
const FEW_ITEMS: u64 = 4;

/// Items that a sample is cut into when it is smaller than one of the kernel's blocks.
const PIECES: u64 = 24;

/// Largest items that are handed over many at a time.
const PACKED_BYTES: u64 = 4096;

/// Checks a kernel.
pub(crate) fn run(arguments: &CheckArguments) -> Result<Exit> {
    let mut check = Check {
        setup: Setup { arguments, clock: SystemTime::now() },
        findings: Vec::new(),
        page: Page::new(&arguments.kernel.kernel),
    };
    check.everything()?;
    let Check { findings, page, .. } = check;
    let broken = findings.iter().any(|finding| finding.rule.severity() == Severity::Error);
    let text = if arguments.json { page.json(&findings)? } else { page.text(&findings) };
    let shown = report::text(&text);
    Ok(if broken && shown == Exit::Done { Exit::Refused } else { shown })
}

/// A check that is being made.
struct Check<'a> {
    setup: Setup<'a>,
    findings: Vec<Finding>,
    page: Page,
}

impl Check<'_> {
    fn found(&mut self, rule: Rule, seen: impl Into<String>) {
        self.findings.push(Finding { rule, seen: seen.into() });
    }

    /// Has two runs compared; true when they are the same.
    fn same(&mut self, rule: Rule, first: (&str, &Seen), second: (&str, &Seen)) -> bool {
        match difference(first, second) {
            None => {
                self.page.passed(rule);
                true
            }
            Some(text) => {
                self.found(rule, text);
                false
            }
        }
    }

    fn everything(&mut self) -> Result<(), Failure> {
        let (shape, exports, kind, samples) = match self.setup.ask() {
            Ok((pool, shape)) => {
                let info = pool.kernel();
                let is_silent = pool.description().is_none() && !exports_pictures(info.exports);
                if is_silent && matches!(info.kind, Kind::Component | Kind::RawModule) {
                    self.found(Rule::SaysNothing, "it exports no `describe`");
                }
                let called = self.setup.arguments.invoke.as_ref().map(Invocation::text);
                self.page.kernel(info, shape, called);
                (shape, info.exports, info.kind, self.samples(shape, info)?)
            }
            Err(failure) => return self.refused(failure),
        };
        let Some((sample, shape)) = self.sample(shape, samples)? else { return Ok(()) };
        let how = if shape == Shape::Picture { STRIPS } else { How { split: split_of(shape), ..PLAIN } };
        let base = self.setup.run(&sample, how)?;
        self.page.measured(&sample, shape, &base);
        self.judge(&base);
        let worked = base.items.saturating_sub(base.failed.len() as u64);
        if worked == 0 && base.items > 0 {
            let said = base.failed.first().map(|item| item.verdict.to_string()).unwrap_or_default();
            self.found(Rule::NothingWorked, format!("all of {} failed; the first: {said}", sample.name));
        } else if base.items < FEW_ITEMS && shape != Shape::Picture {
            self.found(Rule::TooFewItems, format!("it makes {}", report::count(base.items, "item")));
        }
        if kind == Kind::Command && worked > 0 && base.output.iter().all(|byte| *byte == b'\n') {
            self.found(Rule::PrintsNothing, format!("all results of {} are empty", sample.name));
        }
        if self.by_runs(&sample, (shape, exports, kind), how, &base)?
            && let Shape::Items { merge: (merge, _), split: (split, _), .. } = shape
        {
            self.blocks(&sample, &base, how, merge)?;
            if merge == Merge::Reduce {
                self.reduction(&sample, &base, how, split)?;
            }
        }
        if kind != Kind::Typed {
            self.unusual(shape)?;
        }
        if kind != Kind::Command {
            self.growth(&sample, shape, how, &base)?;
        }
        if worked == 0 {
            // Runs that fail alike say nothing good.
            self.page.nothing_passed();
        }
        Ok(())
    }

    /// What the kernel was refused for.
    fn refused(&mut self, failure: Failure) -> Result<(), Failure> {
        let rule = match &failure.refusal {
            Some(Refusal::NotWasm(_)) => Rule::NotWasm,
            Some(Refusal::WrongShape(_)) => Rule::WrongShape,
            Some(Refusal::ImportNotOffered(_)) => Rule::ImportNotOffered,
            Some(Refusal::TooLarge(_)) => Rule::TooLarge,
            Some(Refusal::Start(_)) => Rule::DoesNotStart,
            Some(Refusal::Description(_)) => Rule::BadDescription,
            // A setting is missing: whoever checks has to give it.
            Some(Refusal::Setting(_)) => return Err(failure),
            // What it says of itself is understood here, not by the worker.
            None if failure.exit == Exit::Refused && failure.message.contains("describes its") => Rule::BadDescription,
            None => return Err(failure),
        };
        self.found(rule, failure.message);
        Ok(())
    }

    /// What the kernel could be tried with.
    fn samples(&self, shape: Shape, info: &KernelInfo) -> Result<Vec<Sample>, Failure> {
        let CheckArguments { sample, invoke, .. } = self.setup.arguments;
        if let Some(path) = sample {
            return Ok(vec![Sample::read(path, shape)?]);
        }
        let Some(invoke) = invoke else { return Sample::made_up(shape) };
        let function = calls::function(&info.functions, &invoke.function);
        match function.and_then(|function| Some((function.call.as_ref().ok()?, &function.ty))) {
            Some((example, ty)) if !example.is_empty() => Ok(vec![Sample::of_calls(example, ty)?]),
            _ => Err(Failure::usage(format!(
                "no calls of {} can be made up: give some, a line of JSON for each, with --input",
                invoke.function
            ))),
        }
    }

    /// What the kernel is tried with, and how that is cut; the first of several that it does not refuse.
    fn sample(&self, shape: Shape, samples: Vec<Sample>) -> Result<Option<(Sample, Shape)>, Failure> {
        let count = samples.len();
        for (number, sample) in samples.into_iter().enumerate() {
            let shape = cut_small(shape, sample.bytes.len() as u64);
            if number + 1 == count {
                return Ok(Some((sample, shape)));
            }
            let seen = self.setup.run(&sample, How { split: split_of(shape), ..PLAIN })?;
            if seen.failure.is_none() && (seen.failed.len() as u64) < seen.items {
                return Ok(Some((sample, shape)));
            }
        }
        Ok(None)
    }

    /// Runs that must all give the same; true when they do.
    fn by_runs(
        &mut self,
        sample: &Sample,
        kernel: (Shape, Exports, Kind),
        how: How,
        base: &Seen,
    ) -> Result<bool, Failure> {
        let (shape, exports, kind) = kernel;
        // Packed calls make a difference only where there are some.
        let small = How { split: small_items(shape), ..how };
        let one_by_one = How { flags: ONE_BY_ONE, ..how };
        let mut single = None;
        if exports.packed_mapper && self.setup.arguments.limits.fuel.is_none() && small.split.is_some() {
            // How many items a packed call has depends on how long they take: whether the kernel repeats itself, single calls show.
            let alone = self.setup.run(sample, How { split: small.split, ..one_by_one })?;
            let repeated = self.setup.run(sample, How { split: small.split, ..one_by_one })?;
            if let Some(text) = difference(("one run", &alone), ("the next", &repeated)) {
                self.found(Rule::NotDeterministic, text);
                return Ok(false);
            }
            let packed = self.setup.run(sample, small)?;
            if !self.same(Rule::PackedDiffers, ("packed calls", &packed), ("single calls", &alone)) {
                return Ok(false);
            }
            single = Some(if small.split == how.split { alone } else { self.setup.run(sample, one_by_one)? });
        }
        let again = self.setup.run(sample, how)?;
        if !self.same(Rule::NotDeterministic, ("one run", base), ("the next", &again)) {
            return Ok(false);
        }
        let later = self.setup.run(sample, How { later: Duration::from_secs(86_400 * 400 + 12_345), ..how })?;
        self.same(Rule::ClockDependent, ("the clock of today", base), ("that of next year", &later));
        let mut is_good = true;
        let warm = single.as_ref().unwrap_or(base);
        if kind != Kind::Command {
            let flags = match shape {
                Shape::Picture => "--workers 1 --batch 16 --fresh item",
                Shape::Items { .. } => "--workers 1 --fresh item",
            };
            let fresh = self.setup.run(sample, How { flags, ..how })?;
            if !self.same(Rule::KeepsState, ("one instance", warm), ("a fresh one for each item", &fresh)) {
                return Ok(false);
            }
        }
        let two = self.setup.run(sample, How { flags: "--workers 2 --batch 1", ..how })?;
        is_good &= match shape {
            Shape::Picture => self.same(Rule::CutMatters, ("large strips", warm), ("strips of one row", &two)),
            Shape::Items { .. } => self.same(Rule::WorkersDiffer, ("one worker", warm), ("two", &two)),
        };
        Ok(is_good)
    }
}

impl Check<'_> {
    /// Cuts blocks elsewhere, where that may make no difference.
    fn blocks(&mut self, sample: &Sample, base: &Seen, how: How, merge: Merge) -> Result<(), Failure> {
        let Some(Split::Blocks(size)) = how.split else { return Ok(()) };
        if !matches!(merge, Merge::Reduce | Merge::Concat) || base.items < 2 {
            return Ok(());
        }
        let larger = size.saturating_mul(3).saturating_add(7);
        let other = self.setup.run(sample, How { split: Some(Split::Blocks(larger)), ..how })?;
        let differs = other.output != base.output;
        if differs && !(merge == Merge::Reduce && differ_by_rounding(&base.output, &other.output)) {
            let (items, others) = (report::count(base.items, "block"), report::count(other.items, "block"));
            let text = difference((&items, base), (&others, &other)).unwrap_or_default();
            self.found(Rule::BlocksMatter, text);
        } else {
            self.page.passed(Rule::BlocksMatter);
        }
        Ok(())
    }
}

fn exports_pictures(exports: Exports) -> bool {
    exports.image_filter
}

fn split_of(shape: Shape) -> Option<Split> {
    match shape {
        Shape::Picture => None,
        Shape::Items { split, .. } => Some(split.0),
    }
}

/// The same with smaller blocks, when the sample has no two of those that the kernel takes.
fn cut_small(shape: Shape, bytes: u64) -> Shape {
    let Shape::Items { split: (split, origin), merge, length } = shape else { return shape };
    let piece = bytes.div_ceil(PIECES).max(1);
    let split = match split {
        Split::Blocks(size) if size.saturating_mul(2) > bytes => Split::Blocks(piece),
        Split::Chunks(size) if size.saturating_mul(2) > bytes => Split::Chunks(piece),
        same => same,
    };
    Shape::Items { split: (split, origin), merge, length }
}

/// Items that are small enough to be packed.
fn small_items(shape: Shape) -> Option<Split> {
    match split_of(shape)? {
        Split::Lines | Split::Blocks(_) => Some(Split::Lines),
        Split::Records(size) if size > PACKED_BYTES => None,
        Split::Chunks(size) => Some(Split::Chunks(size.min(PACKED_BYTES))),
        same @ Split::Records(_) => Some(same),
        _ => None,
    }
}

/// How a sample is cut, in words.
fn cut_in_words(shape: Shape) -> Option<String> {
    split_of(shape).map(split_name)
}
