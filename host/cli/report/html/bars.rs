//! Where the time of each worker went: one bar for each, its parts side by side.

use std::fmt::Write as _;
use std::time::Duration;

use taskhost_data::duration::human_duration;
use taskhost_pool::runner::{PoolTimes, WorkerReport, WorkerTimes};

use super::markup::{WIDTH, legend};

/// Workers with a bar of their own.
const BARS: usize = 64;

const ROW: f64 = 18.0;
const GAP: f64 = 5.0;
const LEFT: f64 = 84.0;

/// The parts of a worker's time: class, name, and how to take it.
type Part = (&'static str, &'static str, fn(&WorkerTimes) -> Duration);
const PARTS: [Part; 7] = [
    ("call", "in the kernel", |times| times.call),
    ("copy", "reading and writing", |times| times.copy),
    ("merge", "joining results", |times| times.merge),
    ("other", "finding items", |times| times.other),
    ("dispatch", "messages", |times| times.dispatch),
    ("wait", "waiting for work", |times| times.wait),
    ("start", "starting", |times| times.start_up),
];

/// The bars, and below what the coordinator did.
pub(super) fn draw(workers: &[WorkerReport], pool: PoolTimes) -> String {
    let mut busiest: Vec<&WorkerReport> = workers.iter().collect();
    busiest.sort_by_key(|worker| std::cmp::Reverse(worker.times.lifetime));
    busiest.truncate(BARS);
    busiest.sort_by_key(|worker| worker.id);
    let longest = busiest.iter().map(|worker| worker.times.lifetime).max().unwrap_or_default();
    let scale = (WIDTH - LEFT - 8.0) / longest.as_secs_f64().max(1e-9);
    let mut text = legend(&PARTS.map(|(class, name, _)| (class, name)));
    let height = busiest.len() as f64 * (ROW + GAP);
    let _ = writeln!(text, "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Time of each worker\">");
    for (row, worker) in busiest.iter().enumerate() {
        let y = row as f64 * (ROW + GAP);
        let _ = writeln!(text, "<text x=\"0\" y=\"{:.1}\">worker {}</text>", y + 13.0, worker.id);
        let mut x = LEFT;
        for (class, name, of) in PARTS {
            let part = of(&worker.times);
            let width = part.as_secs_f64() * scale;
            if width < 0.05 {
                continue;
            }
            let share = 100.0 * part.as_secs_f64() / worker.times.lifetime.as_secs_f64().max(1e-9);
            let _ = writeln!(
                text,
                "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.0}\" width=\"{width:.2}\" height=\"{ROW}\">\
                 <title>worker {}, {name}: {}, {share:.1} %</title></rect>",
                worker.id,
                human_duration(part)
            );
            x += width;
        }
    }
    text.push_str("</svg>\n");
    let all: Duration = workers.iter().map(|worker| worker.times.lifetime).sum();
    text.push_str("<div class=\"wide\"><table><tr><th></th>");
    for (_, name, _) in PARTS {
        let _ = write!(text, "<th class=\"number\">{name}</th>");
    }
    text.push_str("</tr>\n<tr><th>all workers</th>");
    for (_, _, of) in PARTS {
        let sum: Duration = workers.iter().map(|worker| of(&worker.times)).sum();
        let share = 100.0 * sum.as_secs_f64() / all.as_secs_f64().max(1e-9);
        let _ = write!(text, "<td class=\"number\">{}<br/>{share:.1} %</td>", human_duration(sum));
    }
    text.push_str("</tr></table></div>\n");
    let _ = writeln!(
        text,
        "<p class=\"note\">The coordinator used {} of CPU time, its writing thread was at work for {}.</p>",
        human_duration(pool.cpu),
        human_duration(pool.write)
    );
    text
}
