//! How long what came of jobs is kept, and what goes with it; and how long their records stay after that, which say what was
//! used. What each day has cost and the audit log stay as they are.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Result, StoreError, access};
use crate::blobs::Digest;
use crate::job::JobId;
use crate::tenant::TenantId;
use crate::time::Moment;

/// Jobs that are forgotten in one transaction.
const GROUP: u32 = 100;

/// Records of a tenant's jobs that are over: each may have some thousand bytes that do not count.
pub const MOST: u64 = 100_000;

/// What stays of why there was no result, in signs, when what was said with a job is forgotten.
const SIGNS: u32 = 500;

/// A job is over: what came of it is kept from now on, for as long as it says itself or its tenant's quota does.
pub(super) fn begin(connection: &Connection, job: &JobId, tenant: TenantId) -> Result<()> {
    keep_from(connection, job, tenant, Moment::now())
}

/// The same, counted from this moment.
pub(super) fn keep_from(connection: &Connection, job: &JobId, tenant: TenantId, ended: Moment) -> Result<()> {
    let own = "SELECT json_extract(spec, '$.keep_seconds') FROM jobs WHERE id = ?1";
    let own: Option<u64> = connection.query_row(own, [job.as_str()], |row| row.get(0))?;
    let most = access::quotas(connection, tenant)?.keep_seconds;
    let seconds = own.map_or(most, |own| own.min(most));
    let expires = ended.after(Duration::from_secs(seconds));
    connection.execute("UPDATE jobs SET expires = ?2 WHERE id = ?1", params![job.as_str(), expires.0])?;
    Ok(())
}

/// What somebody has no more use for: whose, and which.
pub type Unused = (TenantId, Digest);

/// Forgets what came of jobs whose time is over by `now`, some of them. Returns the contents that nobody needs any more, and whether
/// there may be more such jobs.
///
/// # Errors
/// When it cannot be written.
pub fn expire(connection: &Connection, now: Moment) -> Result<(Vec<Unused>, bool)> {
    let mut statement =
        connection.prepare("SELECT id, tenant FROM jobs WHERE expires <= ?1 ORDER BY expires LIMIT ?2")?;
    let rows = statement.query_map(params![now.0, GROUP], |row| Ok((row.get(0)?, TenantId(row.get(1)?))))?;
    let rows: Vec<(String, TenantId)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut unused = Vec::new();
    for (job, tenant) in &rows {
        let job = JobId::parse(job).ok_or_else(|| StoreError::Database("the number of a job cannot be read".into()))?;
        unused.extend(forget(connection, *tenant, &job)?);
    }
    Ok((unused, rows.len() == GROUP as usize))
}

/// Removes the records of jobs that ended so long before `now`, some of them, as far as nothing is left of what came of them and
/// whoever is to be told of their end was.
/// Returns whether there may be more.
///
/// # Errors
/// When it cannot be written.
pub fn remove_records(connection: &Connection, now: Moment, keep: Duration) -> Result<bool> {
    let before = now.0.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    // Labels and attempts go with them.
    let removed = connection.execute(
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE gone = 1 AND ended <= ?1
         AND NOT EXISTS (SELECT 1 FROM webhooks WHERE job = jobs.id AND enabled = 1) ORDER BY ended LIMIT ?2)",
        params![before, GROUP],
    )?;
    Ok(removed == GROUP as usize)
}

/// Forgets what came of a job that is over, and what it was given. Of a long record only what was used stays. Returns the contents
/// that nobody needs any more.
///
/// # Errors
/// When it cannot be written.
pub fn forget(connection: &Connection, tenant: TenantId, job: &JobId) -> Result<Vec<Unused>> {
    let key = params![job.as_str(), tenant.0];
    let changed = connection.execute(
        "UPDATE jobs SET result = NULL, failures = NULL, log = NULL, report = NULL, expires = NULL, gone = 1
         WHERE id = ?1 AND tenant = ?2 AND ended IS NOT NULL",
        key,
    )?;
    if changed == 0 {
        return Ok(Vec::new());
    }
    // What counts goes, too: without its inputs it can be done by nobody again.
    if connection.query_row("SELECT counted > 0 FROM jobs WHERE id = ?1", [job.as_str()], |row| row.get(0))? {
        shorten(connection, job)?;
    }
    let mut statement = connection.prepare("SELECT digest FROM job_blobs WHERE job = ?1")?;
    let held: Vec<String> = statement.query_map([job.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    connection.execute("DELETE FROM job_blobs WHERE job = ?1", [job.as_str()])?;
    let mut unused = Vec::new();
    for digest in held {
        let gone = connection.execute(
            "DELETE FROM blobs WHERE tenant = ?1 AND digest = ?2 AND NOT stays
             AND NOT EXISTS (SELECT 1 FROM job_blobs WHERE tenant = ?1 AND digest = ?2)",
            params![tenant.0, digest],
        )?;
        if gone > 0 {
            let digest = digest.parse().map_err(|_| StoreError::Database("a digest cannot be read".into()))?;
            unused.push((tenant, digest));
        }
    }
    Ok(unused)
}

/// The same, when somebody wants it to be forgotten: of any record only what was used stays.
///
/// # Errors
/// When it cannot be written.
pub fn delete(connection: &Connection, tenant: TenantId, job: &JobId) -> Result<Vec<Unused>> {
    let unused = forget(connection, tenant, job)?;
    let is_over = "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND tenant = ?2 AND ended IS NOT NULL)";
    if connection.query_row(is_over, params![job.as_str(), tenant.0], |row| row.get(0))? {
        shorten(connection, job)?;
    }
    Ok(unused)
}

/// Forgets what was said with a job, and most of what was said of its end.
fn shorten(connection: &Connection, job: &JobId) -> Result<()> {
    connection.execute(
        "UPDATE jobs SET spec = json_remove(json_set(spec, '$.inputs', json('[]')), '$.parameters', '$.labels'),
             message = substr(message, 1, ?2), counted = 0
         WHERE id = ?1",
        params![job.as_str(), SIGNS],
    )?;
    connection.execute("DELETE FROM job_labels WHERE job = ?1", [job.as_str()])?;
    Ok(())
}

/// Tenants that have more than so many records of jobs that are over, and how many more.
///
/// # Errors
/// When they cannot be counted.
pub fn too_many(connection: &Connection, most: u64) -> Result<Vec<(TenantId, u64)>> {
    let sql = "SELECT tenant, count(*) - ?1 FROM jobs INDEXED BY jobs_ended WHERE ended IS NOT NULL
               GROUP BY tenant HAVING count(*) > ?1";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([most], |row| Ok((TenantId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Removes so many records of a tenant's jobs that are over, a group of them at most, with what came of them: the oldest of those of
/// which nothing else is left, then the oldest. Those of whose end somebody is still to be told stay. Returns the contents that nobody
/// needs any more, and how many records went.
///
/// # Errors
/// When it cannot be written.
pub fn remove_oldest(connection: &Connection, tenant: TenantId, number: u64) -> Result<(Vec<Unused>, u64)> {
    let sql = "SELECT id FROM jobs INDEXED BY jobs_ended WHERE tenant = ?1 AND ended IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM webhooks WHERE job = jobs.id AND enabled = 1) ORDER BY gone DESC, ended LIMIT ?2";
    let mut statement = connection.prepare(sql)?;
    let oldest = statement.query_map(params![tenant.0, number.min(GROUP.into())], |row| row.get(0))?;
    let oldest: Vec<String> = oldest.collect::<rusqlite::Result<_>>()?;
    let mut unused = Vec::new();
    for id in &oldest {
        let job = JobId::parse(id).ok_or_else(|| StoreError::Database("the number of a job cannot be read".into()))?;
        unused.extend(forget(connection, tenant, &job)?);
        connection.execute("DELETE FROM jobs WHERE id = ?1", [id])?;
    }
    Ok((unused, oldest.len() as u64))
}

/// Whether a content, or a kernel of these bytes, is there for a tenant.
///
/// # Errors
/// When that cannot be read.
pub fn is_wanted(connection: &Connection, (tenant, digest): &Unused) -> Result<bool> {
    let sql = "SELECT 1 FROM blobs WHERE tenant = ?1 AND digest = ?2
               UNION ALL SELECT 1 FROM kernels WHERE tenant = ?1 AND digest = ?2";
    let found: Option<i64> =
        connection.query_row(sql, params![tenant.0, digest.to_string()], |row| row.get(0)).optional()?;
    Ok(found.is_some())
}
