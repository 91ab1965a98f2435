//! The picture: speed-up by number of workers beside the ideal line, and where the time of the workers went.

use std::fmt::Write as _;

use super::Findings;
use crate::report::html::escaped;

/// The square in which curves are.
const LEFT: f64 = 64.0;
const TOP: f64 = 64.0;
const SIDE: f64 = 400.0;

/// It stands alone, so it has colours for light and dark by itself.
const STYLE: &str = "\
svg { color-scheme: light dark; background: #fff; font: 13px system-ui, sans-serif; }
text { fill: #5d6776; } .title { fill: #1c2330; font-size: 17px; font-weight: 600; }
.grid { stroke: #d5dae2; fill: none; } .ideal { stroke: #8d97a6; stroke-dasharray: 6 5; fill: none; stroke-width: 1.5; }
.curve { stroke: #2f6fdb; fill: none; stroke-width: 2.5; } .dot { fill: #2f6fdb; } .range { stroke: #2f6fdb; opacity: .5; }
.value { fill: #1c2330; font-weight: 600; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
@media (prefers-color-scheme: dark) {
svg { background: #14181f; } text { fill: #98a3b3; } .title { fill: #e4e8ee; } .grid { stroke: #333c49; }
.curve, .range { stroke: #6fa1ff; } .dot { fill: #6fa1ff; } .value { fill: #e4e8ee; stroke: #14181f; }
}
";

/// The picture.
pub(super) fn draw(findings: &Findings) -> String {
    let most = findings.scaling.iter().map(|setting| setting.workers).max().unwrap_or(1).max(2);
    let most = f64::from(most);
    let place = |workers: f64, speed_up: f64| (LEFT + SIDE * workers / most, TOP + SIDE * (1.0 - speed_up / most));
    let (width, height) = (LEFT + SIDE + 48.0, TOP + SIDE + 62.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Speed-up by number of workers\">\n<style>\n{STYLE}</style>\n"
    );
    let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"26\">{}: speed-up</text>", escaped(&findings.kernel));
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"46\">{}</text>", escaped(&findings.machine));
    // A line for each number as long as they can be told apart.
    let step = (most / 8.0).ceil();
    let mut at = 0.0;
    while at <= most {
        let ((x, bottom), (left, y)) = (place(at, 0.0), place(0.0, at));
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom:.1}M{left:.1} {y:.1}h{SIDE}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{at}</text>",
            bottom + 18.0,
            left - 8.0,
            y + 4.0
        );
        at += step;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">workers</text>",
        LEFT + SIDE / 2.0,
        TOP + SIDE + 38.0
    );
    let _ = writeln!(svg, "<path class=\"ideal\" d=\"M{LEFT} {:.1}L{:.1} {TOP}\"/>", TOP + SIDE, LEFT + SIDE);
    let (x, y) = place(most * 0.62, most * 0.62);
    let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">ideal</text>", x - 12.0);
    let first = findings.scaling.first().map_or(0.0, |first| first.median.wall);
    let mut line = String::new();
    let mut dots = String::new();
    for setting in &findings.scaling {
        let (workers, speed_up) = (f64::from(setting.workers), findings.speed_up(setting));
        let (x, y) = place(workers, speed_up);
        let _ = write!(line, "{}{x:.1} {y:.1}", if line.is_empty() { "M" } else { "L" });
        let (_, low) = place(workers, first / setting.slowest.max(1e-9));
        let (_, high) = place(workers, first / setting.fastest.max(1e-9));
        let _ = writeln!(
            dots,
            "<path class=\"range\" d=\"M{x:.1} {low:.1}V{high:.1}\"/><circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" \
             r=\"4.5\"/><text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{speed_up:.2}</text>",
            x + 10.0,
            y + 14.0
        );
    }
    let _ = writeln!(svg, "<path class=\"curve\" d=\"{line}\"/>\n{dots}</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_and_hostile_names_stay_text() {
        let svg = draw(&crate::bench::tests::findings());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt;kernel&gt;: speed-up") && svg.contains("a processor &amp; a system"));
        assert!(!svg.contains("<script") && svg.matches("<circle").count() == 3);
    }
}
