//! What a run costs: a little of it is tried out, then more, until the clock says something.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use taskhost_pool::job::{CapturedItem, FailedItem, Feed, JobFeed, JobReport, JobSpec, Output};
use taskhost_pool::runner::{Observer, Pool, Progress};
use taskhost_protocol::message::Level;

use super::cut::{self, Shard, Stretch};
use super::job::Making;
use super::make::{Cutting, Units};
use crate::exit_code::Failure;
use crate::plan::Shape;

/// Work that tells enough, in nanoseconds.
const ENOUGH: u64 = 500_000_000;

/// Input that is tried first, in bytes …
const FIRST: u64 = 64 << 10;

/// … and how much more each time.
const MORE: u64 = 8;

/// What the trials have come to: bytes, nanoseconds of one core.
type Costs = Rc<RefCell<Option<(u64, u64)>>>;

/// Seconds that the run takes one core; `None` when nothing could be run.
pub(super) fn seconds(pool: &mut Pool, cutting: &Cutting<'_>) -> Result<Option<f64>, Failure> {
    let total: u64 = cutting.sizes().iter().sum();
    let costs = Costs::default();
    let mut trials = Trials { cutting, total, last: 0, next: FIRST, costs: Rc::clone(&costs) };
    if matches!(cutting.units, Units::Nothing) || total == 0 {
        return Ok(None);
    }
    pool.run(&mut trials, &mut Costing(Rc::clone(&costs)))?;
    let cost = *costs.borrow();
    Ok(cost.filter(|(bytes, _)| *bytes > 0).map(|(bytes, busy)| busy as f64 / 1e9 * total as f64 / bytes as f64))
}

/// One trial after the other.
struct Trials<'a> {
    cutting: &'a Cutting<'a>,
    total: u64,
    /// Bytes of the last trial, and of the next.
    last: u64,
    next: u64,
    costs: Costs,
}

impl Trials<'_> {
    /// About the first `bytes` of the run, as a job whose results nobody gets.
    fn job(&self, bytes: u64) -> Result<JobSpec, Failure> {
        let null = OpenOptions::new().write(true).open("/dev/null");
        let null = null.map_err(|error| Failure::input(format!("/dev/null: {error}")))?;
        let output = Output::Stream(OwnedFd::from(null));
        let count = u32::try_from(self.total.div_ceil(bytes.max(1))).unwrap_or(u32::MAX).min(1_000_000);
        let making = self.cutting.making;
        let first = |shards: Vec<Shard>| shards.into_iter().next().ok_or_else(|| Failure::input("there is no input"));
        match (&self.cutting.units, making.shape) {
            (Units::Files, Shape::Picture) => {
                let making = Making { inputs: &making.inputs[..1], ..making };
                making.one(&Shard { work: Stretch::All, bytes: 0 }, None, output)
            }
            (Units::Files, Shape::Items { split, .. }) => {
                making.one(&first(cut::items(split.0, &self.cutting.sizes(), count))?, None, output)
            }
            _ => making.one(&first(self.cutting.cut(count))?, None, output),
        }
    }
}

impl JobFeed for Trials<'_> {
    fn next(&mut self) -> Feed<JobSpec> {
        let bytes = self.next;
        let is_enough = self.costs.borrow().is_some_and(|(_, busy)| busy >= ENOUGH);
        if is_enough || self.last >= self.total {
            return Feed::Ended;
        }
        self.last = bytes;
        self.next = bytes.saturating_mul(MORE);
        // What cannot be opened is told by the shard that needs it.
        self.job(bytes).map_or(Feed::Ended, Feed::Next)
    }

    fn at_once(&self) -> Option<usize> {
        Some(1)
    }
}

/// Hears what a trial took.
struct Costing(Costs);

impl Observer for Costing {
    fn progress(&mut self, _progress: &Progress) {}
    fn log(&mut self, _level: Level, _place: Option<(&str, u64)>, _text: &str) {}
    fn item_failed(&mut self, _item: &FailedItem) {}
    fn captured(&mut self, _item: &CapturedItem<'_>) {}
    fn warning(&mut self, _text: &str) {}

    fn job_finished(&mut self, report: JobReport) {
        let (bytes, busy) = (report.totals.input, report.totals.busy);
        // A trial in which an item failed tells as much as it ran.
        if bytes > 0 || self.0.borrow().is_none() {
            *self.0.borrow_mut() = Some((bytes, busy));
        }
    }
}
