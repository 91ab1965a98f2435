//! What each tenant has used, by the day.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::Result;
use crate::tenant::TenantId;
use crate::time::Moment;

/// What was used on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Usage {
    /// CPU time of workers and of whoever cuts and merges for them, in milliseconds.
    pub cpu_ms: u64,
    /// Jobs that ended.
    pub jobs: u64,
    /// Items that were run in jobs, failed ones included.
    pub items: u64,
    /// Synchronous calls.
    pub calls: u64,
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Adds to what a tenant has used today.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, tenant: TenantId, used: Usage) -> Result<()> {
    connection.execute(
        "INSERT INTO usage (tenant, day, cpu_ms, jobs, items, calls) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET cpu_ms = cpu_ms + ?3, jobs = jobs + ?4, items = items + ?5, calls = calls + ?6",
        params![
            tenant.0,
            Moment::now().day(),
            number(used.cpu_ms),
            number(used.jobs),
            number(used.items),
            number(used.calls)
        ],
    )?;
    Ok(())
}

/// What a tenant used on a day.
///
/// # Errors
/// When it cannot be read.
pub fn on_day(connection: &Connection, tenant: TenantId, day: i64) -> Result<Usage> {
    let sql = "SELECT cpu_ms, jobs, items, calls FROM usage WHERE tenant = ?1 AND day = ?2";
    let used = connection.query_row(sql, params![tenant.0, day], |row| {
        Ok(Usage { cpu_ms: row.get(0)?, jobs: row.get(1)?, items: row.get(2)?, calls: row.get(3)? })
    });
    Ok(used.optional()?.unwrap_or_default())
}

/// What a tenant used on each day from this one on, oldest first; days on which it used nothing are left out.
///
/// # Errors
/// When it cannot be read.
pub fn since(connection: &Connection, tenant: TenantId, day: i64) -> Result<Vec<(i64, Usage)>> {
    let sql = "SELECT day, cpu_ms, jobs, items, calls FROM usage WHERE tenant = ?1 AND day >= ?2 ORDER BY day";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params![tenant.0, day], |row| {
        Ok((row.get(0)?, Usage { cpu_ms: row.get(1)?, jobs: row.get(2)?, items: row.get(3)?, calls: row.get(4)? }))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
