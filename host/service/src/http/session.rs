//! Sessions of the page: who has shown a token, or a link of the operator's, is known by a cookie for a while. Only a hash of the
//! cookie is remembered, and only until the server ends. A token that is over ends its sessions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::guard::{self, Peer};
use super::{App, Problem, body};
use crate::random;
use crate::tenant::{Caller, TenantId};

/// The cookie.
const COOKIE: &str = "taskhost_session";

/// The header that says that a request comes from the page itself: other sites cannot set it. To read a session's own word for it
/// they would have to read an answer, which browsers keep from them.
const PROOF: &str = "x-taskhost-page";

/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// Sessions of a tenant at a time, and of the operator's. The oldest of the same ends when there are more.
const OF_EACH: usize = 50;

/// Most bytes of what is shown to begin one, by anybody: a token or a code, and some JSON around it.
const SHOWN_BYTES: u64 = 4 << 10;

/// Letters of a cookie and of a proof: 256 bits of each.
const LETTERS: usize = 43;

/// Who a session belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Whoever has shown a token of this tenant, which is found by this.
    Tenant(TenantId, String),
    /// Whoever can read the data folder.
    Operator,
}

impl Who {
    /// Whether both are of one tenant, or the operator's.
    fn is_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tenant(one, _), Self::Tenant(other, _)) => one == other,
            (Self::Operator, Self::Operator) => true,
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) who: Who,
    proof: String,
    began: Instant,
}

/// All sessions, by the hash of their cookie.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

fn hash(cookie: &str) -> [u8; 32] {
    *blake3::hash(cookie.as_bytes()).as_bytes()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

impl Sessions {
    /// Begins one, and returns its cookie.
    fn begin(&self, who: Who) -> (String, Session) {
        let (cookie, proof) = (random::word(LETTERS), random::word(LETTERS));
        let session = Session { who, proof, began: Instant::now() };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.began.elapsed() < LIFE);
        let alike = all.iter().filter(|(_, other)| other.who.is_with(&session.who));
        if alike.clone().count() >= OF_EACH
            && let Some(oldest) = alike.min_by_key(|(_, session)| session.began).map(|(hash, _)| *hash)
        {
            all.remove(&oldest);
        }
        all.insert(hash(&cookie), session.clone());
        (cookie, session)
    }

    /// The session that a request belongs to.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Session> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&hash(cookie(headers)?)).cloned();
        found.filter(|session| session.began.elapsed() < LIFE)
    }

    fn end(&self, headers: &HeaderMap) {
        if let Some(cookie) = cookie(headers) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(cookie));
        }
    }
}

impl Session {
    /// Refuses what changes something and was not sent by the page itself.
    pub(super) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        let shown = headers.get(PROOF).map(HeaderValue::as_bytes).unwrap_or_default();
        if bool::from(shown.ct_eq(self.proof.as_bytes())) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "not-the-page", "this was not sent by the page that the session is of"))
    }
}

/// Who asks, when it is the page of somebody who has shown a token before. A request with a token of its own is no such one.
pub(super) fn caller(app: &App, request: &Request, peer: IpAddr) -> Option<Result<Caller, Problem>> {
    let headers = request.headers();
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let session = app.sessions.find(headers)?;
    let Who::Tenant(_, key) = &session.who else { return None };
    let checked = session.check(request.method(), headers);
    Some(checked.and_then(|()| app.shared.directory.caller(key, peer).map_err(|_| Problem::denied())))
}

/// What the page is told of a session.
fn described(app: &App, session: Option<&Session>, peer: IpAddr) -> Value {
    let of_tenant = |key: &str| app.shared.directory.caller(key, peer).ok();
    match session.map(|session| (&session.who, &session.proof)) {
        Some((Who::Tenant(_, key), proof)) if let Some(caller) = of_tenant(key) => {
            json!({ "is": "tenant", "name": caller.tenant.name, "scopes": caller.scopes, "proof": proof })
        }
        Some((Who::Operator, proof)) => json!({ "is": "operator", "name": "operator", "proof": proof }),
        _ => json!({ "is": "nobody" }),
    }
}

/// Whose page it is.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
) -> Json<Value> {
    Json(described(&app, app.sessions.find(&headers).as_ref(), address(peer)))
}

fn address(peer: Option<axum::Extension<Peer>>) -> IpAddr {
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.0)
}

/// What is shown to begin a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Shown {
    /// A token of a tenant.
    Token(String),
    /// The code in a link of the operator's.
    Code(String),
}

/// Begins a session.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    if !headers.contains_key(PROOF) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "not-the-page", "sessions are begun by the page alone"));
    }
    let peer = address(peer);
    let text = body::whole(&headers, bytes, "what is shown", SHOWN_BYTES).await?;
    let shown = serde_json::from_slice(&text).map_err(|_| Problem::bad("bad-request", "show a token or a code"))?;
    let who = match shown {
        Shown::Token(token) => {
            let caller = guard::by_token(&app, peer, token.trim())?;
            guard::count(&app, &caller).map_err(|time| guard::too_often(&caller, time))?;
            Who::Tenant(caller.tenant.id, caller.key)
        }
        Shown::Code(code) => {
            if !app.shared.directory.redeem(&code) {
                guard::wrong(&app, peer)?;
                let detail = "the link is not good, or not any more: each is good once";
                return Err(Problem::new(StatusCode::UNAUTHORIZED, "link-over", detail));
            }
            Who::Operator
        }
    };
    app.sessions.end(&headers);
    let (cookie, session) = app.sessions.begin(who);
    let secure = if app.is_secure { "; Secure" } else { "" };
    let line = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", LIFE.as_secs());
    let mut response = Json(described(&app, Some(&session), peer)).into_response();
    if let Ok(line) = HeaderValue::from_str(&line) {
        response.headers_mut().insert(header::SET_COOKIE, line);
    }
    Ok(response)
}

/// Ends it.
pub(super) async fn end(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(session) = app.sessions.find(&headers) {
        session.check(&Method::DELETE, &headers)?;
        app.sessions.end(&headers);
    }
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(([(header::SET_COOKIE, gone)], StatusCode::NO_CONTENT).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).expect("a value"));
        headers
    }

    #[test]
    fn a_session_is_found_by_its_cookie_and_by_nothing_else() {
        let sessions = Sessions::default();
        let (cookie, _) = sessions.begin(Who::Operator);
        let own = with(&format!("a=b; {COOKIE}={cookie}"));
        assert_eq!(sessions.find(&own).expect("there").who, Who::Operator);
        for other in [format!("{COOKIE}={cookie}x"), format!("x{COOKIE}={cookie}"), format!("{COOKIE}="), String::new()]
        {
            assert!(sessions.find(&with(&other)).is_none(), "{other}");
        }
        sessions.end(&own);
        assert!(sessions.find(&own).is_none());
    }

    #[test]
    fn only_the_page_itself_changes_anything() {
        let (_, session) = Sessions::default().begin(Who::Operator);
        let mut headers = HeaderMap::new();
        session.check(&Method::GET, &headers).expect("looking is free");
        session.check(&Method::POST, &headers).expect_err("without a proof");
        headers.insert(PROOF, HeaderValue::from_static("guessed"));
        session.check(&Method::DELETE, &headers).expect_err("with a wrong one");
        headers.insert(PROOF, HeaderValue::from_str(&session.proof).expect("a value"));
        session.check(&Method::POST, &headers).expect("with its own");
    }

    #[test]
    fn whoever_begins_many_ends_none_but_its_own() {
        let sessions = Sessions::default();
        let begin = |who: &Who| sessions.begin(who.clone()).0;
        let is_there = |cookie: &str| sessions.find(&with(&format!("{COOKIE}={cookie}"))).is_some();
        let (anna, bert) = (Who::Tenant(TenantId(1), "a".into()), Who::Tenant(TenantId(2), "b".into()));
        let others = [&Who::Operator, &bert].map(begin);
        let [first, second] = [&anna, &anna].map(begin);
        // With whichever of its tokens.
        (2..=OF_EACH).for_each(|number| drop(begin(&Who::Tenant(TenantId(1), number.to_string()))));
        assert_eq!([&first, &second, &others[0], &others[1]].map(|cookie| is_there(cookie)), [false, true, true, true]);
        (0..OF_EACH).for_each(|_| drop(begin(&Who::Operator)));
        assert_eq!([&second, &others[0], &others[1]].map(|cookie| is_there(cookie)), [true, false, true]);
    }
}
