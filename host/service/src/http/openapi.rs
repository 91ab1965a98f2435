//! The description of the interface, OpenAPI 3.1, made of what answers: `/v1/openapi.json`.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
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

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, scheme);
        let problem = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(RefOr::Ref(problem))).build();
        let error = ResponseBuilder::new().description("What went wrong").content("application/problem+json", content);
        let error = error.build();
        for (path, item) in &mut document.paths.paths {
            let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in methods.into_iter().flatten() {
                operation.responses.responses.insert("default".into(), error.clone().into());
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
