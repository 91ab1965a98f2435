//! Time as it is stored: milliseconds since 1970, and days.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A moment, in milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// Now, by the clock of the machine.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Its day: days since 1970 (UTC). What is limited by the day begins anew with it.
    #[must_use]
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// Time until the next day begins.
    #[must_use]
    pub fn until_tomorrow(self) -> Duration {
        Duration::from_millis(u64::try_from(DAY - self.0.rem_euclid(DAY)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_when_the_next_begins() {
        let moment = Moment(3 * DAY - 1);
        assert_eq!((moment.day(), moment.until_tomorrow()), (2, Duration::from_millis(1)));
        assert_eq!(moment.after(Duration::from_millis(1)).day(), 3);
    }
}
