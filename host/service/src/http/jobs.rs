//! `/v1/jobs`: looking at jobs, ending them, forgetting what came of them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::IntoParams;

use super::guard::need;
use super::kernels::{act, resolve};
use super::view::{JobView, JobsView, view, views};
use super::{App, Problem, blocking};
use crate::job::{JobId, JobState, Order, Wait};
use crate::store::jobs::{self, JobRow};
use crate::store::listing::{self, Filter};
use crate::store::{audit, retention};
use crate::sweep;
use crate::tenant::{Caller, Scope};
use crate::time::Moment;

pub(super) type Who = Extension<Arc<Caller>>;

/// Longest time that a request waits for its job.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// Rows of a list, when nothing else is asked for, and at most.
const ROWS: u32 = 50;
const MOST_ROWS: u32 = 500;

/// Most labels that are looked for at a time.
const MOST_LABELS: usize = 8;

/// `Prefer: wait=N`.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let prefer = headers.get("prefer")?.to_str().ok()?;
    let seconds = prefer.split([',', ';']).find_map(|word| word.trim().strip_prefix("wait="))?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MOST_WAIT))
}

pub(super) async fn find(app: &App, caller: &Caller, job: &JobId) -> Result<JobRow, Problem> {
    let (tenant, job) = (caller.tenant.id, job.clone());
    app.read(move |rows| jobs::find(rows, tenant, &job)).await?.ok_or_else(|| Problem::not_found("job"))
}

/// A job when it is over, or when that takes longer.
pub(super) async fn find_later(
    app: &App,
    caller: &Caller,
    job: &JobId,
    wait: Option<Duration>,
) -> Result<JobRow, Problem> {
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

/// The number of a job, as it stands in a path.
pub(super) fn id(text: &str) -> Result<JobId, Problem> {
    JobId::parse(text).ok_or_else(|| Problem::not_found("job"))
}

/// How far a job is, and what came of it. `Prefer: wait=N` waits up to so many seconds for its end. Whoever says with `If-None-Match`
/// what is known already is told when that is so still.
#[utoipa::path(get, path = "/v1/jobs/{job}", params(("job" = String, Path), ("if-none-match" = Option<String>, Header), ("prefer" = Option<String>, Header, description = "`wait=N`: the answer waits up to so many seconds, 30 at most, for the end of the job")),
    responses((status = 200, description = "The job", body = JobView), (status = 304, description = "It is as it was")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsRead)?;
    let found = find_later(&app, &caller, &id(&job)?, wait(&headers)).await?;
    let text = serde_json::to_vec(&view(&app, &found).await?).map_err(|error| Problem::internal(&error.to_string()))?;
    let tag = format!("\"{}\"", &blake3::hash(&text).to_hex()[..32]);
    let mut response = if is_known(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    if !found.state.is_over() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// Whether `If-None-Match` names this.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|known| known.to_str().ok());
    known.flat_map(|known| known.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag)
}

/// Which jobs, and where a list goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Those that are so far.
    state: Option<JobState>,
    /// Those of this kernel: a digest or an alias.
    kernel: Option<String>,
    /// Those with this label, as `name=value`; of several, separated by commas, those with all.
    label: Option<String>,
    /// Those that came at this moment or later, in milliseconds since 1970.
    created_after: Option<i64>,
    /// What the list before called `next`.
    cursor: Option<String>,
    /// Jobs at most.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Jobs, from the newest to the oldest.
#[utoipa::path(get, path = "/v1/jobs", params(Listed), responses((status = 200, description = "Jobs", body = JobsView)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    uri: axum::http::Uri,
    Query(listed): Query<Listed>,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsRead)?;
    let bad = |what: &str| Problem::bad("bad-request", what.to_owned());
    let cursor =
        listed.cursor.map(|cursor| JobId::parse(&cursor).ok_or_else(|| bad("that is no cursor"))).transpose()?;
    let limit = listed.limit.unwrap_or(ROWS);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(bad("limit is from 1 to 500"));
    }
    let label = |label: &str| {
        label
            .split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .ok_or_else(|| bad("a label is name=value"))
    };
    let labels: Vec<_> =
        listed.label.iter().flat_map(|labels| labels.split(',')).map(label).collect::<Result<_, _>>()?;
    if labels.len() > MOST_LABELS {
        return Err(bad("eight labels at most are looked for at a time"));
    }
    let kernel = match listed.kernel {
        Some(kernel) => Some(resolve(&app, &caller, &kernel).await?.digest),
        None => None,
    };
    let created_after = listed.created_after.map(Moment);
    let filter = Filter { state: listed.state, kernel, labels, created_after, before: cursor };
    let tenant = caller.tenant.id;
    // To find nothing among many takes the longest: of each tenant one at a time looks for something.
    let look = if filter.is_any() { None } else { Some(app.looks.begin(tenant).await) };
    let (rows, is_more) = app.read(move |rows| listing::list(rows, tenant, &filter, limit)).await?;
    drop(look);
    let next = rows.last().filter(|_| is_more).map(|last| last.id.to_string());
    let link = next.as_ref().map(|next| next_link(uri.query().unwrap_or_default(), next));
    let jobs = views(&app, rows).await?;
    let mut response = Json(JobsView { jobs, next }).into_response();
    if let Some(Ok(link)) = link.map(|link| HeaderValue::from_str(&link)) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// The same question for what comes next. What it says was sent in this form, and is no text that ends a header.
fn next_link(query: &str, next: &str) -> String {
    let rest =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=")).map(|pair| format!("&{pair}"));
    format!("</v1/jobs?cursor={next}{}>; rel=\"next\"", rest.collect::<String>().replace(['<', '>', '"'], ""))
}

/// Ends a job. One that is ended already stays so.
#[utoipa::path(post, path = "/v1/jobs/{job}/cancel", params(("job" = String, Path)), responses((status = 202, description = "The job", body = JobView)))]
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
    let conclusion = found.conclusion.clone();
    let done = app.write(move |rows| {
        let done = jobs::finish(rows, &over, tenant, JobState::Cancelled, &conclusion, 0)?;
        if done {
            audit::add(rows, &act)?;
        }
        Ok(done)
    });
    let done = done.await?;
    if done {
        app.jobs.tell(Order::Cancelled(job.clone()));
        app.waiters.over(&job);
        app.post.look();
        app.shared.counts.over(tenant, JobState::Cancelled, &found.conclusion);
    }
    let found = find(&app, &caller, &job).await?;
    // Asked for again it is as it is; what ended otherwise cannot be cancelled any more.
    if !done && found.state != JobState::Cancelled {
        return Err(Problem::conflict("over", format!("the job is over: {}", found.state.name())));
    }
    Ok((StatusCode::ACCEPTED, Json(view(&app, &found).await?)).into_response())
}

/// Forgets what came of a job, and what it was given. Its record stays.
#[utoipa::path(delete, path = "/v1/jobs/{job}", params(("job" = String, Path)), responses((status = 204, description = "It is forgotten")))]
pub(super) async fn forget(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
) -> Result<StatusCode, Problem> {
    need(&caller, Scope::JobsWrite)?;
    let job = id(&job)?;
    if !find(&app, &caller, &job).await?.state.is_over() {
        return Err(Problem::conflict("not-finished", "the job is not over: cancel it first"));
    }
    let (tenant, act) = (caller.tenant.id, act(&caller, "job.forget", &job));
    let unused = app.write(move |rows| {
        audit::add(rows, &act)?;
        retention::delete(rows, tenant, &job)
    });
    remove(&app, unused.await?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes files that nobody needs any more.
pub(super) async fn remove(app: &App, unused: Vec<retention::Unused>) -> Result<(), Problem> {
    let (store, blobs) = (app.shared.directory.store().clone(), Arc::clone(&app.shared.blobs));
    blocking(move || sweep::remove(&store, &blobs, unused)).await?.map_err(|error| Problem::store(&error))
}

/// Why a job does not run.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Explanation)]
pub(super) struct ExplanationView {
    state: JobState,
    /// In words.
    detail: &'static str,
    /// Nothing when the job is over.
    wait: Option<Wait>,
}

/// Why a job does not run now.
#[utoipa::path(get, path = "/v1/jobs/{job}/explain", params(("job" = String, Path)), responses((status = 200, description = "Why", body = ExplanationView)))]
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
) -> Result<Json<ExplanationView>, Problem> {
    use crate::job::Reason;
    need(&caller, Scope::JobsRead)?;
    let found = find(&app, &caller, &id(&job)?).await?;
    let wait = if found.state.is_over() {
        None
    } else {
        let (sender, receiver) = oneshot::channel();
        let told = Box::new(move |wait| {
            let _ = sender.send(wait);
        });
        app.jobs.tell(Order::Explain(found.id.clone(), told));
        receiver.await.map_err(|_| Problem::busy("the server stops"))?
    };
    let detail = match wait.map(|wait| wait.reason) {
        None if found.state.is_over() => "the job is over",
        None => "the job is just coming or going",
        Some(Reason::Running) => "the job runs",
        Some(Reason::Turn) => "the job has begun, and goes on when it is its turn again",
        Some(Reason::Disabled) => "the tenant is disabled",
        Some(Reason::Paused) => "the operator starts nothing of this tenant, or of anybody, now",
        Some(Reason::ConcurrentJobs) => "as many of your jobs run as may run at a time: the quota concurrent_jobs",
        Some(Reason::CoresOfTenant) => "your jobs that run have all the cores that they may have: the quota cores",
        Some(Reason::Earlier) => "jobs of yours come before it, since they are more urgent or came earlier",
        Some(Reason::Processes) => "the server has begun as many jobs as it has room for",
        Some(Reason::CpuSecondsPerDay) => "its tenant has used up its CPU time of today: it goes on tomorrow (UTC)",
        Some(Reason::Cores) => "all cores are in use by those who have used less for their weight",
    };
    Ok(Json(ExplanationView { state: found.state, detail, wait }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_asked_for_among_other_wishes() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_str(text).expect("a value"));
            wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!((of("wait=5"), of("respond-async, wait=7"), of("wait=999")), (Some(5), Some(7), Some(30)));
        assert_eq!(
            (of("wait=-1"), of("wait=x"), of("respond-async"), wait(&HeaderMap::new())),
            (None, None, None, None)
        );
    }

    #[test]
    fn what_is_known_is_named_among_others() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(text).expect("a value"));
            is_known(&headers, "\"a\"")
        };
        assert!(of("\"a\"") && of("\"b\", W/\"a\""));
        assert!(!of("a") && !of("\"b\"") && !is_known(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn the_next_link_asks_for_the_same() {
        let link = next_link("state=queued&cursor=a&limit=2&label=a%3Db%22>", "N");
        assert_eq!(link, "</v1/jobs?cursor=N&state=queued&limit=2&label=a%3Db%22>; rel=\"next\"");
    }
}
