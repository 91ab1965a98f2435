//! `POST /v1/jobs/batch`: many jobs in one request, all of them or none, on the disk with one flush.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::asked::Asked;
use super::body::Fresh;
use super::callback::{self, Callback};
use super::carried_out::to_its_end;
use super::guard::need;
use super::kernels::act;
use super::submit::{admit, idempotency_key, too_many, unknown_blob};
use super::turns::Turn;
use super::waiting::Room;
use super::{App, Problem, body, invoke};
use crate::blobs::Digest;
use crate::job::{JobId, JobSpec, Order};
use crate::store::jobs::{self, Idempotency, Submitted};
use crate::store::{self, audit, callbacks as rows_of_callbacks, contents, holds, kernels};
use crate::tenant::{Caller, Scope, TenantId};

/// Jobs of one request.
const MOST: usize = 1000;

/// Inputs that stand in the jobs of one request: each becomes a file, and goes as one when the request is refused.
const MOST_TEXTS: usize = 2000;

/// Jobs of a request whose inputs are laid down at a time: more would only wait for the same disk.
const TOGETHER: usize = 16;

/// Jobs as they are asked for, at most a thousand.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = NewJobs)]
#[serde(deny_unknown_fields)]
pub(super) struct Many {
    #[schema(min_items = 1, max_items = 1000)]
    jobs: Vec<Asked>,
}

/// A job that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedJob)]
pub(super) struct AcceptedJob {
    id: String,
    /// Its path.
    href: String,
}

/// Jobs that were accepted, in the order in which they were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedJobs)]
pub(super) struct AcceptedJobs {
    jobs: Vec<AcceptedJob>,
}

/// What came of all of them, when no new jobs did.
enum Handed {
    Before(Vec<JobId>),
    OtherRequest,
    TooMany(u64),
    Full(u64),
    Callbacks(u64),
    Unknown(usize, Digest),
    NoKernel(usize),
    Blocked(usize, String),
}

/// Hands in many jobs, all or none: an error says by `index` which one it is about. `Idempotency-Key` makes a request that comes
/// again within 24 hours the same jobs.
#[utoipa::path(post, path = "/v1/jobs/batch", params(("idempotency-key" = Option<String>, Header, description = "From 1 to 255 signs: with the same the same request is done once, for 24 hours")), request_body = Many,
    responses((status = 202, description = "They are accepted", body = AcceptedJobs)))]
pub(super) async fn hand_in(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsWrite)?;
    let key = idempotency_key(&headers, "/v1/jobs/batch")?;
    let many: Many = body::said(&headers, bytes).await?;
    if !(1..=MOST).contains(&many.jobs.len()) {
        return Err(bad(format!("a batch has from 1 to {MOST} jobs")));
    }
    if many.jobs.iter().map(Asked::texts).sum::<usize>() > MOST_TEXTS {
        return Err(bad(format!("in a batch stand {MOST_TEXTS} inputs at most: others are stored first")));
    }
    if let Some(index) = many.jobs.iter().position(Asked::is_dry_run) {
        return Err(bad("dry_run is for a request that asks for one job".to_owned()).with("index", index));
    }
    let callbacks: Vec<Option<Callback>> = many.jobs.iter().map(Asked::callback).collect();
    for (index, callback) in callbacks.iter().enumerate() {
        callback
            .iter()
            .try_for_each(|callback| callback.check(&app))
            .map_err(|problem| problem.with("index", index))?;
    }
    let request = *blake3::hash(&serde_json::to_vec(&many).unwrap_or_default()).as_bytes();
    let (count, tenant) = (many.jobs.len(), caller.tenant.id);
    if let Some(key) = key.clone() {
        let before = app.read(move |rows| before(rows, tenant, &key, request, count)).await?;
        match before {
            Some(Handed::Before(jobs)) => return Ok(replayed(jobs)),
            Some(_) => return Err(reused()),
            None => {}
        }
    }
    admit(&app, &caller).await?;
    // Before anything is laid down for them.
    let open = app.read(move |rows| jobs::open_count(rows, tenant)).await?;
    if open + count as u64 > u64::from(caller.tenant.quotas.queued_jobs) {
        return Err(too_many(caller.tenant.quotas.queued_jobs, open));
    }
    for (index, asked) in many.jobs.iter().enumerate() {
        asked.check().map_err(|problem| problem.with("index", index))?;
    }
    let room = app.waiting.enter(tenant, many.jobs.iter().map(Asked::weight).sum())?;
    let turn = app.submissions.next(tenant).await;
    to_its_end(keep_all(app, caller, many, callbacks, key.map(|key| (key, request)), (turn, room))).await
}

/// Keeps all jobs of a batch for which it is the tenant's turn, or none.
async fn keep_all(
    app: Arc<App>,
    caller: Arc<Caller>,
    many: Many,
    callbacks: Vec<Option<Callback>>,
    again: Option<(String, [u8; 32])>,
    (turn, room): (Turn, Room),
) -> Result<Response, Problem> {
    let (count, tenant) = (many.jobs.len(), caller.tenant.id);
    let mut fresh = Fresh::new();
    let specs = match keep(&app, &caller, many, &mut fresh).await {
        Ok(specs) => specs,
        Err(problem) => {
            body::forget(&app, &caller, &fresh).await;
            return Err(problem);
        }
    };
    drop(room);
    let jobs: Vec<JobId> = specs.iter().map(|_| JobId::create()).collect();
    let quotas = caller.tenant.quotas;
    let (kept, ids) = (specs.clone(), jobs.clone());
    let (act_of, laid) = (Arc::clone(&caller), fresh.clone());
    let (blobs, room) = (Arc::clone(&app.shared.blobs), caller.tenant.quotas.stored_bytes);
    let act_on = move |rows: &rusqlite::Connection| {
        if let Some((key, request)) = &again
            && let Some(before) = before(rows, tenant, key, *request, count)?
        {
            return Ok(Err(before));
        }
        let open = jobs::open_count(rows, tenant)?;
        if open + count as u64 > u64::from(quotas.queued_jobs) {
            return Ok(Err(Handed::TooMany(open)));
        }
        let called = callbacks.iter().flatten().count() as u64;
        let calling = if called > 0 { rows_of_callbacks::open(rows, tenant)? } else { 0 };
        if calling + called > rows_of_callbacks::MOST {
            return Ok(Err(Handed::Callbacks(calling)));
        }
        if let Some(stored) = jobs::lacks_room(rows, tenant, &kept, &quotas)? {
            return Ok(Err(Handed::Full(stored)));
        }
        if let Some(stored) = body::count(rows, &*blobs, tenant, room, &laid)? {
            return Ok(Err(Handed::Full(stored)));
        }
        for (index, spec) in kept.iter().enumerate() {
            if !kernels::is_there(rows, tenant, &spec.kernel)? {
                return Ok(Err(Handed::NoKernel(index)));
            }
            if let Some(reason) = holds::blocked(rows, &spec.kernel)? {
                return Ok(Err(Handed::Blocked(index, reason)));
            }
            for input in &spec.inputs {
                if contents::bytes(rows, tenant, &input.blob)?.is_none() {
                    return Ok(Err(Handed::Unknown(index, input.blob)));
                }
            }
        }
        for (index, (job, spec)) in ids.iter().zip(&kept).enumerate() {
            let again = again.as_ref().map(|(key, request)| Idempotency { key: key_of(key, index), request: *request });
            jobs::insert(rows, job, tenant, spec, again.as_ref())?;
            if let Some(Callback { url, secret }) = &callbacks[index] {
                rows_of_callbacks::add(rows, tenant, job, url, secret)?;
            }
            audit::add(rows, &act(&act_of, "job.submit", job))?;
        }
        Ok(Ok(()))
    };
    let handed = app.write(move |rows| store::unless_refused(rows, act_on)).await;
    if !matches!(handed, Ok(Ok(()))) {
        body::forget(&app, &caller, &fresh).await;
    }
    drop(turn);
    match handed? {
        Ok(()) => {
            for (job, spec) in jobs.iter().zip(specs) {
                app.jobs.tell(Order::Submitted(job.clone(), tenant, spec.size()));
            }
            Ok(accepted(jobs))
        }
        Err(Handed::Before(jobs)) => Ok(replayed(jobs)),
        Err(Handed::OtherRequest) => Err(reused()),
        Err(Handed::TooMany(open)) => Err(too_many(quotas.queued_jobs, open)),
        Err(Handed::Callbacks(open)) => Err(callback::too_many(open)),
        Err(Handed::Full(stored)) => Err(body::full(&caller, stored)),
        Err(Handed::Blocked(index, reason)) => Err(Problem::blocked(&reason).with("index", index)),
        Err(Handed::NoKernel(index)) => Err(Problem::not_found("kernel").with("index", index)),
        Err(Handed::Unknown(index, blob)) => Err(unknown_blob(blob).with("index", index)),
    }
}

/// What each job of a batch is remembered by.
fn key_of(key: &str, index: usize) -> String {
    format!("{key} {index}")
}

/// What came of the same request before.
fn before(
    rows: &rusqlite::Connection,
    tenant: TenantId,
    key: &str,
    request: [u8; 32],
    count: usize,
) -> crate::store::Result<Option<Handed>> {
    let mut found = Vec::new();
    for index in 0..count {
        match jobs::before(rows, tenant, &Idempotency { key: key_of(key, index), request })? {
            Some(Submitted::Before(job)) => found.push(job),
            Some(_) => return Ok(Some(Handed::OtherRequest)),
            None => return Ok(None),
        }
    }
    Ok(Some(Handed::Before(found)))
}

/// Lays down the inputs of all, some at a time.
async fn keep(app: &Arc<App>, caller: &Arc<Caller>, many: Many, fresh: &mut Fresh) -> Result<Vec<JobSpec>, Problem> {
    let count = many.jobs.len();
    let mut specs: Vec<Option<JobSpec>> = (0..count).map(|_| None).collect();
    let mut all = JoinSet::new();
    // The first one that is wrong, and why.
    let mut wrong: Option<(usize, Problem)> = None;
    let mut waiting = many.jobs.into_iter().enumerate();
    loop {
        while all.len() < TOGETHER && wrong.is_none() {
            let Some((index, asked)) = waiting.next() else { break };
            let (app, caller) = (Arc::clone(app), Arc::clone(caller));
            // What a name means is remembered, and may be another kernel each time.
            let kernel = invoke::digest(&app, &caller, asked.kernel()).await;
            all.spawn(async move {
                let kept = match kernel {
                    Ok(kernel) => asked.keep(&app, &caller, kernel).await,
                    Err(problem) => Err(problem),
                };
                (index, kept)
            });
        }
        // Also of those that are laid down beside a wrong one it is to be known what they were.
        let Some(done) = all.join_next().await else { break };
        match done.map_err(|error| Problem::internal(&error.to_string()))? {
            (index, Ok((spec, laid))) => {
                specs[index] = Some(spec);
                fresh.extend(laid);
            }
            (index, Err(problem)) if wrong.as_ref().is_none_or(|(first, _)| index < *first) => {
                wrong = Some((index, problem));
            }
            _ => {}
        }
    }
    match wrong {
        Some((index, problem)) => Err(problem.with("index", index)),
        None => Ok(specs.into_iter().flatten().collect()),
    }
}

fn bad(why: String) -> Problem {
    Problem::unprocessable("bad-job", why)
}

fn accepted(jobs: Vec<JobId>) -> Response {
    let job = |job: JobId| AcceptedJob { href: format!("/v1/jobs/{job}"), id: job.to_string() };
    (StatusCode::ACCEPTED, Json(AcceptedJobs { jobs: jobs.into_iter().map(job).collect() })).into_response()
}

fn replayed(jobs: Vec<JobId>) -> Response {
    let mut response = accepted(jobs);
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

fn reused() -> Problem {
    Problem::unprocessable("key-reused", "the Idempotency-Key was used before, for another request")
}
