//! The notation of a number of bytes, SIZE on the command line: `64K`, `1.5GiB`, `10MB`, `4096`.

/// Units in the order in which they are tried when a number is printed: name and bytes. `kB` and its like are read
/// but never printed, so that what is printed has one meaning.
const BINARY_UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Digits after the point that are read: more than any unit can tell apart, and few enough for the arithmetic.
const FRACTION_DIGITS: usize = 12;

/// Why a text is no SIZE.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No number in front.
    #[error("`{0}` is not a size: write a number of bytes, such as 4096, 64K, 1MiB, 1.5G or 10MB")]
    NotANumber(String),
    /// A number, and then no unit.
    #[error(
        "`{text}` is not a size: `{unit}` is not a unit; K M G T and KiB MiB GiB TiB are powers of 1024, kB MB GB TB of 1000"
    )]
    Unit {
        /// The whole text.
        text: String,
        /// What stands after the number.
        unit: String,
    },
    /// Beyond 64 bits.
    #[error("`{0}` is too large a size")]
    TooLarge(String),
}

/// Bytes of one unit.
fn unit_bytes(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "B" => 1,
        "K" | "k" | "Ki" | "KiB" => 1 << 10,
        "M" | "Mi" | "MiB" => 1 << 20,
        "G" | "Gi" | "GiB" => 1 << 30,
        "T" | "Ti" | "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    })
}

/// The number of bytes that `text` says; a fraction of a byte is dropped.
///
/// # Errors
/// When `text` is no number with one of the units of [`SizeError::Unit`], or does not fit.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let trimmed = text.trim();
    let number_end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(SizeError::NotANumber(text.into()));
    }
    let unit = unit.trim_start();
    let Some(scale) = unit_bytes(unit) else {
        return Err(SizeError::Unit { text: text.into(), unit: unit.into() });
    };
    let too_large = || SizeError::TooLarge(text.into());
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let fraction_bytes = if fraction.is_empty() {
        0
    } else {
        let digits: u128 = fraction.parse().map_err(|_| too_large())?;
        let denominator = 10u128.pow(u32::try_from(fraction.len()).map_err(|_| too_large())?);
        u64::try_from(digits * u128::from(scale) / denominator).map_err(|_| too_large())?
    };
    whole.checked_mul(scale).and_then(|bytes| bytes.checked_add(fraction_bytes)).ok_or_else(too_large)
}

/// `bytes` in the largest unit that says it exactly; [`parse_size`] reads it back.
#[must_use]
pub fn size_name(bytes: u64) -> String {
    for (name, unit) in BINARY_UNITS {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// `bytes` for people, to three digits: `17 B`, `1.50 MiB`, `980 KiB`.
#[must_use]
pub fn human_size(bytes: u64) -> String {
    for (name, unit) in BINARY_UNITS {
        if bytes >= unit {
            // Hundredths, rounded half up, in whole numbers: no float is exact enough for all of u64.
            let hundredths = (u128::from(bytes) * 100 + u128::from(unit) / 2) / u128::from(unit);
            let (whole, rest) = (hundredths / 100, hundredths % 100);
            return match whole {
                0..10 => format!("{whole}.{rest:02} {name}"),
                10..100 => format!("{whole}.{} {name}", rest / 10),
                _ => format!("{whole} {name}"),
            };
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_units_of_the_command_line() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("17B", 17),
            ("64K", 65536),
            ("64KiB", 65536),
            ("64 KiB", 65536),
            ("1M", 1 << 20),
            ("1.5G", 3 << 29),
            ("1.5GiB", 3 << 29),
            ("2T", 2 << 40),
            ("1kB", 1000),
            ("10MB", 10_000_000),
            ("0.5GB", 500_000_000),
            ("0.3M", 314_572),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "M", "-1", ".5G", "1.", "1.2.3", "x"] {
            assert!(matches!(parse_size(text), Err(SizeError::NotANumber(_))), "{text}");
        }
        for text in ["1 parsec", "1KIB", "1m", "1e9", "1_000"] {
            assert!(matches!(parse_size(text), Err(SizeError::Unit { .. })), "{text}");
        }
        for text in ["18446744073709551616", "17179869184G", "99999999999999999999999"] {
            assert!(matches!(parse_size(text), Err(SizeError::TooLarge(_))), "{text}");
        }
    }

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (3 << 19, "1.50 MiB"),
            (10 << 20, "10.0 MiB"),
            (980 << 10, "980 KiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn a_printed_size_is_read_back(bytes: u64) {
            prop_assert_eq!(parse_size(&size_name(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_answered(text: String) {
            let _ = parse_size(&text);
        }
    }
}
