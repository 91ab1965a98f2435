//! Every error that a caller sees: `application/problem+json`, RFC 9457. Its `code` is for programs, its `detail` for people.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::store::StoreError;
use crate::time::Moment;

/// What went wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    quota: Option<&'static str>,
}

impl Problem {
    /// With a status, a code and a text.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), members: Map::new(), retry_after: None, quota: None }
    }

    /// The request makes no sense.
    #[must_use]
    pub fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// It makes sense, and cannot be done.
    #[must_use]
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// There is no such thing, or it is somebody else's: nobody is told which.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// Something is in the way.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// The token is not accepted.
    #[must_use]
    pub fn denied() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "show a token that is good: Authorization: Bearer th_…")
    }

    /// The token is good, but not for this.
    #[must_use]
    pub fn lacks(scope: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "scope-missing", format!("the token is not good for {scope}"))
    }

    /// A quota is used up.
    #[must_use]
    pub fn quota(quota: &'static str, limit: u64, used: u64, retry_after: Duration) -> Self {
        let detail = format!("the quota {quota} has no room for this: {used} of {limit} are used");
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", detail);
        problem.quota = Some(quota);
        problem.members.insert("quota".into(), quota.into());
        problem.members.insert("limit".into(), limit.into());
        problem.members.insert("used".into(), used.into());
        problem.retry_after(retry_after)
    }

    /// The CPU time of today is used up: so many seconds of so many.
    #[must_use]
    pub(super) fn no_time_today(limit: u64, used: u64) -> Self {
        let now = Moment::now();
        let left = now.until_tomorrow();
        Self::quota("cpu_seconds_per_day", limit, used, left).with("resets_at", now.after(left).0)
    }

    /// More than is taken.
    #[must_use]
    pub fn too_large(what: &str, limit: u64) -> Self {
        let detail = format!("{what} has more than {limit} bytes");
        let mut problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
        problem.members.insert("limit".into(), limit.into());
        problem
    }

    /// The operator starts nothing now. There is no telling when that changes.
    #[must_use]
    pub(super) fn paused() -> Self {
        let detail = "the operator starts nothing of this tenant, or of anybody, now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "paused", detail).retry_after(Duration::from_secs(30))
    }

    /// The operator lets nobody store or run this kernel, and why.
    #[must_use]
    pub(super) fn blocked(reason: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "kernel-blocked", crate::store::holds::words(reason))
    }

    /// The server has no room for this now.
    #[must_use]
    pub fn busy(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(Duration::from_secs(1))
    }

    /// Something that should always work did not. What it was is for the log alone.
    #[must_use]
    pub fn internal(what: &str) -> Self {
        let mut problem =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on the server's side");
        problem.members.insert(LOGGED.into(), what.into());
        problem
    }

    /// Something could not be kept: because the disk is full, or for reasons that should never be.
    #[must_use]
    pub fn io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded) {
            return Self::busy("the server cannot keep anything now").logged(error.to_string());
        }
        Self::internal(&error.to_string())
    }

    /// The store did not do its work.
    #[must_use]
    pub fn store(error: &StoreError) -> Self {
        let mut problem = Self::busy("the server cannot keep anything now");
        problem.members.insert(LOGGED.into(), error.to_string().into());
        problem
    }

    /// With a member more, for programs.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    /// With something that is for the log alone.
    #[must_use]
    pub(super) fn logged(self, what: String) -> Self {
        self.with(LOGGED, what)
    }

    /// Whether there is nothing where something was asked for.
    #[must_use]
    pub(super) fn is_no_range(&self) -> bool {
        self.status == StatusCode::RANGE_NOT_SATISFIABLE
    }

    /// Whether there is no such thing.
    #[must_use]
    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// What whoever is refused reads.
    pub(super) fn told(mut self) -> Value {
        self.members.remove(LOGGED);
        let mut body = json!({
            "type": format!("urn:taskhost:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Value::Object(body) = &mut body {
            body.append(&mut self.members);
        }
        body
    }

    fn rejected(&self) -> Option<&'static str> {
        self.quota.or_else(|| (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some("busy"))
    }

    pub(super) fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }
}

/// The sort of content that tells of errors.
const PROBLEM: &str = "application/problem+json";

/// What is for the log alone.
const LOGGED: &str = "logged";

/// Something that was refused because there was too much of it: the name of the quota, or `busy`; for the numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rejected(pub(super) &'static str);

/// What is for the log alone, on its way there.
#[derive(Clone, Debug)]
pub(super) struct Logged(pub(super) String);

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let logged = self.members.remove(LOGGED);
        let rejected = self.rejected();
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, self.told().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(time) = retry_after {
            // Whole seconds, and never none: that would be at once.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs_f64().ceil().max(1.0) as u64));
        }
        if let Some(Value::String(text)) = logged {
            response.extensions_mut().insert(Logged(text));
        }
        if let Some(rejected) = rejected {
            response.extensions_mut().insert(Rejected(rejected));
        }
        response
    }
}

pub(super) async fn no_such_place() -> Problem {
    Problem::not_found("place")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "that cannot be done here")
}

/// Most that is read of an error that was not made here.
const PLAIN_BYTES: usize = 4096;

/// Whether this is an error that was not made here: of a part of the request that could not be read at all.
pub(super) fn is_plain_error(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    (status.is_client_error() || status.is_server_error()) && kind.is_none_or(|kind| kind != PROBLEM)
}

/// The same error, told as all others are.
pub(super) async fn of_plain(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, PLAIN_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let code = if parts.status.is_server_error() { "internal" } else { "bad-request" };
    let mut told = Problem::new(parts.status, code, text).into_response();
    // What says which methods there are, for example.
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    told.headers_mut().extend(parts.headers);
    *told.extensions_mut() = parts.extensions;
    told
}
