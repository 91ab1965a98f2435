//! What a check found, for people and for programs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use taskhost_data::size::human_size;
use taskhost_protocol::kernel::KernelInfo;

use crate::exit_code::{Exit, Failure};
use crate::plan::Shape;
use crate::report::{count, escape};

use super::cut_in_words;
use super::rule::{Finding, Rule, Severity};
use super::sample::Sample;
use super::trial::Seen;

/// What was looked at.
#[derive(Debug, Default, Serialize)]
pub(super) struct Page {
    kernel: String,
    kind: Option<&'static str>,
    /// How it is run, in words.
    shape: Option<String>,
    sample: Option<Tried>,
    /// What was looked at and found to be good.
    passed: Vec<Rule>,
}

/// What it was tried with, and what that took.
#[derive(Debug, Serialize)]
struct Tried {
    name: String,
    bytes: u64,
    /// How it was cut.
    split: Option<String>,
    items: u64,
    failed: u64,
    nanoseconds_per_item: u64,
    /// Most memory that the worker held.
    memory_bytes: u64,
}

/// A finding as a program reads it.
#[derive(Serialize)]
struct Told<'a> {
    code: &'static str,
    severity: Severity,
    title: &'static str,
    seen: &'a str,
    advice: &'static str,
    documentation: String,
}

impl Page {
    pub(super) fn new(kernel: &Path) -> Self {
        Self { kernel: kernel.display().to_string(), ..Self::default() }
    }

    pub(super) fn kernel(&mut self, info: &KernelInfo, shape: Shape, called: Option<&str>) {
        self.kind = Some(info.kind.name());
        let invoke = called.map_or_else(String::new, |function| format!("--invoke {function} "));
        self.shape = Some(invoke + &shape.describe());
    }

    pub(super) fn measured(&mut self, sample: &Sample, shape: Shape, seen: &Seen) {
        let nanoseconds = seen.called.as_nanos() / u128::from(seen.items.max(1));
        self.sample = Some(Tried {
            name: sample.name.clone(),
            bytes: sample.bytes.len() as u64,
            split: cut_in_words(shape),
            items: seen.items,
            failed: seen.failed.len() as u64,
            nanoseconds_per_item: u64::try_from(nanoseconds).unwrap_or(u64::MAX),
            memory_bytes: seen.resident,
        });
    }

    /// Something was looked at, and is good.
    pub(super) fn passed(&mut self, rule: Rule) {
        self.passed.push(rule);
    }

    /// What looked good says nothing.
    pub(super) fn nothing_passed(&mut self) {
        self.passed.clear();
    }

    pub(super) fn text(&self, findings: &[Finding]) -> String {
        let mut text = String::new();
        let kernel = escape(&self.kernel);
        if let (Some(kind), Some(shape)) = (self.kind, &self.shape) {
            let _ = writeln!(text, "{kernel}: {kind}, run with {}", escape(shape));
        } else {
            let _ = writeln!(text, "{kernel}");
        }
        if let Some(tried) = &self.sample {
            let split = tried.split.as_ref().map_or_else(String::new, |split| format!(" as {split}"));
            let name = escape(&tried.name);
            let _ = writeln!(
                text,
                "tried with {name} ({}){split}: {}",
                human_size(tried.bytes),
                count(tried.items, "item")
            );
            let time = Duration::from_nanos(tried.nanoseconds_per_item);
            let memory = human_size(tried.memory_bytes);
            let _ =
                writeln!(text, "{time:.1?} an item, at most {memory} of memory in a worker, the worker's own included");
        }
        let _ = writeln!(text);
        for rule in &self.passed {
            let _ = writeln!(text, "good     {}", good(*rule));
        }
        for Finding { rule, seen } in findings {
            let severity = rule.severity().name();
            let _ = writeln!(text, "{severity:8} {}: {}", rule.code(), rule.title());
            let _ = writeln!(text, "         {}", escape(seen).replace('\n', "\n         "));
            let _ = writeln!(text, "         What to do: {} ({})", rule.advice(), section(*rule));
        }
        let errors = findings.iter().filter(|finding| finding.rule.severity() == Severity::Error).count();
        let rest = (findings.len() - errors) as u64;
        let end = match (errors, rest) {
            (0, 0) => "it keeps the contract".to_owned(),
            (0, rest) => format!("it keeps the contract, with {}", count(rest, "remark")),
            (errors, _) => format!("it breaks the contract: {}", count(errors as u64, "error")),
        };
        let _ = writeln!(text, "\n{end}");
        text
    }

    pub(super) fn json(&self, findings: &[Finding]) -> Result<String, Failure> {
        #[derive(Serialize)]
        struct All<'a> {
            #[serde(flatten)]
            page: &'a Page,
            findings: Vec<Told<'a>>,
        }
        let told = |finding: &'_ Finding| Told {
            code: finding.rule.code(),
            severity: finding.rule.severity(),
            title: finding.rule.title(),
            seen: "",
            advice: finding.rule.advice(),
            documentation: section(finding.rule),
        };
        let findings = findings.iter().map(|finding| Told { seen: &finding.seen, ..told(finding) }).collect();
        let text = serde_json::to_string_pretty(&All { page: self, findings })
            .map_err(|error| Failure::new(Exit::Host, format!("what was found cannot be written as JSON: {error}")))?;
        Ok(text + "\n")
    }
}

/// Where a finding is documented.
fn section(rule: Rule) -> String {
    let heading = format!("{}: {}", rule.code(), rule.title()).to_lowercase();
    let anchor: String = heading
        .chars()
        .filter(|character| character.is_alphanumeric() || [' ', '-'].contains(character))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect();
    format!("docs/check.md#{anchor}")
}

/// What was looked at, when nothing was found.
fn good(rule: Rule) -> &'static str {
    match rule {
        Rule::NotDeterministic => "it gives the same bytes twice",
        Rule::ClockDependent => "the time makes no difference",
        Rule::KeepsState => "it keeps nothing from item to item",
        Rule::PackedDiffers => "packed calls give what single ones give",
        Rule::WorkersDiffer => "two workers give what one gives",
        Rule::BlocksMatter => "it does not matter where blocks are cut",
        Rule::UnusualItems => "unusual items do not make it trap",
        Rule::CutMatters => "the picture does not depend on how it is cut",
        Rule::NotAssociative => "parts can be joined in any groups",
        Rule::MemoryGrows => "its memory does not grow from item to item",
        Rule::NoIdentity => "no input has a result",
        other => other.title(),
    }
}
