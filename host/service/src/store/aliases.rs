//! Names of kernels, and what each has meant.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::{Result, kernels};
use crate::blobs::Digest;
use crate::tenant::TenantId;
use crate::time::Moment;

/// A name of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema), schema(as = Alias))]
pub struct AliasRow {
    /// The name.
    pub name: String,
    /// The kernel that it means.
    pub digest: String,
    /// How often it was given a meaning.
    pub version: u64,
    /// When that was, in milliseconds since 1970.
    #[cfg_attr(feature = "http", schema(value_type = i64))]
    pub updated: Moment,
}

/// A change of what a name means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AliasChange {
    /// The version that the name has had since then.
    pub version: u64,
    /// The kernel that it has meant since then; none when it was forgotten.
    pub digest: Option<String>,
    /// When that was, in milliseconds since 1970.
    #[cfg_attr(feature = "http", schema(value_type = i64))]
    pub at: Moment,
    /// The key of the token that did it; none of changes from before this was written down.
    pub actor: Option<String>,
}

/// Names of a tenant: all of them are one list.
pub const MOST: u64 = 10_000;

/// Changes that are kept of each name, the newest ones.
pub const MOST_CHANGES: u32 = 100;

/// Changes that are kept of all names of a tenant, forgotten ones included.
const ALL_CHANGES: u32 = 20_000;

fn alias(row: &Row<'_>) -> rusqlite::Result<AliasRow> {
    Ok(AliasRow { name: row.get(0)?, digest: row.get(1)?, version: row.get(2)?, updated: Moment(row.get(3)?) })
}

/// The kernel that a name means.
///
/// # Errors
/// When it cannot be read.
pub fn alias_of(connection: &Connection, tenant: TenantId, name: &str) -> Result<Option<AliasRow>> {
    let sql = "SELECT name, digest, version, updated FROM aliases WHERE tenant = ?1 AND name = ?2";
    Ok(connection.query_row(sql, params![tenant.0, name], alias).optional()?)
}

/// All names of a tenant.
///
/// # Errors
/// When they cannot be read.
pub fn aliases(connection: &Connection, tenant: TenantId) -> Result<Vec<AliasRow>> {
    let sql = "SELECT name, digest, version, updated FROM aliases WHERE tenant = ?1 ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([tenant.0], alias)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What became of a name that is given a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// It has it.
    Done(AliasRow),
    /// There is no such kernel.
    UnknownKernel,
    /// It was given another one since whoever asks has looked.
    Changed,
    /// The tenant has as many names as it may.
    TooMany,
}

/// Gives a name a meaning; with `expected`, only when it has that version now, 0 for none.
///
/// # Errors
/// When it cannot be written.
pub fn name(
    connection: &Connection,
    tenant: TenantId,
    name: &str,
    digest: &Digest,
    expected: Option<u64>,
    actor: &str,
) -> Result<Named> {
    if kernels::find(connection, tenant, digest)?.is_none() {
        return Ok(Named::UnknownKernel);
    }
    let now = alias_of(connection, tenant, name)?.map_or(0, |alias| alias.version);
    if expected.is_some_and(|expected| expected != now) {
        return Ok(Named::Changed);
    }
    let names = "SELECT count(*) FROM aliases WHERE tenant = ?1";
    if now == 0 && connection.query_row(names, [tenant.0], |row| row.get::<_, u64>(0))? >= MOST {
        return Ok(Named::TooMany);
    }
    // One that was forgotten and is given again goes on where it was: what was seen before is not taken for what is there now.
    let before = "SELECT coalesce(max(version), 0) FROM alias_history WHERE tenant = ?1 AND name = ?2";
    let before: u64 = connection.query_row(before, params![tenant.0, name], |row| row.get(0))?;
    let change = AliasChange {
        version: now.max(before) + 1,
        digest: Some(digest.to_string()),
        at: Moment::now(),
        actor: Some(actor.to_owned()),
    };
    connection.execute(
        "INSERT INTO aliases (tenant, name, digest, version, updated) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET digest = ?3, version = ?4, updated = ?5",
        params![tenant.0, name, change.digest, change.version, change.at.0],
    )?;
    remember(connection, tenant, name, &change)?;
    Ok(alias_of(connection, tenant, name)?.map_or(Named::Changed, Named::Done))
}

/// Forgets a name. Returns whether there was one.
///
/// # Errors
/// When it cannot be written.
pub fn unname(connection: &Connection, tenant: TenantId, name: &str, actor: &str) -> Result<bool> {
    let Some(AliasRow { version, .. }) = alias_of(connection, tenant, name)? else { return Ok(false) };
    connection.execute("DELETE FROM aliases WHERE tenant = ?1 AND name = ?2", params![tenant.0, name])?;
    let change = AliasChange { version, digest: None, at: Moment::now(), actor: Some(actor.to_owned()) };
    remember(connection, tenant, name, &change)?;
    Ok(true)
}

/// Writes a change down, and forgets the oldest ones when there are too many.
fn remember(connection: &Connection, tenant: TenantId, name: &str, change: &AliasChange) -> Result<()> {
    let AliasChange { version, digest, at, actor } = change;
    connection.execute(
        "INSERT INTO alias_history (tenant, name, version, digest, at, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![tenant.0, name, version, digest, at.0, actor],
    )?;
    connection.execute(
        "DELETE FROM alias_history WHERE tenant = ?1 AND name = ?2 AND number <=
             (SELECT number FROM alias_history WHERE tenant = ?1 AND name = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)",
        params![tenant.0, name, MOST_CHANGES],
    )?;
    connection.execute(
        "DELETE FROM alias_history WHERE tenant = ?1 AND number <=
             (SELECT number FROM alias_history WHERE tenant = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        params![tenant.0, ALL_CHANGES],
    )?;
    Ok(())
}

/// What a name has meant, the newest change first; nothing when there was no such name.
///
/// # Errors
/// When it cannot be read.
pub fn history(connection: &Connection, tenant: TenantId, name: &str) -> Result<Vec<AliasChange>> {
    let sql =
        "SELECT version, digest, at, actor FROM alias_history WHERE tenant = ?1 AND name = ?2 ORDER BY number DESC";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params![tenant.0, name], |row| {
        Ok(AliasChange { version: row.get(0)?, digest: row.get(1)?, at: Moment(row.get(2)?), actor: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, access};
    use crate::tenant::Quotas;

    /// Does something with a store that has a tenant with a kernel.
    fn with_kernel(work: impl FnOnce(&Connection, TenantId, Digest) -> Result<()> + Send + 'static) {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let write = |rows: &Connection| {
            let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            let digest = Digest::of(b"kernel");
            kernels::add(rows, tenant, &digest, 6, &serde_json::Value::Null)?;
            work(rows, tenant, digest)
        };
        store.write(write).expect("written");
    }

    #[test]
    fn names_are_not_too_many() {
        with_kernel(|rows, tenant, digest| {
            let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?3)
                INSERT INTO aliases SELECT ?1, 'n' || i, ?2, 1, 0 FROM n";
            rows.execute(many, params![tenant.0, digest.to_string(), MOST])?;
            assert_eq!(name(rows, tenant, "another", &digest, None, "key")?, Named::TooMany);
            assert!(matches!(name(rows, tenant, "n1", &digest, None, "key")?, Named::Done(_)));
            Ok(())
        });
    }

    #[test]
    fn so_many_changes_are_kept_and_versions_never_come_again() {
        with_kernel(|rows, tenant, digest| {
            let kept = |name: &str| Ok::<_, crate::store::StoreError>(history(rows, tenant, name)?.len());
            for _ in 0..MOST_CHANGES {
                name(rows, tenant, "k", &digest, None, "one")?;
            }
            assert_eq!(kept("k")?, MOST_CHANGES as usize);
            assert!(unname(rows, tenant, "k", "two")? && !unname(rows, tenant, "k", "two")?);
            let Named::Done(again) = name(rows, tenant, "k", &digest, Some(0), "three")? else { panic!("it is free") };
            assert_eq!(again.version, u64::from(MOST_CHANGES) + 1);
            let changes = history(rows, tenant, "k")?;
            assert_eq!(changes.len(), MOST_CHANGES as usize);
            let newest: Vec<_> = changes[..3].iter().map(|change| (change.version, change.actor.as_deref())).collect();
            assert_eq!(newest, [(101, Some("three")), (100, Some("two")), (100, Some("one"))]);
            assert!(changes[1].digest.is_none() && changes[0].digest.is_some());
            // Of all names together the newest ones are kept.
            let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
                INSERT INTO alias_history (tenant, name, version, at) SELECT ?1, 'n' || i, 1, 0 FROM n";
            rows.execute(many, params![tenant.0, ALL_CHANGES])?;
            name(rows, tenant, "other", &digest, None, "one")?;
            assert_eq!((kept("k")?, kept("n1")?, kept("n2")?, kept("other")?), (0, 0, 1, 1));
            Ok(())
        });
    }
}
