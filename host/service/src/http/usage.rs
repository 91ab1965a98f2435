//! `/v1/usage`: what the caller has used today, and what it may.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::guard::need;
use super::{App, Problem};
use crate::store::{contents, jobs, usage};
use crate::tenant::{Caller, Scope};
use crate::time::Moment;

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Json<Value>, Problem> {
    need(&caller, Scope::UsageRead)?;
    let (tenant, today) = (caller.tenant.id, Moment::now().day());
    let read = app.read(move |rows| {
        Ok((usage::on_day(rows, tenant, today)?, contents::total(rows, tenant)?, jobs::open_count(rows, tenant)?))
    });
    let (used, stored, open) = read.await?;
    Ok(Json(json!({
        "tenant": caller.tenant.name,
        "weight": caller.tenant.weight,
        "scopes": caller.scopes,
        "today": used,
        "stored_bytes": stored,
        "open_jobs": open,
        "quotas": caller.tenant.quotas,
    })))
}
