//! The table of attempts for people.

use std::fmt::Write as _;

use super::attack::{Report, Siege, Stop};
use crate::report::count;

/// What stands for a line of the table.
type Row = [String; 4];

pub(super) fn render(siege: &Siege) -> String {
    let mut text = String::new();
    let last = if siege.each_layer { "without the filter" } else { "" };
    let title = ["attempt", "what it does", "stopped by", last].map(str::to_owned);
    let rows: Vec<Row> = std::iter::once(title).chain(siege.attempts.iter().map(row)).collect();
    let widths = [0, 1, 2].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for [attempt, about, stopped, second] in &rows {
        let [first, middle, third] = widths;
        let line = format!("{attempt:first$}  {about:middle$}  {stopped:third$}  {second}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text);
    let _ = writeln!(text, "{}", verdict(siege));
    text
}

fn row(report: &Report) -> Row {
    let stopped = cell(&report.stopped, "NOTHING");
    // What stays inside the process is no way out.
    let harmless = if report.aim == "inside" { "nothing" } else { "NOTHING" };
    let second = report.without_filter.as_ref().map_or_else(String::new, |stop| cell(stop, harmless));
    [report.name.to_owned(), report.about.to_owned(), stopped, second]
}

fn cell(stop: &Stop, nothing: &str) -> String {
    let more = if stop.and_more && stop.by.as_deref() != Some("several") { " and more" } else { "" };
    stop.by.as_ref().map_or_else(|| nothing.to_owned(), |by| format!("{by}{more} ({})", stop.how))
}

fn verdict(siege: &Siege) -> String {
    let made = count(siege.attempts.len() as u64, "attempt");
    let each = if siege.each_layer { ", each also with every layer left out in turn" } else { "" };
    match siege.came_through.as_slice() {
        [] => format!("{made}{each}: all were stopped"),
        through => format!("{made}{each}: {} CAME THROUGH: {}", through.len(), through.join(", ")),
    }
}
