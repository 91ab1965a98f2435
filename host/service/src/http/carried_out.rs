//! Requests that change something are carried out to their end, also when whoever asked has gone: what follows on a change that is
//! kept (a job is told of, a token is forgotten) is part of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::Problem;
use crate::tenant::TenantId;

/// Requests of a tenant at a time: connections do not bound those of which nobody waits for the answer. It is as many as one address
/// may have connections.
const OF_EACH: usize = 500;

/// What is carried out.
#[derive(Debug, Default)]
pub(super) struct CarriedOut(Mutex<HashMap<TenantId, Arc<Semaphore>>>);

/// Whether something stays when this was asked for. A call leaves nothing, and is given up by whoever goes away.
fn changes_something(method: &Method, path: &str) -> bool {
    let is_call = || path.starts_with("/v1/kernels/") && path.split('/').nth(4) == Some("invoke");
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_call()
}

impl CarriedOut {
    fn of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(OF_EACH))))
    }

    /// Carries out a request of a tenant.
    pub(super) async fn run(&self, tenant: TenantId, request: Request, next: Next) -> Response {
        if !changes_something(request.method(), request.uri().path()) {
            return next.run(request).await;
        }
        // It is never closed. Whoever goes away here has asked for nothing yet.
        let place = self.of(tenant).acquire_owned().await.ok();
        let done = tokio::spawn(async move {
            let response = next.run(request).await;
            drop(place);
            response
        });
        done.await.unwrap_or_else(|error| Problem::internal(&error.to_string()).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_asks_is_given_up_with_whoever_asked() {
        for (method, path, changes) in [
            (Method::GET, "/v1/jobs", false),
            (Method::HEAD, "/v1/blobs/blake3:00", false),
            (Method::POST, "/v1/jobs", true),
            (Method::POST, "/v1/jobs/invoke/cancel", true),
            (Method::PUT, "/v1/kernels/invoke", true),
            (Method::POST, "/v1/kernels/edges/invoke", false),
            (Method::POST, "/v1/kernels/edges/invoke/a/b", false),
            (Method::DELETE, "/v1/tokens/x", true),
            (Method::PATCH, "/v1/jobs/x", true),
        ] {
            assert_eq!(changes_something(&method, path), changes, "{method} {path}");
        }
    }
}
