//! How much of what a tenant may have is used, and which of it is nearly used up.

use serde::Serialize;

use super::Quotas;

/// From so many hundredths on, it is said that a quota is nearly used up.
const NEARLY: u128 = 80;

/// How much of a quota is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct QuotaUse {
    /// Its name, as refusals have it.
    pub quota: &'static str,
    /// How much there may be.
    pub limit: u64,
    /// How much there is; none of a quota that holds each thing by itself.
    pub used: Option<u64>,
    /// When there is all of it again, in milliseconds since 1970.
    pub resets_at: Option<i64>,
    /// Whether 80 % of it is used, of a quota for which something is refused then.
    pub warning: bool,
}

/// What a tenant has and does, as far as it is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Jobs that wait or run.
    pub open_jobs: u64,
    /// Jobs that have a process.
    pub running_jobs: u64,
    /// Calls that wait or run.
    pub calls: u64,
    /// Seconds of CPU time today.
    pub cpu_seconds: u64,
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// Kernels.
    pub kernels: u64,
    /// When the day ends.
    pub day_ends: i64,
}

impl Used {
    /// Of each quota how much is used; `kernels` is how many a tenant may have.
    #[must_use]
    pub fn of(self, quotas: &Quotas, kernels: u64) -> Vec<QuotaUse> {
        // What waits until there is room again is no reason to warn of anything.
        let of = |quota, limit, used: u64, resets_at, warns: bool| {
            let warning = warns && u128::from(used) * 100 >= u128::from(limit) * NEARLY;
            QuotaUse { quota, limit, used: Some(used), resets_at, warning }
        };
        let each = |quota, limit| QuotaUse { quota, limit, used: None, resets_at: None, warning: false };
        vec![
            of("queued_jobs", quotas.queued_jobs.into(), self.open_jobs, None, true),
            of("cpu_seconds_per_day", quotas.cpu_seconds_per_day, self.cpu_seconds, Some(self.day_ends), true),
            of("stored_bytes", quotas.stored_bytes, self.stored_bytes, None, true),
            of("kernels", kernels, self.kernels, None, true),
            of("concurrent_jobs", quotas.concurrent_jobs.into(), self.running_jobs, None, false),
            of("concurrent_calls", quotas.concurrent_calls.into(), self.calls, None, false),
            each("requests_per_second", quotas.requests_per_second.into()),
            each("cores", quotas.cores.into()),
            each("worker_memory", quotas.worker_memory),
            each("kernel_bytes", quotas.kernel_bytes),
            each("keep_seconds", quotas.keep_seconds),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_from_four_fifths_on_of_what_is_refused_then() {
        let quotas = Quotas { queued_jobs: 10, concurrent_jobs: 1, stored_bytes: u64::MAX, ..Quotas::default() };
        let used = Used { open_jobs: 7, running_jobs: 1, stored_bytes: u64::MAX / 2, day_ends: 9, ..Used::default() };
        let warned = |used: Used, quotas: &Quotas| -> Vec<&'static str> {
            used.of(quotas, 5).into_iter().filter(|used| used.warning).map(|used| used.quota).collect()
        };
        assert!(warned(used, &quotas).is_empty());
        let more = Used { open_jobs: 8, stored_bytes: u64::MAX, kernels: 4, ..used };
        assert_eq!(warned(more, &quotas), ["queued_jobs", "stored_bytes", "kernels"]);
        assert_eq!(warned(used, &Quotas { cpu_seconds_per_day: 0, ..quotas }), ["cpu_seconds_per_day"]);
        let cpu = used.of(&quotas, 5)[1];
        assert_eq!((cpu.quota, cpu.used, cpu.resets_at), ("cpu_seconds_per_day", Some(0), Some(9)));
    }

    /// Whatever can be set is told.
    #[test]
    fn each_quota_is_there() {
        let quotas = serde_json::to_value(Quotas::default()).expect("JSON");
        let told: Vec<_> = Used::default().of(&Quotas::default(), 5).into_iter().map(|used| used.quota).collect();
        for quota in quotas.as_object().expect("by names").keys() {
            assert!(told.contains(&quota.as_str()), "{quota}");
        }
    }
}
