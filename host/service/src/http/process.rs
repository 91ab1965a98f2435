//! What the server itself takes of the machine, under the names that dashboards for Prometheus know, and what its workers do.

use std::fs;
use std::path::Path;

use super::metrics::Page;

/// Ticks in a second, as Linux counts them for programs on every processor that this runs on.
const TICKS: f64 = 100.0;

/// What the system says of this process.
#[derive(Debug, PartialEq)]
struct Taken {
    /// Seconds of CPU time.
    cpu: f64,
    threads: u64,
    /// Seconds after the machine's start.
    began: f64,
}

/// Reads a line of `/proc/PID/stat`: the name in it may hold anything, and ends with the last bracket.
fn read(stat: &str) -> Option<Taken> {
    // The first of these is the third field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Taken { cpu: (field(14)? + field(15)?) as f64 / TICKS, threads: field(20)?, began: field(22)? as f64 / TICKS })
}

/// When the machine was started, in seconds since 1970.
fn boot() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// What a worker is called in the list of processes.
const WORKER: &[u8] = b"taskhost\0__worker\0";

/// The number of bytes that a line of `/proc/PID/status` has.
fn bytes(status: &str, name: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.strip_suffix(" kB"));
    Some(kilobytes?.trim().parse::<u64>().ok()? * 1024)
}

/// How many workers this process and its jobs have, and how much memory these have to themselves: not what all of them share of
/// the program. `None` where the system does not say whose child a process is.
pub(super) fn workers() -> Option<(u64, u64)> {
    fs::metadata("/proc/thread-self/children").ok()?;
    let (mut count, mut memory) = (0, 0);
    let mut parents = vec!["self".to_owned()];
    while let Some(parent) = parents.pop() {
        let folder = Path::new("/proc").join(&parent);
        if fs::read(folder.join("cmdline")).is_ok_and(|command| command == WORKER) {
            let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
            count += 1;
            memory += ["RssAnon", "RssShmem"].into_iter().filter_map(|name| bytes(&status, name)).sum::<u64>();
        }
        // What has ended meanwhile has none.
        for thread in fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            parents.extend(children.split_whitespace().map(str::to_owned));
        }
    }
    Some((count, memory))
}

/// Writes what can be had.
pub(super) fn write(page: &mut Page) {
    if let Some(taken) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(read) {
        page.head("process_cpu_seconds_total", "counter", "CPU time of the server, its jobs and workers apart.");
        page.value(&[], taken.cpu);
        page.head("process_threads", "gauge", "Threads of the server.");
        page.value(&[], taken.threads);
        if let Some(boot) = boot() {
            page.head("process_start_time_seconds", "gauge", "When the server was started, in seconds since 1970.");
            page.value(&[], boot + taken.began);
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(resident) = bytes(&status, "VmRSS") {
        page.head("process_resident_memory_bytes", "gauge", "Memory of the server, its jobs and workers apart.");
        page.value(&[], resident);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.head("process_open_fds", "gauge", "Descriptors that the server has.");
        page.value(&[], open.count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_is_no_field() {
        let stat = "7 (a) b) (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 9 18 400 20 3 22";
        let taken = read(stat).expect("it is one");
        assert_eq!(taken, Taken { cpu: 2.0, threads: 9, began: 4.0 });
        assert_eq!(read("7 (x) S 1"), None);
    }

    #[test]
    fn this_process_takes_something() {
        let mut page = Page::default();
        write(&mut page);
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_start_time_seconds",
        ] {
            assert!(page.text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {}", page.text);
        }
    }
}
