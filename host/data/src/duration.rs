//! The notation of a length of time, DUR on the command line: `200ms`, `5s`, `2h30m`.

use std::time::Duration;

/// Units from long to short: name and nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * SECOND),
    ("h", 3_600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Nanoseconds of a second.
const SECOND: u128 = 1_000_000_000;

/// Digits after the point that are read: below a nanosecond even for days.
const FRACTION_DIGITS: usize = 15;

/// Why a text is no DUR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number where one should be.
    #[error("`{0}` is not a length of time: write for example 200ms, 5s, 1.5s, 2h30m or 1d")]
    NotANumber(String),
    /// A number without a unit.
    #[error("`{0}` has no unit: write {0}s for seconds or {0}ms for milliseconds")]
    NoUnit(String),
    /// A number, and then no unit.
    #[error("`{text}` is not a length of time: `{unit}` is not a unit; there are d h m s ms us ns")]
    Unit {
        /// The whole text.
        text: String,
        /// What stands after the number.
        unit: String,
    },
    /// A unit after a shorter or an equal one.
    #[error("`{0}` is not a length of time: its units must go from long to short, each once")]
    Order(String),
    /// Beyond 64 bits of nanoseconds, which is 584 years.
    #[error("`{0}` is too long a time")]
    TooLong(String),
}

/// The length of time that `text` says; a fraction of a nanosecond is dropped.
///
/// # Errors
/// When `text` is no sequence of numbers with units, from long to short, or is over 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    let mut nanos: u128 = 0;
    let mut units_left = UNITS.as_slice();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    loop {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
            return Err(DurationError::NotANumber(text.into()));
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale = match unit_nanos(unit) {
            Some(scale) => scale,
            None if unit.is_empty() => return Err(DurationError::NoUnit(text.trim().into())),
            None => return Err(DurationError::Unit { text: text.into(), unit: unit.into() }),
        };
        let place = units_left.iter().position(|(_, nanos)| *nanos == scale);
        units_left = &units_left[place.ok_or_else(|| DurationError::Order(text.into()))? + 1..];
        nanos += scaled(whole, fraction, scale).ok_or_else(|| DurationError::TooLong(text.into()))?;
        rest = next;
        if rest.is_empty() {
            break;
        }
    }
    let nanos = u64::try_from(nanos).map_err(|_| DurationError::TooLong(text.into()))?;
    Ok(Duration::from_nanos(nanos))
}

/// Nanoseconds of one unit.
fn unit_nanos(unit: &str) -> Option<u128> {
    let unit = match unit {
        "min" => "m",
        "µs" | "μs" => "us",
        other => other,
    };
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos)
}

/// Nanoseconds of `whole.fraction` units; `None` when that is beyond 64 bits.
fn scaled(whole: &str, fraction: &str, scale: u128) -> Option<u128> {
    let whole: u64 = whole.parse().ok()?;
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let part = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u128>().ok()? * scale / 10u128.pow(u32::try_from(fraction.len()).ok()?)
    };
    let nanos = u128::from(whole) * scale + part;
    (nanos <= u128::from(u64::MAX)).then_some(nanos)
}

/// `time` exactly; [`parse_duration`] reads it back.
#[must_use]
pub fn duration_name(time: Duration) -> String {
    let mut rest = time.as_nanos();
    let mut text = String::new();
    for (name, nanos) in UNITS {
        let count = rest / nanos;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// `time` for people, to about three digits: `850 µs`, `12.3 ms`, `4.56 s`, `3 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn human_duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..1e-3 => format!("{:.0} µs", seconds * 1e6),
        ..1e-2 => format!("{:.2} ms", seconds * 1e3),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        ..10.0 => format!("{seconds:.2} s"),
        ..60.0 => format!("{seconds:.1} s"),
        ..3600.0 => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
        _ => format!("{} h {} min", time.as_secs() / 3600, time.as_secs() / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_notations_of_the_command_line() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("0h5s", 5_000),
            ("200ms", 200),
            ("5s", 5_000),
            ("1.5s", 1_500),
            ("2h30m", 9_000_000),
            ("2h30min", 9_000_000),
            ("1d", 86_400_000),
            ("1m500ms", 60_500),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("7µs"), Ok(Duration::from_micros(7)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["200", "1h30"] {
            assert!(matches!(parse_duration(text), Err(DurationError::NoUnit(_))), "{text}");
        }
        for text in ["", "s", "-1s", "1.s", ".5s"] {
            assert!(matches!(parse_duration(text), Err(DurationError::NotANumber(_))), "{text}");
        }
        for text in ["5 parsecs", "5S"] {
            assert!(matches!(parse_duration(text), Err(DurationError::Unit { .. })), "{text}");
        }
        for text in ["5s2h", "5s5s"] {
            assert!(matches!(parse_duration(text), Err(DurationError::Order(_))), "{text}");
        }
        for text in ["1000000d", "99999999999999999999s"] {
            assert!(matches!(parse_duration(text), Err(DurationError::TooLong(_))), "{text}");
        }
    }

    #[test]
    fn durations_for_people() {
        for (millis, text) in
            [(0, "0 µs"), (12, "12.0 ms"), (4_560, "4.56 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")]
        {
            assert_eq!(human_duration(Duration::from_millis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_is_read_back(nanos: u64) {
            let time = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&duration_name(time)), Ok(time));
        }

        #[test]
        fn any_text_is_answered(text: String) {
            let _ = parse_duration(&text);
        }
    }
}
