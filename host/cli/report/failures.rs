//! Failed items of a run: shown one by one at first, then counted; written down, and kept for replay, when asked for.

use std::collections::BTreeMap;

use taskhost_pool::job::{CapturedItem, FailedItem};
use taskhost_protocol::work::Split;

use super::errors::ErrorFile;
use crate::capture::Capture;

/// Failures that are printed one by one; beyond, they are counted, and `--errors` has them all.
pub(super) const FAILURES_SHOWN: u64 = 20;

/// What becomes of failed items.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// `--errors`.
    pub(crate) errors: Option<ErrorFile>,
    /// `--capture`.
    pub(crate) capture: Option<Capture>,
    /// How the input is cut, when into items.
    split: Option<Split>,
    /// Failed items.
    pub(crate) items: u64,
    /// Failed items by verdict.
    pub(crate) verdicts: BTreeMap<String, u64>,
    /// Failures of items and files that were printed.
    shown: u64,
    /// Failures that were not.
    pub(crate) unshown: u64,
    /// What was wrong with the first items, for reports.
    pub(crate) told: Vec<String>,
    /// Why `--errors` is not whole.
    pub(crate) broken: Option<String>,
}

impl Failures {
    pub(crate) fn new(errors: Option<ErrorFile>, capture: Option<Capture>, split: Option<Split>) -> Self {
        Self { errors, capture, split, ..Self::default() }
    }

    /// An item failed. What is to be printed about it, if anything.
    pub(crate) fn add(&mut self, item: &FailedItem) -> Vec<Said> {
        self.items += 1;
        *self.verdicts.entry(item.verdict.name().to_owned()).or_default() += 1;
        if (self.told.len() as u64) < FAILURES_SHOWN {
            self.told.push(describe(item, self.split));
        }
        let mut said = Vec::new();
        let on_stderr = self.errors.as_ref().is_some_and(ErrorFile::is_stderr);
        if !on_stderr && self.is_shown() {
            said.push(Said::Error(describe(item, self.split)));
        }
        if let Some(errors) = self.errors.as_mut().filter(|_| self.broken.is_none())
            && let Err(why) = errors.write(item)
        {
            said.push(Said::Error(why.clone()));
            self.broken = Some(why);
        }
        if let Some(capture) = &mut self.capture {
            said.extend(capture.complete(item).map(Said::Warning));
        }
        said
    }

    /// Items that failed in the run that this one goes on with: their lines of the error file.
    pub(crate) fn restore<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        for line in lines {
            self.items += 1;
            let verdict = serde_json::from_str::<serde_json::Value>(line).ok();
            let verdict = verdict.as_ref().and_then(|line| line["verdict"].as_str());
            *self.verdicts.entry(verdict.unwrap_or("unknown").to_owned()).or_default() += 1;
            if let Some(errors) = self.errors.as_mut().filter(|_| self.broken.is_none())
                && let Err(why) = errors.write_line(line)
            {
                self.broken = Some(why);
            }
        }
    }

    /// An item failed and its bytes can be read. What is to be printed about it, if anything.
    pub(crate) fn captured(&mut self, place: &CapturedItem<'_>) -> Option<Said> {
        self.capture.as_mut()?.keep(place).map(Said::Warning)
    }

    /// Counts a failure, and says whether it is one of the first.
    pub(crate) fn is_shown(&mut self) -> bool {
        let shown = self.shown < FAILURES_SHOWN;
        *(if shown { &mut self.shown } else { &mut self.unshown }) += 1;
        shown
    }
}

/// Something to be printed.
#[derive(Debug)]
pub(crate) enum Said {
    Error(String),
    Warning(String),
}

/// What failed, where and why.
pub(crate) fn describe(item: &FailedItem, split: Option<Split>) -> String {
    let (source, offset) = (&item.source, item.offset);
    let mut text = match item.item {
        // A whole file is an item, and its name says which.
        _ if split == Some(Split::Whole) => source.clone(),
        _ if item.is_row && offset == 0 => source.clone(),
        _ if item.is_row => format!("{source}, at row {offset}"),
        Some(number) => format!("{source}, item {number} (at byte {offset})"),
        None => format!("{source}, at byte {offset}"),
    };
    text.push_str(&format!(": {}", item.verdict));
    for frame in item.verdict.backtrace() {
        text.push_str(&format!("\n    at {frame}"));
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use taskhost_pool::verdict::{ErrorKind, Verdict};

    use super::*;

    /// An item at which the kernel trapped.
    pub(crate) fn trapped() -> FailedItem {
        FailedItem {
            job: "a.txt".into(),
            source: "a.txt".into(),
            offset: 345,
            len: 10,
            item: Some(12),
            line: Some(13),
            is_row: false,
            verdict: Verdict::Trap { reason: "unreachable".into(), backtrace: vec!["f".into(), "g".into()] },
            attempts: 1,
            worker: Some(3),
            core: Some(0),
        }
    }

    #[test]
    fn an_item_is_named_by_number_and_place() {
        let text = describe(&trapped(), Some(Split::Lines));
        assert_eq!(text, "a.txt, item 12 (at byte 345): the kernel trapped: unreachable\n    at f\n    at g");
        let verdict = Verdict::KernelError(ErrorKind::Failed, "no".into());
        let unordered = FailedItem { item: None, verdict: verdict.clone(), ..trapped() };
        assert_eq!(describe(&unordered, Some(Split::Lines)), "a.txt, at byte 345: no");
        let row = FailedItem { is_row: true, verdict: verdict.clone(), ..trapped() };
        assert_eq!(describe(&row, None), "a.txt, at row 345: no");
        let file = FailedItem { offset: 0, verdict, ..trapped() };
        assert_eq!(describe(&file, Some(Split::Whole)), "a.txt: no");
    }

    #[test]
    fn the_first_are_shown_and_the_rest_counted() {
        let mut failures = Failures::default();
        let shown: usize = (0..FAILURES_SHOWN + 5).map(|_| failures.add(&trapped()).len()).sum();
        assert_eq!((shown as u64, failures.unshown, failures.items), (FAILURES_SHOWN, 5, FAILURES_SHOWN + 5));
        assert_eq!(failures.verdicts["kernel-trap"], FAILURES_SHOWN + 5);
    }
}
