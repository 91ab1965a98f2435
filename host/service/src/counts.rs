//! What is counted of jobs, for whoever looks after the service. Counters begin with the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::job::{Conclusion, JobState};
use crate::tenant::TenantId;

/// Upper ends of the classes of times, in seconds: from a small call to a long job.
pub const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

/// How many times were how long.
#[derive(Debug, Default)]
pub struct Times {
    /// For each of [`BOUNDS`] how many were at most as long as it, and longer than the one before; then the rest.
    classes: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Times {
    /// Adds one.
    pub fn add(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let class = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many were at most as long as each of [`BOUNDS`]; then how many there were, and how long all of them, in seconds.
    #[must_use]
    pub fn read(&self) -> ([u64; BOUNDS.len()], u64, f64) {
        let mut total = 0;
        let mut below = [0; BOUNDS.len()];
        for (class, count) in self.classes.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            if let Some(below) = below.get_mut(class) {
                *below = total;
            }
        }
        (below, total, self.microseconds.load(Ordering::Relaxed) as f64 / 1e6)
    }
}

/// What is counted of one tenant, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Jobs, by how they ended.
    pub jobs: BTreeMap<&'static str, u64>,
    /// Items that were run, failed ones included.
    pub items: u64,
    /// Those that failed.
    pub failed: u64,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    tenants: Mutex<BTreeMap<TenantId, Counted>>,
    verdicts: Mutex<BTreeMap<String, u64>>,
    /// From the acceptance of a job to its first process.
    pub queued: Times,
    /// From its first process to its end.
    pub ran: Times,
    /// Processes of jobs that were replaced, by [`Restart`].
    restarts: [AtomicU64; Restart::ALL.len()],
    /// CPU time of workers for calls, in microseconds.
    calls: AtomicU64,
}

/// Why a process of a job that ended for no fault of its job was replaced by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A signal ended it: there was no memory, or somebody did not want it.
    Killed,
    /// Something failed that should always work.
    Failed,
    /// What the one before had written down could not be gone on with.
    Journal,
}

impl Restart {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 3] = [Self::Killed, Self::Failed, Self::Journal];

    /// As numbers name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Failed => "failed",
            Self::Journal => "journal",
        }
    }
}

/// Verdicts that are told apart: a run knows fewer.
const VERDICTS: usize = 64;

impl Counts {
    /// A job is over.
    pub fn over(&self, tenant: TenantId, state: JobState, done: &Conclusion) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = tenants.entry(tenant).or_default();
        *counted.jobs.entry(state.name()).or_default() += 1;
        counted.items += done.items.unwrap_or(0);
        counted.failed += done.failed.unwrap_or(0);
        counted.cpu_ms += done.cpu_ms;
        drop(tenants);
        done.verdicts.iter().for_each(|(verdict, count)| self.failed(verdict, *count));
    }

    /// So many items have failed in this way.
    pub fn failed(&self, verdict: &str, count: u64) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.contains_key(verdict) || verdicts.len() < VERDICTS {
            *verdicts.entry(verdict.to_owned()).or_default() += count;
        }
    }

    /// A process of a job is replaced by another.
    pub fn restarted(&self, why: Restart) {
        if let Some(count) = self.restarts.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many processes of jobs were replaced, by the reason.
    #[must_use]
    pub fn restarts(&self) -> [(Restart, u64); Restart::ALL.len()] {
        Restart::ALL.map(|why| (why, self.restarts.get(why as usize).map_or(0, |count| count.load(Ordering::Relaxed))))
    }

    /// Workers for calls have used CPU time.
    pub fn called(&self, time: Duration) {
        self.calls.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// CPU time of workers for calls, in seconds.
    #[must_use]
    pub fn call_seconds(&self) -> f64 {
        self.calls.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// What was counted, by tenant.
    #[must_use]
    pub fn tenants(&self) -> BTreeMap<TenantId, Counted> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many items failed in which way.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<String, u64> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_how_long_they_are() {
        let times = Times::default();
        for ms in [0, 1, 2, 100, 1_000_000] {
            times.add(Duration::from_millis(ms));
        }
        let (below, count, sum) = times.read();
        assert_eq!((below[0], below[3], below[4], below[9], below[15]), (1, 2, 3, 4, 4));
        assert_eq!(count, 5);
        assert!((sum - 1000.103).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn what_came_of_jobs_is_counted_for_each_tenant() {
        let counts = Counts::default();
        let verdicts = BTreeMap::from([("kernel-trap".to_owned(), 2)]);
        let done = Conclusion { items: Some(5), failed: Some(2), cpu_ms: 7, verdicts, ..Conclusion::default() };
        counts.over(TenantId(1), JobState::Partial, &done);
        counts.over(TenantId(1), JobState::Partial, &done);
        counts.over(TenantId(2), JobState::Cancelled, &Conclusion::default());
        let tenants = counts.tenants();
        assert_eq!(tenants[&TenantId(1)].jobs, BTreeMap::from([("partial", 2)]));
        assert_eq!((tenants[&TenantId(1)].items, tenants[&TenantId(2)].items), (10, 0));
        counts.failed("kernel-trap", 1);
        assert_eq!(counts.verdicts()["kernel-trap"], 5);
    }
    #[test]
    fn processes_are_counted_by_the_reason_for_the_next() {
        let counts = Counts::default();
        [Restart::Killed, Restart::Journal, Restart::Killed].into_iter().for_each(|why| counts.restarted(why));
        assert_eq!(counts.restarts(), [(Restart::Killed, 2), (Restart::Failed, 0), (Restart::Journal, 1)]);
    }
}
