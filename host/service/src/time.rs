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

    /// How much later it is than another; nothing when it is earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Its day: days since 1970 (UTC). What is limited by the day begins anew with it.
    #[must_use]
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// The date of a day, as `2026-11-21`.
    #[must_use]
    pub fn date(day: i64) -> String {
        // Years that begin with March have their leap day at their end; 400 of them have 146,097 days.
        let from_march_0000 = day + 719_468;
        let (era, of_era) = (from_march_0000.div_euclid(146_097), from_march_0000.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// The day of a date that is written like that; `None` when it is none.
    #[must_use]
    pub fn day_of(date: &str) -> Option<i64> {
        let number = |part: &str| part.parse::<i64>().ok();
        let (year, rest) = date.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        if !((0..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
            return None;
        }
        // The way back of the one above.
        let year = year - i64::from(month <= 2);
        let (era, year_of_era, from_march) = (year.div_euclid(400), year.rem_euclid(400), (month + 9) % 12);
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        // The 30th of February is written in another way.
        Some(era * 146_097 + of_era - 719_468).filter(|day| Self::date(*day) == date)
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
    fn days_have_dates() {
        for (day, date) in [(0, "1970-01-01"), (11_016, "2000-02-29"), (11_017, "2000-03-01"), (20_778, "2026-11-21")] {
            assert_eq!(Moment::date(day), date);
            assert_eq!(Moment::day_of(date), Some(day));
        }
        assert_eq!(Moment::date(-1), "1969-12-31");
        assert!((-719_000..100_000).all(|day| Moment::day_of(&Moment::date(day)) == Some(day)));
        for none in [
            "",
            "2026",
            "2026-02-30",
            "2026-2-03",
            "2026-13-01",
            "+026-01-01",
            "2026-01-01T00",
            "20260-01-01",
            "2026-0\u{661}-01",
        ] {
            assert_eq!(Moment::day_of(none), None, "{none}");
        }
    }

    #[test]
    fn a_day_ends_when_the_next_begins() {
        let moment = Moment(3 * DAY - 1);
        assert_eq!((moment.day(), moment.until_tomorrow()), (2, Duration::from_millis(1)));
        assert_eq!(moment.after(Duration::from_millis(1)).day(), 3);
    }
}
