//! `/v1/quota`: how much of each quota is used, and which are nearly used up.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::need;
use super::{App, Problem};
use crate::store::kernels;
use crate::store::warnings;
use crate::tenant::{Caller, QuotaUse, Scope, Used};
use crate::time::Moment;

/// All quotas of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuotaUses)]
pub(super) struct QuotasView {
    quotas: Vec<QuotaUse>,
}

/// How much of each quota is used.
#[utoipa::path(get, path = "/v1/quota", responses((status = 200, description = "Each quota", body = QuotasView)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Json<QuotasView>, Problem> {
    need(&caller, Scope::UsageRead)?;
    Ok(Json(QuotasView { quotas: of(&app, &caller).await? }))
}

/// How much of each quota this tenant uses.
pub(super) async fn of(app: &App, caller: &Caller) -> Result<Vec<QuotaUse>, Problem> {
    let tenant = caller.tenant.id;
    let on_disk = app.read(move |rows| warnings::used(rows, tenant, Moment::now())).await?;
    // What is on its way to the disk counts.
    let cpu_ms = app.shared.accounts.used_today(tenant);
    let (running_jobs, calls) = app.shared.fair().at_work(tenant);
    let used = Used {
        cpu_seconds: cpu_ms.map_or(on_disk.cpu_seconds, |cpu_ms| cpu_ms / 1000),
        running_jobs: running_jobs as u64,
        calls: calls as u64,
        ..on_disk
    };
    Ok(used.of(&caller.tenant.quotas, kernels::MOST))
}
