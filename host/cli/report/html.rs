//! `--report FILE.html`: what happened, as a page to look at. One file that needs nothing else, runs no script, and stays
//! small however long the run was.

mod bars;
mod chart;
mod markup;
mod timeline;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use taskhost_data::duration::human_duration;
use taskhost_data::size::human_size;

use super::json::KernelFacts;
use super::{Before, Reporter, Summary, count};
pub(crate) use markup::escaped;

/// Style of the page: the colours follow what the reader's system prefers.
const STYLE: &str = include_str!("html/page.css");

/// What the page may load: nothing but its own style, should something slip in all the same.
const POLICY: &str = include_str!("html/policy.txt");

/// Digits of a digest that tell kernels apart.
const SHORT: usize = 12;

/// Failed jobs that are listed; the others are counted.
const LISTED: usize = 50;

/// Workers with a row of their own in the tables.
const WORKERS: usize = 64;

/// Verdicts that mean that a limit was hit.
const LIMITS: [&str; 8] = [
    "deadline",
    "memory-limit",
    "cpu-limit",
    "output-limit",
    "fuel",
    "item-too-large",
    "out-of-memory",
    "sandbox-violation",
];

/// Whether the report is to be a page.
pub(crate) fn is_wanted(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("html") || extension == "htm")
}

/// What happened, as far as a run itself knows it.
pub(crate) struct Course<'a> {
    pub(crate) summary: &'a Summary<'a>,
    /// What was done before it.
    pub(crate) before: Option<Before>,
    pub(crate) reporter: &'a Reporter,
    pub(crate) exit_code: u8,
}

/// Where the run was, and so what its page may say of that.
pub(crate) enum Of<'a> {
    /// Here, as it was typed.
    Here { command: Vec<String> },
    /// On the machine of a service: which one that is, and how the service calls things, is nobody's business.
    Service { command: &'a [String] },
}

/// The page.
pub(crate) fn render(course: Course<'_>, kernel: &KernelFacts<'_>, of: Of<'_>) -> String {
    let Course { summary, before, reporter, exit_code } = course;
    let (command, is_here) = match &of {
        Of::Here { command } => (command.as_slice(), true),
        Of::Service { command } => (*command, false),
    };
    let mut page = String::with_capacity(64 << 10);
    // A service knows a kernel by its digest.
    let name = if is_here { kernel.name } else { kernel.digest.get(..SHORT).unwrap_or(&kernel.digest) };
    let title = escaped(name);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <title>taskhost: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    let _ = writeln!(page, "<p class=\"command\"><code>{}</code></p>", escaped(&shell_words(command)));
    facts(&mut page, (summary, before.is_some()), reporter, exit_code);
    if let Some(before) = before {
        let _ = writeln!(page, "<p>{}</p>", escaped(&before.sentences()));
    }
    if let Some(course) = &summary.report.timeline {
        section(&mut page, "Timeline", &timeline::draw(course));
        section(&mut page, "Where the time went", &bars::draw(&summary.report.workers, summary.report.times));
        section(&mut page, "Throughput", &chart::throughput(course));
        section(&mut page, "What it cost", &chart::costs(course));
    } else {
        section(&mut page, "Where the time went", &bars::draw(&summary.report.workers, summary.report.times));
    }
    section(&mut page, "Limits and failures", &failures(summary, reporter));
    section(&mut page, "Workers", &workers(summary));
    let cores = &summary.cores;
    let machine = is_here.then(|| format!("{}, {}", machine(), cores.topology.describe(cores.plan.len())));
    section(&mut page, "Versions", &versions(summary, (kernel, name), machine));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn section(page: &mut String, title: &str, content: &str) {
    let _ = writeln!(page, "<section>\n<h2>{title}</h2>\n{content}</section>");
}

/// The numbers at the top.
fn facts(page: &mut String, (summary, is_part): (&Summary<'_>, bool), reporter: &Reporter, exit_code: u8) {
    let progress = &summary.report.progress;
    let tile = |is_bad: bool, number: String, what: &str| {
        let class = if is_bad { "tile bad" } else { "tile" };
        format!("<div class=\"{class}\"><b>{}</b><span>{what}</span></div>\n", escaped(&number))
    };
    page.push_str("<div class=\"tiles\">\n");
    page.push_str(&tile(
        false,
        human_duration(summary.wall),
        if is_part { "in the last process" } else { "from start to end" },
    ));
    page.push_str(&tile(false, grouped(progress.items), "items"));
    page.push_str(&tile(false, human_size(progress.input), "of input"));
    page.push_str(&tile(false, human_size(progress.output), "of output"));
    page.push_str(&tile(false, format!("{:.2}", summary.speed_up()), "cores busy on average"));
    page.push_str(&tile(summary.lost > 0, grouped(summary.lost), "failed"));
    let deaths = summary.report.workers.iter().filter(|worker| worker.death.is_some()).count();
    if deaths > 0 {
        page.push_str(&tile(true, grouped(deaths as u64), "workers lost"));
    }
    if reporter.failed > 0 && !reporter.is_single() {
        page.push_str(&tile(true, grouped(reporter.failed), "failed jobs"));
    }
    page.push_str(&tile(exit_code != 0, exit_code.to_string(), "exit code"));
    page.push_str("</div>\n");
}

fn failures(summary: &Summary<'_>, reporter: &Reporter) -> String {
    let mut text = String::new();
    let verdicts = &reporter.failures.verdicts;
    let broken: Vec<_> = reporter.jobs.iter().filter(|job| job.failure.is_some()).collect();
    if verdicts.is_empty() && broken.is_empty() && summary.report.missing.is_empty() {
        return "<p>No item failed, no limit was hit, every wall around the workers stood.</p>\n".into();
    }
    if !verdicts.is_empty() {
        text.push_str("<table><tr><th>verdict</th><th class=\"number\">items</th><th></th></tr>\n");
        for (verdict, items) in verdicts {
            let limit = if LIMITS.contains(&verdict.as_str()) { "a limit was hit" } else { "" };
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td class=\"number\">{}</td><td>{limit}</td></tr>",
                escaped(verdict),
                grouped(*items)
            );
        }
        text.push_str("</table>\n");
    }
    let told = &reporter.failures.told;
    if !told.is_empty() || !broken.is_empty() {
        text.push_str("<ul class=\"failures\">\n");
        let jobs = broken.iter().filter_map(|job| {
            let failure = job.failure.as_ref()?;
            // Items are told of already.
            let is_item = matches!(failure.failure, taskhost_pool::event::JobFailure::Item(_));
            (!is_item).then(|| super::describe(job, failure))
        });
        for line in told.iter().cloned().chain(jobs.take(LISTED)) {
            let _ = writeln!(text, "<li>{}</li>", escaped(&line));
        }
        text.push_str("</ul>\n");
        if reporter.failures.items > told.len() as u64 {
            let more = reporter.failures.items - told.len() as u64;
            let _ =
                writeln!(text, "<p>{}; <code>--errors FILE</code> lists all of them.</p>", count(more, "more item"));
        }
    }
    for missing in &summary.report.missing {
        let _ = writeln!(text, "<p>This machine lacks a wall: {}</p>", escaped(&missing.to_string()));
    }
    text
}

fn workers(summary: &Summary<'_>) -> String {
    let mut text = String::from(
        "<div class=\"wide\"><table><tr><th>worker</th><th>role</th><th>cpu</th><th class=\"number\">batches</th>\
         <th class=\"number\">items</th><th class=\"number\">CPU time</th><th class=\"number\">most memory</th>\
         <th>end</th></tr>\n",
    );
    let workers = &summary.report.workers;
    for worker in workers.iter().take(WORKERS) {
        let core = worker.core.map_or_else(|| "–".to_owned(), |core| core.to_string());
        let (class, end) = match &worker.death {
            Some(death) => (" class=\"bad\"", death.as_str()),
            None => ("", "with the run"),
        };
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{core}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td{class}>{}</td></tr>",
            worker.id,
            worker.role,
            grouped(worker.times.batches),
            grouped(worker.times.items),
            human_duration(worker.cpu),
            human_size(worker.max_resident),
            escaped(end)
        );
    }
    text.push_str("</table></div>\n");
    if workers.len() > WORKERS {
        let _ = writeln!(text, "<p>and {}</p>", count((workers.len() - WORKERS) as u64, "more worker"));
    }
    text
}

fn versions(summary: &Summary<'_>, (kernel, name): (&KernelFacts<'_>, &str), machine: Option<String>) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let rows = [
        ("taskhost", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("kernel", Some(format!("{name} ({}), BLAKE3 {}", kernel.kind, kernel.digest))),
        ("compiled", Some(if kernel.compiled { "in this run" } else { "taken from the cache" }.to_owned())),
        ("machine", machine),
        ("written", Some(date(now))),
    ];
    let mut text = String::from("<table>\n");
    for (name, value) in rows.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        let _ = writeln!(text, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&value));
    }
    for (name, value) in summary.counters {
        let _ = writeln!(text, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), grouped(*value));
    }
    text.push_str("</table>\n");
    text
}

/// The processor and the system, as this machine names them.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unnamed processor", |(_, name)| name.trim()).to_owned();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, Linux {}", release.trim())
}

/// A moment in UTC, from the time since 1970.
pub(crate) fn date(since: Duration) -> String {
    let seconds = since.as_secs();
    // Days are counted from 1 March of year 0, so that the leap day ends its year.
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let text = count(number, "");
    text.trim_end_matches('s').trim_end().to_owned()
}

/// A command as it can be typed again.
fn shell_words(words: &[String]) -> String {
    let plain =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c));
    let quoted = |word: &String| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_right() {
        assert_eq!(date(Duration::ZERO), "1970-01-01 00:00 UTC");
        assert_eq!(date(Duration::from_secs(951_782_399)), "2000-02-28 23:59 UTC");
        assert_eq!(date(Duration::from_secs(951_782_400)), "2000-02-29 00:00 UTC");
        assert_eq!(date(Duration::from_secs(1_732_147_200)), "2024-11-21 00:00 UTC");
        assert_eq!(date(Duration::from_secs(1_767_225_599)), "2025-12-31 23:59 UTC");
    }

    #[test]
    fn commands_can_be_typed_again() {
        let words = ["taskhost", "run", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(shell_words(&words), r"taskhost run 'a b' 'it'\''s' ''");
    }

    #[test]
    fn the_name_of_the_file_says_what_is_wanted() {
        assert!(is_wanted(Path::new("a/run.HTML")) && is_wanted(Path::new("run.htm")));
        assert!(!is_wanted(Path::new("html")) && !is_wanted(Path::new("run.json")) && !is_wanted(Path::new("-")));
    }
}
