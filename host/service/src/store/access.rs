//! Tenants and their tokens, as rows.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Result, StoreError};
use crate::network::{Networks, NoNetwork};
use crate::tenant::{KeptToken, Quotas, Scopes, Tenant, TenantId};
use crate::time::Moment;

const TENANT: &str = "SELECT id, name, enabled, weight, quotas, created FROM tenants";

fn tenant(row: &Row<'_>) -> rusqlite::Result<(Tenant, String)> {
    let tenant = Tenant {
        id: TenantId(row.get(0)?),
        name: row.get(1)?,
        enabled: row.get(2)?,
        weight: row.get(3)?,
        quotas: Quotas::default(),
        created: Moment(row.get(5)?),
    };
    Ok((tenant, row.get(4)?))
}

fn with_quotas((tenant, quotas): (Tenant, String)) -> Result<Tenant> {
    let quotas = serde_json::from_str(&quotas)
        .map_err(|error| StoreError::Database(format!("the quotas of {} cannot be read: {error}", tenant.name)))?;
    Ok(Tenant { quotas, ..tenant })
}

fn quotas_text(quotas: &Quotas) -> Result<String> {
    serde_json::to_string(quotas).map_err(|error| StoreError::Database(error.to_string()))
}

/// What a tenant may have.
///
/// # Errors
/// When that cannot be read, or there is no such tenant.
pub fn quotas(connection: &Connection, tenant: TenantId) -> Result<Quotas> {
    let text: String =
        connection.query_row("SELECT quotas FROM tenants WHERE id = ?1", [tenant.0], |row| row.get(0))?;
    serde_json::from_str(&text).map_err(|error| StoreError::Database(error.to_string()))
}

/// All tenants, by name.
///
/// # Errors
/// When they cannot be read.
pub fn tenants(connection: &Connection) -> Result<Vec<Tenant>> {
    let mut statement = connection.prepare(&format!("{TENANT} ORDER BY name"))?;
    let rows: Vec<_> = statement.query_map([], tenant)?.collect::<rusqlite::Result<_>>()?;
    rows.into_iter().map(with_quotas).collect()
}

/// The tenant of this name.
///
/// # Errors
/// When that cannot be read.
pub fn find(connection: &Connection, name: &str) -> Result<Option<Tenant>> {
    let found = connection.query_row(&format!("{TENANT} WHERE name = ?1"), [name], tenant).optional()?;
    found.map(with_quotas).transpose()
}

/// Adds a tenant; `None` when there is one of this name.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, name: &str, weight: u32, quotas: &Quotas) -> Result<Option<Tenant>> {
    let now = Moment::now();
    let added = connection.execute(
        "INSERT INTO tenants (name, enabled, weight, quotas, created) VALUES (?1, 1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![name, weight, quotas_text(quotas)?, now.0],
    )?;
    if added == 0 { Ok(None) } else { find(connection, name) }
}

/// Changes what a tenant may do.
///
/// # Errors
/// When it cannot be written.
pub fn change(connection: &Connection, tenant: &Tenant) -> Result<()> {
    connection.execute(
        "UPDATE tenants SET enabled = ?2, weight = ?3, quotas = ?4 WHERE id = ?1",
        params![tenant.id.0, tenant.enabled, tenant.weight, quotas_text(&tenant.quotas)?],
    )?;
    Ok(())
}

/// Adds a token.
///
/// # Errors
/// When it cannot be written.
pub fn add_token(connection: &Connection, token: &KeptToken) -> Result<()> {
    connection.execute(
        "INSERT INTO tokens (key, tenant, secret, scopes, created, expires, networks) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            token.key,
            token.tenant.0,
            token.secret,
            token.scopes.to_string(),
            token.created.0,
            token.expires.map(|at| at.0),
            token.networks.to_string()
        ],
    )?;
    Ok(())
}

/// All tokens that are not over, oldest first.
///
/// # Errors
/// When they cannot be read.
pub fn tokens(connection: &Connection) -> Result<Vec<KeptToken>> {
    let mut statement = connection.prepare(
        "SELECT key, tenant, secret, scopes, created, expires, used, networks FROM tokens
         WHERE expires IS NULL OR expires > ?1 ORDER BY created, key",
    )?;
    let rows = statement.query_map([Moment::now().0], |row| {
        let (scopes, networks): (String, String) = (row.get(3)?, row.get(7)?);
        let token = KeptToken {
            key: row.get(0)?,
            tenant: TenantId(row.get(1)?),
            secret: row.get(2)?,
            scopes: Scopes::default(),
            created: Moment(row.get(4)?),
            expires: row.get::<_, Option<i64>>(5)?.map(Moment),
            used: row.get::<_, Option<i64>>(6)?.map(Moment),
            networks: Networks::default(),
        };
        Ok((token, scopes, networks))
    })?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let parse = |(token, scopes, networks): (KeptToken, String, String)| {
        let wrong = |error: &dyn std::fmt::Display| StoreError::Database(format!("token {}: {error}", token.key));
        let scopes = scopes.parse().map_err(|error: crate::tenant::ScopeError| wrong(&error))?;
        let networks = networks.parse().map_err(|error: NoNetwork| wrong(&error))?;
        Ok(KeptToken { scopes, networks, ..token })
    };
    rows.into_iter().map(parse).collect()
}

/// A token was shown at this moment.
///
/// # Errors
/// When it cannot be written.
pub fn note_use(connection: &Connection, key: &str, at: Moment) -> Result<()> {
    connection.execute("UPDATE tokens SET used = ?2 WHERE key = ?1", params![key, at.0])?;
    Ok(())
}

/// Ends tokens of a tenant: all of them but `spared`, at `when` unless they end before.
///
/// # Errors
/// When it cannot be written.
pub fn end_tokens(connection: &Connection, tenant: TenantId, spared: &str, when: Moment) -> Result<usize> {
    let sql = "UPDATE tokens SET expires = ?3 WHERE tenant = ?1 AND key <> ?2 AND (expires IS NULL OR expires > ?3)";
    Ok(connection.execute(sql, params![tenant.0, spared, when.0])?)
}

/// How many tokens of a tenant are good now.
///
/// # Errors
/// When they cannot be counted.
pub fn token_count(connection: &Connection, tenant: TenantId) -> Result<u64> {
    let sql = "SELECT count(*) FROM tokens WHERE tenant = ?1 AND (expires IS NULL OR expires > ?2)";
    Ok(connection.query_row(sql, params![tenant.0, Moment::now().0], |row| row.get(0))?)
}

/// Ends a token of a tenant now. Returns whether it was good until then.
///
/// # Errors
/// When it cannot be written.
pub fn end_token(connection: &Connection, tenant: TenantId, key: &str) -> Result<bool> {
    let sql = "UPDATE tokens SET expires = ?3 WHERE tenant = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)";
    Ok(connection.execute(sql, params![tenant.0, key, Moment::now().0])? > 0)
}
