//! How much a tenant may have.

use serde::{Deserialize, Serialize};

/// How much a tenant may have. Each is held when something is asked for; what is refused is refused with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Quotas {
    /// Jobs that run at a time.
    pub concurrent_jobs: u32,
    /// Jobs that wait or run.
    pub queued_jobs: u32,
    /// Workers that all its jobs have at a time, and that its calls have.
    pub cores: u32,
    /// Seconds of CPU time a day (UTC).
    pub cpu_seconds_per_day: u64,
    /// Bytes of memory of one worker's kernel.
    pub worker_memory: u64,
    /// Bytes of kernels, inputs and results that are kept.
    pub stored_bytes: u64,
    /// Bytes of one kernel.
    pub kernel_bytes: u64,
    /// Requests in a second.
    pub requests_per_second: u32,
    /// Synchronous calls that are under way at a time.
    pub concurrent_calls: u32,
    /// For so many seconds after the end of a job what came of it is kept, at most.
    pub keep_seconds: u64,
}

impl Default for Quotas {
    /// What suits a small team on a machine that it shares with others.
    fn default() -> Self {
        Self {
            concurrent_jobs: 4,
            queued_jobs: 1000,
            cores: 64,
            cpu_seconds_per_day: 24 * 60 * 60,
            worker_memory: 1 << 30,
            stored_bytes: 10 << 30,
            kernel_bytes: 64 << 20,
            requests_per_second: 100,
            concurrent_calls: 32,
            keep_seconds: 30 * 24 * 60 * 60,
        }
    }
}

/// What is to be changed of the quotas of a tenant; the rest stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is the quota of its name")]
pub struct QuotaChange {
    pub concurrent_jobs: Option<u32>,
    pub queued_jobs: Option<u32>,
    pub cores: Option<u32>,
    pub cpu_seconds_per_day: Option<u64>,
    pub worker_memory: Option<u64>,
    pub stored_bytes: Option<u64>,
    pub kernel_bytes: Option<u64>,
    pub requests_per_second: Option<u32>,
    pub concurrent_calls: Option<u32>,
    pub keep_seconds: Option<u64>,
}

impl QuotaChange {
    /// The quotas with this change.
    #[must_use]
    pub fn apply(&self, quotas: Quotas) -> Quotas {
        Quotas {
            concurrent_jobs: self.concurrent_jobs.unwrap_or(quotas.concurrent_jobs),
            queued_jobs: self.queued_jobs.unwrap_or(quotas.queued_jobs),
            cores: self.cores.unwrap_or(quotas.cores),
            cpu_seconds_per_day: self.cpu_seconds_per_day.unwrap_or(quotas.cpu_seconds_per_day),
            worker_memory: self.worker_memory.unwrap_or(quotas.worker_memory),
            stored_bytes: self.stored_bytes.unwrap_or(quotas.stored_bytes),
            kernel_bytes: self.kernel_bytes.unwrap_or(quotas.kernel_bytes),
            requests_per_second: self.requests_per_second.unwrap_or(quotas.requests_per_second),
            concurrent_calls: self.concurrent_calls.unwrap_or(quotas.concurrent_calls),
            keep_seconds: self.keep_seconds.unwrap_or(quotas.keep_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let quotas = Quotas { cores: 3, ..Quotas::default() };
        let change = QuotaChange { queued_jobs: Some(7), ..QuotaChange::default() };
        assert_eq!(change.apply(quotas), Quotas { cores: 3, queued_jobs: 7, ..Quotas::default() });
    }

    #[test]
    fn quotas_that_were_written_before_a_new_one_came_are_read() {
        let quotas: Quotas = serde_json::from_str(r#"{"cores": 2}"#).expect("quotas");
        assert_eq!(quotas, Quotas { cores: 2, ..Quotas::default() });
    }
}
