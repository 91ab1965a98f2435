//! `/v1/jobs/{job}/result`, `…/failures`, `…/log`, `…/report`: what comes of a job, when it is over and while it runs.

use std::future::Future;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::following::{Follower, Now};
use super::guard::need;
use super::item::{self, Item, OfItem, Place};
use super::jobs::{Who, find, id};
use super::looks::Look;
use super::stream::{Gone, Parts, stream};
use super::submit::{content_type, name_job};
use super::view::folder;
use super::{App, Problem, blobs, blocking, places, range};
use crate::blobs::Digest;
use crate::job::{Growing, ReportForm, WorkFolder};
use crate::store::jobs::JobRow;
use crate::tenant::{Caller, Scope};

/// Bytes that are read at a time of what is complete.
const PART: usize = 64 << 10;

/// What lines of JSON are called.
const LINES: &str = "application/x-ndjson";

/// Whether an answer begins before all of it is there.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Following {
    /// Send what is there, and the rest as it comes to be; the answer ends with the job.
    #[serde(default)]
    follow: bool,
    /// Of results that are lines, one for each item: from this item on, counted from 0. Not with `follow`, nor with `Range`.
    from: Option<u64>,
}

/// The result, or a part of it (`Range`). With `follow=true` also while the job runs, in order; an answer that is cut off then
/// is one of a job that has no result.
#[utoipa::path(get, path = "/v1/jobs/{job}/result", params(("job" = String, Path), Following, ("range" = Option<String>, Header, description = "`bytes=FROM-LAST`, `bytes=FROM-` or `bytes=-LENGTH`: that part of it")),
    responses((status = 200, description = "The result", body = Vec<u8>, content_type = "application/octet-stream"), (status = 206, description = "A part of it", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(super) async fn result(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    Query(following): Query<Following>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = readable(&app, &caller, &job).await?;
    let from = following.from;
    if from.is_some() && (following.follow || headers.contains_key(header::RANGE)) {
        return Err(Problem::unprocessable("bad-range", "say one of from, follow and Range"));
    }
    let mut response = match job.conclusion.result {
        Some(result) if let Some(from) = from => from_item(&app, &caller, &job, &result, from).await?,
        Some(result) => blobs::send(&app, &caller, &headers, &result, content_type(&job)).await?,
        None if job.is_gone => return Err(gone()),
        None if job.state.is_over() => return Err(Problem::not_found("result")),
        None if following.follow => follow(&app, &caller, &job, &headers).await?,
        None => return Err(not_finished()),
    };
    name_job(&mut response, &job);
    Ok(response)
}

/// The result from an item on.
async fn from_item(app: &App, caller: &Caller, job: &JobRow, result: &Digest, from: u64) -> Result<Response, Problem> {
    let at = places::place(app, caller, job, result, from).await?;
    let mut range = HeaderMap::new();
    range.insert(header::RANGE, HeaderValue::from_str(&format!("bytes={at}-")).map_err(|_| not_finished())?);
    let mut response = match blobs::send(app, caller, &range, result, content_type(job)).await {
        Err(problem) if problem.is_no_range() => whole(Vec::new(), content_type(job)),
        sent => sent?,
    };
    // Nobody has asked for a part of what the result is: it is an answer of its own.
    *response.status_mut() = StatusCode::OK;
    for name in ["content-range", "accept-ranges", "etag", "repr-digest"] {
        response.headers_mut().remove(name);
    }
    response.headers_mut().insert("taskhost-from", HeaderValue::from(at));
    Ok(response)
}

/// The job, when its results may be read by this caller.
async fn readable(app: &App, caller: &Caller, job: &str) -> Result<JobRow, Problem> {
    need(caller, Scope::ResultsRead)?;
    find(app, caller, &id(job)?).await
}

fn gone() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "gone",
        "what came of the job is not kept any more: its time was over, or somebody deleted it",
    )
}

fn not_finished() -> Problem {
    Problem::conflict(
        "not-finished",
        "the job is not over; ask again, with Prefer: wait on the job, or with follow=true",
    )
}

/// Sends a result that is still being written.
async fn follow(app: &Arc<App>, caller: &Arc<Caller>, job: &JobRow, headers: &HeaderMap) -> Result<Response, Problem> {
    let from = range::beginning(headers)?;
    let growing = Arc::new(Growing::new(folder(app, job), job.spec.result_name()));
    let (parts, body) = stream();
    let (content_type, job) = (content_type(job), job.id.clone());
    in_background(app, caller, move |app, caller| async move {
        let follower = Follower::new(Arc::clone(&app), Arc::clone(&caller));
        let mut at = from.unwrap_or(0);
        loop {
            let (growing, begin) = (Arc::clone(&growing), at);
            let part = blocking(move || growing.read(begin)).await;
            let Ok(Ok(part)) = part else { return parts.cut().await };
            at += part.len() as u64;
            let is_all = part.is_empty();
            if parts.give(part).await.is_err() {
                return;
            }
            if !is_all {
                continue;
            }
            match follower.next(&job).await {
                Ok(Now::Is(_)) => {}
                Ok(Now::Over(done)) => {
                    let rest = match done.conclusion.result {
                        Some(result) => send_rest(&app, &caller, &parts, &result, at).await,
                        None => Err(Gone),
                    };
                    if rest.is_err() {
                        parts.cut().await;
                    }
                    return;
                }
                Err(_) => return parts.cut().await,
            }
        }
    });
    let mut response = Response::new(body);
    if from.is_some() {
        // How long it will be is not known, which such an answer would have to say: it is one from there on.
        response.headers_mut().insert("taskhost-from", HeaderValue::from(from.unwrap_or(0)));
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// Does what an answer needs that is sent as it comes to be, and counts it.
pub(super) fn in_background<F: Future<Output = ()> + Send + 'static>(
    app: &Arc<App>,
    caller: &Arc<Caller>,
    work: impl FnOnce(Arc<App>, Arc<Caller>) -> F,
) {
    app.metrics.streams.fetch_add(1, Ordering::Relaxed);
    let (counting, work) = (Arc::clone(app), work(Arc::clone(app), Arc::clone(caller)));
    tokio::spawn(async move {
        work.await;
        counting.metrics.streams.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Sends a content from some byte on.
async fn send_rest(app: &App, caller: &Caller, parts: &Parts, digest: &Digest, from: u64) -> Result<(), Gone> {
    let (blobs, tenant, digest) = (Arc::clone(&app.shared.blobs), caller.tenant.id, *digest);
    let mut at = from;
    loop {
        let blobs = Arc::clone(&blobs);
        let part = blocking(move || {
            let mut file = blobs.open(tenant, &digest)?.ok_or(std::io::ErrorKind::NotFound)?;
            file.seek(SeekFrom::Start(at))?;
            let mut part = Vec::new();
            file.take(PART as u64).read_to_end(&mut part)?;
            Ok::<_, std::io::Error>(part)
        });
        let Ok(Ok(part)) = part.await else { return Err(Gone) };
        if part.is_empty() {
            return Ok(());
        }
        at += part.len() as u64;
        parts.give(part).await?;
    }
}

/// The failed items, a line of JSON for each; of a job that runs, those so far. Of one item alone when one is named: nothing when
/// that did not fail.
#[utoipa::path(get, path = "/v1/jobs/{job}/failures", params(("job" = String, Path), OfItem),
    responses((status = 200, description = "Lines of JSON", body = String, content_type = "application/x-ndjson"), (status = 206, description = "A part of them", body = String, content_type = "application/x-ndjson")))]
pub(super) async fn failures(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    Query(of): Query<OfItem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = readable(&app, &caller, &job).await?;
    let of = of.of(&job)?;
    let mut response = match (job.conclusion.failures, of) {
        (None, _) if job.is_gone => return Err(gone()),
        (_, Some(item)) => {
            let look = app.looks.begin(caller.tenant.id).await;
            let line = failed(&app, &caller, &look, &job, item).await?.map_or_else(Vec::new, |(line, _)| line);
            whole(line, LINES)
        }
        (Some(failures), None) => blobs::send(&app, &caller, &headers, &failures, LINES).await?,
        (None, None) if job.state.is_over() => whole(Vec::new(), LINES),
        (None, None) => {
            let (parts, body) = stream();
            let folder = folder(&app, &job);
            in_background(&app, &caller, move |_, _| failures_so_far(folder, parts));
            ([(header::CONTENT_TYPE, HeaderValue::from_static(LINES))], body).into_response()
        }
    };
    name_job(&mut response, &job);
    Ok(response)
}

/// Sends the lines of items that have failed so far.
async fn failures_so_far(folder: WorkFolder, parts: Parts) {
    let mut at = 0;
    loop {
        let reading = folder.clone();
        match blocking(move || reading.failures(at)).await {
            Ok(Ok(part)) if part.is_empty() => return,
            Ok(Ok(part)) => {
                at += part.len() as u64;
                if parts.give(part).await.is_err() {
                    return;
                }
            }
            _ => return parts.cut().await,
        }
    }
}

/// The line of an item that failed, and where it begins.
async fn failed(
    app: &App,
    caller: &Caller,
    look: &Look,
    job: &JobRow,
    item: Item,
) -> Result<Option<(Vec<u8>, Place)>, Problem> {
    let (blobs, tenant, kept) = (Arc::clone(&app.shared.blobs), caller.tenant.id, job.conclusion.failures);
    let (folder, is_over) = (folder(app, job), job.state.is_over());
    let lines = blocking(move || match kept {
        Some(digest) => blobs.open(tenant, &digest),
        None if is_over => Ok(None),
        None => Ok(folder.failures_so_far()),
    });
    match lines.await?.map_err(|error| Problem::internal(&error.to_string()))? {
        Some(lines) => item::failed(look, lines, item).await,
        None => Ok(None),
    }
}

/// What the kernel and its run said; of a job that runs, what they have said so far. Of one item alone when one is named: what the
/// kernel said while it was run.
#[utoipa::path(get, path = "/v1/jobs/{job}/log", params(("job" = String, Path), OfItem),
    responses((status = 200, description = "Text", body = String, content_type = "text/plain; charset=utf-8"), (status = 206, description = "A part of it", body = String, content_type = "text/plain; charset=utf-8")))]
pub(super) async fn log(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    Query(of): Query<OfItem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let job = readable(&app, &caller, &job).await?;
    let of = of.of(&job)?;
    let mut response = match (job.conclusion.log, of) {
        (None, _) if job.is_gone => return Err(gone()),
        (Some(log), None) => blobs::send(&app, &caller, &headers, &log, TEXT).await?,
        (_, None) => whole(text(&app, &caller, &job).await?, TEXT),
        (_, Some(item)) => {
            let look = app.looks.begin(caller.tenant.id).await;
            let place = match item {
                Item::At(place) => place,
                // A log names places, and no numbers: those that a failed item has say where it began.
                Item::Number(_) => match failed(&app, &caller, &look, &job, item).await? {
                    Some((_, place)) => place,
                    None => return Err(Problem::not_found("failed item; name others by offset and source")),
                },
            };
            let text = text(&app, &caller, &job).await?;
            let said = look.part(move || Ok(item::said(&String::from_utf8_lossy(&text), &place)));
            whole(said.await?.into_bytes(), TEXT)
        }
    };
    name_job(&mut response, &job);
    Ok(response)
}

/// All of the log as it is now. It has a limit.
async fn text(app: &App, caller: &Caller, job: &JobRow) -> Result<Vec<u8>, Problem> {
    let (blobs, tenant, kept) = (Arc::clone(&app.shared.blobs), caller.tenant.id, job.conclusion.log);
    let folder = folder(app, job);
    let text = blocking(move || {
        let log = match kept {
            Some(digest) => blobs.open(tenant, &digest)?,
            None => folder.log(),
        };
        let mut text = Vec::new();
        log.map_or(Ok(0), |mut log| log.read_to_end(&mut text))?;
        Ok::<_, std::io::Error>(text)
    });
    text.await?.map_err(|error| Problem::internal(&error.to_string()))
}

/// What the page of a report may do: look as it says itself. It has no script, and is nobody's part.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// The report of a job's run, when one was asked for with the job: where the time went, what each worker did.
#[utoipa::path(get, path = "/v1/jobs/{job}/report", params(("job" = String, Path)),
    responses((status = 200, description = "A page, or JSON", content((String = "text/html; charset=utf-8"), (Object = "application/json"))), (status = 206, description = "A part of it", content((String = "text/html; charset=utf-8"), (Object = "application/json")))))]
pub(super) async fn report(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = readable(&app, &caller, &job).await?;
    let is_page = job.spec.parameters.report == Some(ReportForm::Html);
    let content_type = if is_page { "text/html; charset=utf-8" } else { "application/json" };
    let mut response = match job.conclusion.report {
        Some(report) => blobs::send(&app, &caller, &headers, &report, content_type).await?,
        None if job.is_gone => return Err(gone()),
        None if job.spec.parameters.report.is_none() => {
            return Err(Problem::not_found("report: it has to be asked for with the job"));
        }
        None if !job.state.is_over() => return Err(not_finished()),
        None => {
            return Err(Problem::not_found(
                "report: the run was ended before it was over, or there was no room for it",
            ));
        }
    };
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(REPORT_POLICY));
    name_job(&mut response, &job);
    Ok(response)
}

fn whole(bytes: Vec<u8>, content_type: &'static str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
