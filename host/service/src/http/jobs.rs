//! `/v1/jobs`: a job is on the disk before it is acknowledged, and a request that comes again makes no second one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::need;
use super::kernels::{act, resolve, until_tomorrow};
use super::{App, Problem, blobs, body};
use crate::blobs::Digest;
use crate::job::{Input, JobId, JobSpec, JobState, Order, Parameters};
use crate::store::audit;
use crate::store::jobs::{self, Idempotency, JobRow, Submitted};
use crate::store::{contents, usage};
use crate::tenant::{Caller, Scope, TenantId};

type Who = Extension<Arc<Caller>>;

/// Longest time that a request waits for its job.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// Rows of a list, when nothing else is asked for, and at most.
const ROWS: u32 = 50;
const MOST_ROWS: u32 = 500;

/// Longest key of a request that may come again.
const KEY_BYTES: usize = 255;

/// Longest result that is answered in place of the place where it is.
const INLINE: u64 = 6 << 20;

/// A job as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    kernel: String,
    #[serde(deserialize_with = "one_or_more")]
    input: Vec<AskedInput>,
    output: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedInput {
    /// What is stored already …
    blob: Option<Digest>,
    /// … or the content itself.
    text: Option<String>,
    name: Option<String>,
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<AskedInput>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(AskedInput),
        More(Vec<AskedInput>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(input) => vec![input],
        OneOrMore::More(inputs) => inputs,
    })
}

/// A job whose input is the body: what else is asked for stands behind the `?`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Plain {
    kernel: Option<String>,
    name: Option<String>,
    output: Option<String>,
    split: Option<String>,
    merge: Option<String>,
    on_error: Option<String>,
}

fn unprocessable(error: &crate::job::SpecError) -> Problem {
    Problem::unprocessable("bad-job", error.to_string())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES).contains(&key.len()));
    let key =
        key.ok_or_else(|| Problem::bad("bad-key", format!("an Idempotency-Key has from 1 to {KEY_BYTES} signs")))?;
    Ok(Some(key.to_owned()))
}

/// `Prefer: wait=N`.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let prefer = headers.get("prefer")?.to_str().ok()?;
    let seconds = prefer.split([',', ';']).find_map(|word| word.trim().strip_prefix("wait="))?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MOST_WAIT))
}

pub(super) async fn submit(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Query(plain): Query<Plain>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsWrite)?;
    if app.jobs.is_draining() {
        return Err(Problem::busy("the server stops, and takes no more jobs"));
    }
    let key = idempotency_key(&headers)?;
    admit(&app, &caller, key.is_none()).await?;
    let spec = match plain.kernel {
        Some(_) => with_body(&app, &caller, plain, &headers, bytes).await?,
        None => as_asked(&app, &caller, &body::text(&headers, bytes).await?).await?,
    };
    spec.check().map_err(|error| unprocessable(&error))?;
    let again = key.map(|key| Idempotency { key, request: request_hash(&spec) });
    let (job, tenant) = (JobId::create(), caller.tenant.id);
    let (new, kept, most) = (job.clone(), spec.clone(), caller.tenant.quotas.queued_jobs);
    let act = act(&caller, "job.submit", &job);
    let submitted = app.write(move |rows| {
        let submitted = jobs::submit(rows, &new, tenant, &kept, most, again.as_ref())?;
        if submitted == Submitted::New {
            audit::add(rows, &act)?;
        }
        Ok(submitted)
    });
    match submitted.await? {
        Submitted::New => {
            app.jobs.tell(Order::Submitted(job.clone(), tenant, Box::new(spec)));
            answer(&app, &caller, &headers, job).await
        }
        Submitted::Before(job) => {
            let mut response = answer(&app, &caller, &headers, job).await?;
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            Ok(response)
        }
        Submitted::OtherRequest => {
            Err(Problem::unprocessable("key-reused", "the Idempotency-Key was used before, for another request"))
        }
        Submitted::TooMany(open) => Err(Problem::quota("queued_jobs", most.into(), open, Duration::from_secs(5))),
    }
}

fn request_hash(spec: &JobSpec) -> [u8; 32] {
    // What was understood, so that the same job in other words is the same job.
    let text = serde_json::to_vec(spec).unwrap_or_default();
    *blake3::hash(&text).as_bytes()
}

/// Refuses, before anything is taken, a tenant who has used up what it has today, or has as many jobs as it may when what
/// comes is surely a new one.
async fn admit(app: &App, caller: &Caller, is_new: bool) -> Result<(), Problem> {
    let (tenant, today) = (caller.tenant.id, crate::time::Moment::now().day());
    let read = app.read(move |rows| Ok((usage::on_day(rows, tenant, today)?, jobs::open_count(rows, tenant)?)));
    let (used, open) = read.await?;
    let quotas = &caller.tenant.quotas;
    let (seconds, limit) = (used.cpu_ms / 1000, quotas.cpu_seconds_per_day);
    if seconds >= limit {
        return Err(Problem::quota("cpu_seconds_per_day", limit, seconds, until_tomorrow()));
    }
    if is_new && open >= u64::from(quotas.queued_jobs) {
        return Err(too_many(quotas.queued_jobs, open));
    }
    Ok(())
}

fn too_many(most: u32, open: u64) -> Problem {
    Problem::quota("queued_jobs", most.into(), open, Duration::from_secs(5))
}

async fn kernel(app: &App, caller: &Caller, reference: &str) -> Result<Digest, Problem> {
    let kernel = resolve(app, caller, reference).await?;
    kernel.digest.parse().map_err(|_| Problem::internal("a digest that is kept cannot be read"))
}

async fn as_asked(app: &App, caller: &Caller, text: &[u8]) -> Result<JobSpec, Problem> {
    let asked: Asked = serde_json::from_slice(text).map_err(|error| Problem::bad("bad-request", error.to_string()))?;
    let kernel = kernel(app, caller, &asked.kernel).await?;
    let (mut inputs, mut input_bytes) = (Vec::new(), 0);
    for (number, input) in asked.input.into_iter().enumerate() {
        let (blob, bytes) = match (input.blob, input.text) {
            (Some(blob), None) => (blob, stored(app, caller.tenant.id, blob).await?),
            (None, Some(text)) => {
                let limit = ("an input", u64::MAX);
                let blob = body::content(app, caller, &HeaderMap::new(), Body::from(text), limit).await?;
                body::keep(app, caller, blob).await?
            }
            _ => return Err(Problem::unprocessable("bad-job", "an input has either a blob or a text")),
        };
        input_bytes += bytes;
        inputs.push(Input { blob, name: input.name.unwrap_or_else(|| format!("input{number}")) });
    }
    let Asked { output, parameters, labels, .. } = asked;
    Ok(JobSpec { kernel, inputs, input_bytes, output, parameters, labels })
}

async fn stored(app: &App, tenant: TenantId, blob: Digest) -> Result<u64, Problem> {
    let bytes = app.read(move |rows| contents::bytes(rows, tenant, &blob)).await?;
    bytes.ok_or_else(|| Problem::unprocessable("unknown-blob", format!("{blob} is not stored")))
}

async fn with_body(
    app: &App,
    caller: &Caller,
    plain: Plain,
    headers: &HeaderMap,
    bytes: Body,
) -> Result<JobSpec, Problem> {
    let kernel = kernel(app, caller, plain.kernel.as_deref().unwrap_or_default()).await?;
    let limit = ("the input", u64::MAX);
    let blob = body::content(app, caller, headers, bytes, limit).await?;
    let (digest, input_bytes) = body::keep(app, caller, blob).await?;
    let inputs = vec![Input { blob: digest, name: plain.name.unwrap_or_else(|| "input".to_owned()) }];
    let Plain { output, split, merge, on_error, .. } = plain;
    let parameters = Parameters { split, merge, on_error, ..Parameters::default() };
    Ok(JobSpec { kernel, inputs, input_bytes, output, parameters, labels: BTreeMap::new() })
}

/// Answers with a job: when it is over in time, with what came of it, else with its place.
async fn answer(app: &App, caller: &Caller, headers: &HeaderMap, id: JobId) -> Result<Response, Problem> {
    let wait = wait(headers);
    let job = find_later(app, caller, &id, wait).await?;
    let place = format!("/v1/jobs/{id}");
    let result = job.conclusion.result.filter(|_| wait.is_some() && caller.may(Scope::ResultsRead));
    let mut response = match result {
        Some(result) if job.conclusion.output_bytes.is_some_and(|bytes| bytes <= INLINE) => {
            blobs::send(app, caller, &HeaderMap::new(), &result, content_type(&job)).await?
        }
        _ => {
            let status = if job.state.is_over() { StatusCode::OK } else { StatusCode::ACCEPTED };
            (status, Json(view(&job))).into_response()
        }
    };
    let answer = response.headers_mut();
    if wait.is_some() {
        answer.insert("preference-applied", HeaderValue::from_static("wait"));
    }
    let texts = [(header::LOCATION, place), (header::HeaderName::from_static("taskhost-job"), id.to_string())];
    for (name, text) in texts {
        // Digits and letters of our own.
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.insert(name, value);
        }
    }
    answer.insert("taskhost-state", HeaderValue::from_static(job.state.name()));
    Ok(response)
}

fn content_type(job: &JobRow) -> &'static str {
    match job.spec.result_name().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("json") => "application/json",
        Some("csv") => "text/csv",
        // Never a page, whatever the kernel wrote.
        _ => "application/octet-stream",
    }
}

/// A job as its tenant sees it.
fn view(job: &JobRow) -> Value {
    let done = &job.conclusion;
    let place = |name: &str| format!("/v1/jobs/{}/{name}", job.id);
    json!({
        "id": job.id,
        "state": job.state,
        "kernel": job.spec.kernel,
        "inputs": job.spec.inputs,
        "output": job.spec.output,
        "parameters": job.spec.parameters,
        "labels": job.spec.labels,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "attempts": job.attempts,
        "exit_code": done.exit,
        "message": done.message,
        "items": done.items,
        "failed_items": done.failed,
        "input_bytes": job.spec.input_bytes,
        "output_bytes": done.output_bytes,
        "cpu_ms": done.cpu_ms,
        "result": done.result.map(|digest| json!({ "blob": digest, "href": place("result") })),
        "failures": done.failures.map(|digest| json!({ "blob": digest, "href": place("failures") })),
    })
}

async fn find(app: &App, caller: &Caller, job: &JobId) -> Result<JobRow, Problem> {
    let (tenant, job) = (caller.tenant.id, job.clone());
    app.read(move |rows| jobs::find(rows, tenant, &job)).await?.ok_or_else(|| Problem::not_found("job"))
}

/// A job when it is over, or when that takes longer.
async fn find_later(app: &App, caller: &Caller, job: &JobId, wait: Option<Duration>) -> Result<JobRow, Problem> {
    let found = find(app, caller, job).await?;
    let Some(wait) = wait.filter(|_| !found.state.is_over()) else { return Ok(found) };
    let over = app.waiters.wait_for(job);
    // It may have ended before it was waited for.
    let found = find(app, caller, job).await?;
    if found.state.is_over() {
        app.waiters.over(job);
        return Ok(found);
    }
    // Late is no error: then there is only less to tell.
    let _ = tokio::time::timeout(wait, over).await;
    find(app, caller, job).await
}

fn id(text: &str) -> Result<JobId, Problem> {
    JobId::parse(text).ok_or_else(|| Problem::not_found("job"))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsRead)?;
    let found = find_later(&app, &caller, &id(&job)?, wait(&headers)).await?;
    let mut response = Json(view(&found)).into_response();
    if !found.state.is_over() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// Which jobs, and where a list goes on.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Query(listed): Query<Listed>,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsRead)?;
    let bad = |what: &str| Problem::bad("bad-request", format!("that is no {what}"));
    let state = listed.state.map(|state| JobState::parse(&state).ok_or_else(|| bad("state"))).transpose()?;
    let cursor = listed.cursor.map(|cursor| JobId::parse(&cursor).ok_or_else(|| bad("cursor"))).transpose()?;
    let limit = listed.limit.unwrap_or(ROWS).clamp(1, MOST_ROWS);
    let tenant = caller.tenant.id;
    let rows = app.read(move |rows| jobs::list(rows, tenant, state, cursor.as_ref(), limit)).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|last| last.id.clone());
    let link = next.as_ref().map(|next| {
        let state = state.map_or(String::new(), |state| format!("&state={}", state.name()));
        format!("</v1/jobs?cursor={next}&limit={limit}{state}>; rel=\"next\"")
    });
    let jobs: Vec<Value> = rows.iter().map(view).collect();
    let mut response = Json(json!({ "jobs": jobs, "next": next })).into_response();
    if let Some(Ok(link)) = link.map(|link| HeaderValue::from_str(&link)) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsCancel)?;
    let job = id(&job)?;
    let found = find(&app, &caller, &job).await?;
    let (tenant, over) = (caller.tenant.id, job.clone());
    let act = act(&caller, "job.cancel", &job);
    let done = app.write(move |rows| {
        let done = jobs::finish(rows, &over, tenant, JobState::Cancelled, &found.conclusion)?;
        if done {
            audit::add(rows, &act)?;
        }
        Ok(done)
    });
    let done = done.await?;
    let found = find(&app, &caller, &job).await?;
    // Asked for again it is as it is; what ended otherwise cannot be cancelled any more.
    if !done && found.state != JobState::Cancelled {
        return Err(Problem::conflict("over", format!("the job is over: {}", found.state.name())));
    }
    if done {
        app.jobs.tell(Order::Cancelled(job.clone()));
        app.waiters.over(&job);
    }
    Ok((StatusCode::ACCEPTED, Json(view(&found))).into_response())
}

pub(super) async fn result(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    need(&caller, Scope::ResultsRead)?;
    let job = find(&app, &caller, &id(&job)?).await?;
    match job.conclusion.result {
        Some(result) => blobs::send(&app, &caller, &headers, &result, content_type(&job)).await,
        None if job.state.is_over() => Err(Problem::not_found("result")),
        None => Err(Problem::conflict("not-finished", "the job is not over; ask again, or with Prefer: wait")),
    }
}

pub(super) async fn failures(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    need(&caller, Scope::ResultsRead)?;
    let job = find(&app, &caller, &id(&job)?).await?;
    let lines = "application/x-ndjson";
    match job.conclusion.failures {
        Some(failures) => blobs::send(&app, &caller, &headers, &failures, lines).await,
        None if job.state.is_over() => Ok(([(header::CONTENT_TYPE, lines)], "").into_response()),
        None => Err(Problem::conflict("not-finished", "the job is not over; ask again, or with Prefer: wait")),
    }
}
