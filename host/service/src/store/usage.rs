//! What each tenant has used, by the day, and for which kernels.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
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

/// Kernels that are told apart of a tenant on a day: what is used for others counts in the day alone.
pub const MOST_KERNELS: u32 = 1000;

/// Days for which kernels are told apart; after that the day alone is known.
pub const KERNEL_DAYS: i64 = 400;

/// Adds to what a tenant has used today, for one of its kernels.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, tenant: TenantId, kernel: &str, used: Usage) -> Result<()> {
    add_on(connection, tenant, Moment::now().day(), kernel, used)
}

fn add_on(connection: &Connection, tenant: TenantId, day: i64, kernel: &str, used: Usage) -> Result<()> {
    let amounts = [used.cpu_ms, used.jobs, used.items, used.calls].map(number);
    let [cpu_ms, jobs, items, calls] = amounts;
    connection.execute(
        "INSERT INTO usage (tenant, day, cpu_ms, jobs, items, calls) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET cpu_ms = cpu_ms + ?3, jobs = jobs + ?4, items = items + ?5, calls = calls + ?6",
        params![tenant.0, day, cpu_ms, jobs, items, calls],
    )?;
    let counted = connection.execute(
        "UPDATE usage_of_kernels SET cpu_ms = cpu_ms + ?4, jobs = jobs + ?5, items = items + ?6, calls = calls + ?7
         WHERE tenant = ?1 AND day = ?2 AND kernel = ?3",
        params![tenant.0, day, kernel, cpu_ms, jobs, items, calls],
    )?;
    if counted == 0 {
        connection.execute(
            "INSERT INTO usage_of_kernels (tenant, day, kernel, cpu_ms, jobs, items, calls)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
             WHERE (SELECT count(*) FROM usage_of_kernels WHERE tenant = ?1 AND day = ?2) < ?8",
            params![tenant.0, day, kernel, cpu_ms, jobs, items, calls, MOST_KERNELS],
        )?;
    }
    Ok(())
}

/// Forgets of each day before this one for which kernels it was used.
///
/// # Errors
/// When it cannot be written.
pub fn forget_kernels(connection: &Connection, before: i64) -> Result<()> {
    connection.execute("DELETE FROM usage_of_kernels WHERE day < ?1", [before])?;
    Ok(())
}

fn usage(row: &Row<'_>) -> rusqlite::Result<Usage> {
    Ok(Usage { cpu_ms: row.get(0)?, jobs: row.get(1)?, items: row.get(2)?, calls: row.get(3)? })
}

/// What a tenant used on a day.
///
/// # Errors
/// When it cannot be read.
pub fn on_day(connection: &Connection, tenant: TenantId, day: i64) -> Result<Usage> {
    let sql = "SELECT cpu_ms, jobs, items, calls FROM usage WHERE tenant = ?1 AND day = ?2";
    Ok(connection.query_row(sql, params![tenant.0, day], usage).optional()?.unwrap_or_default())
}

/// What a tenant used on each of these days, oldest first; days on which it used nothing are left out.
///
/// # Errors
/// When it cannot be read.
pub fn by_day(connection: &Connection, tenant: TenantId, days: &RangeInclusive<i64>) -> Result<Vec<(i64, Usage)>> {
    let sql =
        "SELECT cpu_ms, jobs, items, calls, day FROM usage WHERE tenant = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day";
    let mut statement = connection.prepare(sql)?;
    let rows =
        statement.query_map(params![tenant.0, days.start(), days.end()], |row| Ok((row.get(4)?, usage(row)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What a tenant used on these days for each kernel, those with most CPU time first, at most [`MOST_KERNELS`] of them; and what is
/// left of what it used.
///
/// # Errors
/// When it cannot be read.
pub fn by_kernel(
    connection: &Connection,
    tenant: TenantId,
    days: &RangeInclusive<i64>,
) -> Result<(Vec<(String, Usage)>, Usage)> {
    let sums =
        "SELECT coalesce(sum(cpu_ms), 0), coalesce(sum(jobs), 0), coalesce(sum(items), 0), coalesce(sum(calls), 0)";
    let which = "WHERE tenant = ?1 AND day BETWEEN ?2 AND ?3";
    let all = format!("{sums} FROM usage {which}");
    let mut rest = connection.query_row(&all, params![tenant.0, days.start(), days.end()], usage)?;
    let each = format!("{sums}, kernel FROM usage_of_kernels {which} GROUP BY kernel ORDER BY 1 DESC, 5 LIMIT ?4");
    let mut statement = connection.prepare(&each)?;
    let rows = statement
        .query_map(params![tenant.0, days.start(), days.end(), MOST_KERNELS], |row| Ok((row.get(4)?, usage(row)?)))?;
    let kernels: Vec<(String, Usage)> = rows.collect::<rusqlite::Result<_>>()?;
    for (_, used) in &kernels {
        rest = Usage {
            cpu_ms: rest.cpu_ms.saturating_sub(used.cpu_ms),
            jobs: rest.jobs.saturating_sub(used.jobs),
            items: rest.items.saturating_sub(used.items),
            calls: rest.calls.saturating_sub(used.calls),
        };
    }
    Ok((kernels, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, access};
    use crate::tenant::Quotas;

    #[test]
    fn what_is_used_for_kernels_is_all_that_is_used() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let write = |rows: &Connection| {
            let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            let today = 20_000;
            let old = "INSERT INTO usage (tenant, day, cpu_ms, jobs, items, calls) VALUES (?1, ?2, 7, 1, 1, 0)";
            rows.execute(old, params![tenant.0, today - 1])?;
            let used = |cpu_ms| Usage { cpu_ms, jobs: 1, items: 10, calls: 0 };
            for number in 0..=MOST_KERNELS {
                add_on(rows, tenant, today, &format!("k{number:04}"), used(1))?;
            }
            add_on(rows, tenant, today, "k0007", used(5))?;
            add_on(rows, tenant, today, "too many", used(3))?;
            let (kernels, rest) = by_kernel(rows, tenant, &(today..=today))?;
            assert_eq!(kernels.len(), MOST_KERNELS as usize);
            assert_eq!(kernels[0], ("k0007".into(), Usage { cpu_ms: 6, jobs: 2, items: 20, calls: 0 }));
            assert_eq!((kernels[1].0.as_str(), kernels[1].1), ("k0000", used(1)));
            // The one above those that are told apart, and one more.
            assert_eq!(rest, Usage { cpu_ms: 4, jobs: 2, items: 20, calls: 0 });
            let (_, rest) = by_kernel(rows, tenant, &(today - 1..=today))?;
            assert_eq!(rest, Usage { cpu_ms: 11, jobs: 3, items: 21, calls: 0 }, "with what is known of the day alone");
            let days = by_day(rows, tenant, &(today - 5..=today))?;
            assert_eq!(days.iter().map(|(day, _)| today - day).collect::<Vec<_>>(), [1, 0]);
            forget_kernels(rows, today + 1)?;
            let (kernels, rest) = by_kernel(rows, tenant, &(today..=today))?;
            assert_eq!((kernels.len(), rest), (0, on_day(rows, tenant, today)?));
            Ok(())
        };
        store.write(write).expect("written");
    }
}
