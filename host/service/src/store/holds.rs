//! What the operator holds back: tenants of which nothing is started, and kernels that nobody may store or run.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::{Result, StoreError, jobs};
use crate::blobs::Digest;
use crate::job::{Conclusion, JobId, JobState};
use crate::tenant::TenantId;
use crate::time::Moment;

/// Stands for all tenants: none has this number.
const ALL: i64 = 0;

/// The exit code of a run whose kernel is refused.
const REFUSED: u8 = 4;

/// Nothing of a tenant is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Whether what runs is parked; it goes on otherwise.
    pub parks: bool,
    /// Since when.
    pub since: Moment,
}

/// All pauses: that of everybody, and those of single tenants.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    /// That of everybody.
    pub all: Option<Pause>,
    /// Those of tenants.
    pub tenants: HashMap<TenantId, Pause>,
}

impl Pauses {
    /// That of a tenant: its own, or that of everybody, or what both come to.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> Option<Pause> {
        let both = self.all.iter().chain(self.tenants.get(&tenant)).copied();
        both.reduce(|one, other| Pause { parks: one.parks || other.parks, since: one.since.min(other.since) })
    }
}

/// Pauses a tenant, or everybody; anew, when it is paused in another way. Returns false when it is as it was.
///
/// # Errors
/// When it cannot be written.
pub fn pause(connection: &Connection, tenant: Option<TenantId>, parks: bool) -> Result<bool> {
    let sql = "INSERT INTO pauses (tenant, parks, since) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET parks = excluded.parks WHERE parks <> excluded.parks";
    Ok(connection.execute(sql, params![tenant.map_or(ALL, |tenant| tenant.0), parks, Moment::now().0])? > 0)
}

/// Lets a tenant go on, or everybody who is not paused by itself. Returns false when it was not paused.
///
/// # Errors
/// When it cannot be written.
pub fn resume(connection: &Connection, tenant: Option<TenantId>) -> Result<bool> {
    Ok(connection.execute("DELETE FROM pauses WHERE tenant = ?1", [tenant.map_or(ALL, |tenant| tenant.0)])? > 0)
}

/// All pauses.
///
/// # Errors
/// When they cannot be read.
pub fn pauses(connection: &Connection) -> Result<Pauses> {
    let mut statement = connection.prepare("SELECT tenant, parks, since FROM pauses")?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, Pause { parks: row.get(1)?, since: Moment(row.get(2)?) })))?;
    let mut all = Pauses::default();
    for row in rows {
        match row? {
            (ALL, pause) => all.all = Some(pause),
            (tenant, pause) => {
                all.tenants.insert(TenantId(tenant), pause);
            }
        }
    }
    Ok(all)
}

/// A kernel that nobody may store or run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What it is known by.
    pub digest: Digest,
    /// Why, for tenants too; nothing when the operator did not say.
    pub reason: String,
    /// Since when.
    pub since: Moment,
}

/// A job that was ended for the sake of its kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its number.
    pub job: JobId,
    /// Whose it was.
    pub tenant: TenantId,
    /// Whether it had begun.
    pub had_begun: bool,
}

impl Ended {
    /// What it is now: one that has begun is cancelled, one that has not has failed.
    #[must_use]
    pub fn state(&self) -> JobState {
        if self.had_begun { JobState::Cancelled } else { JobState::Failed }
    }

    /// What came of it.
    #[must_use]
    pub fn conclusion(&self, reason: &str) -> Conclusion {
        let exit = (!self.had_begun).then_some(REFUSED);
        Conclusion { exit, message: Some(format!("kernel-blocked: {}", words(reason))), ..Conclusion::default() }
    }
}

/// What is said of a kernel that is blocked.
#[must_use]
pub fn words(reason: &str) -> String {
    let blocked = "the operator has blocked this kernel";
    if reason.is_empty() { blocked.to_owned() } else { format!("{blocked}: {reason}") }
}

/// Blocks a kernel, and ends the jobs of it that are not over. `None` when it is blocked already; it has the new reason then.
///
/// # Errors
/// When it cannot be written.
pub fn block(connection: &Connection, digest: &Digest, reason: &str) -> Result<Option<Vec<Ended>>> {
    let key = digest.to_string();
    let changed =
        connection.execute("UPDATE blocked_kernels SET reason = ?2 WHERE digest = ?1", params![key, reason])?;
    if changed > 0 {
        return Ok(None);
    }
    connection.execute(
        "INSERT INTO blocked_kernels (digest, reason, since) VALUES (?1, ?2, ?3)",
        params![key, reason, Moment::now().0],
    )?;
    let sql =
        "SELECT id, tenant, state FROM jobs INDEXED BY jobs_to_do WHERE ended IS NULL AND kernel = ?1 ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let rows = statement
        .query_map([key], |row| Ok((row.get::<_, String>(0)?, TenantId(row.get(1)?), row.get::<_, String>(2)?)))?;
    let broken = || StoreError::Database("a job's number cannot be read".into());
    let ended = rows.map(|row| {
        let (job, tenant, state) = row?;
        let job = JobId::parse(&job).ok_or_else(broken)?;
        Ok(Ended { job, tenant, had_begun: state == JobState::Running.name() })
    });
    let ended = ended.collect::<Result<Vec<Ended>>>()?;
    for ended in &ended {
        jobs::finish(connection, &ended.job, ended.tenant, ended.state(), &ended.conclusion(reason), 0)?;
    }
    Ok(Some(ended))
}

/// Lets a kernel be stored and run again. Returns false when it was not blocked.
///
/// # Errors
/// When it cannot be written.
pub fn unblock(connection: &Connection, digest: &Digest) -> Result<bool> {
    Ok(connection.execute("DELETE FROM blocked_kernels WHERE digest = ?1", [digest.to_string()])? > 0)
}

/// Why a kernel is blocked; `None` when it is not.
///
/// # Errors
/// When that cannot be read.
pub fn blocked(connection: &Connection, digest: &Digest) -> Result<Option<String>> {
    let sql = "SELECT reason FROM blocked_kernels WHERE digest = ?1";
    Ok(connection.query_row(sql, [digest.to_string()], |row| row.get(0)).optional()?)
}

/// All kernels that are blocked, in the order in which they were.
///
/// # Errors
/// When they cannot be read.
pub fn blocks(connection: &Connection) -> Result<Vec<Block>> {
    let mut statement =
        connection.prepare("SELECT digest, reason, since FROM blocked_kernels ORDER BY since, digest")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, Moment(row.get(2)?))))?;
    let block = |row: rusqlite::Result<(String, String, Moment)>| {
        let (digest, reason, since) = row?;
        let digest = digest.parse().map_err(|_| StoreError::Database(format!("{digest} is no digest")))?;
        Ok(Block { digest, reason, since })
    };
    rows.map(block).collect()
}

/// The tenants that have a kernel.
///
/// # Errors
/// When they cannot be read.
pub fn owners(connection: &Connection, digest: &Digest) -> Result<Vec<TenantId>> {
    let mut statement = connection.prepare("SELECT tenant FROM kernels WHERE digest = ?1 ORDER BY tenant")?;
    let rows = statement.query_map([digest.to_string()], |row| row.get(0).map(TenantId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_paused_twice_is_paused_as_much_as_both_say() {
        let pause = |parks, since| Pause { parks, since: Moment(since) };
        let (anna, bert) = (TenantId(1), TenantId(2));
        let one = Pauses { all: None, tenants: [(anna, pause(true, 5))].into() };
        assert_eq!((one.of(anna), one.of(bert)), (Some(pause(true, 5)), None));
        let both = Pauses { all: Some(pause(false, 3)), ..one };
        assert_eq!((both.of(anna), both.of(bert)), (Some(pause(true, 3)), Some(pause(false, 3))));
    }
}
