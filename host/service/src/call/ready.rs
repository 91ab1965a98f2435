//! A kernel that is kept ready for calls, and what is known of it.

use std::sync::Arc;
use std::time::Duration;

use super::Callee;
use super::attend::Attending;

/// CPU time that calls are to take which are run together.
const TOGETHER: Duration = Duration::from_millis(10);

/// Calls that are run together at most, so that one that goes wrong holds up few.
const MOST_TOGETHER: usize = 64;

/// What a call is taken to cost before it is known: so much that it is run alone.
const FIRST_COST: Duration = TOGETHER;

/// A kernel that is ready, or is being made so.
pub(super) struct Ready {
    pub(super) callee: Option<Arc<dyn Callee>>,
    /// As long as its results are received by the loop that has the connections.
    pub(super) attending: Option<Attending>,
    /// Calls of it that wait or run.
    pub(super) calls: usize,
    pub(super) last_use: u64,
    /// What a call costs, as far as is known.
    pub(super) cost: Duration,
    /// CPU time that was accounted for.
    pub(super) seen: Duration,
    /// Seconds that the tenant was charged with and that were not measured yet.
    pub(super) charged: f64,
}

impl Ready {
    /// One that is to be made ready.
    pub(super) fn new() -> Self {
        Self {
            callee: None,
            attending: None,
            calls: 0,
            last_use: 0,
            cost: FIRST_COST,
            seen: Duration::ZERO,
            charged: 0.0,
        }
    }

    /// How many calls are worth being run together.
    pub(super) fn together(&self) -> usize {
        let nanos = self.cost.as_nanos().max(1);
        usize::try_from(TOGETHER.as_nanos() / nanos).unwrap_or(MOST_TOGETHER).clamp(1, MOST_TOGETHER)
    }
}
