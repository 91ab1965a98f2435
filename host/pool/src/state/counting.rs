//! What kernels count: sums by name, of no more names than a run may have.

use std::collections::BTreeMap;

use taskhost_protocol::limits::COUNTERS;

use super::State;

/// Adds what was counted to the sums. A reply has no more names than there is room for, but a hostile worker has others in each.
pub(crate) fn add<'c>(sums: &mut BTreeMap<String, u64>, counted: impl IntoIterator<Item = (&'c String, &'c u64)>) {
    for (name, amount) in counted {
        if let Some(sum) = sums.get_mut(name) {
            *sum = sum.saturating_add(*amount);
        } else if sums.len() < COUNTERS {
            sums.insert(name.clone(), *amount);
        }
    }
}

impl State {
    /// What the kernel counted in the jobs that are not over, for the items that are merged: each of them once, however often it
    /// was run.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for job in self.jobs.values() {
            add(&mut sums, &job.get().totals().counters);
        }
        sums
    }
}
