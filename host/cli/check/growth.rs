//! Whether the memory of an instance grows from item to item: the sample is run over and over in one instance, four times as often
//! each time. Memory that is taken once, and heaps that are cleaned when they are full, end up with a size; a leak does not.

use std::time::Duration;

use taskhost_data::size::human_size;
use taskhost_pool::verdict::Verdict;
use taskhost_protocol::work::{Merge, Split};

use crate::exit_code::Failure;
use crate::plan::Shape;
use crate::report;

use super::Check;
use super::rule::Rule;
use super::sample::Sample;
use super::trial::{How, Seen};

/// What calls take in the shortest run: of items of a microsecond, some ten thousand.
const SHORTEST: Duration = Duration::from_millis(20);

/// The same for bytes of input.
const SHORTEST_BYTES: u64 = 1 << 20;

/// Longer runs are not made: what grows so slowly is not seen.
const LONGEST: Duration = Duration::from_secs(3);

/// The same for bytes of input.
const LONGEST_BYTES: u64 = 64 << 20;

/// How much longer each run is than the one before.
const FACTOR: u64 = 4;

/// Runs.
const RUNS: u32 = 8;

/// How much memory has to grow: heaps are left to fill up to some size before they are cleaned for the first time, that of Go to four
/// mebibytes, with as much again for what is kept.
const LEAST: u64 = 32 << 20;

impl Check<'_> {
    /// Runs the sample more and more often.
    pub(super) fn growth(&mut self, sample: &Sample, shape: Shape, how: How, base: &Seen) -> Result<(), Failure> {
        let Shape::Items { split: (split, _), merge: (merge, _), .. } = shape else { return Ok(()) };
        // What traps gets a new instance.
        if base.items == 0 || base.failed.iter().any(|item| !matches!(item.verdict, Verdict::KernelError(..))) {
            return Ok(());
        }
        // Nobody looks at the results.
        let how = How { merge: Some(if merge == Merge::Reduce { merge } else { Merge::Discard }), ..how };
        let bytes = (sample.bytes.len() as u64).max(1);
        let called = base.called.max(Duration::from_micros(1));
        let fits = SHORTEST.as_nanos() / called.as_nanos();
        let shortest = u64::try_from(fits).unwrap_or(u64::MAX).min(SHORTEST_BYTES / bytes).max(1);
        let mut sizes: Vec<(u64, u64)> = Vec::new();
        for run in 0..RUNS {
            let times = shortest.saturating_mul(FACTOR.pow(run));
            let is_long = called.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX)) > LONGEST;
            if is_long || bytes.saturating_mul(times) > LONGEST_BYTES {
                break;
            }
            let separate = self.setup.arguments.header || split == Split::Whole;
            let seen = self.setup.run(&sample.repeated(times, split, separate)?, how)?;
            if let Some(item) = seen.failed.iter().find(|item| matches!(item.verdict, Verdict::MemoryLimit { .. })) {
                let items = report::count(seen.items, "item");
                self.found(
                    Rule::MemoryGrows,
                    format!("of {items} not all have room, as they have one by one: {}", item.verdict),
                );
                return Ok(());
            }
            if seen.failure.is_some() {
                return Ok(());
            }
            sizes.push((seen.items, seen.memory));
            if let [.., (_, before), (_, now)] = sizes[..]
                && now <= before
            {
                self.page.passed(Rule::MemoryGrows);
                return Ok(());
            }
        }
        if let Some(text) = grows(&sizes) {
            self.found(Rule::MemoryGrows, text);
        }
        Ok(())
    }
}

/// In words how memory grew with the items, when each longer run took more than twice of what the one before it had taken more.
fn grows(sizes: &[(u64, u64)]) -> Option<String> {
    let [.., (_, first), (few, before), (many, now)] = sizes else { return None };
    let (last, earlier) = (now.checked_sub(*before)?, before.checked_sub(*first)?);
    if last < 2 * earlier.max(1) || now.saturating_sub(sizes.first()?.1) < LEAST {
        return None;
    }
    let told: Vec<String> = sizes
        .iter()
        .map(|(items, bytes)| format!("{} after {}", human_size(*bytes), report::count(*items, "item")))
        .collect();
    let each = last / (many - few).max(1);
    Some(format!("one instance has {}: about {} for each", told.join(", "), human_size(each.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_with_the_items_is_a_leak() {
        let of = |bytes: [u64; 4]| grows(&[(10, bytes[0]), (40, bytes[1]), (160, bytes[2]), (640, bytes[3])]);
        let told = of([1 << 20, 4 << 20, 16 << 20, 64 << 20]).expect("it is one");
        assert_eq!(of([1 << 16, 4 << 16, 16 << 16, 64 << 16]), None, "so little may be a heap that was never full");
        assert_eq!(
            told,
            "one instance has 1.00 MiB after 10 items, 4.00 MiB after 40 items, 16.0 MiB after 160 items, 64.0 MiB after \
             640 items: about 102 KiB for each"
        );
        assert_eq!(of([1 << 26, 2 << 26, 3 << 26, 4 << 26]), None, "it slows down: a heap that is not full yet");
        assert_eq!(of([1 << 26, 9 << 26, 9 << 26, 9 << 26]), None);
    }
}
