//! Which machine the figures are from, and what else it was doing.

use std::fs;
use std::process::Command;

/// Lines `what: value` for the head of the page.
pub(crate) fn describe(taskhost: &std::path::Path) -> Vec<(&'static str, String)> {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        ("Machine", format!("{processor}, {cores} cores, {:.0} GiB", memory.unwrap_or_default() / f64::from(1 << 20))),
        ("Linux", release.trim().to_owned()),
        ("taskhost", first_line(&taskhost.display().to_string(), &["--version"])),
        ("Compiler", first_line("rustc", &["--version"])),
        ("Python", first_line("python3", &["--version"])),
    ]
}

/// Now, to the minute.
pub(crate) fn date() -> String {
    first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

/// How many processes wanted to run during the last minute, those of the measurement among them.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("not there").to_owned()
}
