//! The course of a run, for those who want to see it: who was at work when, and what things cost. However long the run,
//! it takes the same memory: time is counted in buckets, which are folded in two when there are too many.

use std::collections::BTreeMap;
use std::time::Instant;

/// Most buckets of time: more than a screen has columns to show.
const BUCKETS: usize = 1024;

/// Width of a bucket at first, so that a run of a second fits.
const FIRST_WIDTH: u64 = 1_000_000;

/// Batches that are kept one by one; of a run with more, only the buckets are shown.
const SPANS: usize = 2048;

/// Lives and ends of workers that are kept one by one.
const LIVES: usize = 1024;

/// Bins of a histogram: four for each power of two, up to 2⁴⁵ nanoseconds, which is ten hours.
const BINS: usize = 180;

/// Numbers, counted by their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BINS] }
    }
}

impl Histogram {
    fn add(&mut self, nanos: u64, count: u64) {
        let value = nanos.max(4);
        let power = value.ilog2();
        let quarter = (value >> (power - 2)) & 3;
        let bin = (4 * power as usize + quarter as usize).min(BINS - 1);
        self.counts[bin] = self.counts[bin].saturating_add(count);
    }

    /// The bins that count anything and those between, as (least value in nanoseconds, count).
    #[must_use]
    pub fn bins(&self) -> Vec<(u64, u64)> {
        let filled = |(_, count): &(usize, &u64)| **count > 0;
        let first = self.counts.iter().enumerate().find(filled);
        let last = self.counts.iter().enumerate().rfind(filled);
        let (Some((first, _)), Some((last, _))) = (first, last) else { return Vec::new() };
        (first..=last).map(|bin| (((4 + bin as u64 % 4) << (bin / 4)) >> 2, self.counts[bin])).collect()
    }

    /// The value that this share of what was counted does not exceed, to a quarter of a power of two.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (value, count) in self.bins() {
            seen += count;
            if seen >= wanted {
                return value;
            }
        }
        0
    }
}

/// A batch: when a worker was at it. Times are nanoseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The row of the worker.
    pub lane: usize,
    /// The worker.
    pub worker: u32,
    /// When it began.
    pub begin: u64,
    /// When it was over.
    pub end: u64,
    /// Items in it.
    pub items: u64,
}

/// A worker's life, in nanoseconds since the run began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The row of the worker.
    pub lane: usize,
    /// The worker.
    pub worker: u32,
    /// When its process was made.
    pub begin: u64,
    /// When it was ready, if ever.
    pub ready: Option<u64>,
    /// When it ended.
    pub end: u64,
    /// How it ended, when not with the run.
    pub death: Option<String>,
}

/// Workers that followed each other: one row of a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// What its workers do, and on which cpu the first was.
    pub name: String,
    /// For each bucket the nanoseconds at work.
    pub busy: Vec<u64>,
}

/// The course of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Nanoseconds of a bucket.
    pub width: u64,
    /// When the run was over, in nanoseconds since it began.
    pub end: u64,
    /// The rows.
    pub lanes: Vec<Lane>,
    /// For each bucket the items that were run.
    pub items: Vec<u64>,
    /// For each bucket the bytes of input.
    pub bytes: Vec<u64>,
    /// Every batch, unless there were too many.
    pub spans: Option<Vec<Span>>,
    /// The workers, as far as they are kept one by one.
    pub lives: Vec<Life>,
    /// Workers beyond that.
    pub more_lives: u64,
    /// Batches by the time they took.
    pub batches: Histogram,
    /// Items by the mean cost of an item of their batch.
    pub item_costs: Histogram,
}

/// Writes the course of a run down.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    timeline: Timeline,
    /// The row of each worker that lives.
    lanes: BTreeMap<u32, usize>,
}

/// What a worker did in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) worker: u32,
    /// It cannot have begun earlier.
    pub(crate) since: Instant,
    /// What it took, as the worker says; `None` is all the time since then.
    pub(crate) took: Option<u64>,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

impl Recorder {
    pub(crate) fn new(began: Instant) -> Self {
        let timeline = Timeline { width: FIRST_WIDTH, spans: Some(Vec::new()), ..Timeline::default() };
        Self { began, timeline, lanes: BTreeMap::new() }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    /// A worker was started: it takes the first free row of its kind.
    pub(crate) fn started(&mut self, worker: u32, name: &str) {
        let taken: Vec<usize> = self.lanes.values().copied().collect();
        let lanes = &mut self.timeline.lanes;
        let free = (0..lanes.len()).find(|lane| lanes[*lane].name == name && !taken.contains(lane));
        let lane = free.unwrap_or_else(|| {
            lanes.push(Lane { name: name.to_owned(), busy: Vec::new() });
            lanes.len() - 1
        });
        self.lanes.insert(worker, lane);
    }

    /// A worker was at work until now.
    pub(crate) fn worked(&mut self, work: Work) {
        let Some(lane) = self.lanes.get(&work.worker).copied() else { return };
        let end = self.nanos(Instant::now());
        let longest = end.saturating_sub(self.nanos(work.since));
        let took = work.took.unwrap_or(longest).min(longest);
        let begin = end - took;
        self.timeline.batches.add(took, 1);
        if let Some(each) = took.checked_div(work.items) {
            self.timeline.item_costs.add(each, work.items);
        }
        match &mut self.timeline.spans {
            Some(spans) if spans.len() < SPANS => {
                spans.push(Span { lane, worker: work.worker, begin, end, items: work.items });
            }
            spans => *spans = None,
        }
        let last = self.bucket(end);
        let width = self.timeline.width;
        let (mut items, mut bytes) = (Share::of(work.items, took), Share::of(work.bytes, took));
        for bucket in self.bucket(begin)..=last {
            let from = begin.max(bucket as u64 * width);
            let to = end.min((bucket as u64 + 1) * width);
            add(&mut self.timeline.lanes[lane].busy, bucket, to.saturating_sub(from));
            add(&mut self.timeline.items, bucket, items.until(to - begin));
            add(&mut self.timeline.bytes, bucket, bytes.until(to - begin));
        }
    }

    /// A worker is gone.
    pub(crate) fn ended(&mut self, worker: u32, began: Instant, ready: Option<Instant>, death: Option<String>) {
        let Some(lane) = self.lanes.remove(&worker) else { return };
        if self.timeline.lives.len() >= LIVES {
            self.timeline.more_lives += 1;
            return;
        }
        let (begin, end) = (self.nanos(began), self.nanos(Instant::now()));
        let ready = ready.map(|ready| self.nanos(ready));
        self.timeline.lives.push(Life { lane, worker, begin, ready, end, death });
    }

    /// The run is over.
    pub(crate) fn finish(mut self) -> Timeline {
        self.timeline.end = self.nanos(Instant::now());
        self.timeline
    }

    /// The bucket of a moment. Folds buckets until there are few enough.
    fn bucket(&mut self, at: u64) -> usize {
        while at / self.timeline.width >= BUCKETS as u64 {
            let Timeline { lanes, items, bytes, .. } = &mut self.timeline;
            for counts in lanes.iter_mut().map(|lane| &mut lane.busy).chain([items, bytes]) {
                *counts = counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            }
            self.timeline.width *= 2;
        }
        (at / self.timeline.width) as usize
    }
}

/// What a batch did, spread over the time that it took.
struct Share {
    amount: u64,
    took: u64,
    given: u64,
}

impl Share {
    fn of(amount: u64, took: u64) -> Self {
        Self { amount, took, given: 0 }
    }

    /// What was done until `so_far` of the time and was not given before.
    fn until(&mut self, so_far: u64) -> u64 {
        let done = match self.took {
            0 => self.amount,
            // It is no more than the amount.
            took => (u128::from(self.amount) * u128::from(so_far.min(took)) / u128::from(took)) as u64,
        };
        done - std::mem::replace(&mut self.given, done)
    }
}

fn add(counts: &mut Vec<u64>, bucket: usize, amount: u64) {
    if counts.len() <= bucket {
        counts.resize(bucket + 1, 0);
    }
    counts[bucket] = counts[bucket].saturating_add(amount);
}

impl super::Pool {
    /// Writes down the course of the run from now on, with the workers that have been started already.
    pub fn record(&mut self) {
        let mut recorder = Recorder::new(self.began);
        for worker in self.workers.values() {
            recorder.started(worker.id.0, &lane_name(worker));
        }
        self.recorder = Some(recorder);
    }
}

/// What the row of a worker is called: workers with the same name may follow each other.
pub(crate) fn lane_name(worker: &super::process::WorkerProcess) -> String {
    use crate::event::Post;
    match (worker.post, worker.core()) {
        (Post::Execute, Some(core)) => format!("core {core}"),
        (Post::Execute, None) => "worker".to_owned(),
        (Post::Isolation, _) => "isolation".to_owned(),
        (Post::Convert, _) => "convert".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ago(duration: Duration) -> Instant {
        Instant::now().checked_sub(duration).expect("the machine runs longer")
    }

    fn work(since: Instant, took: Option<u64>) -> Work {
        Work { worker: 1, since, took, items: 10, bytes: 100 }
    }

    #[test]
    fn a_long_run_takes_no_more_memory_than_a_short_one() {
        let began = ago(Duration::from_secs(5));
        let mut recorder = Recorder::new(began);
        recorder.started(1, "core 0");
        for _ in 0..3 * SPANS {
            recorder.worked(work(began, Some(1_000_000)));
        }
        let timeline = recorder.finish();
        assert!(timeline.items.len() <= BUCKETS && timeline.lanes[0].busy.len() <= BUCKETS);
        assert_eq!(timeline.spans, None);
        assert_eq!(timeline.items.iter().sum::<u64>(), 30 * SPANS as u64);
        assert_eq!(timeline.lanes[0].busy.iter().sum::<u64>(), 3_000_000 * SPANS as u64);
        assert_eq!(timeline.width, 8 * FIRST_WIDTH);
    }

    #[test]
    fn a_worker_was_not_at_work_before_it_was_asked() {
        let mut recorder = Recorder::new(ago(Duration::from_millis(3)));
        recorder.started(1, "core 0");
        recorder.worked(work(Instant::now(), Some(u64::MAX)));
        let timeline = recorder.finish();
        assert!(timeline.spans.expect("few")[0].begin > 2_000_000);
    }

    #[test]
    fn a_replacement_takes_the_row_of_its_predecessor() {
        let began = Instant::now();
        let mut recorder = Recorder::new(began);
        recorder.started(1, "core 0");
        recorder.started(2, "core 1");
        recorder.ended(1, began, None, Some("was killed".into()));
        recorder.started(3, "core 0");
        recorder.ended(3, began, None, None);
        let lanes: Vec<usize> = recorder.timeline.lives.iter().map(|life| life.lane).collect();
        assert_eq!((lanes, recorder.timeline.lanes.len()), (vec![0, 0], 2));
    }

    #[test]
    fn a_histogram_counts_by_size() {
        let mut histogram = Histogram::default();
        for (nanos, count) in [(0, 1), (1_000, 2), (1_024, 3), (u64::MAX, 1)] {
            histogram.add(nanos, count);
        }
        let bins = histogram.bins();
        assert_eq!(bins.iter().map(|(_, count)| count).sum::<u64>(), 7);
        assert!(bins.contains(&(896, 2)) && bins.contains(&(1_024, 3)));
        assert_eq!(histogram.quantile(0.5), 1_024);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
}
