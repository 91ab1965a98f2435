//! How large a batch should be: learned from the batches before it.
//!
//! The cost of a byte of input is learned as a moving average over batches; a batch is then as many bytes as take
//! about [`TARGET`], but no more than a fair part of what is left, so that all workers finish together (guided
//! self-scheduling: Polychronopoulos and Kuck, 1987), and no less than is worth a round trip. A wrong guess is harmless, because a worker hands back what it
//! could not do in [`BUDGET`].

use std::time::Duration;

use taskhost_protocol::limits::{FAILURES_PER_BATCH, PIECES_PER_BATCH};
use taskhost_protocol::work::{Budget, Split};

use super::window::WINDOW;
use crate::event::OnError;

/// What a batch should take: long against the cost of a round trip (5 to 50 µs), short against a wait at the end.
pub const TARGET: Duration = Duration::from_millis(10);

/// What no batch is planned to be shorter than, however little is left: it would cost more to hand out than to do, and nobody waits
/// much longer for it.
const LEAST: Duration = Duration::from_micros(100);

/// When a worker hands the rest of a batch back: a guess that was wrong by three is not worth a round trip.
pub const BUDGET: Duration = Duration::from_millis(30);

/// What no batch is planned to exceed while others wait for the cores. Half of it is aimed at: what is handed back costs a
/// round trip, and half of all guesses are too short.
pub const BRIEF: Duration = Duration::from_millis(10);

/// Results after which a worker hands the rest of a batch back: at most a quarter of the window, so that the window
/// holds batches of several workers …
pub const OUTPUT_BUDGET: u64 = WINDOW / 4;

/// … and at least so much, which no longer costs a round trip too many.
const LEAST_OUTPUT_BUDGET: u64 = 512 << 10;

/// First batch of a job whose cost is not known: finished at once if items are cheap, cut short if they are not.
const FIRST: u64 = 32 << 10;

/// The same in items, where items are counted: few enough that several workers have some of a short list.
const FIRST_ITEMS: u64 = 16;

/// Batches grow at most by this factor, so that one cheap stretch does not make one enormous batch.
const GROWTH: u64 = 8;

/// Largest batch in bytes of input: it bounds what one worker has to read before its first item.
pub(crate) const LARGEST: u64 = 8 << 20;

/// Bytes of a line before any was seen: that of a number or two. A wrong guess makes the first batches smaller than
/// asked for, or has them handed back in part.
const LINE: u64 = 16;

/// How batches are sized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BatchRule {
    /// Learned.
    #[default]
    Auto,
    /// This many items.
    Items(u64),
    /// Learned, or at most this many items, and whatever that is, over after [`BRIEF`]: somebody else may want the cores.
    Brief(Option<u64>),
}

impl BatchRule {
    /// Items that were asked for.
    pub(super) fn items(self) -> Option<u64> {
        match self {
            Self::Auto | Self::Brief(None) => None,
            Self::Items(items) | Self::Brief(Some(items)) => Some(items.max(1)),
        }
    }

    /// What a batch should take. `None` where only items count.
    fn target(self) -> Option<Duration> {
        match self {
            Self::Auto => Some(TARGET),
            Self::Items(_) => None,
            Self::Brief(_) => Some(BRIEF / 2),
        }
    }

    /// When a worker hands the rest of a batch back.
    fn limit(self) -> Duration {
        match self {
            Self::Auto => BUDGET,
            Self::Items(_) => Duration::MAX,
            Self::Brief(_) => BRIEF,
        }
    }
}

/// The learned cost of one job's input.
#[derive(Clone, Debug)]
pub(crate) struct Sizing {
    rule: BatchRule,
    /// What the first batch has.
    first: u64,
    /// Nanoseconds a byte; `None` before the first batch.
    nanos_per_byte: Option<f64>,
    largest_seen: u64,
    bytes_seen: u64,
    items_seen: u64,
}

impl Sizing {
    pub(crate) fn new(rule: BatchRule) -> Self {
        Self { rule, first: FIRST, nanos_per_byte: None, largest_seen: FIRST / GROWTH, bytes_seen: 0, items_seen: 0 }
    }

    /// For an input of which items are counted where others count bytes.
    pub(crate) fn of_items(rule: BatchRule) -> Self {
        Self { first: FIRST_ITEMS, largest_seen: FIRST_ITEMS, ..Self::new(rule) }
    }

    /// Whether nothing is known of what items cost.
    pub(crate) fn is_new(&self) -> bool {
        self.nanos_per_byte.is_none()
    }

    /// A batch of so many bytes and items took `nanos`.
    pub(crate) fn learn(&mut self, bytes: u64, items: u64, nanos: u64) {
        if bytes == 0 {
            return;
        }
        let now = nanos as f64 / bytes as f64;
        // Half old, half new: costs drift along an input, and the budget forgives what the average misses.
        self.nanos_per_byte = Some(self.nanos_per_byte.map_or(now, |before| f64::midpoint(before, now)));
        self.largest_seen = self.largest_seen.max(bytes);
        self.bytes_seen = self.bytes_seen.saturating_add(bytes);
        self.items_seen = self.items_seen.saturating_add(items);
    }

    /// Bytes of input the next batch should have, when `left` bytes are left (if that is known) for `workers`.
    pub(crate) fn bytes(&self, split: Split, left: Option<u64>, workers: usize) -> u64 {
        // What is shorter than a line has the beginning of none.
        let line = if split == Split::Lines { self.mean_line().unwrap_or(1) } else { 1 };
        let learned = || self.learned(left, workers, line);
        let Some(items) = self.rule.items() else { return learned() };
        let counted = match split {
            // Files are counted, see [`Self::files`].
            Split::Whole => u64::MAX,
            Split::Blocks(size) | Split::Records(size) | Split::Chunks(size) => items.saturating_mul(size),
            Split::Table => items,
            Split::Lines => items.saturating_mul(self.line()),
        };
        if self.rule.target().is_some() { counted.min(learned()) } else { counted }
    }

    /// Rows of a picture the next batch should have, of `row` bytes each, when `left` of them are left for `workers`.
    pub(crate) fn rows(&self, row: u64, left: u64, workers: usize) -> u64 {
        let learned = || self.learned(Some(left.saturating_mul(row)), workers, row) / row.max(1);
        match (self.rule.items(), self.rule.target()) {
            (None, _) => learned(),
            (Some(rows), None) => rows,
            (Some(rows), Some(_)) => rows.min(learned()),
        }
    }

    /// Files of a batch, at most, under [`Split::Whole`].
    pub(crate) fn files(&self) -> usize {
        let items = self.rule.items().and_then(|items| usize::try_from(items).ok());
        items.unwrap_or(PIECES_PER_BATCH).min(PIECES_PER_BATCH)
    }

    /// Bytes of a batch. When the rest is shared out, nobody is given less than `least`.
    fn learned(&self, left: Option<u64>, workers: usize, least: u64) -> u64 {
        let target = self.rule.target().unwrap_or(TARGET);
        let wanted = match self.nanos_per_byte {
            None => self.first,
            Some(rate) if rate <= 0.0 => LARGEST,
            Some(rate) => (target.as_nanos() as f64 / rate) as u64,
        };
        let short =
            self.nanos_per_byte.map_or(0, |rate| (LEAST.as_nanos() as f64 / rate.max(f64::MIN_POSITIVE)) as u64);
        let fair = left.map_or(u64::MAX, |left| left / (2 * workers.max(1) as u64)).max(short).max(least);
        wanted.min(self.largest_seen.saturating_mul(GROWTH)).min(LARGEST).min(fair).max(1)
    }

    /// Bytes of a line on average, once there was one.
    fn mean_line(&self) -> Option<u64> {
        (self.items_seen > 0).then(|| self.bytes_seen.div_ceil(self.items_seen))
    }

    /// Bytes of a line on average. While no line has begun in what was run, twice of what was.
    fn line(&self) -> u64 {
        self.mean_line().unwrap_or_else(|| self.bytes_seen.saturating_mul(2).max(LINE))
    }

    /// When a worker must hand back the rest. The results of all batches that are out fit in the window together, for
    /// as many workers as that leaves batches of a useful size.
    pub(crate) fn budget(&self, workers: usize, on_error: OnError) -> Budget {
        let micros = u64::try_from(self.rule.limit().as_micros()).unwrap_or(u64::MAX);
        let items = self.rule.items().unwrap_or(u64::MAX);
        let output = (WINDOW / (2 * workers.max(1) as u64)).clamp(LEAST_OUTPUT_BUDGET, OUTPUT_BUDGET);
        let failures = match on_error {
            OnError::Fail => 1,
            OnError::Skip => FAILURES_PER_BATCH as u32,
        };
        Budget { micros, output, items, failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_aims_at_the_target() {
        let mut sizing = Sizing::new(BatchRule::Auto);
        assert_eq!(sizing.bytes(Split::Lines, None, 2), FIRST);
        sizing.learn(FIRST, 1000, 32_000); // about 1 ns a byte: 10 ms are 10 MB
        assert_eq!(sizing.bytes(Split::Lines, None, 2), FIRST * GROWTH);
        sizing.learn(1 << 20, 1000, 1 << 30); // about 1 µs a byte
        let bytes = sizing.bytes(Split::Lines, None, 2);
        assert!((10_000..40_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_tail_is_shared_out() {
        let mut sizing = Sizing::new(BatchRule::Auto);
        sizing.learn(1 << 20, 1 << 17, 1 << 30); // about 1 µs a byte, 8 bytes a line
        assert_eq!(sizing.bytes(Split::Lines, Some(4000), 2), 1000);
        assert_eq!(sizing.bytes(Split::Chunks(1), Some(4000), 2), 1000);
    }

    #[test]
    fn nothing_is_handed_out_that_takes_less_than_to_hand_it_out() {
        let mut sizing = Sizing::new(BatchRule::Auto);
        sizing.learn(1 << 20, 1 << 17, 1 << 30);
        let bytes = sizing.bytes(Split::Lines, Some(40), 2);
        assert!((90..=100).contains(&bytes), "{bytes}: a tenth of a millisecond, which is more than there is");
        let mut sizing = Sizing::new(BatchRule::Auto);
        sizing.learn(1000, 10, 10_000_000); // a millisecond a line
        assert_eq!(sizing.bytes(Split::Chunks(1), Some(40), 2), 10);
        assert_eq!(sizing.bytes(Split::Lines, Some(40), 2), 100, "nothing shorter than a line");
        assert_eq!(sizing.rows(50, 3, 2), 1, "or than a row");
        sizing.learn(1000, 10, 1 << 40);
        assert_eq!(sizing.bytes(Split::Chunks(1), Some(3), 2), 1, "what takes long is shared out to the last byte");
    }

    #[test]
    fn a_number_of_items_is_kept_by_the_budget() {
        let mut sizing = Sizing::new(BatchRule::Items(10));
        assert_eq!(sizing.budget(2, OnError::Fail).items, 10);
        assert_eq!(sizing.bytes(Split::Records(8), Some(1), 2), 80);
        assert_eq!((sizing.bytes(Split::Whole, None, 2), sizing.files()), (u64::MAX, PIECES_PER_BATCH));
        assert_eq!(sizing.bytes(Split::Lines, None, 2), 10 * LINE);
        sizing.learn(500, 0, 1);
        assert_eq!(sizing.bytes(Split::Lines, None, 2), 10_000, "lines are longer than that");
        sizing.learn(500, 20, 1);
        assert_eq!(sizing.bytes(Split::Lines, None, 2), 500);
    }

    #[test]
    fn no_batch_is_planned_longer_than_others_wait() {
        for rule in [BatchRule::Brief(None), BatchRule::Brief(Some(1 << 40))] {
            let mut sizing = Sizing::new(rule);
            assert!(sizing.budget(2, OnError::Fail).micros <= 10_000, "whatever was guessed");
            // What a byte costs is learned, in nanoseconds: from a copy to a simulation.
            for rate in [1, 100, 10_000, 1_000_000] {
                (0..40).for_each(|_| sizing.learn(FIRST, 10, FIRST * rate));
                for split in [Split::Lines, Split::Whole, Split::Chunks(1), Split::Table] {
                    let bytes = sizing.bytes(split, None, 2);
                    let nanos = bytes.saturating_mul(rate);
                    assert!(nanos <= BRIEF.as_nanos() as u64, "{rule:?} {split:?}: {bytes} bytes take {nanos} ns");
                }
                assert!(sizing.rows(1, u64::MAX, 2).saturating_mul(rate) <= BRIEF.as_nanos() as u64);
            }
        }
        let few = Sizing::new(BatchRule::Brief(Some(3)));
        assert_eq!((few.bytes(Split::Chunks(8), None, 2), few.budget(2, OnError::Fail).items), (24, 3));
        assert_eq!((few.rows(100, 50, 2), few.files()), (3, 3));
        assert_eq!(Sizing::new(BatchRule::Items(20)).rows(100, 50, 2), 20);
    }

    #[test]
    fn results_of_many_workers_fit_in_the_window_together() {
        let sizing = Sizing::new(BatchRule::Auto);
        assert_eq!(sizing.budget(1, OnError::Fail).output, OUTPUT_BUDGET);
        assert_eq!(sizing.budget(16, OnError::Fail).output * 2 * 16, WINDOW);
        assert_eq!(sizing.budget(1000, OnError::Fail).output, LEAST_OUTPUT_BUDGET);
    }
}
