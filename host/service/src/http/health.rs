//! `/healthz`, `/readyz`, `/metrics`: for whoever looks after the server. Nothing here names a tenant.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::guard::Peer;
use super::{App, Problem};
use crate::call::Numbers;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// It can take work: what is written reaches the disk.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if app.jobs.is_draining() {
        return Err(Problem::busy("the server stops"));
    }
    app.write(|_| Ok(())).await?;
    Ok("ready\n")
}

/// What is told of calls.
fn calls(numbers: &Numbers) -> String {
    let mut text = String::new();
    let mut number = |name: &str, kind: &str, help: &str, values: &[(&str, f64)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (label, value) in values {
            let _ = writeln!(text, "{name}{label} {value}");
        }
    };
    let outcomes = [
        ("{outcome=\"done\"}", numbers.done as f64),
        ("{outcome=\"failed\"}", numbers.failed as f64),
        ("{outcome=\"late\"}", numbers.late as f64),
        ("{outcome=\"refused\"}", numbers.refused as f64),
    ];
    number("taskhost_calls_total", "counter", "Calls that are over.", &outcomes);
    let seconds = [("_sum", numbers.micros as f64 / 1e6), ("_count", numbers.done as f64)];
    number("taskhost_call_duration_seconds", "summary", "From a call to its result.", &seconds);
    let together = [("", numbers.together as f64)];
    number("taskhost_calls_together_total", "counter", "Calls that were run together with others.", &together);
    number("taskhost_calls_waiting", "gauge", "Calls that wait for a worker.", &[("", numbers.waiting as f64)]);
    number("taskhost_call_workers_busy", "gauge", "Workers that are at calls.", &[("", numbers.busy as f64)]);
    number("taskhost_kernels_ready", "gauge", "Kernels that are kept ready for calls.", &[("", numbers.ready as f64)]);
    text
}

/// Numbers, in the text format of Prometheus; for those on this machine.
pub(super) async fn metrics(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    if !request.extensions().get::<Peer>().is_some_and(|peer| peer.0.is_loopback()) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "local-only", "the numbers are told on this machine alone"));
    }
    let states = app.read(|rows| {
        let mut statement = rows.prepare("SELECT state, count(*), sum(cpu_ms), sum(items) FROM jobs GROUP BY state")?;
        let counts = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?, row.get::<_, Option<u64>>(3)?))
        })?;
        Ok(counts.collect::<rusqlite::Result<Vec<_>>>()?)
    });
    let states = states.await?;
    let mut text = String::new();
    let head = |name: &str, kind: &str, help: &str| format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    text.push_str(&head("taskhost_build_info", "gauge", "What runs."));
    let _ = writeln!(text, "taskhost_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    text.push_str(&head("taskhost_http_requests_total", "counter", "Requests by the first digit of their answer."));
    for (digit, count) in app.guard.answers.iter().enumerate().skip(1) {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(text, "taskhost_http_requests_total{{status=\"{digit}xx\"}} {count}");
    }
    text.push_str(&head("taskhost_jobs", "gauge", "Jobs that are kept, by how far they are."));
    for (state, jobs, ..) in &states {
        let _ = writeln!(text, "taskhost_jobs{{state=\"{state}\"}} {jobs}");
    }
    let cpu: u64 = states.iter().map(|(_, _, cpu, _)| cpu).sum();
    let items: u64 = states.iter().filter_map(|(.., items)| *items).sum();
    text.push_str(&head("taskhost_job_cpu_seconds", "gauge", "CPU time of all jobs that are kept."));
    let _ = writeln!(text, "taskhost_job_cpu_seconds {}", cpu as f64 / 1000.0);
    text.push_str(&head("taskhost_job_items", "gauge", "Items of all jobs that are kept."));
    let _ = writeln!(text, "taskhost_job_items {items}");
    text.push_str(&head("taskhost_queue_depth", "gauge", "Jobs that wait for a process."));
    let _ = writeln!(text, "taskhost_queue_depth {}", app.jobs.waiting());
    text.push_str(&calls(&app.calls.numbers()));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
