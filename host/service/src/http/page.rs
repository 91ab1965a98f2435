//! The page at `/`: a few files of this program's own. It asks for all that it shows at the places that are there for everybody,
//! with a session in place of a token; nothing is fetched from elsewhere, and nothing that strangers wrote is ever taken for
//! markup: the policy forbids scripts but this one, and this one makes texts of texts.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::{App, openapi, operator, reference, session};

/// What the page may do: run its own script, look as its own sheet says, ask its own server, show pictures that come from there.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What anything else may do that a browser is led to: nothing.
pub(super) const POLICY_OF_OTHERS: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// The places of the page.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", include_str!("page/page.html")) }))
        .route("/page.css", get(|| async { file("text/css; charset=utf-8", include_str!("page/page.css")) }))
        .route("/page.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page/page.js")) }))
        .route("/tokens.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page/tokens.js")) }))
        .route("/views.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page/views.js")) }))
        .route("/icon.svg", get(|| async { file("image/svg+xml", include_str!("page/icon.svg")) }))
        .route("/docs", get(reference::show))
        // Where most tools look for it.
        .route("/openapi.json", get(openapi::show))
        .route("/page/session", get(session::show).post(session::begin).delete(session::end))
        .route("/page/operator", get(operator::show))
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    let head = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        // Of another build the page would be another one.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (head, text).into_response()
}
