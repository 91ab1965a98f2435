//! Text that is safe in a page, and the parts that all pictures share: an axis of time, round numbers.

use std::fmt::Write as _;
use std::time::Duration;

use taskhost_data::duration::human_duration;

/// Width of every picture, in units of its own; the page scales it.
pub(super) const WIDTH: f64 = 1000.0;

/// Text as it may stand in an element or an attribute. Whatever a stranger wrote stays text.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in super::super::escape(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // They would turn round the text that follows.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
            }
            // No page may have them.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            character => safe.push(character),
        }
    }
    safe
}

/// Nanoseconds for people.
pub(super) fn time(nanos: u64) -> String {
    match nanos {
        0 => "0".into(),
        1..1_000 => format!("{nanos} ns"),
        1_000..10_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        _ => human_duration(Duration::from_nanos(nanos)),
    }
}

/// The next larger or equal number of 1, 2 or 5 times a power of ten.
pub(super) fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|round| *round >= value * 0.999).unwrap_or(value)
}

/// An axis of time below a picture: a line for each tick from `top` to `bottom`, its text below.
pub(super) fn time_axis(svg: &mut String, (left, right): (f64, f64), (top, bottom): (f64, f64), end: u64) {
    let step = round_up(end as f64 / 8.0);
    let mut at = 0.0;
    while at <= end as f64 {
        let x = left + (right - left) * at / (end as f64).max(1.0);
        // Text must not be cut off at the right edge.
        let anchor = if x > right - 30.0 {
            "end"
        } else if at == 0.0 {
            "start"
        } else {
            "middle"
        };
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
             text-anchor=\"{anchor}\">{}</text>",
            bottom + 16.0,
            tick(at as u64)
        );
        at += step;
    }
}

/// A round time, without needless digits.
fn tick(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0 => return "0".into(),
        1..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        1_000_000_000..120_000_000_000 => (1e9, "s"),
        120_000_000_000..7_200_000_000_000 => (60e9, "min"),
        _ => (3600e9, "h"),
    };
    let value = format!("{:.2}", nanos as f64 / unit);
    format!("{} {name}", value.trim_end_matches('0').trim_end_matches('.'))
}

/// What colours mean, as (class, text).
pub(super) fn legend(entries: &[(&str, &str)]) -> String {
    let mut text = String::from("<p class=\"legend\">");
    for (class, meaning) in entries {
        let _ = write!(text, "<span><i class=\"{class}\"></i>{meaning}</span>");
    }
    text + "</p>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_stranger_wrote_stays_text() {
        assert_eq!(escaped("<b>\"&'"), "&lt;b&gt;&quot;&amp;&#39;");
        assert_eq!(escaped("a\u{1b}[31m\u{202e}b\u{ffff}"), "a\\u{1b}[31m\\u{202e}b\u{fffd}");
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!([0.3, 1.0, 1.2, 4.0, 7.0, 99.0].map(round_up), [0.5, 1.0, 2.0, 5.0, 10.0, 100.0]);
        assert_eq!([0, 500_000, 20_000_000, 2_500_000_000].map(tick), ["0", "500 µs", "20 ms", "2.5 s"]);
    }
}
