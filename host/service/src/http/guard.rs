//! What every request passes: it gets a number, who asks is found out, how often is counted, and what came of it is logged.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::problem::Logged;
use super::{App, Problem, page, session};
use crate::random;
use crate::tenant::{Caller, Scope, Token};

/// The number of a request, in and out.
const REQUEST_ID: &str = "x-request-id";

/// Wrong tokens from one address in a minute, after which none is looked at any more.
const WRONG_TOKENS: f64 = 30.0;

/// Addresses and tenants that are remembered at a time: all are forgotten when there are more.
const REMEMBERED: usize = 10_000;

/// The address of whoever asks, given by the server to each request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Something that fills up by so much in a second, and holds so much.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    looked: Instant,
}

#[derive(Debug)]
struct Buckets<K>(Mutex<HashMap<K, Bucket>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: std::hash::Hash + Eq> Buckets<K> {
    /// Takes so much out, or says how long until that is there. Taking nothing only looks.
    fn take(&self, key: K, amount: f64, holds: f64, per_second: f64) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&key) {
            buckets.clear();
        }
        let now = Instant::now();
        let bucket = buckets.entry(key).or_insert(Bucket { left: holds, looked: now });
        let grown = bucket.left + now.duration_since(bucket.looked).as_secs_f64() * per_second;
        *bucket = Bucket { left: grown.min(holds), looked: now };
        let wanted = amount.max(1.0);
        if bucket.left < wanted {
            return Err(Duration::from_secs_f64((wanted - bucket.left) / per_second));
        }
        bucket.left -= amount;
        Ok(())
    }
}

/// What is remembered from one request to the next.
#[derive(Debug, Default)]
pub(super) struct Guard {
    requests: Buckets<i64>,
    wrong: Buckets<IpAddr>,
    /// Answers by the hundred of their status.
    pub(super) answers: [AtomicU64; 6],
}

fn request_id(headers: &HeaderMap) -> String {
    let is_fitting = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(is_fitting);
    given.map_or_else(|| random::word(16), str::to_owned)
}

/// For every request: a number, and a line in the log.
pub(super) async fn every(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().as_str().to_owned();
    // Without what is behind the `?`, which may hold what a log should not.
    let path: String = request.uri().path().chars().take(256).collect();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    if let Some(count) = app.guard.answers.get(usize::from(status / 100)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    let who = response.extensions().get::<Arc<Caller>>();
    // Whatever a stranger wrote into the path stays inside a string of JSON.
    let line = json!({
        "at": crate::time::Moment::now(),
        "request": id,
        "method": method,
        "path": path,
        "status": status,
        "tenant": who.map(|caller| &caller.tenant.name),
        "key": who.map(|caller| &caller.key),
        "ms": began.elapsed().as_secs_f64() * 1000.0,
        "error": response.extensions().get::<Logged>().map(|logged| &logged.0),
    });
    (app.log)(&line.to_string());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    // Nobody's browser takes a result for a page of ours.
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let policy = HeaderValue::from_static(page::POLICY_OF_OTHERS);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    response
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Refuses an address from which too many wrong tokens came.
pub(super) fn look(app: &App, peer: IpAddr) -> Result<(), Problem> {
    let too_many = |time| Problem::quota("wrong_tokens", WRONG_TOKENS as u64, WRONG_TOKENS as u64, time);
    app.guard.wrong.take(peer, 0.0, WRONG_TOKENS, WRONG_TOKENS / 60.0).map_err(too_many)
}

/// Counts a wrong token from this address; the next one will notice.
pub(super) fn wrong(app: &App, peer: IpAddr) {
    let _ = app.guard.wrong.take(peer, 1.0, WRONG_TOKENS, WRONG_TOKENS / 60.0);
}

/// Who shows this token.
pub(super) fn by_token(app: &App, peer: IpAddr, token: &str) -> Result<Caller, Problem> {
    look(app, peer)?;
    let caller = Token::parse(token).and_then(|token| app.shared.directory.identify(&token).ok());
    caller.ok_or_else(|| {
        wrong(app, peer);
        Problem::denied()
    })
}

/// For requests of tenants: who asks, and whether that is too often.
pub(super) async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let caller = match session::caller(&app, &request) {
        Some(caller) => caller,
        None => by_token(&app, peer, token(request.headers()).unwrap_or_default()),
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let caller = Arc::new(caller);
    let limit = f64::from(caller.tenant.quotas.requests_per_second);
    let mut response = match app.guard.requests.take(caller.tenant.id.0, 1.0, limit, limit) {
        Ok(()) => {
            request.extensions_mut().insert(Arc::clone(&caller));
            next.run(request).await
        }
        Err(time) => Problem::quota("requests_per_second", limit as u64, limit as u64, time).into_response(),
    };
    let policy = format!("\"requests\";q={limit};w=1");
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert("ratelimit-policy", policy);
    }
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert("ratelimit", HeaderValue::from_static("\"requests\";r=0;t=1"));
    }
    response.extensions_mut().insert(caller);
    response
}

/// Refuses who may not.
pub(super) fn need(caller: &Caller, scope: Scope) -> Result<(), Problem> {
    if caller.may(scope) { Ok(()) } else { Err(Problem::lacks(scope.name())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_says_when_there_is_more() {
        let buckets = Buckets::default();
        for _ in 0..3 {
            assert_eq!(buckets.take("a", 1.0, 3.0, 0.001), Ok(()));
        }
        assert!(buckets.take("a", 1.0, 3.0, 0.001).expect_err("empty") > Duration::from_secs(900));
        assert_eq!(buckets.take("b", 0.0, 3.0, 0.001), Ok(()));
    }

    #[test]
    fn a_number_that_would_break_a_log_is_not_taken() {
        let mut headers = HeaderMap::new();
        for (given, is_taken) in [("abc-1", true), ("a\"b", false), ("a b", false), (&"x".repeat(65), false)] {
            headers.insert(REQUEST_ID, HeaderValue::from_str(given).expect("a value"));
            assert_eq!(request_id(&headers) == given, is_taken, "{given}");
        }
    }
}
