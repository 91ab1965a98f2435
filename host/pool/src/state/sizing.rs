//! How large a batch should be: learned from the batches before it.
//!
//! The cost of a byte of input is learned as a moving average over batches; a batch is then as many bytes as take
//! about [`TARGET`], but no more than a fair part of what is left, so that all workers finish together (guided
//! self-scheduling: Polychronopoulos and Kuck, 1987). A wrong guess is harmless, because a worker hands back what it
//! could not do in [`BUDGET`].

use std::time::Duration;

use taskhost_protocol::work::Budget;

/// What a batch should take: long against the cost of a round trip (5 to 50 µs), short against a wait at the end.
pub const TARGET: Duration = Duration::from_millis(10);

/// When a worker hands the rest of a batch back: a guess that was wrong by three is not worth a round trip.
pub const BUDGET: Duration = Duration::from_millis(30);

/// Results after which a worker hands the rest of a batch back: a quarter of the window, so that the window holds
/// batches of several workers.
pub const OUTPUT_BUDGET: u64 = 8 << 20;

/// First batch of a job whose cost is not known: finished at once if items are cheap, cut short if they are not.
const FIRST: u64 = 32 << 10;

/// Batches grow at most by this factor, so that one cheap stretch does not make one enormous batch.
const GROWTH: u64 = 8;

/// Largest batch in bytes of input: it bounds what one worker has to read before its first item.
const LARGEST: u64 = 8 << 20;

/// How batches are sized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BatchRule {
    /// Learned.
    #[default]
    Auto,
    /// This many items.
    Items(u64),
}

/// The learned cost of one job's input.
#[derive(Clone, Debug)]
pub(crate) struct Sizing {
    rule: BatchRule,
    /// Nanoseconds a byte; `None` before the first batch.
    nanos_per_byte: Option<f64>,
    largest_seen: u64,
}

impl Sizing {
    pub(crate) fn new(rule: BatchRule) -> Self {
        Self { rule, nanos_per_byte: None, largest_seen: FIRST / GROWTH }
    }

    /// A batch of `bytes` took `nanos`.
    pub(crate) fn learn(&mut self, bytes: u64, nanos: u64) {
        if bytes == 0 {
            return;
        }
        let now = nanos as f64 / bytes as f64;
        // Half old, half new: costs drift along an input, and the budget forgives what the average misses.
        self.nanos_per_byte = Some(self.nanos_per_byte.map_or(now, |before| f64::midpoint(before, now)));
        self.largest_seen = self.largest_seen.max(bytes);
    }

    /// Bytes of input the next batch should have, when `left` bytes are left (if that is known) for `workers`.
    pub(crate) fn bytes(&self, left: Option<u64>, workers: usize) -> u64 {
        if let BatchRule::Items(_) = self.rule {
            return 1;
        }
        let wanted = match self.nanos_per_byte {
            None => FIRST,
            Some(rate) if rate <= 0.0 => LARGEST,
            Some(rate) => (TARGET.as_nanos() as f64 / rate) as u64,
        };
        let fair = left.map_or(u64::MAX, |left| left / (2 * workers.max(1) as u64));
        wanted.min(self.largest_seen.saturating_mul(GROWTH)).min(LARGEST).min(fair).max(1)
    }

    /// When a worker must hand back the rest.
    pub(crate) fn budget(&self) -> Budget {
        let (micros, items) = match self.rule {
            BatchRule::Auto => (BUDGET.as_micros() as u64, u64::MAX),
            BatchRule::Items(items) => (u64::MAX, items),
        };
        Budget { micros, output: OUTPUT_BUDGET, items, failures: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_aims_at_the_target() {
        let mut sizing = Sizing::new(BatchRule::Auto);
        assert_eq!(sizing.bytes(None, 2), FIRST);
        sizing.learn(FIRST, 32_000); // about 1 ns a byte: 10 ms are 10 MB
        assert_eq!(sizing.bytes(None, 2), FIRST * GROWTH);
        sizing.learn(1 << 20, 1 << 30); // about 1 µs a byte
        let bytes = sizing.bytes(None, 2);
        assert!((10_000..40_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_tail_is_shared_out() {
        let mut sizing = Sizing::new(BatchRule::Auto);
        sizing.learn(1 << 20, 1 << 20);
        assert_eq!(sizing.bytes(Some(4000), 2), 1000);
        assert_eq!(sizing.bytes(Some(3), 2), 1, "never empty");
    }

    #[test]
    fn a_number_of_items_is_kept_by_the_budget() {
        let sizing = Sizing::new(BatchRule::Items(10));
        assert_eq!(sizing.budget().items, 10);
    }
}
