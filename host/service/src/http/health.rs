//! `/healthz`, `/startupz`, `/readyz`, `/metrics`: for whoever looks after the server. What names tenants is told at the operator's place
//! alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::guard::Peer;
use super::metrics::Page;
use super::{App, Problem, process};
use crate::call::Calls;
use crate::counts::Counted;
use crate::store::{contents, jobs, usage};
use crate::tenant::{Tenant, TenantId};
use crate::time::Moment;

/// Tenants that have numbers of their own; those of all others are added up.
const TENANTS: usize = 100;

/// The process answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "The process answers", body = String)), security(()))]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// It has begun: the store is up to date, and jobs of the server before go on. Nothing is answered earlier.
#[utoipa::path(get, path = "/startupz", responses((status = 200, description = "It has begun", body = String)), security(()))]
pub(super) async fn started() -> &'static str {
    "started\n"
}

/// It can take work: what is written reaches the disk, and processes can be started.
#[utoipa::path(get, path = "/readyz", responses((status = 200, description = "It can take work", body = String)), security(()))]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if app.jobs.is_draining() {
        return Err(Problem::busy("the server stops"));
    }
    app.write(|_| Ok(())).await?;
    let starts = &app.shared.starts;
    if starts.jobs.is_failing() {
        return Err(Problem::busy("processes of jobs cannot be started"));
    }
    if starts.calls.is_failing() {
        return Err(Problem::busy("workers of calls cannot be started"));
    }
    Ok("ready\n")
}

/// Whether a request came from this machine, and not on somebody else's behalf.
fn is_local(request: &Request) -> bool {
    let is_from_here = request.extensions().get::<Peer>().is_some_and(|peer| peer.0.is_loopback());
    is_from_here && !is_forwarded(request.headers())
}

/// Whether a proxy says that it asks for somebody else.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

/// Numbers, in the text format of Prometheus; for those on this machine.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Numbers for Prometheus", body = String)), security(()))]
pub(super) async fn metrics(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    if !is_local(&request) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "local-only", "the numbers are told on this machine alone"));
    }
    page(&app, false).await
}

/// The same with what each tenant has used.
pub(super) async fn metrics_in_full(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    page(&app, true).await
}

/// What is read of the store.
struct Kept {
    /// Jobs that are not over, by how far they are.
    open: Vec<(String, u64)>,
    /// When the oldest of those that wait came.
    oldest: Option<i64>,
    /// Of each tenant what it has used of its quotas.
    used: Vec<(Tenant, usage::Usage, u64, u64)>,
}

fn kept(rows: &rusqlite::Connection, in_full: bool) -> crate::store::Result<Kept> {
    let sql = "SELECT state, count(*), min(created) FROM jobs INDEXED BY jobs_to_do WHERE ended IS NULL GROUP BY state";
    let mut statement = rows.prepare(sql)?;
    let states = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?)))?;
    let states: Vec<(String, u64, i64)> = states.collect::<rusqlite::Result<_>>()?;
    let oldest = states.iter().find(|(state, ..)| state == "queued").map(|(.., oldest)| *oldest);
    let mut used = Vec::new();
    if in_full {
        let today = Moment::now().day();
        for tenant in crate::store::access::tenants(rows)?.into_iter().take(TENANTS) {
            let id = tenant.id;
            used.push((
                tenant,
                usage::on_day(rows, id, today)?,
                contents::total(rows, id)?,
                jobs::open_count(rows, id)?,
            ));
        }
    }
    Ok(Kept { open: states.into_iter().map(|(state, count, _)| (state, count)).collect(), oldest, used })
}

async fn page(app: &App, in_full: bool) -> Result<Response, Problem> {
    let kept = app.read(move |rows| kept(rows, in_full)).await?;
    let mut page = Page::default();
    page.head("taskhost_build_info", "gauge", "What runs.");
    let build = app.build;
    page.value(&[("version", env!("CARGO_PKG_VERSION")), ("wasmtime", build.wasmtime), ("rustc", build.rustc)], 1);
    app.metrics.write(&mut page);
    page.head("taskhost_jobs", "gauge", "Jobs that are not over, by how far they are.");
    for (state, count) in &kept.open {
        page.value(&[("state", state)], count);
    }
    page.head("taskhost_queue_depth", "gauge", "What waits: jobs for a process, calls for a worker.");
    page.value(&[("class", "job")], app.jobs.waiting());
    page.value(&[("class", "call")], app.calls.numbers().waiting);
    page.head("taskhost_queue_oldest_age_seconds", "gauge", "Age of the oldest job that waits.");
    let age = kept.oldest.map_or(0, |oldest| Moment::now().0.saturating_sub(oldest).max(0));
    page.value(&[], age as f64 / 1000.0);
    page.head(
        "taskhost_workers",
        "gauge",
        "Workers: most that all jobs may have together, and processes there are, of calls too.",
    );
    page.value(&[("state", "most")], app.shared.cores);
    if let Some((count, memory)) = process::workers() {
        page.value(&[("state", "alive")], count);
        page.head(
            "taskhost_worker_resident_bytes",
            "gauge",
            "Memory that workers have to themselves, of jobs and of calls.",
        );
        page.value(&[], memory);
    }
    counted(app, &mut page, &kept.used);
    calls(&app.calls, &mut page);
    quotas(&mut page, &kept.used);
    debts(app, &mut page, &kept.used);
    let (told, outcomes) = ("taskhost_webhook_deliveries_total", app.post.outcomes());
    page.head(told, "counter", "Attempts to tell a webhook something.");
    page.value(&[("outcome", "delivered")], outcomes.delivered.load(Ordering::Relaxed));
    page.value(&[("outcome", "failed")], outcomes.failed.load(Ordering::Relaxed));
    process::write(&mut page);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.text).into_response())
}

/// What was counted of jobs: of each tenant that has a name here, and of the rest.
fn counted(app: &App, page: &mut Page, named: &[(Tenant, usage::Usage, u64, u64)]) {
    let counts = &app.shared.counts;
    let names: BTreeMap<TenantId, &str> = named.iter().map(|(tenant, ..)| (tenant.id, tenant.name.as_str())).collect();
    let mut by_name: BTreeMap<Option<&str>, Counted> = BTreeMap::new();
    for (tenant, counted) in counts.tenants() {
        let sum = by_name.entry(names.get(&tenant).copied()).or_default();
        for (state, count) in counted.jobs {
            *sum.jobs.entry(state).or_default() += count;
        }
        sum.items += counted.items;
        sum.failed += counted.failed;
        sum.cpu_ms += counted.cpu_ms;
    }
    page.head("taskhost_jobs_total", "counter", "Jobs that are over.");
    for (name, counted) in &by_name {
        for (outcome, count) in &counted.jobs {
            match name {
                Some(name) => page.value(&[("tenant", name), ("outcome", outcome)], count),
                None => page.value(&[("outcome", outcome)], count),
            }
        }
    }
    let sum = |number: fn(&Counted) -> u64| by_name.values().map(number).sum::<u64>();
    let failed = sum(|counted| counted.failed);
    page.head("taskhost_items_total", "counter", "Items of jobs that are over.");
    page.value(&[("outcome", "ok")], sum(|counted| counted.items).saturating_sub(failed));
    page.value(&[("outcome", "failed")], failed);
    page.head("taskhost_traps_total", "counter", "Items that failed, of jobs and of calls, by what became of them.");
    for (kind, count) in counts.verdicts() {
        page.value(&[("kind", &kind)], count);
    }
    page.head("taskhost_worker_cpu_seconds_total", "counter", "CPU time of jobs that are over, and of calls.");
    page.value(&[("class", "job")], sum(|counted| counted.cpu_ms) as f64 / 1000.0);
    page.value(&[("class", "call")], counts.call_seconds());
    page.head(
        "taskhost_worker_restarts_total",
        "counter",
        "Processes that ended for no fault of their job and were replaced, by the reason.",
    );
    for (reason, count) in counts.restarts() {
        page.value(&[("reason", reason.name())], count);
    }
    page.head("taskhost_job_duration_seconds", "histogram", "How long jobs waited and ran.");
    page.times(&[("phase", "queue")], &counts.queued);
    page.times(&[("phase", "run")], &counts.ran);
}

/// What is told of calls.
fn calls(calls: &Calls, page: &mut Page) {
    let numbers = calls.numbers();
    page.head("taskhost_calls_total", "counter", "Calls that are over.");
    let outcomes =
        [("done", numbers.done), ("failed", numbers.failed), ("late", numbers.late), ("refused", numbers.refused)];
    for (outcome, count) in outcomes {
        page.value(&[("outcome", outcome)], count);
    }
    page.head("taskhost_call_duration_seconds", "histogram", "From a call to its result.");
    page.times(&[], calls.times());
    page.head("taskhost_dispatch_overhead_seconds", "histogram", "From a call to its worker.");
    page.times(&[], calls.waits());
    let (hits, misses) = numbers.found_ready;
    page.head("taskhost_kernel_cache_hits_total", "counter", "Calls whose kernel was ready.");
    page.value(&[], hits);
    page.head("taskhost_kernel_cache_misses_total", "counter", "Calls for which a kernel was made ready.");
    page.value(&[], misses);
    page.head("taskhost_calls_together_total", "counter", "Calls that were run together with others.");
    page.value(&[], numbers.together);
    page.head("taskhost_call_workers_busy", "gauge", "Workers that are at calls.");
    page.value(&[], numbers.busy);
    page.head("taskhost_kernels_ready", "gauge", "Kernels that are kept ready for calls.");
    page.value(&[], numbers.ready);
}

/// Who has had more than its share, and how much: what says whose turn is next.
fn debts(app: &App, page: &mut Page, used: &[(Tenant, usage::Usage, u64, u64)]) {
    if used.is_empty() {
        return;
    }
    page.head(
        "taskhost_fair_debt_seconds",
        "gauge",
        "CPU time over weight that a tenant is ahead; the least has the next turn.",
    );
    let fair = app.shared.fair();
    for (tenant, ..) in used {
        page.value(&[("tenant", &tenant.name)], fair.debt(tenant.id));
    }
}

/// How much of its quotas each tenant has used.
fn quotas(page: &mut Page, used: &[(Tenant, usage::Usage, u64, u64)]) {
    if used.is_empty() {
        return;
    }
    page.head("taskhost_quota_used_ratio", "gauge", "What a tenant has used of a quota.");
    for (tenant, used, stored, open) in used {
        let quotas = &tenant.quotas;
        let ratios = [
            ("cpu_seconds_per_day", used.cpu_ms as f64 / 1000.0, quotas.cpu_seconds_per_day),
            ("stored_bytes", *stored as f64, quotas.stored_bytes),
            ("queued_jobs", *open as f64, quotas.queued_jobs.into()),
        ];
        for (quota, used, limit) in ratios {
            page.value(&[("tenant", &tenant.name), ("quota", quota)], used / (limit as f64).max(1.0));
        }
    }
}
