//! What limits how often somebody may do something: something that fills up by so much in a second, and holds so much.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses or tenants that are remembered at a time. When there are more, those are forgotten who have all they may have.
const REMEMBERED: usize = 10_000;

/// Longest time that anybody is told to wait.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    looked: Instant,
}

impl Bucket {
    fn now(self, now: Instant, holds: f64, per_second: f64) -> f64 {
        (self.left + now.duration_since(self.looked).as_secs_f64() * per_second).min(holds)
    }
}

/// One for each key.
#[derive(Debug)]
pub(super) struct Buckets<K>(Mutex<HashMap<K, Bucket>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// Takes so much out and says what is left, or how long until that much is there.
    pub(super) fn take(&self, key: K, amount: f64, holds: f64, per_second: f64) -> Result<f64, Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| bucket.now(now, holds, per_second) < holds);
            // Nobody who guesses is forgotten for the sake of others: all new ones wait.
            if buckets.len() >= REMEMBERED {
                return Err(Duration::from_secs(1));
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: holds, looked: now });
        *bucket = Bucket { left: bucket.now(now, holds, per_second), looked: now };
        if bucket.left < amount {
            // Never, for whoever may do nothing at all.
            let wait = Duration::try_from_secs_f64((amount - bucket.left) / per_second);
            return Err(wait.unwrap_or(LONGEST).min(LONGEST));
        }
        bucket.left -= amount;
        Ok(bucket.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_says_when_there_is_more() {
        let buckets = Buckets::default();
        for left in [2.0, 1.0, 0.0] {
            let now = buckets.take("a", 1.0, 3.0, 0.001).expect("there is some");
            assert!((left..left + 0.5).contains(&now), "{now}");
        }
        assert!(buckets.take("a", 1.0, 3.0, 0.001).expect_err("empty") > Duration::from_secs(900));
        assert_eq!(buckets.take("b", 1.0, 3.0, 0.001), Ok(2.0));
    }

    #[test]
    fn whoever_has_taken_something_is_not_forgotten_when_many_come() {
        let buckets = Buckets::default();
        while buckets.take(0, 1.0, 3.0, 0.001).is_ok() {}
        for number in 1..2 * REMEMBERED {
            let _ = buckets.take(number, 1.0, 3.0, 0.001);
        }
        assert!(buckets.take(0, 1.0, 3.0, 0.001).is_err());
    }
}
