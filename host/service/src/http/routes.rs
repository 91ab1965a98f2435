//! All places, in one list: the router is made of it, and a test holds it against the description of the interface.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use super::{
    App, aliases, batch, blobs, callback, change, events, guard, health, invoke, jobs, kernels, openapi, page, problem,
    pull, quota, result, retry, submit, tokens, usage, webhooks,
};

use crate::job::JobId;

/// A place: a method, a path, and what is done there.
type Route = (&'static str, &'static str, MethodRouter<Arc<App>>);

/// What is for tenants, who show a token.
fn tenants() -> Vec<Route> {
    vec![
        ("post", "/v1/kernels", post(kernels::post)),
        ("get", "/v1/kernels", get(kernels::list)),
        ("post", "/v1/kernels:pull", post(pull::pull)),
        ("post", "/v1/blobs:pull", post(pull::pull_content)),
        ("put", "/v1/kernels/{reference}", put(kernels::put)),
        ("get", "/v1/kernels/{reference}", get(kernels::show)),
        ("delete", "/v1/kernels/{reference}", delete(kernels::delete)),
        ("post", "/v1/kernels/{reference}/invoke", post(invoke::kernel)),
        ("post", "/v1/kernels/{reference}/invoke/{*function}", post(invoke::function)),
        ("get", "/v1/aliases", get(aliases::list)),
        ("put", "/v1/aliases/{name}", put(aliases::put)),
        ("get", "/v1/aliases/{name}", get(aliases::show)),
        ("delete", "/v1/aliases/{name}", delete(aliases::delete)),
        ("get", "/v1/aliases/{name}/history", get(aliases::history)),
        ("post", "/v1/blobs", post(blobs::post)),
        ("put", "/v1/blobs/{digest}", put(blobs::put)),
        ("get", "/v1/blobs/{digest}", get(blobs::get)),
        ("delete", "/v1/blobs/{digest}", delete(blobs::delete)),
        ("post", "/v1/jobs", post(submit::submit)),
        ("get", "/v1/jobs", get(jobs::list)),
        ("post", "/v1/jobs/batch", post(batch::hand_in)),
        ("get", "/v1/jobs/{job}", get(jobs::show)),
        ("patch", "/v1/jobs/{job}", patch(change::change)),
        ("delete", "/v1/jobs/{job}", delete(jobs::forget)),
        ("post", "/v1/jobs/{job}/cancel", post(jobs::cancel)),
        ("post", "/v1/jobs/{job}/retry", post(retry::retry)),
        ("get", "/v1/jobs/{job}/explain", get(jobs::explain)),
        ("get", "/v1/jobs/{job}/callback", get(callback::show)),
        ("get", "/v1/jobs/{job}/events", get(events::events)),
        ("get", "/v1/jobs/{job}/result", get(result::result)),
        ("get", "/v1/jobs/{job}/failures", get(result::failures)),
        ("get", "/v1/jobs/{job}/log", get(result::log)),
        ("get", "/v1/jobs/{job}/report", get(result::report)),
        ("get", "/v1/webhooks", get(webhooks::list)),
        ("post", "/v1/webhooks", post(webhooks::create)),
        ("delete", "/v1/webhooks/{webhook}", delete(webhooks::delete)),
        ("post", "/v1/webhooks/{webhook}/test", post(webhooks::test)),
        ("get", "/v1/webhooks/{webhook}/deliveries", get(webhooks::deliveries)),
        ("post", "/v1/webhooks/{webhook}/deliveries/{delivery}/retry", post(webhooks::redeliver)),
        ("get", "/v1/tokens", get(tokens::list)),
        ("post", "/v1/tokens", post(tokens::create)),
        ("delete", "/v1/tokens/{key}", delete(tokens::revoke)),
        ("get", "/v1/quota", get(quota::show)),
        ("get", "/v1/usage", get(usage::show)),
        ("get", "/v1/audit", get(usage::audit)),
    ]
}

/// What is for everybody.
fn everybody() -> Vec<Route> {
    vec![
        ("get", "/v1/openapi.json", get(openapi::show)),
        ("get", "/healthz", get(health::alive)),
        ("get", "/startupz", get(health::started)),
        ("get", "/readyz", get(health::ready)),
        ("get", "/metrics", get(health::metrics)),
    ]
}

fn add(router: Router<Arc<App>>, routes: Vec<Route>) -> Router<Arc<App>> {
    routes.into_iter().fold(router, |router, (_, path, handler)| router.route(path, handler))
}

/// All that can be asked for.
pub(super) fn router(app: &Arc<App>) -> Router {
    let identify = axum::middleware::from_fn_with_state(Arc::clone(app), guard::identify);
    finish(app, add(add(Router::new(), tenants()).layer(identify), everybody()).merge(page::routes()))
}

/// What the operator can ask for, at a place of its own.
pub(super) fn operators(app: &Arc<App>) -> Router {
    let routes = vec![
        ("get", "/healthz", get(health::alive)),
        ("get", "/startupz", get(health::started)),
        ("get", "/readyz", get(health::ready)),
        ("get", "/metrics", get(health::metrics_in_full)),
    ];
    finish(app, add(Router::new(), routes))
}

fn finish(app: &Arc<App>, router: Router<Arc<App>>) -> Router {
    router
        .fallback(problem::no_such_place)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), guard::every))
        .with_state(Arc::clone(app))
}

/// All paths, as the list above writes them.
pub(super) const PATHS: [&str; 39] = [
    "/v1/kernels",
    "/v1/kernels:pull",
    "/v1/kernels/{reference}",
    "/v1/kernels/{reference}/invoke",
    "/v1/kernels/{reference}/invoke/{*function}",
    "/v1/aliases",
    "/v1/aliases/{name}",
    "/v1/aliases/{name}/history",
    "/v1/blobs",
    "/v1/blobs:pull",
    "/v1/blobs/{digest}",
    "/v1/jobs",
    // In front of those that it would be an example of.
    "/v1/jobs/batch",
    "/v1/jobs/{job}",
    "/v1/jobs/{job}/cancel",
    "/v1/jobs/{job}/retry",
    "/v1/jobs/{job}/explain",
    "/v1/jobs/{job}/callback",
    "/v1/jobs/{job}/events",
    "/v1/jobs/{job}/result",
    "/v1/jobs/{job}/failures",
    "/v1/jobs/{job}/log",
    "/v1/jobs/{job}/report",
    "/v1/webhooks",
    "/v1/webhooks/{webhook}",
    "/v1/webhooks/{webhook}/test",
    "/v1/webhooks/{webhook}/deliveries",
    "/v1/webhooks/{webhook}/deliveries/{delivery}/retry",
    "/v1/tokens",
    "/v1/tokens/{key}",
    "/v1/quota",
    "/v1/usage",
    "/v1/audit",
    "/v1/openapi.json",
    "/healthz",
    "/startupz",
    "/readyz",
    "/metrics",
    // Every other one: whatever a stranger asks for, there are no more names than these.
    "other",
];

/// The number in [`PATHS`] of the path that this one is an example of.
pub(super) fn number_of(path: &str) -> usize {
    let fits = |pattern: &&str| {
        let (mut one, mut other) = (pattern.split('/'), path.split('/'));
        loop {
            match (one.next(), other.next()) {
                (None, None) => return true,
                (Some(pattern), Some(_)) if pattern.starts_with("{*") => return true,
                (Some(pattern), Some(part)) if pattern == part || pattern.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    PATHS.iter().position(fits).unwrap_or(PATHS.len() - 1)
}

/// The job that a path is about, when it is about one.
pub(super) fn job_of(path: &str) -> Option<&str> {
    let job = path.strip_prefix("/v1/jobs/")?.split('/').next()?;
    JobId::parse(job).map(|_| job)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_place_is_described_and_every_description_is_of_a_place() {
        let all = tenants().into_iter().chain(everybody());
        let routes: BTreeSet<(String, String)> =
            all.map(|(method, path, _)| (path.replace('*', ""), method.into())).collect();
        let document: serde_json::Value = serde_json::from_str(&openapi::document()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths").iter();
        let described = paths.flat_map(|(path, methods)| {
            methods.as_object().expect("methods").keys().map(|method| (path.clone(), method.clone()))
        });
        assert_eq!(routes, described.collect());
    }

    #[test]
    fn a_path_names_a_job_or_none() {
        let job = JobId::create();
        for (path, named) in [
            (format!("/v1/jobs/{job}"), true),
            (format!("/v1/jobs/{job}/events"), true),
            (format!("/v1/jobs/{job}x"), false),
            (format!("/v1/kernels/{job}"), false),
            ("/v1/jobs/batch".to_owned(), false),
            ("/v1/jobs".to_owned(), false),
        ] {
            assert_eq!(job_of(&path), Some(job.as_str()).filter(|_| named), "{path}");
        }
    }

    #[test]
    fn paths_are_told_apart_by_what_they_are_examples_of() {
        let paths: BTreeSet<&str> = tenants().iter().chain(&everybody()).map(|(_, path, _)| *path).collect();
        assert_eq!(paths, PATHS[..PATHS.len() - 1].iter().copied().collect());
        for path in paths {
            let path_of_function = path.replace("{*function}", "x:y/z#f");
            let example = path_of_function.replace("{job}", "x").replace("{name}", "x").replace("{digest}", "x");
            let example = example.replace("{reference}", "x").replace("{webhook}", "x");
            let example = example.replace("{delivery}", "x").replace("{key}", "x");
            assert_eq!(PATHS[number_of(&example)], path);
        }
        for path in ["/", "", "/v1/jobs/", "/v1/jobs/x/y", "/v1/jobs/x/result/y", "/metrics/"] {
            let expected = if path == "/v1/jobs/" { "/v1/jobs/{job}" } else { "other" };
            assert_eq!(PATHS[number_of(path)], expected, "{path}");
        }
    }
}
