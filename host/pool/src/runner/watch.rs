//! Watching a worker at work from outside: is the item it is at late? The kernel runs without any instrumentation; its
//! worker stores where it is in the progress cell, and the system keeps the clock of its CPU time.
//!
//! An item is late when its worker has had more CPU time since it began than an item may take, so that a busy machine
//! condemns nobody; or when four times as much has passed by the clock, so that one that waits for ever ends too. Time
//! in which the coordinator itself did not run (it was stopped, or the machine slept) does not count.

use std::time::{Duration, Instant};

/// Looks at a worker in the time that one item may take: an item is seen to begin a quarter of that late at most.
const LOOKS: u32 = 4;

/// More often than this costs more than it tells.
const SHORTEST: Duration = Duration::from_millis(1);

/// Seldom enough to cost nothing, often enough for an item that runs over a minute.
const LONGEST: Duration = Duration::from_secs(1);

/// How many times as long an item may take by the clock.
const CLOCK_FACTOR: u32 = 4;

/// How often workers are looked at, when an item may take so long.
pub(crate) fn interval(timeout: Duration) -> Duration {
    (timeout / LOOKS).clamp(SHORTEST, LONGEST)
}

/// What is known of the item that a worker is at.
#[derive(Clone, Copy, Debug)]
struct Sight {
    /// What stood in the cell.
    cell: u64,
    /// CPU time of the worker when that was first seen.
    cpu: Duration,
    /// Time that has passed since, as far as it counts.
    clock: Duration,
}

/// A watch over one worker.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    sight: Option<Sight>,
    last: Option<Instant>,
}

/// What a look shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It goes on.
    Moving,
    /// It is at the same item as before, for so long by the clock.
    Same(Duration),
    /// The item that stands in the cell is late.
    Late(u64),
}

impl Watch {
    /// The worker is idle, or begins anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Looks at a busy worker, whose cell holds `cell`. `longest` is the most time between two looks that counts.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        cell: u64,
        cpu: Duration,
        timeout: Option<Duration>,
        longest: Duration,
    ) -> Seen {
        let passed = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last).min(longest));
        self.last = Some(now);
        let Some(sight) = self.sight.as_mut().filter(|sight| sight.cell == cell) else {
            self.sight = Some(Sight { cell, cpu, clock: Duration::ZERO });
            return Seen::Moving;
        };
        sight.clock += passed;
        let is_late = timeout.is_some_and(|timeout| {
            cpu.saturating_sub(sight.cpu) >= timeout || sight.clock >= timeout.saturating_mul(CLOCK_FACTOR)
        });
        if is_late { Seen::Late(cell) } else { Seen::Same(sight.clock) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Looks each 5 ms at a worker that gets a share of a cpu, until it is late.
    fn late_after(timeout: Duration, share: u32) -> Duration {
        let (began, mut watch, mut cpu) = (Instant::now(), Watch::default(), Duration::ZERO);
        for step in 0..10_000 {
            let now = began + 5 * MS * step;
            if watch.look(now, 7, cpu, Some(timeout), 10 * MS) == Seen::Late(7) {
                return now - began;
            }
            cpu += 5 * MS / share;
        }
        panic!("never late");
    }

    #[test]
    fn an_item_is_late_when_its_worker_had_the_time() {
        assert_eq!(late_after(20 * MS, 1), 20 * MS);
        assert_eq!(late_after(20 * MS, 2), 40 * MS, "on a busy machine it has longer");
        assert_eq!(late_after(20 * MS, 1000), 80 * MS, "but not for ever");
    }

    #[test]
    fn a_worker_that_goes_on_is_never_late() {
        let (began, mut watch) = (Instant::now(), Watch::default());
        for step in 0..100 {
            let seen = watch.look(began + 50 * MS * step, u64::from(step), 50 * MS * step, Some(20 * MS), 10 * MS);
            assert_eq!(seen, Seen::Moving);
        }
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let (began, mut watch) = (Instant::now(), Watch::default());
        let mut look = |after| watch.look(began + after, 7, Duration::ZERO, Some(20 * MS), 10 * MS);
        assert_eq!(look(Duration::ZERO), Seen::Moving);
        assert_eq!(look(Duration::from_secs(3600)), Seen::Same(10 * MS));
    }
}
