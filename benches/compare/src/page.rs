//! The table, for the terminal and for `docs/performance.md`.

use std::fmt::Write as _;

use crate::measure::{Measured, Reached};
use crate::statistics::Spread;

/// What stands in front of the part that is written by the program, and behind it: the rest is written by hand.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// A row as Markdown.
pub(crate) fn row(measured: &Measured) -> String {
    let mut text = format!("### {}\n\n{}. Load before: {:.1}.\n\n", measured.name, measured.work, measured.load);
    for failure in &measured.failures {
        let _ = writeln!(text, "**FAILED**: {failure}\n");
    }
    if measured.programs.iter().any(|program| program.seconds.is_some()) {
        text.push_str("| program | median | quartiles | over taskhost | rounds |\n| --- | --- | --- | --- | --- |\n");
    }
    for program in &measured.programs {
        let Some(seconds) = program.seconds else { continue };
        let ratio = program.ratio.map_or_else(
            || "–".to_owned(),
            |ratio| format!("{} ({} – {})", figure(ratio.median), figure(ratio.low), figure(ratio.high)),
        );
        let quartiles = format!("{} – {}", time(seconds.low), time(seconds.high));
        let _ = writeln!(
            text,
            "| {} | {} | {quartiles} | {ratio} | {} |",
            program.name,
            time(seconds.median),
            program.rounds
        );
    }
    for program in &measured.programs {
        if let Some(missing) = &program.missing {
            let _ = writeln!(text, "\nSkipped: {}. {missing}", program.name);
        }
    }
    text.push('\n');
    text
}

/// All targets, with what was reached. Small sizes say nothing about that.
pub(crate) fn targets(all: &[Measured], is_full: bool) -> String {
    let mut text =
        "| row | figure | target | median | quartiles | |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    for measured in all {
        for target in &measured.targets {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                measured.name,
                target.what,
                target.bound,
                reached(target, is_full)
            );
        }
    }
    text
}

fn reached(target: &Reached, is_full: bool) -> String {
    let holds = match target.holds {
        Some(_) if !is_full => "small size",
        Some(true) => "reached",
        Some(false) => "**missed**",
        None => "not measured",
    };
    let Some(Spread { low, median, high }) = target.figure else { return format!("– | – | {holds}") };
    format!("{}{} | {} – {} | {holds}", figure(median), target.unit, figure(low), figure(high))
}

/// The page with the measured part replaced.
pub(crate) fn replace(page: &str, measured: &str) -> String {
    let (before, after) = match (page.split_once(BEGIN), page.split_once(END)) {
        (Some((before, _)), Some((_, after))) => (before, after),
        _ => (page, ""),
    };
    format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", measured.trim())
}

/// Three digits that count.
fn figure(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 6) as usize };
    format!("{value:.digits$}")
}

fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        ..1e-3 => (seconds * 1e6, "µs"),
        ..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    format!("{} {unit}", figure(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_stays() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let replaced = replace(&page, "new");
        assert_eq!(replaced, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replace(&replaced, "new"), replaced);
    }

    #[test]
    fn three_digits() {
        assert_eq!([0.0, 0.01234, 1.2345, 123.45, 1234.5].map(figure), ["0", "0.0123", "1.23", "123", "1234"]);
        assert_eq!([12e-6, 0.0123, 1.5].map(time), ["12.0 µs", "12.3 ms", "1.50 s"]);
    }
}
