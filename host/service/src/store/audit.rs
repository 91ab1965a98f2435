//! The audit log: who did what to what. Rows are added and never changed; each carries a hash over itself and the hash of the
//! one before, so that a row that was changed or left out is found.

use std::net::IpAddr;

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
    /// From where.
    pub origin: Origin,
}

/// From where something is asked for. Nothing of it is known of what the operator does on the server's own machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address at the other end of the connection: behind a proxy, that of the proxy.
    pub address: Option<IpAddr>,
    /// The number of the request, as it is in the log.
    pub request: Option<String>,
}

/// What is hashed of a row is what was known of rows when it was written: those of before stay as they are.
const FIRST_FORM: i64 = 1;
/// With the address and the request.
const FORM: i64 = 2;

/// What the hashes of rows of the second form begin with: nothing of it can be taken for a row of the first.
const SECOND: &str = "taskhost service audit row, form 2";

/// The texts of a row: the first four were there from the beginning.
struct Texts<'a> {
    first: [&'a str; 4],
    address: Option<&'a str>,
    request: Option<&'a str>,
}

/// What a row of this form says, and the one before it. `None` for a form that is not known.
fn hash(form: i64, previous: &[u8], at: i64, tenant: Option<i64>, texts: &Texts<'_>) -> Option<[u8; 32]> {
    let mut hasher = match form {
        FIRST_FORM => blake3::Hasher::new(),
        FORM => blake3::Hasher::new_derive_key(SECOND),
        _ => return None,
    };
    hasher.update(previous).update(&at.to_le_bytes()).update(&tenant.unwrap_or(0).to_le_bytes());
    // With its length, so that no two rows are the same bytes.
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    texts.first.into_iter().for_each(&mut add);
    if form == FORM {
        // What is not known is no text, and not an empty one either.
        [texts.address, texts.request].into_iter().for_each(|text| match text {
            Some(text) => add(&format!("={text}")),
            None => add(""),
        });
    } else if texts.address.is_some() || texts.request.is_some() {
        // It could be put there later: nobody would see it.
        return None;
    }
    Some(*hasher.finalize().as_bytes())
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
    let (address, request) =
        (act.origin.address.map(|address| address.to_canonical().to_string()), &act.origin.request);
    let first = [&*act.actor, act.action, &act.object, &act.outcome];
    let texts = Texts { first, address: address.as_deref(), request: request.as_deref() };
    let hash = hash(FORM, &last.unwrap_or_default(), at, tenant, &texts);
    connection.execute(
        "INSERT INTO audit (at, tenant, actor, action, object, outcome, hash, form, address, request)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![at, tenant, act.actor, act.action, act.object, act.outcome, hash, FORM, address, request],
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
    /// What that tenant is called.
    #[serde(default)]
    pub tenant_name: Option<String>,
    /// Who: a token's key, or `operator`.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// `done`, or why not.
    pub outcome: String,
    /// The address from which that was asked for; none of what the operator did, and of rows from before this was written down.
    #[serde(default)]
    pub address: Option<String>,
    /// The number of the request (`X-Request-Id`); none where there is no address.
    #[serde(default)]
    pub request: Option<String>,
}

/// Rows of the log behind the one of number `after`, oldest first: those about one tenant, or all.
///
/// # Errors
/// When they cannot be read.
pub fn rows(connection: &Connection, tenant: Option<TenantId>, after: i64, most: u32) -> Result<Vec<AuditRow>> {
    let which = if tenant.is_some() { "tenant = ?1" } else { "?1 IS NULL" };
    let mut statement = connection.prepare(&format!(
        "SELECT number, at, tenant, actor, action, object, outcome, address, request,
             (SELECT name FROM tenants WHERE id = tenant) FROM audit
         WHERE {which} AND number > ?2 ORDER BY number LIMIT ?3"
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
            address: row.get(7)?,
            request: row.get(8)?,
            tenant_name: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Follows the hashes from the first row to the last, and returns how many rows there are.
///
/// # Errors
/// When a row is not what was written, or one is missing between two others.
pub fn verify(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare(
        "SELECT number, at, tenant, actor, action, object, outcome, hash, form, address, request FROM audit ORDER BY number",
    )?;
    let mut rows = statement.query([])?;
    let (mut previous, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let texts: [String; 4] = [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
        let (address, request): (Option<String>, Option<String>) = (row.get(9)?, row.get(10)?);
        let first = texts.each_ref().map(String::as_str);
        let texts = Texts { first, address: address.as_deref(), request: request.as_deref() };
        let expected = hash(row.get(8)?, &previous, row.get(1)?, row.get(2)?, &texts);
        previous = row.get(7)?;
        if expected.is_none_or(|expected| previous != expected) {
            return Err(StoreError::Database(format!("row {number} of the audit log is not what was written")));
        }
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    /// What a program of before wrote, with schema 7.
    const OLD: &str = "INSERT INTO audit (at, tenant, actor, action, object, outcome, hash) VALUES
        (1795328966535, 1, 'operator', 'tenant.create', 'anna', 'done',
         x'00DB5D1185358422F90D7E3F349366B7131F0CA429E16B1B20A02832285ECDFD'),
        (1795328966535, 1, 'operator', 'token.create', '0inzs7UZFh', 'done',
         x'29ECAE27B03DB251E20DBFD6CDFBF31A4C82547E36AC2B8202B41042F4C98350')";

    fn act(address: Option<&str>) -> Act {
        let address = address.map(|address| address.parse().expect("an address"));
        Act {
            tenant: Some(TenantId(1)),
            actor: "key".into(),
            action: "kernel.put",
            object: "x".into(),
            outcome: "done".into(),
            origin: Origin { address, request: address.map(|_| "word-1".to_owned()) },
        }
    }

    #[test]
    fn rows_of_before_and_rows_of_now_are_one_chain() {
        let mut old = schema::old(7);
        old.execute_batch(OLD).expect("written");
        schema::migrate(&mut old).expect("brought up to date");
        assert_eq!(verify(&old).expect("whole"), 2);
        for address in [Some("192.0.2.7"), Some("::ffff:192.0.2.7"), None] {
            add(&old, &act(address)).expect("written");
        }
        assert_eq!(verify(&old).expect("whole"), 5);
        let rows = rows(&old, Some(TenantId(1)), 0, 9).expect("read");
        let from: Vec<_> = rows.iter().map(|row| (row.address.as_deref(), row.request.as_deref())).collect();
        let known = (Some("192.0.2.7"), Some("word-1"));
        assert_eq!(from, [(None, None), (None, None), known, known, (None, None)]);
    }

    #[test]
    fn from_where_it_was_asked_for_cannot_be_changed_unseen() {
        for change in [
            "UPDATE audit SET address = '192.0.2.8' WHERE number = 3",
            "UPDATE audit SET address = NULL WHERE number = 3",
            "UPDATE audit SET request = '' WHERE number = 3",
            "UPDATE audit SET address = '=', request = NULL WHERE number = 3",
            "UPDATE audit SET form = 1 WHERE number = 3",
            "UPDATE audit SET form = 3 WHERE number = 3",
            "UPDATE audit SET form = 2 WHERE number = 1",
            "UPDATE audit SET address = '192.0.2.8' WHERE number = 1",
            "UPDATE audit SET request = 'x' WHERE number = 2",
        ] {
            let mut rows = schema::old(7);
            rows.execute_batch(OLD).expect("written");
            schema::migrate(&mut rows).expect("brought up to date");
            add(&rows, &act(Some("192.0.2.7"))).expect("written");
            assert_eq!(verify(&rows).expect("whole"), 3);
            rows.execute_batch(change).expect("changed");
            verify(&rows).expect_err(change);
        }
    }
}
