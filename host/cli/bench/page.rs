//! What was found, as tables.

use std::fmt::Write as _;
use std::time::Duration;

use taskhost_data::duration::human_duration;

use super::{Findings, Setting};
use crate::report::{count, escape};

/// The tables.
pub(super) fn text(findings: &Findings) -> String {
    let mut text = String::new();
    let items = findings.scaling.first().map_or(0, |setting| setting.median.items);
    let _ = writeln!(text, "{}: {}, {}", escape(&findings.kernel), count(items, "item"), findings.machine);
    let _ = writeln!(text, "medians of {}; slowest and fastest in brackets", count(findings.runs.into(), "run"));
    let _ = writeln!(text, "\nworkers  time        (from … to)            speed-up  efficiency  CPU efficiency");
    for setting in &findings.scaling {
        let _ = writeln!(
            text,
            "{:>7}  {:<10}  {:<21}  {:>8.2}  {:>10.3}  {:>14.3}",
            setting.workers,
            seconds(setting.median.wall),
            range(setting),
            findings.speed_up(setting),
            findings.wall_efficiency(setting),
            findings.cpu_efficiency(setting)
        );
    }
    if findings.batches.len() > 1 {
        let _ = writeln!(text, "\nbatch    time        (from … to)            items/s     batches");
        for setting in &findings.batches {
            let batch = setting.batch.map_or_else(|| "auto".to_owned(), |batch| batch.to_string());
            let rate = setting.median.items as f64 / setting.median.wall.max(1e-9);
            let _ = writeln!(
                text,
                "{batch:>7}  {:<10}  {:<21}  {rate:<10.0}  {}",
                seconds(setting.median.wall),
                range(setting),
                setting.median.batches
            );
        }
    }
    let _ = writeln!(text, "\none item costs, in the time of workers");
    let _ = writeln!(text, "workers  call        copy        merge       dispatch    wait        coordinator's CPU");
    for setting in &findings.scaling {
        let each = |sum: f64| cost(sum / setting.median.items.max(1) as f64);
        let sample = &setting.median;
        let _ = writeln!(
            text,
            "{:>7}  {:<10}  {:<10}  {:<10}  {:<10}  {:<10}  {}",
            setting.workers,
            each(sample.call),
            each(sample.copy),
            each(sample.merge),
            each(sample.dispatch),
            each(sample.wait),
            each(sample.coordinator)
        );
    }
    text
}

fn seconds(seconds: f64) -> String {
    human_duration(Duration::from_secs_f64(seconds.max(0.0)))
}

fn range(setting: &Setting) -> String {
    format!("({} … {})", seconds(setting.fastest), seconds(setting.slowest))
}

/// What one item costs: tiny ones take less than a microsecond.
fn cost(seconds: f64) -> String {
    if seconds < 1e-5 { format!("{:.1} ns", seconds * 1e9) } else { human_duration(Duration::from_secs_f64(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_a_row_for_each_setting() {
        let text = text(&crate::bench::tests::findings());
        assert!(
            text.contains("      4  1.25 s      (1.12 s … 1.38 s)          3.20       0.800           1.000\n"),
            "{text}"
        );
        assert!(text.contains("     16  2.00 s") && text.contains("   auto  1.25 s"), "{text}");
        assert!(text.contains("  3.60 ms     100 µs      0.0 ns"), "{text}");
    }
}
