//! The course of a run: a row for each worker, with its batches, its waits and its end.

use std::fmt::Write as _;

use taskhost_pool::runner::timeline::{Life, Timeline};

use super::markup::{WIDTH, escaped, legend, time, time_axis};

/// Rows that are drawn; more than that cannot be told apart.
const ROWS: usize = 64;

/// Height of a row, and of the gap between two.
const ROW: f64 = 18.0;
const GAP: f64 = 5.0;

/// Where rows begin, behind their names.
const LEFT: f64 = 84.0;

/// Columns of a row when batches are too many to be drawn: about one for each two points of a screen.
const COLUMNS: usize = 480;

/// The picture, and what is to be known of it.
pub(super) fn draw(course: &Timeline) -> String {
    let rows = course.lanes.len().min(ROWS);
    let height = rows as f64 * (ROW + GAP);
    let scale = (WIDTH - LEFT - 8.0) / (course.end as f64).max(1.0);
    let place = Place { scale };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"Timeline of the workers\">\n",
        height + 24.0
    );
    time_axis(&mut svg, (LEFT, WIDTH - 8.0), (0.0, height), course.end);
    for (row, lane) in course.lanes.iter().take(rows).enumerate() {
        let _ = writeln!(svg, "<text x=\"0\" y=\"{:.1}\">{}</text>", top(row) + 13.0, escaped(&lane.name));
    }
    let shown = |life: &&Life| life.lane < rows;
    if course.more_lives > 0 {
        // Who lived when is not known any more.
        for row in 0..rows {
            place.bar(&mut svg, ("alive", row), (0, course.end), "");
        }
    }
    for life in course.lives.iter().filter(shown) {
        let ready = life.ready.unwrap_or(life.end);
        place.bar(&mut svg, ("alive", life.lane), (ready, life.end), "");
        let title = format!("worker {} starts: {}", life.worker, time(ready - life.begin));
        place.bar(&mut svg, ("start", life.lane), (life.begin, ready), &title);
    }
    match &course.spans {
        Some(spans) => {
            for span in spans.iter().filter(|span| span.lane < rows) {
                let items = if span.items == 1 { "1 item".to_owned() } else { format!("{} items", span.items) };
                let took = time(span.end - span.begin);
                let title = format!("worker {}: {items} in {took}, from {}", span.worker, time(span.begin));
                place.bar(&mut svg, ("call", span.lane), (span.begin, span.end), &title);
            }
        }
        None => {
            for (row, lane) in course.lanes.iter().take(rows).enumerate() {
                place.columns(&mut svg, row, &lane.busy, course.width);
            }
        }
    }
    for life in course.lives.iter().filter(shown) {
        let Some(death) = &life.death else { continue };
        let (x, y) = (place.x(life.end), top(life.lane) + ROW / 2.0);
        let _ = writeln!(
            svg,
            "<path class=\"death\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"><title>worker {}, at {}: {}</title></path>",
            x - 4.0,
            y - 4.0,
            life.worker,
            time(life.end),
            escaped(death)
        );
    }
    svg.push_str("</svg>\n");
    let batches = if course.spans.is_some() { "a batch" } else { "at work: the darker, the more of the time" };
    let mut text =
        legend(&[("call", batches), ("alive", "waits"), ("start", "starts"), ("death", "a worker that was lost")]);
    text.push_str(&svg);
    if course.lanes.len() > rows {
        let _ = writeln!(text, "<p class=\"note\">{} more rows are not drawn.</p>", course.lanes.len() - rows);
    }
    if course.more_lives > 0 {
        let _ = writeln!(text, "<p class=\"note\">Ends of {} more workers are not drawn.</p>", course.more_lives);
    }
    text
}

fn top(row: usize) -> f64 {
    row as f64 * (ROW + GAP)
}

/// Where a moment is.
struct Place {
    scale: f64,
}

impl Place {
    fn x(&self, nanos: u64) -> f64 {
        LEFT + nanos as f64 * self.scale
    }

    fn bar(&self, svg: &mut String, (class, row): (&str, usize), (begin, end): (u64, u64), title: &str) {
        // What is shorter than a point is still to be seen.
        let width = (self.x(end) - self.x(begin)).max(0.6);
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{:.2}\" y=\"{:.0}\" width=\"{width:.2}\" height=\"{ROW}\"",
            self.x(begin),
            top(row)
        );
        if title.is_empty() {
            svg.push_str("/>\n");
        } else {
            let _ = writeln!(svg, "><title>{}</title></rect>", escaped(title));
        }
    }

    /// How busy a worker was, in four shades: one path for each shade.
    fn columns(&self, svg: &mut String, row: usize, busy: &[u64], width: u64) {
        let together = busy.len().div_ceil(COLUMNS).max(1);
        let column = width * together as u64;
        let mut shades: [String; 4] = Default::default();
        for (index, part) in busy.chunks(together).enumerate() {
            let share = part.iter().sum::<u64>() as f64 / column as f64;
            if share < 0.01 {
                continue;
            }
            let shade = ((share * 4.0).ceil() as usize).clamp(1, 4) - 1;
            let (x, step) = (self.x(index as u64 * column), column as f64 * self.scale);
            let _ = write!(shades[shade], "M{x:.1} {:.0}h{step:.2}v{ROW}h-{step:.2}z", top(row));
        }
        for (shade, path) in shades.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let _ = writeln!(svg, "<path class=\"q{}\" d=\"{path}\"/>", shade + 1);
        }
    }
}
