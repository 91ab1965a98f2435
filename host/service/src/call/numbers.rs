//! What calls came to, for whoever looks after the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::CallError;
use crate::counts::Times;

/// What was done, for whoever looks after the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Calls with a result.
    pub done: u64,
    /// Calls of which the item has failed.
    pub failed: u64,
    /// Calls that took too long.
    pub late: u64,
    /// Calls that were refused, or not begun in time.
    pub refused: u64,
    /// Calls that were run together with others.
    pub together: u64,
    /// Calls that wait.
    pub waiting: usize,
    /// Workers that are at calls.
    pub busy: usize,
    /// Kernels that are ready.
    pub ready: usize,
    /// Calls whose kernel was ready, or was being made so, and calls for which that was begun.
    pub found_ready: (u64, u64),
}

/// The same as it is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
    refused: AtomicU64,
    together: AtomicU64,
    /// From the arrival of each call with a result to that result.
    pub(super) times: Times,
    /// From the arrival of each call to its worker.
    pub(super) waits: Times,
    hits: AtomicU64,
    misses: AtomicU64,
}

fn count(number: &AtomicU64, more: u64) {
    number.fetch_add(more, Ordering::Relaxed);
}

impl Counts {
    /// A call is over, which came so long ago.
    pub(super) fn over(&self, result: &Result<Vec<u8>, CallError>, took: Duration) {
        match result {
            Ok(_) => {
                count(&self.done, 1);
                self.times.add(took);
            }
            Err(CallError::Failed(_)) => count(&self.failed, 1),
            Err(CallError::Late) => count(&self.late, 1),
            Err(_) => count(&self.refused, 1),
        }
    }

    /// So many calls are run together.
    pub(super) fn run_together(&self, calls: u32) {
        count(&self.together, calls.into());
    }

    /// A call has come whose kernel was ready, or was not.
    pub(super) fn came(&self, is_ready: bool) {
        count(if is_ready { &self.hits } else { &self.misses }, 1);
    }

    /// What was counted so far; what is under way is for others to say.
    pub(super) fn numbers(&self) -> Numbers {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Numbers {
            done: read(&self.done),
            failed: read(&self.failed),
            late: read(&self.late),
            refused: read(&self.refused),
            together: read(&self.together),
            found_ready: (read(&self.hits), read(&self.misses)),
            ..Numbers::default()
        }
    }
}
