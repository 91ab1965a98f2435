//! What a job must have come to, by the definitions, against what it came to.

use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::picture::Cut;
use taskhost_protocol::work::{Merge, Split};

use super::filter::PictureSpec;
use super::input::Spec;
use super::worker::Fate;
use super::world::{Kind, PICTURE_AT, World};
use crate::event::{FailedItem, JobFailure, OnError, Placement};

/// What is reported of a failed item, as far as it does not depend on how the run was cut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Report {
    pub(super) source: SourceId,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) number: Option<u64>,
    pub(super) line: Option<u64>,
    /// Where its result would be, where results have an order.
    pub(super) at: Option<u64>,
    pub(super) filled: u64,
    pub(super) verdict: &'static str,
    pub(super) attempts: u32,
}

impl Report {
    fn of(failed: &FailedItem, has_at: bool) -> Self {
        assert!(failed.worker.is_some(), "some worker ran it");
        Self {
            source: failed.place.source,
            offset: failed.place.offset,
            len: failed.len,
            number: failed.number,
            line: failed.line,
            at: has_at.then_some(failed.at),
            filled: failed.filled,
            verdict: failed.verdict.name(),
            attempts: failed.attempts,
        }
    }
}

/// Whether the place of a result in the output is known before everything is there.
fn has_at(spec: &Spec) -> bool {
    match spec.plan.placement {
        Placement::Append => spec.plan.ordered && spec.plan.merge != Merge::Reduce,
        Placement::Direct(_) => true,
        Placement::Checked | Placement::Nowhere => false,
    }
}

/// The failed items of a job that goes on without them, in the order of the input.
pub(super) fn expected_failures(spec: &Spec) -> Vec<Report> {
    let (mut at, mut line, mut source) = (0, 0, SourceId(0));
    let mut reports = Vec::new();
    for (number, item) in (0..).zip(spec.items()) {
        line = if item.source == source { line } else { 0 };
        source = item.source;
        let misfit = spec.is_misfit(&item.bytes).then_some(("unfit", 1));
        if let Some((verdict, attempts)) = Fate::of(&item.bytes, u32::MAX).reported().or(misfit) {
            let is_skipped = spec.plan.on_error == OnError::Skip;
            reports.push(Report {
                source,
                offset: item.offset,
                len: item.bytes.len() as u64,
                number: spec.plan.ordered.then_some(number),
                line: (spec.plan.ordered && spec.plan.split == Split::Lines).then_some(line),
                at: has_at(spec).then_some(at),
                filled: if is_skipped { spec.filled(&item.bytes) as u64 } else { 0 },
                verdict,
                attempts,
            });
        }
        line += 1;
        at += spec.written(&item.bytes).len() as u64 * spec.scale;
    }
    reports
}

/// The picture, with zeros in the place of rows that fail.
fn expected_picture(spec: &PictureSpec) -> Vec<u8> {
    let height = spec.kernel.output.height;
    let rows = (0..u64::from(spec.plan.planes)).flat_map(|plane| (0..height).flat_map(move |row| spec.row(plane, row)));
    let end: &[u8] = if spec.plan.encode { b"encoded" } else { b"" };
    vec![b'h'; PICTURE_AT as usize].into_iter().chain(rows).chain(end.iter().copied()).collect()
}

impl World {
    /// What the job must have written.
    pub(super) fn expected(&self, job: JobId) -> Vec<u8> {
        match self.jobs[&job].kind() {
            Kind::Items(spec) => spec.output(),
            Kind::Picture(spec) => expected_picture(spec),
        }
    }

    /// The failed items that the job went on without, as they were reported.
    pub(super) fn reports(&self, job: JobId) -> Vec<Report> {
        let has_at = match self.jobs[&job].kind() {
            Kind::Items(spec) => has_at(spec),
            Kind::Picture(_) => true,
        };
        self.jobs[&job].failed.iter().map(|failed| Report::of(failed, has_at)).collect()
    }

    /// Asserts that the job was done, with the right output and totals, and without exactly the items that fail.
    pub(super) fn assert_done(&self, job: JobId) {
        let outcome = &self.outcomes[&job];
        assert_eq!(outcome.failure, None);
        let (mut output, mut expected) = (outcome.output.clone(), self.expected(job));
        let spec = match self.jobs[&job].kind() {
            Kind::Items(spec) => spec,
            Kind::Picture(spec) => {
                assert_eq!(output, expected);
                return self.assert_rows(job, spec);
            }
        };
        let (mut reports, mut failures) = (self.reports(job), expected_failures(spec));
        if !self.is_ordered(job) {
            reports.sort_unstable();
            failures.sort_unstable();
            // Nothing is lost or made twice.
            output.sort_unstable();
            expected.sort_unstable();
        }
        assert_eq!(String::from_utf8_lossy(&output), String::from_utf8_lossy(&expected));
        assert_eq!(reports, failures);
        self.assert_totals(job);
    }

    /// Asserts that the job counted right, in whatever order.
    pub(super) fn assert_totals(&self, job: JobId) {
        let totals = &self.outcomes[&job].totals;
        let Kind::Items(spec) = self.jobs[&job].kind() else { panic!("pictures have no items") };
        let items = spec.items().len() as u64;
        let failed = expected_failures(spec).len() as u64;
        assert_eq!((totals.items, totals.failed), (items, failed));
        let input: usize = spec.inputs.iter().map(|input| input.bytes().len()).sum();
        assert!(totals.input <= input as u64);
        let counted = totals.counters.get("items").copied().unwrap_or(0);
        let misfits = spec.items().iter().filter(|item| spec.is_misfit(&item.bytes)).count() as u64;
        assert_eq!(counted, items - failed + misfits, "each item that is well counts once");
        if spec.plan.placement != Placement::Nowhere {
            assert_eq!(totals.output, self.outcomes[&job].output.len() as u64 * spec.scale);
        }
    }

    fn is_ordered(&self, job: JobId) -> bool {
        match self.jobs[&job].kind() {
            Kind::Items(spec) => spec.plan.ordered,
            Kind::Picture(_) => true,
        }
    }

    /// Asserts that exactly the rows that fail were reported, in order.
    fn assert_rows(&self, job: JobId, spec: &PictureSpec) {
        let row_bytes = spec.kernel.output.row_bytes().unwrap();
        let mut expected = Vec::new();
        for plane in 0..u64::from(spec.plan.planes) {
            let heights = if spec.kernel.cut == Cut::Whole { 0..0 } else { 0..spec.format.height };
            for row in heights {
                if let Some((verdict, attempts)) = spec.fate(plane, row, u32::MAX).reported() {
                    let before = plane * u64::from(spec.format.height) + u64::from(row);
                    let start = if spec.plan.direct { PICTURE_AT } else { 0 };
                    expected.push((u64::from(row), start + before * row_bytes, row_bytes, verdict, attempts));
                }
            }
        }
        let report =
            |report: Report| (report.offset, report.at.unwrap(), report.filled, report.verdict, report.attempts);
        assert_eq!(self.reports(job).into_iter().map(report).collect::<Vec<_>>(), expected);
        assert_eq!(self.outcomes[&job].totals.failed, expected.len() as u64);
    }

    /// What is said of the item that made the job fail, to be compared.
    pub(super) fn failure(&self, job: JobId) -> Report {
        let Kind::Items(spec) = self.jobs[&job].kind() else { panic!("pictures have no items") };
        Report::of(self.first_failed(job), has_at(spec))
    }

    /// The item that made the job fail: its number, its input and its place there.
    pub(super) fn failed_item(&self, job: JobId) -> (u64, u32, u64) {
        let item = self.first_failed(job);
        (item.number.expect("results have an order"), item.place.source.0, item.place.offset)
    }

    /// What is said of the item that made the job fail.
    pub(super) fn first_failed(&self, job: JobId) -> &FailedItem {
        match &self.outcomes[&job].failure {
            Some(JobFailure::Item(item)) => item,
            other => panic!("no item failed: {other:?}"),
        }
    }
}
