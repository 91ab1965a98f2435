//! The other name of contents and kernels, their SHA-256: written down when they are stored, looked up when they are asked for.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Result, StoreError};
use crate::blobs::{ContentName, Digest, Sha256};
use crate::tenant::TenantId;

/// What a name stands for among the rows of a table that have it.
fn digest(text: Option<String>) -> Result<Option<Digest>> {
    let parse = |text: String| text.parse().map_err(|_| StoreError::Database(format!("{text} is no digest")));
    text.map(parse).transpose()
}

/// A content that a tenant has is this one, too.
///
/// # Errors
/// When it cannot be written.
pub fn note_content(connection: &Connection, tenant: TenantId, content: &Digest, sha256: &Sha256) -> Result<()> {
    let sql = "UPDATE blobs SET sha256 = ?3 WHERE tenant = ?1 AND digest = ?2 AND sha256 IS NULL";
    connection.execute(sql, params![tenant.0, content.to_string(), sha256.to_string()])?;
    Ok(())
}

/// A kernel that a tenant has is this one, too.
///
/// # Errors
/// When it cannot be written.
pub fn note_kernel(connection: &Connection, tenant: TenantId, kernel: &Digest, sha256: &Sha256) -> Result<()> {
    let sql = "UPDATE kernels SET sha256 = ?3 WHERE tenant = ?1 AND digest = ?2 AND sha256 IS NULL";
    connection.execute(sql, params![tenant.0, kernel.to_string(), sha256.to_string()])?;
    Ok(())
}

/// The SHA-256 of a content of a tenant, when it is known.
///
/// # Errors
/// When that cannot be read.
pub fn sha256_of(connection: &Connection, tenant: TenantId, content: &Digest) -> Result<Option<Sha256>> {
    let sql = "SELECT sha256 FROM blobs WHERE tenant = ?1 AND digest = ?2";
    let found = connection.query_row(sql, params![tenant.0, content.to_string()], |row| row.get(0)).optional()?;
    let name = found.flatten().map(|text: String| text.parse());
    match name.transpose().map_err(|_| StoreError::Database("a digest cannot be read".into()))? {
        Some(ContentName::Sha256(sha256)) => Ok(Some(sha256)),
        _ => Ok(None),
    }
}

/// What a content of a tenant is kept under. `None` for a SHA-256 that none of its contents is known by; whether there is one of
/// a BLAKE3 is not looked at.
///
/// # Errors
/// When that cannot be read.
pub fn content(connection: &Connection, tenant: TenantId, name: ContentName) -> Result<Option<Digest>> {
    let sha256 = match name {
        ContentName::Blake3(digest) => return Ok(Some(digest)),
        ContentName::Sha256(sha256) => sha256,
    };
    let sql = "SELECT digest FROM blobs WHERE tenant = ?1 AND sha256 = ?2";
    digest(connection.query_row(sql, params![tenant.0, sha256.to_string()], |row| row.get(0)).optional()?)
}

/// The same of a kernel; of any tenant's, when none is named.
///
/// # Errors
/// When that cannot be read.
pub fn kernel(connection: &Connection, tenant: Option<TenantId>, name: ContentName) -> Result<Option<Digest>> {
    let sha256 = match name {
        ContentName::Blake3(digest) => return Ok(Some(digest)),
        ContentName::Sha256(sha256) => sha256,
    };
    let sql = "SELECT digest FROM kernels WHERE sha256 = ?1 AND (?2 IS NULL OR tenant = ?2) LIMIT 1";
    let tenant = tenant.map(|tenant| tenant.0);
    digest(connection.query_row(sql, params![sha256.to_string(), tenant], |row| row.get(0)).optional()?)
}
