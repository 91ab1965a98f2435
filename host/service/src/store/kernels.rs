//! Kernels.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::Result;
use crate::blobs::Digest;
use crate::tenant::TenantId;
use crate::time::Moment;

/// A kernel as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema), schema(as = Kernel))]
pub struct KernelRow {
    /// What it is known by.
    pub digest: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// When it was stored, in milliseconds since 1970.
    #[cfg_attr(feature = "http", schema(value_type = i64))]
    pub created: Moment,
    /// What it is, as the sandbox found it.
    pub info: Value,
    /// Its SHA-256, by which it is found, too; none of one that was stored before that was written down.
    pub sha256: Option<String>,
    /// The number of the key that it was signed with, when it had to be.
    pub signed_by: Option<String>,
    /// The signature, as minisign wrote it.
    pub signature: Option<String>,
}

/// Who has vouched for a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The number of the key.
    pub by: String,
    /// The signature.
    pub text: String,
}

const KERNEL: &str = "SELECT digest, bytes, created, info, signed_by, signature, sha256 FROM kernels";

fn kernel(row: &Row<'_>) -> rusqlite::Result<KernelRow> {
    let info: String = row.get(3)?;
    Ok(KernelRow {
        digest: row.get(0)?,
        bytes: row.get(1)?,
        created: Moment(row.get(2)?),
        info: serde_json::from_str(&info).unwrap_or(Value::Null),
        signed_by: row.get(4)?,
        signature: row.get(5)?,
        sha256: row.get(6)?,
    })
}

/// Keeps a kernel. Returns false when it was there.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, tenant: TenantId, digest: &Digest, bytes: u64, info: &Value) -> Result<bool> {
    let added = connection.execute(
        "INSERT INTO kernels (tenant, digest, bytes, info, created) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        params![tenant.0, digest.to_string(), bytes, info.to_string(), Moment::now().0],
    )?;
    Ok(added > 0)
}

/// Somebody has vouched for a kernel of a tenant.
///
/// # Errors
/// When it cannot be written.
pub fn sign(connection: &Connection, tenant: TenantId, digest: &Digest, signed: &Signed) -> Result<()> {
    let sql = "UPDATE kernels SET signed_by = ?3, signature = ?4 WHERE tenant = ?1 AND digest = ?2";
    connection.execute(sql, params![tenant.0, digest.to_string(), signed.by, signed.text])?;
    Ok(())
}

/// A kernel of a tenant.
///
/// # Errors
/// When it cannot be read.
pub fn find(connection: &Connection, tenant: TenantId, digest: &Digest) -> Result<Option<KernelRow>> {
    let sql = format!("{KERNEL} WHERE tenant = ?1 AND digest = ?2");
    Ok(connection.query_row(&sql, params![tenant.0, digest.to_string()], kernel).optional()?)
}

/// Whether a tenant has a kernel.
///
/// # Errors
/// When that cannot be read.
pub fn is_there(connection: &Connection, tenant: TenantId, digest: &Digest) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM kernels WHERE tenant = ?1 AND digest = ?2)";
    Ok(connection.query_row(sql, params![tenant.0, digest.to_string()], |row| row.get(0))?)
}

/// Kernels of a tenant: each has a folder of compiled code beside it.
pub const MOST: u64 = 10_000;

/// Bytes of what is known of the kernels of a list: it is held as a whole. One is listed in any case.
const LIST_BYTES: usize = 1 << 20;

/// How many kernels a tenant has.
///
/// # Errors
/// When they cannot be counted.
pub fn count(connection: &Connection, tenant: TenantId) -> Result<u64> {
    Ok(connection.query_row("SELECT count(*) FROM kernels WHERE tenant = ?1", [tenant.0], |row| row.get(0))?)
}

/// Kernels of a tenant, those after `after` by digest, and whether there may be more: as many as are wanted, or fewer when much
/// is known of them.
///
/// # Errors
/// When they cannot be read.
pub fn list(connection: &Connection, tenant: TenantId, after: &str, most: u32) -> Result<(Vec<KernelRow>, bool)> {
    let sql = format!("{KERNEL} WHERE tenant = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params![tenant.0, after, most])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        bytes += row.get_ref("info")?.as_str().map_or(0, str::len);
        if bytes > LIST_BYTES && !found.is_empty() {
            return Ok((found, true));
        }
        found.push(kernel(row)?);
    }
    let is_full = found.len() == most as usize;
    Ok((found, is_full))
}

/// What became of a kernel that nobody wants any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// There was none.
    Unknown,
    /// A name means it, or a job that is not over needs it.
    Held,
}

/// Forgets a kernel.
///
/// # Errors
/// When it cannot be written.
pub fn remove(connection: &Connection, tenant: TenantId, digest: &Digest) -> Result<Removed> {
    let key = params![tenant.0, digest.to_string()];
    let held = "SELECT EXISTS (SELECT 1 FROM aliases WHERE tenant = ?1 AND digest = ?2)
                    OR EXISTS (SELECT 1 FROM alias_weights WHERE tenant = ?1 AND digest = ?2)
                    OR EXISTS (SELECT 1 FROM jobs WHERE ended IS NULL AND tenant = ?1 AND kernel = ?2)";
    if connection.query_row(held, key, |row| row.get(0))? {
        return Ok(Removed::Held);
    }
    let removed = connection.execute("DELETE FROM kernels WHERE tenant = ?1 AND digest = ?2", key)?;
    Ok(if removed == 0 { Removed::Unknown } else { Removed::Gone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, access};
    use crate::tenant::Quotas;

    #[test]
    fn a_list_is_no_longer_than_can_be_held() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let write = |rows: &Connection| {
            let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            let info = serde_json::json!({ "exports": "x".repeat(LIST_BYTES / 2) });
            for kernel in 0..5_u8 {
                add(rows, tenant, &Digest::of(&[kernel]), 1, &info)?;
            }
            let (mut found, mut after) = (0, String::new());
            loop {
                let (kernels, is_more) = list(rows, tenant, &after, 100)?;
                assert!((1..=2).contains(&kernels.len()));
                found += kernels.len();
                after = kernels.last().expect("at least one").digest.clone();
                if !is_more {
                    break;
                }
            }
            assert_eq!((found, count(rows, tenant)?), (5, 5));
            Ok(())
        };
        store.write(write).expect("written");
    }
}
