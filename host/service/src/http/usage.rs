//! `/v1/usage` and `/v1/audit`: what the caller has used and may use, and what was done to its things.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::guard::need;
use super::{App, Problem};
use crate::store::audit::{self, AuditRow};
use crate::store::usage::{self, Usage};
use crate::store::{contents, jobs};
use crate::tenant::{Caller, Quotas, Scope};
use crate::time::Moment;

/// Most days of one answer.
const MOST_DAYS: i64 = 366;

/// Rows of the audit log in one answer.
const MOST_ROWS: u32 = 500;

/// Over which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Days {
    /// Also what was used on so many days, today included.
    #[param(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

/// What was used on a day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Day {
    /// The date (UTC).
    date: String,
    #[serde(flatten)]
    used: Usage,
}

/// What a tenant has used, and what it may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usages)]
pub(super) struct UsageView {
    tenant: String,
    /// Its share of the cores while others want them too.
    weight: u32,
    /// What the token is good for, separated by spaces.
    scopes: String,
    today: Usage,
    /// Those days on which something was used, oldest first.
    days: Vec<Day>,
    stored_bytes: u64,
    /// Jobs that wait or run.
    open_jobs: u64,
    quotas: Quotas,
}

/// What was used today, and what may be used.
#[utoipa::path(get, path = "/v1/usage", params(Days), responses((status = 200, description = "What was used", body = UsageView)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(Days { days }): Query<Days>,
) -> Result<Json<UsageView>, Problem> {
    need(&caller, Scope::UsageRead)?;
    if days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(Problem::bad("bad-request", format!("days is from 1 to {MOST_DAYS}")));
    }
    let (tenant, today) = (caller.tenant.id, Moment::now().day());
    let read = app.read(move |rows| {
        let used = usage::on_day(rows, tenant, today)?;
        let days = days.map_or(Ok(Vec::new()), |days| usage::since(rows, tenant, today - days + 1))?;
        Ok((used, days, contents::total(rows, tenant)?, jobs::open_count(rows, tenant)?))
    });
    let (today, days, stored_bytes, open_jobs) = read.await?;
    Ok(Json(UsageView {
        tenant: caller.tenant.name.clone(),
        weight: caller.tenant.weight,
        scopes: caller.scopes.to_string(),
        today,
        days: days.into_iter().map(|(day, used)| Day { date: Moment::date(day), used }).collect(),
        stored_bytes,
        open_jobs,
        quotas: caller.tenant.quotas,
    }))
}

/// Where a list goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// What the list before called `next`.
    #[serde(default)]
    cursor: i64,
}

/// Rows of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Audit)]
pub(super) struct AuditView {
    rows: Vec<AuditRow>,
    /// The cursor of those behind them.
    next: Option<i64>,
}

/// What was done to the caller's things, oldest first.
#[utoipa::path(get, path = "/v1/audit", params(After), responses((status = 200, description = "Rows", body = AuditView)))]
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(After { cursor }): Query<After>,
) -> Result<Json<AuditView>, Problem> {
    need(&caller, Scope::UsageRead)?;
    let tenant = caller.tenant.id;
    let rows = app.read(move |rows| audit::rows(rows, Some(tenant), cursor, MOST_ROWS)).await?;
    let next = rows.last().filter(|_| rows.len() == MOST_ROWS as usize).map(|last| last.number);
    Ok(Json(AuditView { rows, next }))
}
