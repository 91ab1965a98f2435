//! Curves and histograms: how fast the run was, and what batches and items cost.

use std::fmt::Write as _;

use taskhost_data::size::human_size;
use taskhost_pool::runner::timeline::{Histogram, Timeline};

use super::markup::{WIDTH, round_up, time, time_axis};

/// Height of a picture without its axis.
const HEIGHT: f64 = 150.0;

/// Points of a curve.
const POINTS: usize = 240;

/// Where curves begin, behind the numbers of their axis.
const LEFT: f64 = 84.0;

/// Items and bytes a second over time.
pub(super) fn throughput(course: &Timeline) -> String {
    let mut text = curve(course, &course.items, "items a second", (round_up, &short));
    if course.bytes.iter().any(|bytes| *bytes > 0) {
        text.push_str(&curve(
            course,
            &course.bytes,
            "bytes of input a second",
            (|value| value.log2().ceil().exp2(), &|value| human_size(value as u64)),
        ));
    }
    text
}

/// How the axis of a curve is numbered: the round number above a value, and how a number is written.
type Scale<'a> = (fn(f64) -> f64, &'a dyn Fn(f64) -> String);

fn curve(course: &Timeline, counts: &[u64], what: &str, (round_up, name): Scale<'_>) -> String {
    let together = counts.len().div_ceil(POINTS).max(1);
    let seconds = course.width as f64 * together as f64 / 1e9;
    // The last column is shorter than the others.
    let rate = |index: usize, part: &[u64]| {
        let from = (index * together) as f64 * course.width as f64 / 1e9;
        let span = (course.end as f64 / 1e9 - from).clamp(seconds.min(1e-4), seconds);
        part.iter().sum::<u64>() as f64 / span
    };
    let rates: Vec<f64> = counts.chunks(together).enumerate().map(|(index, part)| rate(index, part)).collect();
    let most = round_up(rates.iter().copied().fold(1e-9, f64::max));
    let scale = (WIDTH - LEFT - 8.0) / (course.end as f64 / 1e9).max(1e-9);
    let y = |rate: f64| 8.0 + HEIGHT * (1.0 - rate / most);
    let mut line = format!("M{LEFT:.1} {:.1}", y(0.0));
    for (index, rate) in rates.iter().enumerate() {
        let from = LEFT + index as f64 * seconds * scale;
        let to = (from + seconds * scale).min(WIDTH - 8.0);
        let _ = write!(line, "L{from:.1} {:.1}H{to:.1}", y(*rate));
    }
    let _ = write!(line, "V{:.1}", y(0.0));
    let mut svg = format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{what} over time\">\n",
        HEIGHT + 34.0
    );
    time_axis(&mut svg, (LEFT, WIDTH - 8.0), (8.0, y(0.0)), course.end);
    for share in [0.0, 0.5, 1.0] {
        let at = y(most * share);
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - 8.0,
            LEFT - 8.0,
            at + 4.0,
            name(most * share)
        );
    }
    let _ = writeln!(svg, "<path class=\"area\" d=\"{line}Z\"/><path class=\"curve\" d=\"{line}\"/></svg>");
    let _ = writeln!(svg, "<figcaption>{what}</figcaption></figure>");
    svg
}

/// The two histograms, side by side.
pub(super) fn costs(course: &Timeline) -> String {
    let mut text = String::from("<div class=\"pair\">\n");
    text.push_str(&histogram(&course.batches, "batches, by the time they took", "batch"));
    text.push_str(&histogram(&course.item_costs, "items, by the mean cost of an item of their batch", "item"));
    text + "</div>\n"
}

fn histogram(counts: &Histogram, what: &str, one: &str) -> String {
    let bins = counts.bins();
    let Some((first, _)) = bins.first() else { return String::new() };
    let most = bins.iter().map(|(_, count)| *count).max().unwrap_or(1) as f64;
    // Half as wide as the others, so that text has the same size.
    let width = WIDTH / 2.0;
    let step = ((width - 16.0) / bins.len() as f64).min(28.0);
    let mut svg =
        format!("<figure><svg viewBox=\"0 0 {width} {:.0}\" role=\"img\" aria-label=\"{what}\">\n", HEIGHT + 34.0);
    for (index, (value, count)) in bins.iter().enumerate() {
        let height = if *count == 0 { 0.0 } else { (HEIGHT * *count as f64 / most).max(1.0) };
        let x = 8.0 + index as f64 * step;
        let _ = writeln!(
            svg,
            "<rect class=\"call\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{} of {} and \
             more</title></rect>",
            8.0 + HEIGHT - height,
            (step - 1.0).max(0.5),
            super::count(*count, one).replace("batchs", "batches"),
            time(*value)
        );
    }
    let right = 8.0 + bins.len() as f64 * step;
    let last = bins.last().map_or(*first, |(value, _)| *value);
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M8 {:.1}H{:.1}\"/>", 8.0 + HEIGHT, right.max(80.0));
    let _ = writeln!(svg, "<text x=\"8\" y=\"{:.1}\">{}</text>", HEIGHT + 24.0, time(*first));
    if right > 150.0 {
        let _ = writeln!(
            svg,
            "<text x=\"{right:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            HEIGHT + 24.0,
            time(last)
        );
    }
    let _ = writeln!(
        svg,
        "</svg>\n<figcaption>{what}: half of them up to about {}, 99 of 100 up to {}</figcaption></figure>",
        time(counts.quantile(0.5)),
        time(counts.quantile(0.99))
    );
    svg
}

/// A number to two or three digits.
fn short(value: f64) -> String {
    let (unit, name) = match value {
        ..1e3 => (1.0, ""),
        ..1e6 => (1e3, " k"),
        ..1e9 => (1e6, " M"),
        _ => (1e9, " G"),
    };
    let text = format!("{:.2}", value / unit);
    format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
}
