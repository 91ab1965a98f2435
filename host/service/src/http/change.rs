//! `PATCH /v1/jobs/{job}`: what may be said of a job otherwise than when it came: by what it is found, how long what comes of it is
//! kept, and, as long as it has not begun, before which others it comes. What it does stays what was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::guard::need;
use super::jobs::{Who, find, id};
use super::kernels::act;
use super::view::{JobView, view};
use super::{App, Problem, body};
use crate::job::{JobSpec, Order};
use crate::store::audit;
use crate::store::changes::{self, Changed};
use crate::tenant::Scope;

/// What is to be otherwise (RFC 7396): what is not named stays, what is null goes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = JobChange)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Labels with new values; a label that is null goes.
    #[serde(default)]
    labels: BTreeMap<String, Option<String>>,
    /// For so many seconds after its end what came of the job is kept; null: as long as the quota says.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<u64>, maximum = 315_360_000)]
    keep_seconds: Option<Option<u64>>,
    /// Another priority, before the job has begun; null: none.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<i32>, minimum = -100, maximum = 100)]
    priority: Option<Option<i32>>,
    /// Another time by which it is to be ready, before it has begun; null: none.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<i64>)]
    ready_by: Option<Option<i64>>,
}

/// Tells null from nothing.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Change {
    fn apply(self, mut spec: JobSpec) -> JobSpec {
        for (name, value) in self.labels {
            match value {
                Some(value) => drop(spec.labels.insert(name, value)),
                None => drop(spec.labels.remove(&name)),
            }
        }
        spec.keep_seconds = self.keep_seconds.unwrap_or(spec.keep_seconds);
        spec.urgency.priority = self.priority.map_or(spec.urgency.priority, Option::unwrap_or_default);
        spec.urgency.ready_by = self.ready_by.unwrap_or(spec.urgency.ready_by);
        spec
    }
}

/// Changes the labels of a job, and how long what comes of it is kept, which may also be a time that is over; and, before it has
/// begun, how urgent it is beside others of yours.
#[utoipa::path(patch, path = "/v1/jobs/{job}", params(("job" = String, Path)),
    request_body(content((Change = "application/merge-patch+json"), (Change = "application/json"))),
    responses((status = 200, description = "The job", body = JobView)))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Json<JobView>, Problem> {
    need(&caller, Scope::JobsWrite)?;
    let job = id(&job)?;
    find(&app, &caller, &job).await?;
    let change: Change = body::said(&headers, bytes).await?;
    let (tenant, quotas) = (caller.tenant.id, caller.tenant.quotas);
    let (act, changed) = (act(&caller, "job.change", &job), job.clone());
    let done = app.write(move |rows| {
        let done = changes::change(rows, tenant, &changed, &quotas, |spec| change.apply(spec))?;
        if done == Changed::Done {
            audit::add(rows, &act)?;
        }
        Ok(done)
    });
    match done.await? {
        Changed::Done => {
            let found = find(&app, &caller, &job).await?;
            app.jobs.tell(Order::Changed(job, found.spec.urgency));
            Ok(Json(view(&app, &found).await?))
        }
        Changed::Begun => {
            Err(Problem::conflict("begun", "the job has begun: only of jobs that wait one comes before another"))
        }
        Changed::Unknown => Err(Problem::not_found("job")),
        Changed::Gone => {
            Err(Problem::new(StatusCode::GONE, "gone", "what came of the job has gone, and its record stays as it is"))
        }
        Changed::Refused(why) => Err(Problem::unprocessable("bad-job", why)),
        Changed::Full(stored) => Err(body::full(&caller, stored)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::Digest;
    use crate::job::{Parameters, Urgency};

    #[test]
    fn what_is_not_named_stays_and_what_is_null_goes() {
        let spec = JobSpec {
            kernel: Digest::of(b""),
            inputs: Vec::new(),
            input_bytes: 0,
            output: None,
            parameters: Parameters::default(),
            labels: [("a", "1"), ("b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            keep_seconds: Some(60),
            retry_of: None,
            urgency: Urgency::default(),
        };
        let changed = |text: &str| serde_json::from_str::<Change>(text).expect("a change").apply(spec.clone());
        assert_eq!(changed("{}"), spec);
        let other = changed(r#"{"labels": {"a": null, "c": "3"}, "keep_seconds": null}"#);
        assert_eq!(other.labels.into_iter().map(|(name, value)| name + &value).collect::<Vec<_>>(), ["b2", "c3"]);
        assert_eq!((other.keep_seconds, changed(r#"{"keep_seconds": 7}"#).keep_seconds), (None, Some(7)));
        let urgent = JobSpec { urgency: Urgency { priority: 7, ready_by: Some(9) }, ..spec.clone() };
        assert_eq!(changed(r#"{"priority": 7, "ready_by": 9}"#), urgent);
        let again = serde_json::from_str::<Change>(r#"{"priority": null, "ready_by": null}"#).expect("a change");
        assert_eq!(again.apply(urgent), spec);
        assert!(serde_json::from_str::<Change>(r#"{"kernel": "x"}"#).is_err());
    }
}
