//! `POST /v1/kernels/{ref}/invoke`: one item in, one result out, while the caller waits. Bytes for kernels that take items, JSON
//! for a function that is named behind it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::guard::need;
use super::kernels::{refuse_blocked, resolve_all};
use super::{App, Problem, body};
use crate::blobs::Digest;
use crate::call::{CallError, ItemFailure, Purpose};
use crate::choice::choose;
use crate::store::kernels::KernelRow;
use crate::tenant::{Caller, Scope, TenantId};

type Who = Extension<Arc<Caller>>;

/// Bytes of an item; those of a result are held by whoever has the workers.
const ITEM_BYTES: u64 = 1 << 20;

/// How long a call may take in all, when it does not say, and at most.
const TIME: Duration = Duration::from_secs(10);
const MOST_TIME: Duration = Duration::from_secs(30);

/// Says how long, as does `timeout` behind the `?`.
const TIME_HEADER: &str = "taskhost-timeout";

/// Says which kernel was called.
pub(super) const KERNEL: HeaderName = HeaderName::from_static("taskhost-kernel");

/// Letters of what a kernel says that are passed on.
const MESSAGE_LETTERS: usize = 1000;

/// Longest name of a function.
const FUNCTION_BYTES: usize = 1024;

/// References that are remembered: all are forgotten when there are more.
const REMEMBERED: usize = 10_000;

/// What somebody calls a kernel.
type Reference = (TenantId, String);

/// What references of tenants mean, so that neither a call nor a job need ask the store: forgotten whenever a name or a kernel changes.
#[derive(Debug, Default)]
pub(super) struct Meanings {
    changes: AtomicU64,
    known: Mutex<HashMap<Reference, (u64, Arc<Meaning>)>>,
}

/// What a reference means.
#[derive(Debug)]
struct Meaning {
    digest: Digest,
    /// It has functions, but none that is called for an item.
    is_typed: bool,
    functions: Vec<String>,
    /// What else it means now and then, and how often.
    others: Vec<(f64, Arc<Meaning>)>,
}

impl Meaning {
    /// What it means when this was drawn, from 0 to 1.
    fn drawn(self: &Arc<Self>, draw: f64) -> Arc<Self> {
        let other = choose(self.others.iter().map(|(weight, _)| *weight), draw);
        Arc::clone(other.map_or(self, |other| &self.others[other].1))
    }

    /// Whether there may be such a function, of which the name need only be what tells it from others: the engine knows.
    fn may_have(&self, name: &str) -> bool {
        let last = name.rsplit(['#', '.', '/']).next().unwrap_or(name);
        self.functions.iter().any(|known| known.ends_with(last))
    }
}

impl Meanings {
    /// A name or a kernel was changed.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn find(&self, tenant: TenantId, reference: &str) -> Option<Arc<Meaning>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, meaning) = known.get(&(tenant, reference.to_owned()))?;
        (*at == self.changes.load(Ordering::SeqCst)).then(|| Arc::clone(meaning))
    }

    fn keep(&self, tenant: TenantId, reference: &str, at: u64, meaning: &Arc<Meaning>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert((tenant, reference.to_owned()), (at, Arc::clone(meaning)));
    }
}

/// What a reference means this time, when that may be run.
async fn meaning(app: &App, caller: &Caller, reference: &str) -> Result<Arc<Meaning>, Problem> {
    let known = known_meaning(app, caller, reference).await?;
    let meaning = if known.others.is_empty() { known } else { known.drawn(app.draws.next()) };
    refuse_blocked(app, &meaning.digest)?;
    Ok(meaning)
}

async fn known_meaning(app: &App, caller: &Caller, reference: &str) -> Result<Arc<Meaning>, Problem> {
    let tenant = caller.tenant.id;
    if let Some(known) = app.meanings.find(tenant, reference) {
        return Ok(known);
    }
    // Before it is read: what changes meanwhile is read again the next time.
    let at = app.meanings.changes.load(Ordering::SeqCst);
    let (kernel, weights) = resolve_all(app, caller, reference).await?;
    let mut others = Vec::new();
    for (weight, other) in weights {
        others.push((weight, Arc::new(of_kernel(&other, Vec::new())?)));
    }
    let meaning = Arc::new(of_kernel(&kernel, others)?);
    app.meanings.keep(tenant, reference, at, &meaning);
    Ok(meaning)
}

fn of_kernel(kernel: &KernelRow, others: Vec<(f64, Arc<Meaning>)>) -> Result<Meaning, Problem> {
    let functions = kernel.info["functions"].as_array().into_iter().flatten();
    Ok(Meaning {
        digest: kernel.digest.parse().map_err(|_| Problem::internal("a digest that is kept cannot be read"))?,
        is_typed: kernel.info["kind"] == "typed",
        functions: functions.filter_map(|function| Some(function["name"].as_str()?.to_owned())).collect(),
        others,
    })
}

/// The kernel that a reference means this time, when it may be run.
pub(super) async fn digest(app: &App, caller: &Caller, reference: &str) -> Result<Digest, Problem> {
    Ok(meaning(app, caller, reference).await?.digest)
}

/// What stands behind the `?`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// How long the call may take in all: `500ms` or `2s`; 10 s when it is not said, 30 s at most.
    timeout: Option<String>,
}

/// `500ms`, `2s`, `2`.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len()));
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" | "" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn allowed(asked: &Asked, headers: &HeaderMap) -> Result<Duration, Problem> {
    let text = match (&asked.timeout, headers.get(TIME_HEADER)) {
        (Some(text), _) => text.as_str(),
        (None, Some(value)) => value.to_str().unwrap_or_default(),
        (None, None) => return Ok(TIME),
    };
    let time = time(text).filter(|time| !time.is_zero());
    let time = time.ok_or_else(|| Problem::bad("bad-timeout", "a timeout is written as 500ms or 2s"))?;
    Ok(time.min(MOST_TIME))
}

/// Calls a kernel with one item, and answers with its result.
#[utoipa::path(post, path = "/v1/kernels/{reference}/invoke", params(("reference" = String, Path), ("taskhost-timeout" = Option<String>, Header), Asked),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "The result", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(super) async fn kernel(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(reference): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    let until = Instant::now() + allowed(&asked, &headers)?;
    call(&app, &caller, (&reference, None), (&headers, bytes), until).await
}

/// Calls a function of a kernel with its arguments, and answers with its result. Its name may hold slashes.
#[utoipa::path(post, path = "/v1/kernels/{reference}/invoke/{function}",
    params(("reference" = String, Path), ("function" = String, Path), ("taskhost-timeout" = Option<String>, Header), Asked),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, description = "The result", body = serde_json::Value, content_type = "application/json")))]
pub(super) async fn function(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path((reference, function)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    let until = Instant::now() + allowed(&asked, &headers)?;
    call(&app, &caller, (&reference, Some(function)), (&headers, bytes), until).await
}

async fn call(
    app: &App,
    caller: &Caller,
    (reference, function): (&str, Option<String>),
    (headers, bytes): (&HeaderMap, Body),
    until: Instant,
) -> Result<Response, Problem> {
    need(caller, Scope::JobsWrite)?;
    need(caller, Scope::ResultsRead)?;
    if app.shared.directory.paused(caller.tenant.id).is_some() {
        return Err(Problem::paused());
    }
    let meaning = meaning(app, caller, reference).await?;
    // However it ends, it is told which one it was.
    let mut response = match call_of(app, caller, &meaning, function, (headers, bytes), until).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    if let Ok(kernel) = HeaderValue::from_str(&meaning.digest.to_string()) {
        response.headers_mut().insert(KERNEL, kernel);
    }
    Ok(response)
}

async fn call_of(
    app: &App,
    caller: &Caller,
    meaning: &Meaning,
    function: Option<String>,
    (headers, bytes): (&HeaderMap, Body),
    until: Instant,
) -> Result<Response, Problem> {
    check(meaning, function.as_deref())?;
    let item = body::whole(headers, bytes, "the item", ITEM_BYTES).await?;
    let content_type = if function.is_some() { "application/json" } else { "application/octet-stream" };
    let purpose = Purpose {
        tenant: caller.tenant.id,
        kernel: meaning.digest,
        function,
        memory: caller.tenant.quotas.worker_memory,
    };
    let result = app.calls.call(&caller.tenant, purpose, item, until).await.map_err(problem)?;
    Ok(([(header::CONTENT_TYPE, content_type)], result).into_response())
}

/// Refuses what can be seen not to work, before it costs a worker.
fn check(meaning: &Meaning, function: Option<&str>) -> Result<(), Problem> {
    match function {
        None if meaning.is_typed => Err(Problem::unprocessable(
            "function-missing",
            "it has functions, and none that is called for an item: name one behind `invoke/`",
        )),
        Some(name) if name.len() > FUNCTION_BYTES || !meaning.may_have(name) => Err(Problem::not_found("function")),
        _ => Ok(()),
    }
}

fn problem(error: CallError) -> Problem {
    let second = Duration::from_secs(1);
    match error {
        CallError::Stopping => Problem::busy("the server stops"),
        CallError::Busy => Problem::busy("no worker became free in time"),
        CallError::TooMany(most) => Problem::quota("concurrent_calls", most.into(), most.into(), second),
        CallError::CpuUsedUp(used, limit) => Problem::no_time_today(limit, used),
        CallError::Late => late("the call took longer than it may"),
        CallError::Gone => Problem::not_found("kernel"),
        CallError::Refused(why) => Problem::unprocessable("kernel-refused", shown(&why)),
        CallError::Failed(failure) if failure.verdict == "deadline" => late(&shown(&failure.message)),
        CallError::Failed(failure) => failed(&failure),
        CallError::Lost(why) => Problem::busy("the call was lost, and nobody knows what became of it").logged(why),
        CallError::Store(error) => Problem::store(&error),
    }
}

fn late(text: &str) -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "late", text).with("verdict", "deadline")
}

fn failed(failure: &ItemFailure) -> Problem {
    Problem::unprocessable("item-failed", shown(&failure.message))
        .with("verdict", failure.verdict)
        .with("blame", failure.blame)
}

/// What a kernel says, as it may be shown anywhere.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(MESSAGE_LETTERS) {
        match letter {
            '\n' | '\t' => shown.push(letter),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    if text.chars().nth(MESSAGE_LETTERS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_one_of_three_ways() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (text, meant) in
            [("500ms", ms(500)), ("2s", ms(2000)), ("2", ms(2000)), ("", None), ("2h", None), ("s", None)]
        {
            assert_eq!(time(text), meant, "{text}");
        }
    }

    #[test]
    fn what_a_kernel_says_is_cut_and_harmless() {
        assert_eq!(shown("a\nb\u{1b}[31m\r"), "a\nb\\u{1b}[31m\\r");
        let long = shown(&"é".repeat(5000));
        assert_eq!(long.chars().count(), MESSAGE_LETTERS + 1);
    }

    #[test]
    fn a_name_of_several_means_what_is_drawn() {
        let one = |name: &[u8], others| {
            Arc::new(Meaning { digest: Digest::of(name), is_typed: false, functions: Vec::new(), others })
        };
        let own = one(b"own", vec![(0.1, one(b"new", Vec::new())), (0.2, one(b"newer", Vec::new()))]);
        let drawn = [0.05, 0.7, 0.15, 0.29, 0.31].map(|draw| own.drawn(draw).digest);
        assert_eq!(drawn, [&b"new"[..], b"own", b"newer", b"newer", b"own"].map(Digest::of));
    }

    #[test]
    fn a_meaning_is_known_until_something_changes() {
        let meanings = Meanings::default();
        let meaning =
            Arc::new(Meaning { digest: Digest::of(b"x"), is_typed: false, functions: Vec::new(), others: Vec::new() });
        let tenant = TenantId(1);
        meanings.keep(tenant, "a", 0, &meaning);
        assert!(meanings.find(tenant, "a").is_some());
        assert!(meanings.find(TenantId(2), "a").is_none());
        meanings.changed();
        assert!(meanings.find(tenant, "a").is_none());
        // What was read before the change does not count after it.
        meanings.keep(tenant, "a", 0, &meaning);
        assert!(meanings.find(tenant, "a").is_none());
    }
}
