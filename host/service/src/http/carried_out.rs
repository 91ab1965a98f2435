//! Requests that change something are carried out to their end, also when whoever asked has gone: what follows on a change that is
//! kept (a job is told of, a token is forgotten) is part of it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::Problem;

/// Requests of a token at a time: connections do not bound those of which nobody waits for the answer. It is as many as one address
/// may have connections.
const OF_EACH: usize = 500;

/// Tokens of which something is remembered, before those are looked for of which nothing goes on.
const MANY: usize = 10_000;

/// A token, and whether it takes something away. What one token begins keeps no other from anything: not from ending it.
type Who = (String, bool);

/// What is carried out.
#[derive(Debug, Default)]
pub(super) struct CarriedOut(Mutex<HashMap<Who, Arc<Semaphore>>>);

/// Whether all of this is carried out that was begun. A call leaves nothing, and is given up by whoever goes away. What may wait for
/// its turn for long (jobs, and what is fetched from elsewhere) is given up until then, so that what waits is no more than whoever
/// waits for it; those places carry out what follows themselves ([`to_its_end`]).
fn is_carried_out(method: &Method, path: &str) -> bool {
    let is_call = || path.starts_with("/v1/kernels/") && path.split('/').nth(4) == Some("invoke");
    let has_turns = || {
        let is_job = path == "/v1/jobs" || path == "/v1/jobs/batch" || path.ends_with("/retry");
        (path.starts_with("/v1/jobs") && is_job) || path.ends_with(":pull")
    };
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_call() && !has_turns()
}

/// Carries out something that has begun, whoever goes away meanwhile.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Problem::internal(&error.to_string())))
}

/// Whether this ends something, which has no body that may not come: that is not behind what is begun.
fn takes_away(method: &Method, path: &str) -> bool {
    let is_cancel = || path.starts_with("/v1/jobs/") && path.ends_with("/cancel");
    *method == Method::DELETE || (*method == Method::POST && is_cancel())
}

impl CarriedOut {
    fn of(&self, who: Who) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > MANY {
            all.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(all.entry(who).or_insert_with(|| Arc::new(Semaphore::new(OF_EACH))))
    }

    /// Carries out a request that shows the token with this key.
    pub(super) async fn run(&self, key: &str, request: Request, next: Next) -> Response {
        if !is_carried_out(request.method(), request.uri().path()) {
            return next.run(request).await;
        }
        // It is never closed. Whoever goes away here has asked for nothing yet.
        let who = (key.to_owned(), takes_away(request.method(), request.uri().path()));
        let place = self.of(who).acquire_owned().await.ok();
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
    fn what_a_token_begins_is_not_in_the_way_of_others_nor_of_ending_it() {
        let all = CarriedOut::default();
        let places = |key: &str, takes_away| all.of((key.to_owned(), takes_away));
        let held = places("weak", false).try_acquire_many_owned(OF_EACH as u32).expect("all of them");
        assert_eq!(places("weak", false).available_permits(), 0);
        assert_eq!(
            [places("weak", true), places("full", false)].map(|places| places.available_permits()),
            [OF_EACH; 2]
        );
        // Of tokens that do nothing, nothing is kept in mind.
        for number in 0..=MANY {
            places(&number.to_string(), false);
        }
        places("last", false);
        assert!(all.0.lock().expect("not poisoned").len() < 10);
        drop(held);
    }

    #[test]
    fn what_ends_something_is_told_from_what_begins_something() {
        for (method, path, ends) in [
            (Method::DELETE, "/v1/tokens/x", true),
            (Method::PATCH, "/v1/jobs/x", false),
            (Method::POST, "/v1/jobs/x/cancel", true),
            (Method::PUT, "/v1/aliases/cancel", false),
            (Method::POST, "/v1/jobs", false),
            (Method::PUT, "/v1/blobs/x", false),
        ] {
            assert_eq!(takes_away(&method, path), ends, "{method} {path}");
        }
    }

    #[test]
    fn what_only_asks_or_has_a_turn_of_its_own_is_given_up_with_whoever_asked() {
        for (method, path, is_so) in [
            (Method::GET, "/v1/jobs", false),
            (Method::HEAD, "/v1/blobs/blake3:00", false),
            (Method::POST, "/v1/jobs", false),
            (Method::POST, "/v1/jobs/batch", false),
            (Method::POST, "/v1/jobs/x/retry", false),
            (Method::POST, "/v1/jobs/invoke/cancel", true),
            (Method::POST, "/v1/webhooks/x/deliveries/y/retry", true),
            (Method::PUT, "/v1/kernels/invoke", true),
            (Method::POST, "/v1/kernels/edges/invoke", false),
            (Method::POST, "/v1/kernels/edges/invoke/a/b", false),
            (Method::DELETE, "/v1/tokens/x", true),
            (Method::PATCH, "/v1/jobs/x", true),
            (Method::POST, "/v1/blobs:pull", false),
        ] {
            assert_eq!(is_carried_out(&method, path), is_so, "{method} {path}");
        }
    }
}
