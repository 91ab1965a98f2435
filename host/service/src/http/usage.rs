//! `/v1/usage` and `/v1/audit`: what the caller has used and may use, and what was done to its things.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::guard::need;
use super::{App, Problem, quota};
use crate::store::audit::{self, AuditRow};
use crate::store::usage::{self, Usage};
use crate::store::{contents, jobs};
use crate::tenant::{Caller, QuotaUse, Quotas, Scope};
use crate::time::Moment;

/// Most days of one answer.
const MOST_DAYS: i64 = 366;

/// Rows of the audit log in one answer.
const MOST_ROWS: u32 = 500;

/// What is told for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum GroupBy {
    /// Each day.
    Day,
    /// Each kernel.
    Kernel,
}

/// Over which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Span {
    /// Also what was used on so many days, today included; in place of `from` and `to`.
    #[param(minimum = 1, maximum = 366)]
    days: Option<i64>,
    /// Also what was used from this day on (UTC), such as `2026-11-01`; that of `to` when nothing is said. At most 366 days.
    #[param(format = Date)]
    from: Option<String>,
    /// Up to this day, which is one of them; today when nothing is said.
    #[param(format = Date)]
    to: Option<String>,
    /// For what it is told: `day` when nothing is said. With nothing else, what was used today.
    #[param(inline)]
    group_by: Option<GroupBy>,
}

impl Span {
    /// The days that are asked for; `None` when none are.
    fn days(&self, today: i64) -> Result<Option<RangeInclusive<i64>>, Problem> {
        let bad = |text: &str| Problem::bad("bad-request", text);
        let day = |text: &Option<String>, or: i64| match text {
            Some(text) => Moment::day_of(text).ok_or_else(|| bad("a day is written as 2026-11-21")),
            None => Ok(or),
        };
        let is_span = self.from.is_some() || self.to.is_some();
        let days = match self.days {
            Some(_) if is_span => return Err(bad("say either days, or from and to")),
            Some(days) if !(1..=MOST_DAYS).contains(&days) => {
                return Err(Problem::bad("bad-request", format!("days is from 1 to {MOST_DAYS}")));
            }
            Some(days) => today - days + 1..=today,
            None if is_span || self.group_by.is_some() => {
                let to = day(&self.to, today)?;
                day(&self.from, to)?..=to
            }
            None => return Ok(None),
        };
        if !(1..=MOST_DAYS).contains(&(days.end() - days.start() + 1)) {
            return Err(Problem::bad("bad-request", format!("from is no later than to, and {MOST_DAYS} days at most")));
        }
        Ok(Some(days))
    }
}

/// What was used on a day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Day {
    /// The date (UTC).
    date: String,
    #[serde(flatten)]
    used: Usage,
}

/// What was used for a kernel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KernelUsage {
    /// Its digest, also when it is not there any more; none for all that is not told of one: of those beyond the thousand that
    /// have used most, or beyond the first thousand of a day, and of days that are long ago.
    kernel: Option<String>,
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
    /// Those of the days that are asked for on which something was used, oldest first.
    days: Vec<Day>,
    /// What was used on all of them for each kernel, when that is asked for; those with most CPU time first.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernels: Option<Vec<KernelUsage>>,
    stored_bytes: u64,
    /// Jobs that wait or run.
    open_jobs: u64,
    quotas: Quotas,
    /// Those of which 80 % is used.
    warnings: Vec<QuotaUse>,
}

/// What was used today, and what may be used; when a time is named, also what was used then, by the day or by the kernel.
#[utoipa::path(get, path = "/v1/usage", params(Span), responses((status = 200, description = "What was used", body = UsageView)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(span): Query<Span>,
) -> Result<Json<UsageView>, Problem> {
    need(&caller, Scope::UsageRead)?;
    let (tenant, today) = (caller.tenant.id, Moment::now().day());
    let days = span.days(today)?;
    let of_kernels = span.group_by == Some(GroupBy::Kernel);
    let read = app.read(move |rows| {
        let (by_day, by_kernel) = match days {
            Some(days) if of_kernels => (Vec::new(), Some(usage::by_kernel(rows, tenant, &days)?)),
            Some(days) => (usage::by_day(rows, tenant, &days)?, None),
            None => (Vec::new(), None),
        };
        let used = usage::on_day(rows, tenant, today)?;
        Ok((used, by_day, by_kernel, contents::total(rows, tenant)?, jobs::open_count(rows, tenant)?))
    });
    let (today, by_day, by_kernel, stored_bytes, open_jobs) = read.await?;
    let warnings = quota::of(&app, &caller).await?.into_iter().filter(|used| used.warning).collect();
    Ok(Json(UsageView {
        tenant: caller.tenant.name.clone(),
        weight: caller.tenant.weight,
        scopes: caller.scopes.to_string(),
        today,
        days: by_day.into_iter().map(|(day, used)| Day { date: Moment::date(day), used }).collect(),
        kernels: by_kernel.map(|(kernels, rest)| of_each(kernels, rest)),
        stored_bytes,
        open_jobs,
        quotas: caller.tenant.quotas,
        warnings,
    }))
}

/// What each kernel has used, and at the end what is left of all.
fn of_each(kernels: Vec<(String, Usage)>, rest: Usage) -> Vec<KernelUsage> {
    let named = kernels.into_iter().map(|(kernel, used)| KernelUsage { kernel: Some(kernel), used });
    let rest = (rest != Usage::default()).then_some(KernelUsage { kernel: None, used: rest });
    named.chain(rest).collect()
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
