//! Which contents a tenant has: kernels, inputs, results; and which of them somebody still needs.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Result;
use crate::blobs::Digest;
use crate::job::JobId;
use crate::tenant::TenantId;
use crate::time::Moment;

/// How long a content stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Until somebody deletes it.
    UntilDeleted,
    /// As long as a job needs it.
    WhileNeeded,
}

/// A content counts for a tenant from now on; one that did already does not count twice, and stays as long as before or longer.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, tenant: TenantId, digest: &Digest, bytes: u64, stay: Stay) -> Result<()> {
    connection.execute(
        "INSERT INTO blobs (tenant, digest, bytes, created, stays) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET stays = max(stays, ?5)",
        params![tenant.0, digest.to_string(), bytes, Moment::now().0, stay == Stay::UntilDeleted],
    )?;
    Ok(())
}

/// Bytes of a content; `None` when the tenant has none of this digest.
///
/// # Errors
/// When it cannot be read.
pub fn bytes(connection: &Connection, tenant: TenantId, digest: &Digest) -> Result<Option<u64>> {
    let sql = "SELECT bytes FROM blobs WHERE tenant = ?1 AND digest = ?2";
    Ok(connection.query_row(sql, params![tenant.0, digest.to_string()], |row| row.get(0)).optional()?)
}

/// What a content of so many bytes counts: what it takes on a disk at least, which is a block (also in `schema/17.sql`).
#[must_use]
pub const fn counted(bytes: u64) -> u64 {
    const BLOCK: u64 = 4096;
    if bytes < BLOCK { BLOCK } else { bytes }
}

/// Bytes of all contents and kernels of a tenant, as they count, of contents that come in parts, and of the records of jobs that
/// are long.
///
/// # Errors
/// When they cannot be read.
pub fn total(connection: &Connection, tenant: TenantId) -> Result<u64> {
    let sql = "SELECT bytes FROM stored WHERE tenant = ?1";
    Ok(connection.query_row(sql, [tenant.0], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// A job needs a content, or has made it.
///
/// # Errors
/// When it cannot be written.
pub fn hold(connection: &Connection, tenant: TenantId, digest: &Digest, job: &JobId) -> Result<()> {
    connection.execute(
        "INSERT INTO job_blobs (tenant, digest, job) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![tenant.0, digest.to_string(), job.as_str()],
    )?;
    Ok(())
}

/// What becomes of a content that nobody wants any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It counts no more.
    Gone,
    /// There was none.
    Unknown,
    /// A job needs it.
    Held,
}

/// Contents that were to stay while a job needs them, and that no job needs, count no more: an earlier program left such.
///
/// # Errors
/// When that cannot be written.
pub fn forget_unneeded(connection: &Connection) -> Result<()> {
    let sql = "DELETE FROM blobs WHERE stays = 0 AND NOT EXISTS
                 (SELECT 1 FROM job_blobs WHERE job_blobs.tenant = blobs.tenant AND job_blobs.digest = blobs.digest)";
    connection.execute(sql, [])?;
    Ok(())
}

/// A content counts no more, unless a job needs it.
///
/// # Errors
/// When it cannot be written.
pub fn remove(connection: &Connection, tenant: TenantId, digest: &Digest) -> Result<Removed> {
    let key = params![tenant.0, digest.to_string()];
    let held = "SELECT EXISTS (SELECT 1 FROM job_blobs WHERE tenant = ?1 AND digest = ?2)";
    if connection.query_row(held, key, |row| row.get(0))? {
        return Ok(Removed::Held);
    }
    let removed = connection.execute("DELETE FROM blobs WHERE tenant = ?1 AND digest = ?2", key)?;
    Ok(if removed == 0 { Removed::Unknown } else { Removed::Gone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{kernels, schema, uploads};

    /// What is kept of the sum is the sum, whatever comes and goes.
    #[test]
    fn what_is_stored_is_what_there_is() {
        let mut rows = schema::old(16);
        let (anna, bert) = (TenantId(1), TenantId(2));
        rows.execute_batch(
            "INSERT INTO tenants (id, name, enabled, weight, quotas, created)
             VALUES (1, 'anna', 1, 1, '{}', 0), (2, 'bert', 1, 1, '{}', 0)",
        )
        .expect("written");
        let digest = |number: u8| Digest([number; 32]);
        add(&rows, anna, &digest(1), 10, Stay::UntilDeleted).expect("written");
        add(&rows, anna, &digest(2), 10_000, Stay::WhileNeeded).expect("written");
        schema::migrate(&mut rows).expect("brought up to date");
        let stored = |tenant| total(&rows, tenant).expect("read");
        assert_eq!((stored(anna), stored(bert)), (4096 + 10_000, 0));
        // The same once more is no more.
        add(&rows, anna, &digest(1), 10, Stay::UntilDeleted).expect("written");
        add(&rows, bert, &digest(1), 10, Stay::UntilDeleted).expect("written");
        kernels::add(&rows, bert, &digest(3), 5000, &serde_json::json!({})).expect("written");
        assert_eq!((stored(anna), stored(bert)), (4096 + 10_000, 4096 + 5000));
        remove(&rows, anna, &digest(1)).expect("removed");
        remove(&rows, anna, &digest(9)).expect("there is none");
        forget_unneeded(&rows).expect("removed");
        assert_eq!((stored(anna), stored(bert)), (0, 4096 + 5000));
        let begin =
            |bytes, is_first| uploads::begin(&rows, anna, &digest(4), bytes, is_first, 1 << 20).expect("written");
        begin(20_000, true);
        assert_eq!(stored(anna), 20_000);
        begin(8000, true);
        assert_eq!(stored(anna), 8000);
        uploads::remove(&rows, anna, &digest(4)).expect("removed");
        assert_eq!((stored(anna), stored(bert)), (0, 4096 + 5000));
    }
}
