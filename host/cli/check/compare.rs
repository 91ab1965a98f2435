//! How two runs differ.

use super::trial::Seen;

/// Numbers that differ by less than this part of the larger are the same, rounded otherwise: a sum of some thousand
/// doubles is off by less.
const ROUNDING: f64 = 1e-9;

/// The first difference between two runs, in words; the names are what they were run with.
pub(super) fn difference(first: (&str, &Seen), second: (&str, &Seen)) -> Option<String> {
    let ((one, left), (two, right)) = (first, second);
    let told = |seen: &Seen| -> Vec<(String, u64, String)> {
        seen.failed.iter().map(|item| (item.source.clone(), item.offset, item.verdict.to_string())).collect()
    };
    let (told_left, told_right) = (told(left), told(right));
    if told_left != told_right {
        let place = told_left.iter().zip(&told_right).position(|(left, right)| left != right);
        let place = place.unwrap_or(told_left.len().min(told_right.len()));
        let said = |told: &[(String, u64, String)]| {
            told.get(place)
                .map_or("no such failure".to_owned(), |(_, offset, text)| format!("at byte {offset}: {text}"))
        };
        return Some(format!("failed items: with {one}, {}; with {two}, {}", said(&told_left), said(&told_right)));
    }
    let failure = |seen: &Seen| seen.failure.as_ref().map(ToString::to_string);
    if failure(left) != failure(right) {
        let said = |seen| failure(seen).unwrap_or_else(|| "it succeeds".into());
        return Some(format!("with {one}: {}; with {two}: {}", said(left), said(right)));
    }
    if left.output == right.output {
        return None;
    }
    let same = left.output.iter().zip(&right.output).take_while(|(left, right)| left == right).count();
    Some(format!(
        "the results differ from byte {same} on: with {one} {}, with {two} {}",
        around(&left.output, same),
        around(&right.output, same)
    ))
}

/// A few bytes from a place on, as they may be shown.
fn around(bytes: &[u8], at: usize) -> String {
    let rest = &bytes[at.min(bytes.len())..];
    if rest.is_empty() {
        return format!("it ends there, after {} bytes", bytes.len());
    }
    let shown: String = rest.iter().take(16).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    format!("`{shown}`{}", if rest.len() > 16 { "…" } else { "" })
}

/// Whether two texts differ only in the last digits of their numbers.
pub(super) fn differ_by_rounding(left: &[u8], right: &[u8]) -> bool {
    let (Ok(left), Ok(right)) = (str::from_utf8(left), str::from_utf8(right)) else { return false };
    let is_word = |character: char| character.is_alphanumeric() || ".+-".contains(character);
    let words =
        |text: &str| -> Vec<String> { text.split(|character| !is_word(character)).map(str::to_owned).collect() };
    if !left.chars().filter(|character| !is_word(*character)).eq(right.chars().filter(|character| !is_word(*character)))
    {
        return false;
    }
    let (left, right) = (words(left), words(right));
    let is_same = |(left, right): (&String, &String)| {
        let numbers = left.parse::<f64>().ok().zip(right.parse::<f64>().ok());
        left == right
            || numbers.is_some_and(|(left, right)| {
                // Whole numbers are never rounded.
                (left.fract() != 0.0 || right.fract() != 0.0)
                    && (left - right).abs() <= ROUNDING * left.abs().max(right.abs())
            })
    };
    left.len() == right.len() && left.iter().zip(&right).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(output: &[u8]) -> Seen {
        Seen { output: output.to_vec(), ..Seen::default() }
    }

    #[test]
    fn the_first_difference_is_shown() {
        assert_eq!(difference(("a", &seen(b"abc")), ("b", &seen(b"abc"))), None);
        let text = difference(("one", &seen(b"abc\n")), ("two", &seen(b"ab")));
        assert_eq!(
            text.as_deref(),
            Some("the results differ from byte 2 on: with one `c\\n`, with two it ends there, after 2 bytes")
        );
    }

    #[test]
    fn rounding_is_told_from_a_difference() {
        assert!(differ_by_rounding(b"sum 0.30000000000000004\n", b"sum 0.3\n"));
        assert!(!differ_by_rounding(b"sum 0.31\n", b"sum 0.3\n"));
        assert!(!differ_by_rounding(b"10000000000001", b"10000000000002"));
        assert!(!differ_by_rounding(b"a 0.3", b"b 0.3"));
        assert!(!differ_by_rounding(b"\x07\0", b"\x08\0"));
    }
}
