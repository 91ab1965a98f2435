//! The table, for the terminal and for `docs/performance.md`.

use std::fmt::Write as _;

use crate::measure::{Measured, Reached};
use crate::statistics::Spread;

/// The head of the table of targets.
pub(crate) const HEAD: &str =
    "| row | figure | target | median | quartiles | |\n| --- | --- | --- | --- | --- | --- |\n";

/// A row as Markdown.
pub(crate) fn row(measured: &Measured) -> String {
    let mut text = format!("### {}\n\n{}. {}\n\n", measured.name, measured.work, measured.circumstances);
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

/// The lines of a row in the table of targets. Small sizes say nothing about those.
pub(crate) fn targets(measured: &Measured, is_full: bool) -> String {
    let line = |target: &Reached| {
        let reached = reached(target, is_full);
        format!("| {} | {} | {} | {reached} |\n", measured.name, target.what, target.bound)
    };
    measured.targets.iter().map(line).collect()
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
    fn three_digits() {
        assert_eq!([0.0, 0.01234, 1.2345, 123.45, 1234.5].map(figure), ["0", "0.0123", "1.23", "123", "1234"]);
        assert_eq!([12e-6, 0.0123, 1.5].map(time), ["12.0 µs", "12.3 ms", "1.50 s"]);
    }
}
