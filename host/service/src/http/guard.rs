//! What every request passes: it gets a number, who asks is found out, how often is counted, and what came of it is logged.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::bucket::Buckets;
use super::problem::{self, Logged, Rejected};
use super::{App, Problem, invoke, page, routes, session};
use crate::random;
use crate::store::audit::{self, Act, Origin};
use crate::tenant::{Caller, Denied, Scope, TenantId, Token};

/// The number of a request, in and out.
const REQUEST_ID: &str = "x-request-id";

/// Wrong tokens from one address in a minute, after which it hears of nothing else than that there were too many; and for one
/// key, whoever shows it. A token that is good is so from any address: many may be behind one.
const WRONG_TOKENS: f64 = 30.0;

/// The status in log and numbers of a request whose client went away before the answer, as proxies have it.
const GONE: u16 = 499;

/// How often in an hour it is written down of a token that it was shown where it is not good: more would say the same, and whoever
/// has such a token could fill the log.
const ELSEWHERE: f64 = 10.0;

/// The number of a request, as everything that it passes knows it.
#[derive(Clone, Debug)]
struct RequestId(String);

/// The address of whoever asks, given by the server to each request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// What is remembered from one request to the next.
#[derive(Debug, Default)]
pub(super) struct Guard {
    numbers: Numbers,
    requests: Buckets<i64>,
    wrong: Buckets<IpAddr>,
    wrong_keys: Buckets<String>,
    elsewhere: Buckets<String>,
}

/// Numbers of requests: a word that no other server has, and one that no other request has. They are no secrets; but a count
/// would tell each tenant how much others ask for.
#[derive(Debug)]
struct Numbers {
    server: String,
    key: [u8; 32],
    next: AtomicU64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { server: random::word(6), key: random::bytes(), next: AtomicU64::new(1) }
    }
}

impl Numbers {
    fn next(&self) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.key, &count.to_le_bytes());
        format!("{}-{}", self.server, &hash.to_hex()[..16])
    }
}

fn request_id(headers: &HeaderMap, numbers: &Numbers) -> String {
    let is_fitting = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(is_fitting);
    given.map_or_else(|| numbers.next(), str::to_owned)
}

/// The number of the trace that the request is part of (W3C `traceparent`).
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let trace = parent.strip_prefix("00-")?.get(..32)?;
    let is_id = parent.len() == 55 && trace.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| trace.to_owned())
}

/// For every request: a number, and a line in the log.
pub(super) async fn every(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (id, trace) = (request_id(request.headers(), &app.guard.numbers), trace_id(request.headers()));
    let method = request.method().clone();
    // Without what is behind the `?`, which may hold what a log should not.
    let path: String = request.uri().path().chars().take(256).collect();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut unanswered =
        Unanswered { app: Arc::clone(&app), method: name_of(&method), path, id, began, is_answered: false };
    let response = next.run(request).await;
    unanswered.is_answered = true;
    let mut response = if problem::is_plain_error(&response) { problem::of_plain(response).await } else { response };
    let (status, took) = (response.status(), began.elapsed());
    let method = unanswered.method;
    app.metrics.request(method, routes::number_of(&unanswered.path), status.as_u16(), took);
    if let Some(rejected) = response.extensions().get::<Rejected>() {
        app.metrics.rejected(rejected.0);
    }
    let who = response.extensions().get::<Arc<Caller>>();
    let (tenant, key) = (who.map(|caller| caller.tenant.name.as_str()), who.map(|caller| caller.key.as_str()));
    // The one that came of it, or else the one that it is about.
    let new = response.headers().get("taskhost-job").and_then(|job| job.to_str().ok());
    let job = new.or_else(|| routes::job_of(&unanswered.path));
    // Of a call: a name may mean one of several.
    let kernel = response.headers().get(invoke::KERNEL).and_then(|kernel| kernel.to_str().ok());
    let (code, ms) = (u64::from(status.as_u16()), took.as_secs_f64() * 1000.0);
    let (request, path, trace) = (unanswered.id.as_str(), unanswered.path.as_str(), trace.as_deref());
    // Whatever a stranger wrote into the path is a text like others, and is written as one.
    if let Some(Logged(error)) = response.extensions().get() {
        let error = error.as_str();
        tracing::error!(request, trace, method, path, status = code, tenant, key, job, kernel, ms, error, "request");
    } else {
        tracing::info!(request, trace, method, path, status = code, tenant, key, job, kernel, ms, "request");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&unanswered.id) {
        headers.insert(REQUEST_ID, id);
    }
    // Nobody's browser takes a result for a page of ours.
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let policy = HeaderValue::from_static(page::POLICY_OF_OTHERS);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    response
}

/// A request whose client may go away before it is answered, which then stands in the log, too.
struct Unanswered {
    app: Arc<App>,
    method: &'static str,
    path: String,
    id: String,
    began: Instant,
    is_answered: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let (took, path, request) = (self.began.elapsed(), self.path.as_str(), self.id.as_str());
        self.app.metrics.request(self.method, routes::number_of(path), GONE, took);
        let (method, ms) = (self.method, took.as_secs_f64() * 1000.0);
        let job = routes::job_of(path);
        tracing::info!(request, method, path, status = u64::from(GONE), job, ms, "request");
    }
}

/// Of all that can stand there, as many names as there are methods.
fn name_of(method: &Method) -> &'static str {
    let known = [&Method::GET, &Method::PUT, &Method::POST, &Method::PATCH, &Method::DELETE, &Method::HEAD];
    let names = ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD"];
    known.iter().position(|known| *known == method).map_or("other", |number| names[number])
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Counts something wrong that was shown from this address, and refuses it in other words when there was too much of that.
pub(super) fn wrong(app: &App, peer: IpAddr) -> Result<(), Problem> {
    let too_many = |time| Problem::quota("wrong_tokens", WRONG_TOKENS as u64, WRONG_TOKENS as u64, time);
    app.guard.wrong.take(peer, 1.0, WRONG_TOKENS, WRONG_TOKENS / 60.0).map(drop).map_err(too_many)
}

/// Who shows this token.
pub(super) fn by_token(app: &App, peer: IpAddr, token: &str) -> Result<Caller, Problem> {
    let token = Token::parse(token);
    let denied = match token.as_ref().map(|token| app.shared.directory.identify(token, peer)) {
        Some(Ok(caller)) => return Ok(caller),
        Some(Err(denied)) => denied,
        None => Denied::Unknown,
    };
    wrong(app, peer)?;
    if let Denied::Elsewhere { tenant, key } = denied {
        elsewhere(app, peer, tenant, key);
    } else if let Some(token) = token {
        let key = token.key().to_owned();
        if app.guard.wrong_keys.take(key.clone(), 1.0, WRONG_TOKENS, WRONG_TOKENS / 60.0).is_err() {
            tracing::warn!(key, "somebody guesses the secret of this key");
        }
    }
    Err(Problem::denied())
}

/// Has it known that a token was shown where it is not good. Waits for nothing.
fn elsewhere(app: &App, peer: IpAddr, tenant: TenantId, key: String) {
    if app.guard.elsewhere.take(key.clone(), 1.0, ELSEWHERE, ELSEWHERE / 3600.0).is_err() {
        return;
    }
    tracing::warn!(key, address = %peer, "a token is shown where it is not good");
    let act = Act {
        tenant: Some(tenant),
        object: key.clone(),
        actor: key,
        action: "token.elsewhere",
        outcome: "refused".into(),
        origin: Origin { address: Some(peer), request: None },
    };
    app.shared.directory.store().write_then(move |rows| audit::add(rows, &act), |_| ());
}

/// Counts a request of a tenant. Returns how many it may make now, or how long it has to wait for the next.
pub(super) fn count(app: &App, caller: &Caller) -> Result<f64, Duration> {
    let limit = f64::from(caller.tenant.quotas.requests_per_second);
    app.guard.requests.take(caller.tenant.id.0, 1.0, limit, limit)
}

/// Says that a tenant asks more often than it may, and when it may again.
pub(super) fn too_often(caller: &Caller, time: Duration) -> Problem {
    let limit = u64::from(caller.tenant.quotas.requests_per_second);
    Problem::quota("requests_per_second", limit, limit, time)
}

/// For requests of tenants: who asks, and whether that is too often.
pub(super) async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let number = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let caller = match session::caller(&app, &request, peer) {
        Some(caller) => caller,
        None => by_token(&app, peer, token(request.headers()).unwrap_or_default()),
    };
    let caller = match caller {
        Ok(caller) => {
            let origin = Origin { request: number, ..caller.origin };
            Arc::new(Caller { origin, ..caller })
        }
        Err(problem) => return problem.into_response(),
    };
    let limit = f64::from(caller.tenant.quotas.requests_per_second);
    let taken = count(&app, &caller);
    let mut response = match taken {
        Ok(_) => {
            request.extensions_mut().insert(Arc::clone(&caller));
            app.carried_out.run(&caller.key, request, next).await
        }
        Err(time) => too_often(&caller, time).into_response(),
    };
    let (left, until) = match taken {
        // It fills up by all that it holds in a second.
        Ok(left) => (left as u64, u64::from(left < limit)),
        Err(time) => (0, time.as_secs_f64().ceil() as u64),
    };
    let texts = [
        ("ratelimit-policy", format!("\"requests\";q={limit};w=1")),
        ("ratelimit", format!("\"requests\";r={left};t={until}")),
    ];
    for (name, text) in texts {
        if let Ok(text) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(HeaderName::from_static(name), text);
        }
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
    fn a_number_that_would_break_a_log_is_not_taken() {
        let (mut headers, numbers) = (HeaderMap::new(), Numbers::default());
        for (given, is_taken) in [("abc-1", true), ("a\"b", false), ("a b", false), (&"x".repeat(65), false)] {
            headers.insert(REQUEST_ID, HeaderValue::from_str(given).expect("a value"));
            assert_eq!(request_id(&headers, &numbers) == given, is_taken, "{given}");
        }
        assert_ne!(numbers.next(), numbers.next());
        assert_ne!(numbers.next(), Numbers::default().next());
    }

    #[test]
    fn a_trace_is_taken_when_it_is_one() {
        let mut headers = HeaderMap::new();
        let id = "0af7651916cd43dd8448eb211c80319c";
        for (given, is_taken) in [
            (format!("00-{id}-b7ad6b7169203331-01"), true),
            (format!("01-{id}-b7ad6b7169203331-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()), false),
            (format!("00-{id}"), false),
        ] {
            headers.insert("traceparent", HeaderValue::from_str(&given).expect("a value"));
            assert_eq!(trace_id(&headers).as_deref() == Some(id), is_taken, "{given}");
        }
    }
}
