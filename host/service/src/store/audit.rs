//! The audit log: who did what to what. Rows are added and never changed; each carries a hash over itself and the hash of the
//! one before, so that a row that was changed or left out is found.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::{Result, StoreError};
use crate::tenant::TenantId;
use crate::time::Moment;

/// Something that somebody did, or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Whose things it is about.
    pub tenant: Option<TenantId>,
    /// Who: a token's key, or `operator`. Never a secret.
    pub actor: String,
    /// What, such as `token.rotate`.
    pub action: &'static str,
    /// To what: a name, a digest, a job. Never its contents.
    pub object: String,
    /// `done`, or why not.
    pub outcome: String,
}

fn hash(previous: &[u8], at: i64, tenant: Option<i64>, texts: [&str; 4]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous).update(&at.to_le_bytes()).update(&tenant.unwrap_or(0).to_le_bytes());
    for text in texts {
        // With its length, so that no two rows are the same bytes.
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Adds a row.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, act: &Act) -> Result<()> {
    let last: Option<Vec<u8>> =
        connection.query_row("SELECT hash FROM audit ORDER BY number DESC LIMIT 1", [], |row| row.get(0)).optional()?;
    let at = Moment::now().0;
    let tenant = act.tenant.map(|tenant| tenant.0);
    let hash = hash(&last.unwrap_or_default(), at, tenant, [&act.actor, act.action, &act.object, &act.outcome]);
    connection.execute(
        "INSERT INTO audit (at, tenant, actor, action, object, outcome, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![at, tenant, act.actor, act.action, act.object, act.outcome, hash],
    )?;
    Ok(())
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AuditRow {
    /// Its number.
    pub number: i64,
    /// When, in milliseconds since 1970.
    #[cfg_attr(feature = "http", schema(value_type = i64))]
    pub at: Moment,
    /// Whose things it is about.
    #[cfg_attr(feature = "http", schema(value_type = Option<i64>))]
    pub tenant: Option<TenantId>,
    /// Who: a token's key, or `operator`.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// `done`, or why not.
    pub outcome: String,
}

/// Rows of the log behind the one of number `after`, oldest first: those about one tenant, or all.
///
/// # Errors
/// When they cannot be read.
pub fn rows(connection: &Connection, tenant: Option<TenantId>, after: i64, most: u32) -> Result<Vec<AuditRow>> {
    let which = if tenant.is_some() { "tenant = ?1" } else { "?1 IS NULL" };
    let mut statement = connection.prepare(&format!(
        "SELECT number, at, tenant, actor, action, object, outcome FROM audit WHERE {which} AND number > ?2
         ORDER BY number LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![tenant.map(|tenant| tenant.0), after, most], |row| {
        Ok(AuditRow {
            number: row.get(0)?,
            at: Moment(row.get(1)?),
            tenant: row.get::<_, Option<i64>>(2)?.map(TenantId),
            actor: row.get(3)?,
            action: row.get(4)?,
            object: row.get(5)?,
            outcome: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Follows the hashes from the first row to the last, and returns how many rows there are.
///
/// # Errors
/// When a row is not what was written, or one is missing between two others.
pub fn verify(connection: &Connection) -> Result<u64> {
    let mut statement = connection
        .prepare("SELECT number, at, tenant, actor, action, object, outcome, hash FROM audit ORDER BY number")?;
    let mut rows = statement.query([])?;
    let (mut previous, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let texts: [String; 4] = [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
        let expected = hash(&previous, row.get(1)?, row.get(2)?, texts.each_ref().map(String::as_str));
        previous = row.get(7)?;
        if previous != expected {
            return Err(StoreError::Database(format!("row {number} of the audit log is not what was written")));
        }
        count += 1;
    }
    Ok(count)
}
