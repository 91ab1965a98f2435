//! What is counted of requests, and all numbers in the text format of Prometheus. Labels are of sets that no stranger can make
//! larger, and none is anybody's number of a job.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::routes::PATHS;
use crate::counts::{BOUNDS, Times};

/// How long requests took, by number of the path.
#[derive(Debug)]
struct ByPath([Times; PATHS.len()]);

impl Default for ByPath {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Times::default()))
    }
}

/// What is counted of requests.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// By method, number of the path and status: at most some hundred.
    requests: Mutex<HashMap<(&'static str, usize, u16), u64>>,
    times: ByPath,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    /// Until something was on the disk.
    pub(super) commit: Times,
    /// Looking at a kernel and compiling it.
    pub(super) check: Times,
    /// Answers that are sent as they come to be.
    pub(super) streams: AtomicU64,
}

impl Metrics {
    /// A request was answered.
    pub(super) fn request(&self, method: &'static str, path: usize, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((method, path, status)).or_default() += 1;
        self.times.0[path].add(took);
    }

    /// Something was refused because there was too much of it.
    pub(super) fn rejected(&self, why: &'static str) {
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    }

    /// Writes what was counted.
    pub(super) fn write(&self, page: &mut Page) {
        page.head("taskhost_http_requests_total", "counter", "Requests that were answered.");
        let mut requests: Vec<_> = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(key, count)| (*key, *count))
            .collect();
        requests.sort_unstable();
        for ((method, path, status), count) in requests {
            let status = status.to_string();
            page.value(&[("method", method), ("route", PATHS[path]), ("status", &status)], count);
        }
        page.head(
            "taskhost_http_request_duration_seconds",
            "histogram",
            "From the head of a request to that of its answer.",
        );
        for (path, times) in PATHS.iter().zip(&self.times.0).filter(|(_, times)| times.read().1 > 0) {
            page.times(&[("route", path)], times);
        }
        page.head("taskhost_rejected_total", "counter", "What was refused because there was too much of it.");
        for (why, count) in &*self.rejected.lock().unwrap_or_else(PoisonError::into_inner) {
            page.value(&[("reason", why)], count);
        }
        page.head("taskhost_store_commit_seconds", "histogram", "Until what a request wrote was on the disk.");
        page.times(&[], &self.commit);
        page.head(
            "taskhost_kernel_compile_seconds",
            "histogram",
            "Looking at a kernel behind walls, and compiling it.",
        );
        page.times(&[], &self.check);
        page.head("taskhost_http_streams", "gauge", "Answers that are sent as they come to be.");
        page.value(&[], self.streams.load(Ordering::Relaxed));
    }
}

/// A page of numbers.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: String,
    name: &'static str,
}

impl Page {
    /// Begins with another name.
    pub(super) fn head(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A number of that name.
    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// Times of that name.
    pub(super) fn times(&mut self, labels: &[(&str, &str)], times: &Times) {
        let (below, count, sum) = times.read();
        for (bound, below) in BOUNDS.iter().zip(below) {
            let bound = bound.to_string();
            self.line("_bucket", &[labels, &[("le", &bound)]].concat(), below);
        }
        self.line("_bucket", &[labels, &[("le", "+Inf")]].concat(), count);
        self.line("_sum", labels, sum);
        self.line("_count", labels, count);
    }

    fn line(&mut self, ending: &str, labels: &[(&str, &str)], value: impl Display) {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{}{ending}{labels} {value}", self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        let jobs = routes::number_of("/v1/jobs");
        metrics.request("GET", jobs, 200, Duration::from_millis(3));
        metrics.request("GET", jobs, 200, Duration::from_millis(30));
        metrics.rejected("queued_jobs");
        let mut page = Page::default();
        metrics.write(&mut page);
        page.head("other", "gauge", "x");
        page.value(&[("a", "b\"\n\\")], 1.5);
        for line in [
            "# TYPE taskhost_http_requests_total counter\n",
            "taskhost_http_requests_total{method=\"GET\",route=\"/v1/jobs\",status=\"200\"} 2\n",
            "taskhost_http_request_duration_seconds_bucket{route=\"/v1/jobs\",le=\"0.005\"} 1\n",
            "taskhost_http_request_duration_seconds_bucket{route=\"/v1/jobs\",le=\"+Inf\"} 2\n",
            "taskhost_rejected_total{reason=\"queued_jobs\"} 1\n",
            "other{a=\"b\\\"\\n\\\\\"} 1.5\n",
        ] {
            assert!(page.text.contains(line), "{line}: {}", page.text);
        }
    }
}
