//! The description of the interface, OpenAPI 3.1, made of what answers: `/v1/openapi.json`.

use std::collections::BTreeSet;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, ResponseBuilder, SchemaFormat, Type,
};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{
    aliases, batch, blobs, callback, change, events, health, invoke, jobs, kernels, pull, quota, result, retry, submit,
    tokens, usage, webhooks,
};

/// Every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
struct Problem {
    /// `urn:taskhost:problem:` and the code.
    r#type: String,
    title: String,
    status: u16,
    /// For programs.
    code: String,
    /// For people.
    detail: String,
    /// The quota that is used up.
    quota: Option<String>,
    limit: Option<u64>,
    used: Option<u64>,
    /// When there is all of it again, in milliseconds since 1970.
    resets_at: Option<i64>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "taskhost",
        description = "Kernels in WebAssembly, applied to inputs on every core of a machine that several people share.",
    ),
    paths(
        kernels::post, pull::pull, kernels::list, kernels::put, kernels::show, kernels::delete,
        invoke::kernel, invoke::function,
        aliases::list, aliases::put, aliases::show, aliases::delete, aliases::history,
        blobs::post, pull::pull_content, blobs::put, blobs::get, blobs::delete,
        submit::submit, batch::hand_in, jobs::list, jobs::show, change::change, jobs::forget, jobs::cancel, retry::retry, jobs::explain, callback::show,
        events::events, result::result, result::failures, result::log, result::report,
        webhooks::list, webhooks::create, webhooks::delete, webhooks::test, webhooks::deliveries, webhooks::redeliver,
        tokens::list, tokens::create, tokens::revoke,
        quota::show, usage::show, usage::audit,
        show, health::alive, health::started, health::ready, health::metrics,
    ),
    components(schemas(Problem)),
    modifiers(&Everywhere)
)]
struct Description;

/// What is true of every place.
struct Everywhere;

/// What the token is called in the description.
const TOKEN: &str = "token";

/// What the answer to everything that went wrong is called in the description.
const ERROR: &str = "Error";

/// What may go wrong with everything that a tenant asks for: it cannot be read, or the token is not good, or not for that; too much
/// was asked for; the server has no room, or is at fault.
const ANYTHING: [u16; 6] = [400, 401, 403, 429, 500, 503];

/// The statuses of what may go wrong at a place.
fn errors(path: &str, has_body: bool, is_change: bool) -> BTreeSet<u16> {
    if !path.starts_with("/v1/") || path == "/v1/openapi.json" {
        return match path {
            "/readyz" => [500, 503].into(),
            "/metrics" => [403, 500, 503].into(),
            _ => BTreeSet::new(),
        };
    }
    let is_of = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    let mut all = BTreeSet::from(ANYTHING);
    let mut may = |when: bool, statuses: &[u16]| all.extend(statuses.iter().filter(|_| when));
    // The jobs of a kernel are asked for by its name.
    may(path.contains('{') || path == "/v1/jobs", &[404]);
    // What is said in it may name what is not there, and say what cannot be done.
    may(has_body, &[404, 408, 413, 415, 422]);
    may(is_change, &[409]);
    may(is_change && path == "/v1/aliases/{name}", &[412]);
    may(!is_change && is_of(&["/result", "/failures", "/log", "/report", "/v1/blobs/{digest}"]), &[409, 410, 416, 422]);
    may(is_of(&["/v1/jobs/{job}", "/retry"]), &[410, 413, 422]);
    may(is_of(&["/invoke", "/{function}"]), &[504]);
    may(is_of(&[":pull"]), &[502]);
    all
}

/// Bytes are bytes, and no list of numbers.
fn say_bytes(kind: &str, content: &mut RefOr<Content>) {
    if let ("application/octet-stream" | "application/wasm", RefOr::T(content)) = (kind, content) {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let bytes = ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build();
        content.schema = Some(RefOr::T(bytes.into()));
    }
}

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, scheme);
        let problem = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(RefOr::Ref(problem))).build();
        let error = ResponseBuilder::new().description("What went wrong").content("application/problem+json", content);
        components.responses.insert(ERROR.into(), error.build().into());
        for (path, item) in &mut document.paths.paths {
            let methods = [
                (false, &mut item.get),
                (true, &mut item.put),
                (true, &mut item.post),
                (true, &mut item.patch),
                (true, &mut item.delete),
            ];
            for (is_change, operation) in methods {
                let Some(operation) = operation else { continue };
                if let Some(RefOr::T(body)) = &mut operation.request_body {
                    body.content.iter_mut().for_each(|(kind, content)| say_bytes(kind, content));
                }
                for answer in operation.responses.responses.values_mut() {
                    if let RefOr::T(answer) = answer {
                        answer.content.iter_mut().for_each(|(kind, content)| say_bytes(kind, content));
                    }
                }
                for status in errors(path, operation.request_body.is_some(), is_change) {
                    let error = Ref::from_response_name(ERROR);
                    operation.responses.responses.insert(status.to_string(), error.into());
                }
                if path.starts_with("/v1/") && path != "/v1/openapi.json" {
                    operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(TOKEN, [])]);
                }
            }
        }
    }
}

/// The description as text.
#[must_use]
pub fn document() -> String {
    // It is made of literals.
    Description::openapi().to_pretty_json().unwrap_or_default() + "\n"
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = 200, description = "This description", body = Object)), security(()))]
pub(super) async fn show() -> Response {
    let mut response = document().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
