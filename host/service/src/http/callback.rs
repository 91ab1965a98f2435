//! `callback` of a job: a place that is told of its end, and of nothing else; and `GET /v1/jobs/{job}/callback`, what became of that.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::guard::need;
use super::jobs::{Who, find, id};
use super::{App, Problem};
use crate::store::callbacks;
use crate::store::webhooks::DeliveryRow;
use crate::tenant::Scope;
use crate::webhook::is_secret;

/// A place that is told of the end of the job.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = NewCallback)]
#[serde(deny_unknown_fields)]
pub(super) struct Callback {
    /// Where the message goes: `https://…`.
    pub(super) url: String,
    /// What it is signed with (Standard Webhooks): `whsec_` and 16 to 128 bytes in Base64.
    pub(super) secret: String,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No secret is ever printed.
        f.debug_struct("Callback").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Callback {
    /// Says why it cannot be told anything.
    pub(super) fn check(&self, app: &App) -> Result<(), Problem> {
        app.networks.check(&self.url).map_err(|error| Problem::unprocessable("bad-target", error.to_string()))?;
        let why = "a secret is whsec_ and from 16 to 128 bytes in Base64";
        if is_secret(&self.secret) { Ok(()) } else { Err(Problem::unprocessable("bad-secret", why)) }
    }
}

/// So many are still to be told.
pub(super) fn too_many(open: u64) -> Problem {
    Problem::quota("callbacks", callbacks::MOST, open, Duration::from_secs(60))
}

/// A place that is told of the end of a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Callback)]
pub(super) struct CallbackView {
    url: String,
    /// The message, when the job is over: for seven days after that.
    deliveries: Vec<DeliveryRow>,
}

/// What became of the message to the place that the job has named as its `callback`.
#[utoipa::path(get, path = "/v1/jobs/{job}/callback", params(("job" = String, Path)), responses((status = 200, description = "The place, and the message", body = CallbackView)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
) -> Result<Json<CallbackView>, Problem> {
    need(&caller, Scope::JobsRead)?;
    let (tenant, job) = (caller.tenant.id, find(&app, &caller, &id(&job)?).await?.id);
    let found = app.read(move |rows| callbacks::of(rows, tenant, &job)).await?;
    let (url, deliveries) =
        found.ok_or_else(|| Problem::not_found("callback: none was named, or it was told long ago"))?;
    Ok(Json(CallbackView { url, deliveries }))
}
