//! Names of kernels, and what each has meant.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::{Result, kernels};
use crate::blobs::Digest;
use crate::tenant::TenantId;
use crate::time::Moment;

/// A name of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema), schema(as = Alias))]
pub struct AliasRow {
    /// The name.
    pub name: String,
    /// The kernel that it means.
    pub digest: String,
    /// Others that it means now and then, by their digests: how often, from 0 to 1.
    #[cfg_attr(feature = "http", schema(value_type = BTreeMap<String, f64>))]
    pub weights: Weights,
    /// How often it was given a meaning.
    pub version: u64,
    /// When that was, in milliseconds since 1970.
    #[cfg_attr(feature = "http", schema(value_type = i64))]
    pub updated: Moment,
}

/// How often a name means which other kernel.
pub type Weights = BTreeMap<String, f64>;

/// What a name is to mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The kernel that it means.
    pub digest: Digest,
    /// Others that it means now and then: how often, from 0 to 1.
    pub weights: BTreeMap<Digest, f64>,
}

/// What is wrong with weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// There are more than anybody can look at.
    #[error("a name means {MOST_WEIGHTS} other kernels at most")]
    TooMany,
    /// One is no part of the whole.
    #[error("a weight is more than 0 and at most 1, and all together are at most 1")]
    NoPart,
    /// It is what the name means anyhow.
    #[error("the kernel that the name means has what the others leave: it has no weight of its own")]
    Same,
    /// It is named by two of its names.
    #[error("a kernel has one weight: two of these digests are of one kernel")]
    Twice,
}

/// Other kernels that a name means.
pub const MOST_WEIGHTS: usize = 8;

/// Parts of a whole that were written with a few digits may be a little more than it.
const SLACK: f64 = 1e-9;

impl Target {
    /// What means this kernel each time.
    #[must_use]
    pub fn of(digest: Digest) -> Self {
        Self { digest, weights: BTreeMap::new() }
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// When it makes none.
    pub fn check(&self) -> std::result::Result<(), WeightsError> {
        if self.weights.len() > MOST_WEIGHTS {
            return Err(WeightsError::TooMany);
        }
        if self.weights.contains_key(&self.digest) {
            return Err(WeightsError::Same);
        }
        let is_part = |weight: &f64| *weight > 0.0 && *weight <= 1.0;
        let is_whole = self.weights.values().sum::<f64>() <= 1.0 + SLACK;
        if self.weights.values().all(is_part) && is_whole { Ok(()) } else { Err(WeightsError::NoPart) }
    }
}

/// A change of what a name means.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AliasChange {
    /// The version that the name has had since then.
    pub version: u64,
    /// The kernel that it has meant since then; none when it was forgotten.
    pub digest: Option<String>,
    /// Others that it has meant now and then.
    #[cfg_attr(feature = "http", schema(value_type = BTreeMap<String, f64>))]
    pub weights: Weights,
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
    let (name, digest, version) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(AliasRow { name, digest, version, updated: Moment(row.get(3)?), weights: weights(row.get(4)?) })
}

/// What was written as JSON by the store itself, or by this program.
fn weights(text: Option<String>) -> Weights {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

const ALIAS: &str = "SELECT name, digest, version, updated,
    (SELECT json_group_object(digest, weight) FROM alias_weights AS others
     WHERE others.tenant = aliases.tenant AND others.name = aliases.name) FROM aliases";

/// The kernel that a name means.
///
/// # Errors
/// When it cannot be read.
pub fn alias_of(connection: &Connection, tenant: TenantId, name: &str) -> Result<Option<AliasRow>> {
    let sql = format!("{ALIAS} WHERE tenant = ?1 AND name = ?2");
    Ok(connection.query_row(&sql, params![tenant.0, name], alias).optional()?)
}

/// All names of a tenant.
///
/// # Errors
/// When they cannot be read.
pub fn aliases(connection: &Connection, tenant: TenantId) -> Result<Vec<AliasRow>> {
    let mut statement = connection.prepare(&format!("{ALIAS} WHERE tenant = ?1 ORDER BY name"))?;
    let rows = statement.query_map([tenant.0], alias)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What became of a name that is given a meaning.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// It has it.
    Done(AliasRow),
    /// There is no such kernel, or not all of them.
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
    target: &Target,
    expected: Option<u64>,
    actor: &str,
) -> Result<Named> {
    for digest in std::iter::once(&target.digest).chain(target.weights.keys()) {
        if !kernels::is_there(connection, tenant, digest)? {
            return Ok(Named::UnknownKernel);
        }
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
        digest: Some(target.digest.to_string()),
        weights: target.weights.iter().map(|(digest, weight)| (digest.to_string(), *weight)).collect(),
        at: Moment::now(),
        actor: Some(actor.to_owned()),
    };
    connection.execute(
        "INSERT INTO aliases (tenant, name, digest, version, updated) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET digest = ?3, version = ?4, updated = ?5",
        params![tenant.0, name, change.digest, change.version, change.at.0],
    )?;
    connection.execute("DELETE FROM alias_weights WHERE tenant = ?1 AND name = ?2", params![tenant.0, name])?;
    for (digest, weight) in &change.weights {
        let sql = "INSERT INTO alias_weights (tenant, name, digest, weight) VALUES (?1, ?2, ?3, ?4)";
        connection.execute(sql, params![tenant.0, name, digest, weight])?;
    }
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
    let (digest, weights) = (None, Weights::new());
    let change = AliasChange { version, digest, weights, at: Moment::now(), actor: Some(actor.to_owned()) };
    remember(connection, tenant, name, &change)?;
    Ok(true)
}

/// Writes a change down, and forgets the oldest ones when there are too many.
fn remember(connection: &Connection, tenant: TenantId, name: &str, change: &AliasChange) -> Result<()> {
    let AliasChange { version, digest, weights, at, actor } = change;
    let weights = (!weights.is_empty()).then(|| serde_json::json!(weights).to_string());
    connection.execute(
        "INSERT INTO alias_history (tenant, name, version, digest, at, actor, weights)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![tenant.0, name, version, digest, at.0, actor, weights],
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
    let sql = "SELECT version, digest, at, actor, weights FROM alias_history WHERE tenant = ?1 AND name = ?2 ORDER BY number DESC";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params![tenant.0, name], |row| {
        let (version, digest, actor) = (row.get(0)?, row.get(1)?, row.get(3)?);
        Ok(AliasChange { version, digest, weights: weights(row.get(4)?), at: Moment(row.get(2)?), actor })
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
            assert_eq!(name(rows, tenant, "another", &Target::of(digest), None, "key")?, Named::TooMany);
            assert!(matches!(name(rows, tenant, "n1", &Target::of(digest), None, "key")?, Named::Done(_)));
            Ok(())
        });
    }

    #[test]
    fn a_name_means_others_now_and_then_and_holds_them_all() {
        with_kernel(|rows, tenant, digest| {
            let other = Digest::of(b"other");
            let target = Target { digest, weights: [(other, 0.1)].into() };
            assert_eq!(name(rows, tenant, "k", &target, None, "key")?, Named::UnknownKernel);
            kernels::add(rows, tenant, &other, 5, &serde_json::Value::Null)?;
            let weights = Weights::from([(other.to_string(), 0.1)]);
            let Named::Done(named) = name(rows, tenant, "k", &target, None, "key")? else { panic!("it is free") };
            assert_eq!((&named.digest, &named.weights), (&digest.to_string(), &weights));
            assert_eq!(aliases(rows, tenant)?, [named]);
            assert_eq!(kernels::remove(rows, tenant, &other)?, kernels::Removed::Held);
            let Named::Done(plain) = name(rows, tenant, "k", &Target::of(digest), None, "key")? else {
                panic!("there")
            };
            assert!(plain.weights.is_empty());
            name(rows, tenant, "k", &target, None, "key")?;
            assert!(unname(rows, tenant, "k", "key")?);
            let meant: Vec<_> = history(rows, tenant, "k")?.into_iter().map(|change| change.weights).collect();
            assert_eq!(meant, [Weights::new(), weights.clone(), Weights::new(), weights]);
            assert_eq!(kernels::remove(rows, tenant, &other)?, kernels::Removed::Gone);
            Ok(())
        });
    }

    #[test]
    fn weights_are_parts_of_a_whole() {
        let (own, others) = (Digest::of(b""), [Digest::of(b"1"), Digest::of(b"2")]);
        let check = |weights: &[f64]| {
            let weights = others.into_iter().zip(weights.iter().copied()).collect();
            Target { digest: own, weights }.check()
        };
        for good in [&[][..], &[0.1], &[1.0], &[0.9, 0.1], &[0.7, 0.3]] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for bad in [&[0.0][..], &[-0.1], &[1.1], &[0.9, 0.2], &[f64::NAN], &[f64::INFINITY]] {
            assert_eq!(check(bad), Err(WeightsError::NoPart), "{bad:?}");
        }
        assert_eq!(Target { digest: own, weights: [(own, 0.1)].into() }.check(), Err(WeightsError::Same));
        let many = (0..9_u8).map(|number| (Digest::of(&[number]), 0.1)).collect();
        assert_eq!(Target { digest: own, weights: many }.check(), Err(WeightsError::TooMany));
    }

    #[test]
    fn so_many_changes_are_kept_and_versions_never_come_again() {
        with_kernel(|rows, tenant, digest| {
            let kept = |name: &str| Ok::<_, crate::store::StoreError>(history(rows, tenant, name)?.len());
            for _ in 0..MOST_CHANGES {
                name(rows, tenant, "k", &Target::of(digest), None, "one")?;
            }
            assert_eq!(kept("k")?, MOST_CHANGES as usize);
            assert!(unname(rows, tenant, "k", "two")? && !unname(rows, tenant, "k", "two")?);
            let Named::Done(again) = name(rows, tenant, "k", &Target::of(digest), Some(0), "three")? else {
                panic!("it is free")
            };
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
            name(rows, tenant, "other", &Target::of(digest), None, "one")?;
            assert_eq!((kept("k")?, kept("n1")?, kept("n2")?, kept("other")?), (0, 0, 1, 1));
            Ok(())
        });
    }
}
