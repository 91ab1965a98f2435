//! Contents that come in parts, as rows: how long each will be, and when somebody was last at it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Result, StoreError, contents};
use crate::blobs::Digest;
use crate::tenant::TenantId;
use crate::time::Moment;

/// Contents of a tenant of which parts have come: each has a file.
pub const MOST: u64 = 100;

/// What becomes of a part that is about to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It may come; all of its content counts.
    Counts,
    /// Nothing of its content has come, so that it must begin at the beginning.
    Unknown,
    /// Its content was to have so many bytes, as was said with the first part.
    OtherLength(u64),
    /// There are as many contents of which parts have come as there may be.
    TooMany,
    /// There is no room for it beside the so many bytes that the tenant has stored.
    Full(u64),
}

/// A part is about to come of a content that will have so many bytes: the first one, or one that goes on. There is room for
/// so many bytes of all that the tenant has.
///
/// # Errors
/// When it cannot be written.
pub fn begin(
    connection: &Connection,
    tenant: TenantId,
    digest: &Digest,
    bytes: u64,
    is_first: bool,
    room: u64,
) -> Result<Begun> {
    let known = find(connection, tenant, digest)?;
    if !is_first {
        match known {
            None => return Ok(Begun::Unknown),
            Some(known) if known != bytes => return Ok(Begun::OtherLength(known)),
            Some(_) => {}
        }
    }
    if known != Some(bytes) {
        let count = "SELECT count(*) FROM uploads WHERE tenant = ?1";
        if known.is_none() && connection.query_row(count, [tenant.0], |row| row.get::<_, u64>(0))? >= MOST {
            return Ok(Begun::TooMany);
        }
        // What was to come before, and does not any more, does not count.
        let stored = contents::total(connection, tenant)?.saturating_sub(known.map_or(0, contents::counted));
        if stored.saturating_add(contents::counted(bytes)) > room {
            return Ok(Begun::Full(stored));
        }
    }
    connection.execute(
        "INSERT INTO uploads (tenant, digest, bytes, touched) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET bytes = ?3, touched = ?4",
        params![tenant.0, digest.to_string(), bytes, Moment::now().0],
    )?;
    Ok(Begun::Counts)
}

/// Bytes that a content will have of which parts have come; `None` when there is none of this digest.
///
/// # Errors
/// When it cannot be read.
pub fn find(connection: &Connection, tenant: TenantId, digest: &Digest) -> Result<Option<u64>> {
    let sql = "SELECT bytes FROM uploads WHERE tenant = ?1 AND digest = ?2";
    Ok(connection.query_row(sql, params![tenant.0, digest.to_string()], |row| row.get(0)).optional()?)
}

/// A content counts no more as one that comes in parts. Returns whether it did.
///
/// # Errors
/// When it cannot be written.
pub fn remove(connection: &Connection, tenant: TenantId, digest: &Digest) -> Result<bool> {
    let sql = "DELETE FROM uploads WHERE tenant = ?1 AND digest = ?2";
    Ok(connection.execute(sql, params![tenant.0, digest.to_string()])? > 0)
}

/// The same, when no part was begun since then.
///
/// # Errors
/// When it cannot be written.
pub fn remove_idle(connection: &Connection, tenant: TenantId, digest: &Digest, since: Moment) -> Result<bool> {
    let sql = "DELETE FROM uploads WHERE tenant = ?1 AND digest = ?2 AND touched < ?3";
    Ok(connection.execute(sql, params![tenant.0, digest.to_string(), since.0])? > 0)
}

/// Contents of which no part was begun since then.
///
/// # Errors
/// When they cannot be read.
pub fn idle(connection: &Connection, since: Moment) -> Result<Vec<(TenantId, Digest)>> {
    let mut statement = connection.prepare("SELECT tenant, digest FROM uploads WHERE touched < ?1")?;
    let rows = statement.query_map([since.0], |row| Ok((TenantId(row.get(0)?), row.get::<_, String>(1)?)))?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let parse = |(tenant, digest): (TenantId, String)| {
        let digest = digest.parse().map_err(|_| StoreError::Database("a digest cannot be read".into()))?;
        Ok((tenant, digest))
    };
    rows.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, access};
    use crate::tenant::Quotas;

    #[test]
    fn what_comes_in_parts_counts_in_full_from_its_beginning() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let write = |rows: &Connection| {
            let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            let digests: Vec<Digest> = (0..=MOST).map(|number| Digest::of(&number.to_le_bytes())).collect();
            let first = |number: usize, bytes| begin(rows, tenant, &digests[number], bytes, true, 1_000_000);
            assert_eq!(begin(rows, tenant, &digests[0], 600_000, false, 1_000_000)?, Begun::Unknown);
            assert_eq!(first(0, 600_000)?, Begun::Counts);
            assert_eq!(contents::total(rows, tenant)?, 600_000);
            assert_eq!(first(1, 401_000)?, Begun::Full(600_000));
            assert_eq!(begin(rows, tenant, &digests[0], 601_000, false, 1_000_000)?, Begun::OtherLength(600_000));
            // From the beginning it may be another one, when there is room.
            assert_eq!(
                (first(0, 1_001_000)?, first(0, 1_000_000)?, first(0, 1)?),
                (Begun::Full(0), Begun::Counts, Begun::Counts)
            );
            // Even with a quota that was made smaller, what counts already may go on.
            assert_eq!(begin(rows, tenant, &digests[0], 1, false, 0)?, Begun::Counts);
            for number in 1..digests.len() - 1 {
                assert_eq!(first(number, 1)?, Begun::Counts);
            }
            assert_eq!(first(digests.len() - 1, 1)?, Begun::TooMany);
            assert_eq!(contents::total(rows, tenant)?, MOST * contents::counted(1));
            assert!(remove(rows, tenant, &digests[1])? && !remove(rows, tenant, &digests[1])?);
            let (now, later) = (Moment(0), Moment::now().after(std::time::Duration::from_secs(1)));
            assert_eq!((idle(rows, now)?.len(), idle(rows, later)?.len()), (0, digests.len() - 2));
            assert!(!remove_idle(rows, tenant, &digests[2], now)? && remove_idle(rows, tenant, &digests[2], later)?);
            Ok(())
        };
        store.write(write).expect("written");
    }
}
