//! Whether processes can be started: what the last starts came to, of processes of jobs and of workers for calls. Where neither
//! jobs nor calls can be run, whoever sends requests on is to send them elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many starts in a row have to fail: one may for want of memory that is there a moment later.
pub const IN_A_ROW: u32 = 5;

/// A failure is out of date after this: as long as nothing is sent here, nothing is started, and it would never be known that it
/// works again.
const OUT_OF_DATE: Duration = Duration::from_secs(60);

/// What the last starts came to.
#[derive(Debug, Default)]
pub struct Starts {
    /// Of processes of jobs.
    pub jobs: Streak,
    /// Of workers for calls.
    pub calls: Streak,
}

/// Starts of one kind.
#[derive(Debug, Default)]
pub struct Streak(Mutex<Failed>);

/// How many have failed since the last that has not, and when the last of them did.
#[derive(Debug, Default)]
struct Failed {
    count: u32,
    last: Option<Instant>,
}

impl Streak {
    fn lock(&self) -> MutexGuard<'_, Failed> {
        // Whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One has started.
    pub fn succeeded(&self) {
        *self.lock() = Failed::default();
    }

    /// One has failed, for no fault of whoever wanted it.
    pub fn failed(&self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(&self, now: Instant) {
        let mut failed = self.lock();
        failed.count = failed.count.saturating_add(1);
        failed.last = Some(now);
    }

    /// Whether the next is likely to fail, too.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing_at(Instant::now())
    }

    fn is_failing_at(&self, now: Instant) -> bool {
        let failed = self.lock();
        let is_recent = failed.last.is_some_and(|last| now.saturating_duration_since(last) < OUT_OF_DATE);
        is_recent && failed.count >= IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_in_a_row_have_to_fail_and_the_next_good_one_counts() {
        let (streak, now) = (Streak::default(), Instant::now());
        let fail = |times: u32| (0..times).for_each(|_| streak.failed_at(now));
        fail(IN_A_ROW - 1);
        assert!(!streak.is_failing_at(now));
        streak.succeeded();
        fail(IN_A_ROW - 1);
        assert!(!streak.is_failing_at(now), "they are not in a row");
        fail(1);
        assert!(streak.is_failing_at(now));
        streak.succeeded();
        assert!(!streak.is_failing_at(now));
    }

    #[test]
    fn a_failure_of_long_ago_keeps_nobody_from_trying_and_the_next_one_does_at_once() {
        let (streak, now) = (Streak::default(), Instant::now());
        (0..IN_A_ROW).for_each(|_| streak.failed_at(now));
        let later = now + OUT_OF_DATE;
        assert!(!streak.is_failing_at(later));
        streak.failed_at(later);
        assert!(streak.is_failing_at(later));
    }
}
