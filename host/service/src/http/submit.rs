//! `POST /v1/jobs`: a job is on the disk before it is acknowledged, and a request that comes again makes no second one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::asked::Asked;
use super::body::Fresh;
use super::callback::{self, Callback};
use super::carried_out::to_its_end;
use super::dry_run::DryRunView;
use super::guard::need;
use super::invoke::digest;
use super::jobs::{Who, find_later, wait};
use super::kernels::{act, has_time_today};
use super::turns::Turn;
use super::view::{JobView, view};
use super::waiting::Room;
use super::{App, Problem, blobs, body, dry_run};
use crate::blobs::Digest;
use crate::job::{Input, JobId, JobSpec, Order, Parameters, Urgency};
use crate::store::jobs::{self, Idempotency, JobRow, Submitted};
use crate::store::{self, audit, callbacks, contents, holds, kernels};
use crate::tenant::{Caller, Scope};

/// Longest key of a request that may come again.
const KEY_BYTES: usize = 255;

/// Longest result that is answered in place of the place where it is.
const INLINE: u64 = 6 << 20;

/// A job whose input is the body: what else is asked for stands behind the `?`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Plain {
    /// A digest, or an alias: the body is the input then, as it is.
    kernel: Option<String>,
    /// What messages call the input.
    name: Option<String>,
    /// The ending of the result's name.
    output: Option<String>,
    /// As the parameter.
    split: Option<String>,
    /// As the parameter.
    merge: Option<String>,
    /// As the parameter.
    on_error: Option<String>,
    /// Of your jobs, those with more of it are begun first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = -100, maximum = 100)]
    priority: Option<i32>,
    /// Of jobs of one priority, the one that is to be ready first is begun first: milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_by: Option<i64>,
}

/// The key of a request that may come again, with what is asked for: the same key elsewhere is another.
pub(super) fn idempotency_key(headers: &HeaderMap, place: &str) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES).contains(&key.len()));
    let key =
        key.ok_or_else(|| Problem::bad("bad-key", format!("an Idempotency-Key has from 1 to {KEY_BYTES} signs")))?;
    Ok(Some(format!("POST {place} {key}")))
}

/// What is answered at once: a job, or what would be done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobOrDryRun)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is for the description alone")]
enum Answered {
    Job(Box<JobView>),
    DryRun(Box<DryRunView>),
}

/// Hands in a job: as JSON, or with `?kernel=…` as the input itself. `Prefer: wait=N` waits up to so many seconds for its
/// result. `Idempotency-Key` makes a request that comes again within 24 hours the same job. With `dry_run` nothing is kept, and the
/// answer is what would be done.
#[utoipa::path(post, path = "/v1/jobs", params(Plain, ("idempotency-key" = Option<String>, Header, description = "From 1 to 255 signs: with the same the same request is done once, for 24 hours"), ("prefer" = Option<String>, Header, description = "`wait=N`: the answer waits up to so many seconds, 30 at most, for the end of the job")), request_body(content((Asked = "application/json"), (String = "application/octet-stream"))),
    responses((status = 200, description = "It is over: its result, or the job; or what would be done", body = Answered), (status = 202, description = "It is accepted", body = JobView)))]
pub(super) async fn submit(
    State(app): State<Arc<App>>,
    axum::Extension(caller): Who,
    Query(plain): Query<Plain>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsWrite)?;
    if plain.kernel.is_none() && plain != Plain::default() {
        return Err(Problem::bad(
            "bad-request",
            "what stands behind the ? is about an input as the body: say ?kernel=… too",
        ));
    }
    let key = idempotency_key(&headers, "/v1/jobs")?;
    let is_known = key.is_some() && is_known(&app, &caller, key.as_deref()).await?;
    let admitted = if is_known { Ok(()) } else { admit(&app, &caller).await };
    let asked = if plain.kernel.is_some() {
        admitted?;
        plain.take(&app, &caller, &headers, bytes, is_known).await?
    } else {
        let asked: Asked = body::said(&headers, bytes).await?;
        if asked.is_dry_run() {
            return dry_run::answer(&app, &caller, admitted, asked).await;
        }
        admitted?;
        Request::Asked(Box::new(asked))
    };
    let again = key.map(|key| Idempotency { key, request: asked.hash() });
    if let Some(again) = &again {
        let (tenant, looked) = (caller.tenant.id, again.clone());
        let before = app.read(move |rows| jobs::before(rows, tenant, &looked)).await?;
        if let Some(before) = before {
            return replay(&app, &caller, &headers, before).await;
        }
    }
    let callback = asked.callback();
    callback.iter().try_for_each(|callback| callback.check(&app))?;
    let room = asked.admit(&app, &caller)?;
    let turn = app.submissions.next(caller.tenant.id).await;
    let (at_work, asks) = (Arc::clone(&app), Arc::clone(&caller));
    let handed = to_its_end(async move {
        let (spec, fresh) = asked.keep(&at_work, &asks).await?;
        drop(room);
        hand_in(&at_work, &asks, (spec, fresh, callback), again, turn).await
    });
    respond(&app, &caller, &headers, handed.await?).await
}

/// Whether a request with this key was made before, whatever it was.
async fn is_known(app: &App, caller: &Caller, key: Option<&str>) -> Result<bool, Problem> {
    let (tenant, key) = (caller.tenant.id, key.unwrap_or_default().to_owned());
    let looked = Idempotency { key, request: [0; 32] };
    Ok(app.read(move |rows| jobs::before(rows, tenant, &looked)).await?.is_some())
}

/// Answers a request that was made before.
async fn replay(app: &App, caller: &Caller, headers: &HeaderMap, before: Submitted) -> Result<Response, Problem> {
    match before {
        Submitted::Before(job) => {
            let mut response = answer(app, caller, headers, job).await?;
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            Ok(response)
        }
        _ => Err(Problem::unprocessable("key-reused", "the Idempotency-Key was used before, for another request")),
    }
}

/// Why a job is not taken that looked well.
enum Refusal {
    /// The kernel was deleted a moment ago.
    NoKernel,
    /// It was blocked a moment ago, and why.
    Blocked(String),
    Unknown(Digest),
    Full(u64),
    Callbacks(u64),
    /// Something else came of it than a new job.
    Not(Submitted),
}

/// What came of a job that was handed in.
pub(super) enum Handed {
    /// It is a job.
    New(Box<JobRow>),
    /// The same request was made before.
    Before(Submitted),
}

/// Answers with what came of it.
pub(super) async fn respond(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    handed: Handed,
) -> Result<Response, Problem> {
    match handed {
        // What it is now is known.
        Handed::New(job) if wait(headers).is_none() => Ok(accepted(&job)),
        Handed::New(job) => answer(app, caller, headers, job.id).await,
        Handed::Before(before) => replay(app, caller, headers, before).await,
    }
}

/// Keeps a job whose inputs are kept or laid down, for which it is the tenant's turn. It is to be carried out to its end.
pub(super) async fn hand_in(
    app: &App,
    caller: &Caller,
    (spec, fresh, callback): (JobSpec, Fresh, Option<Callback>),
    again: Option<Idempotency>,
    turn: Turn,
) -> Result<Handed, Problem> {
    let (job, tenant) = (JobId::create(), caller.tenant.id);
    let (new, kept, quotas) = (job.clone(), spec.clone(), caller.tenant.quotas);
    let act = act(caller, "job.submit", &job);
    let (blobs, room, laid) = (Arc::clone(&app.shared.blobs), caller.tenant.quotas.stored_bytes, fresh.clone());
    let act_on = move |rows: &rusqlite::Connection| {
        if let Some(stored) = body::count(rows, &*blobs, tenant, room, &laid)? {
            return Ok(Err(Refusal::Full(stored)));
        }
        if !kernels::is_there(rows, tenant, &kept.kernel)? {
            return Ok(Err(Refusal::NoKernel));
        }
        if let Some(reason) = holds::blocked(rows, &kept.kernel)? {
            return Ok(Err(Refusal::Blocked(reason)));
        }
        for input in &kept.inputs {
            if contents::bytes(rows, tenant, &input.blob)?.is_none() {
                return Ok(Err(Refusal::Unknown(input.blob)));
            }
        }
        let open = if callback.is_some() { callbacks::open(rows, tenant)? } else { 0 };
        if open >= callbacks::MOST {
            return Ok(Err(Refusal::Callbacks(open)));
        }
        let created = match jobs::submit(rows, &new, tenant, &kept, &quotas, again.as_ref())? {
            Submitted::New(created) => created,
            other => return Ok(Err(Refusal::Not(other))),
        };
        if let Some(Callback { url, secret }) = &callback {
            callbacks::add(rows, tenant, &new, url, secret)?;
        }
        audit::add(rows, &act)?;
        Ok(Ok(created))
    };
    let submitted = app.write(move |rows| store::unless_refused(rows, act_on)).await;
    if !matches!(submitted, Ok(Ok(_))) {
        body::forget(app, caller, &fresh).await;
    }
    drop(turn);
    match submitted? {
        Ok(created) => {
            app.jobs.tell(Order::Submitted(job.clone(), tenant, spec.size()));
            Ok(Handed::New(Box::new(JobRow::new(job, tenant, spec, created))))
        }
        Err(Refusal::NoKernel) => Err(Problem::not_found("kernel")),
        Err(Refusal::Blocked(reason)) => Err(Problem::blocked(&reason)),
        Err(Refusal::Unknown(blob)) => Err(unknown_blob(blob)),
        Err(Refusal::Callbacks(open)) => Err(callback::too_many(open)),
        Err(Refusal::Full(stored) | Refusal::Not(Submitted::Full(stored))) => Err(body::full(caller, stored)),
        Err(Refusal::Not(Submitted::TooMany(open))) => Err(too_many(quotas.queued_jobs, open)),
        Err(Refusal::Not(before)) => Ok(Handed::Before(before)),
    }
}

/// Says what is wrong with a job before anything is kept for it.
pub(super) fn check(spec: &JobSpec) -> Result<(), Problem> {
    spec.check().map_err(|error| Problem::unprocessable("bad-job", error.to_string()))
}

/// Refuses, before anything is taken, everybody while the server stops, and a tenant who has used up what it has today, or has
/// as many jobs as it may.
pub(super) async fn admit(app: &App, caller: &Caller) -> Result<(), Problem> {
    if app.jobs.is_draining() {
        return Err(Problem::busy("the server stops, and takes no more jobs"));
    }
    let (tenant, quotas) = (caller.tenant.id, &caller.tenant.quotas);
    has_time_today(app, caller).await?;
    // As far as they are known at once; they are counted when it is kept.
    let open = app.shared.fair().jobs_of(tenant) as u64;
    if open >= u64::from(quotas.queued_jobs) {
        return Err(too_many(quotas.queued_jobs, open));
    }
    Ok(())
}

pub(super) fn too_many(most: u32, open: u64) -> Problem {
    Problem::quota("queued_jobs", most.into(), open, Duration::from_secs(5))
}

pub(super) fn unknown_blob(blob: impl std::fmt::Display) -> Problem {
    Problem::unprocessable("unknown-blob", format!("{blob} is not stored"))
}

/// A request that was read, of which nothing is kept yet.
enum Request {
    Asked(Box<Asked>),
    Body(Plain, Box<body::Arrived>),
}

impl Plain {
    async fn take(
        self,
        app: &App,
        caller: &Caller,
        headers: &HeaderMap,
        bytes: Body,
        is_known: bool,
    ) -> Result<Request, Problem> {
        // Before all of the body is taken. What was asked for before may name a kernel that is gone since.
        if !is_known {
            let kernel = digest(app, caller, self.kernel.as_deref().unwrap_or_default()).await?;
            check(&self.spec(kernel, (Digest([0; 32]), 0)))?;
        }
        let arrived = body::content(app, caller, headers, bytes, ("the input", u64::MAX)).await?;
        Ok(Request::Body(self, Box::new(arrived)))
    }

    /// The job, over a content of so many bytes.
    fn spec(&self, kernel: Digest, (blob, input_bytes): (Digest, u64)) -> JobSpec {
        let Self { name, output, split, merge, on_error, priority, ready_by, .. } = self.clone();
        let inputs = vec![Input::whole(blob, name.unwrap_or_else(|| "input".to_owned()))];
        let urgency = Urgency { priority: priority.unwrap_or_default(), ready_by };
        let parameters = Parameters { split, merge, on_error, ..Parameters::default() };
        let (labels, keep_seconds, retry_of) = (BTreeMap::new(), None, None);
        JobSpec { kernel, inputs, input_bytes, output, parameters, labels, keep_seconds, retry_of, urgency }
    }
}

impl Request {
    /// Of what was understood: the same job in other words is the same request, and a name that means another kernel by now
    /// makes it no other.
    fn hash(&self) -> [u8; 32] {
        let text = match self {
            Self::Asked(asked) => serde_json::to_vec(asked),
            Self::Body(plain, arrived) => serde_json::to_vec(&(plain, arrived.blob.digest())),
        };
        *blake3::hash(&text.unwrap_or_default()).as_bytes()
    }

    /// Says what is wrong with it, and takes room for it while it waits for its turn.
    fn admit(&self, app: &App, caller: &Caller) -> Result<Room, Problem> {
        let weight = match self {
            Self::Asked(asked) => {
                asked.check()?;
                asked.weight()
            }
            // It was checked before its body was taken, which is no matter of memory.
            Self::Body(..) => size_of::<Self>(),
        };
        app.waiting.enter(caller.tenant.id, weight)
    }

    /// Who is told of the end of the job alone.
    fn callback(&self) -> Option<Callback> {
        if let Self::Asked(asked) = self { asked.callback() } else { None }
    }

    /// Keeps the inputs, or lays them down.
    async fn keep(self, app: &App, caller: &Caller) -> Result<(JobSpec, Fresh), Problem> {
        match self {
            Self::Asked(asked) => {
                let kernel = digest(app, caller, asked.kernel()).await?;
                asked.keep(app, caller, kernel).await
            }
            Self::Body(plain, arrived) => {
                let kernel = digest(app, caller, plain.kernel.as_deref().unwrap_or_default()).await?;
                let laid = body::lay(app, *arrived).await?;
                Ok((plain.spec(kernel, laid), vec![laid]))
            }
        }
    }
}

/// Answers with a job: when it is over in time, with what came of it, else with its place.
async fn answer(app: &App, caller: &Caller, headers: &HeaderMap, id: JobId) -> Result<Response, Problem> {
    let wait = wait(headers);
    let job = find_later(app, caller, &id, wait).await?;
    let result = job.conclusion.result.filter(|_| wait.is_some() && caller.may(Scope::ResultsRead));
    let mut response = match result {
        Some(result) if job.conclusion.output_bytes.is_some_and(|bytes| bytes <= INLINE) => {
            blobs::send(app, caller, &HeaderMap::new(), &result, content_type(&job)).await?
        }
        _ => {
            let status = if job.state.is_over() { StatusCode::OK } else { StatusCode::ACCEPTED };
            (status, Json(view(app, &job).await?)).into_response()
        }
    };
    if wait.is_some() {
        response.headers_mut().insert("preference-applied", HeaderValue::from_static("wait"));
    }
    name_place(&mut response, &job);
    Ok(response)
}

/// Answers with a job that has just come.
fn accepted(job: &JobRow) -> Response {
    let mut response = (StatusCode::ACCEPTED, Json(JobView::new(job, None))).into_response();
    name_place(&mut response, job);
    response
}

fn name_place(response: &mut Response, job: &JobRow) {
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    name_job(response, job);
}

/// Says in the head of an answer which job it is about, and how far that is.
pub(super) fn name_job(response: &mut Response, job: &JobRow) {
    let headers = response.headers_mut();
    // Digits and letters of our own.
    if let Ok(id) = HeaderValue::from_str(job.id.as_str()) {
        headers.insert(HeaderName::from_static("taskhost-job"), id);
    }
    headers.insert(HeaderName::from_static("taskhost-state"), HeaderValue::from_static(job.state.name()));
}

/// What sort of content the result of a job is, by its name.
pub(super) fn content_type(job: &JobRow) -> &'static str {
    match job.spec.result_name().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("json") => "application/json",
        Some("csv") => "text/csv",
        // Never a page, whatever the kernel wrote.
        _ => "application/octet-stream",
    }
}
