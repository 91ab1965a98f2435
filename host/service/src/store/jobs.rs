//! Jobs as rows: what was asked for, how far it is, what came of it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Result, StoreError};
use crate::blobs::Digest;
use crate::job::{Conclusion, JobId, JobSize, JobSpec, JobState};
use crate::store::{contents, records, usage};
use crate::tenant::{Quotas, TenantId};
use crate::time::Moment;

/// A job as it is kept.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// Its number.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How far it is.
    pub state: JobState,
    /// What is to be done.
    pub spec: JobSpec,
    /// When it was accepted.
    pub created: Moment,
    /// When it was first given a process.
    pub started: Option<Moment>,
    /// When it was over.
    pub ended: Option<Moment>,
    /// What came of it, when it is over.
    pub conclusion: Conclusion,
    /// How often it was given a process.
    pub attempts: u32,
    /// When what came of it goes.
    pub expires: Option<Moment>,
    /// Whether that has happened.
    pub is_gone: bool,
}

impl JobRow {
    /// A job that has just come.
    #[must_use]
    pub fn new(id: JobId, tenant: TenantId, spec: JobSpec, created: Moment) -> Self {
        Self {
            id,
            tenant,
            state: JobState::Queued,
            spec,
            created,
            started: None,
            ended: None,
            conclusion: Conclusion::default(),
            attempts: 0,
            expires: None,
            is_gone: false,
        }
    }
}

pub(super) const JOB: &str =
    "SELECT id, tenant, state, spec, created, started, ended, exit, message, items, failed, input_bytes,
    output_bytes, cpu_ms, attempts, result, failures, log, verdicts, expires, gone, report FROM jobs";

/// The column in which what is to be done stands.
pub(super) const SPEC: usize = 3;

fn broken(what: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnName(format!("a job's {what} cannot be read"))
}

fn verdicts(text: Option<String>) -> rusqlite::Result<BTreeMap<String, u64>> {
    let parse = |text: String| serde_json::from_str(&text).map_err(|_| broken("verdicts"));
    text.map_or_else(|| Ok(BTreeMap::new()), parse)
}

pub(super) fn row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let digest = |column: usize| {
        let text: Option<String> = row.get(column)?;
        text.map(|text| text.parse::<Digest>().map_err(|_| broken("digest"))).transpose()
    };
    Ok(JobRow {
        id: JobId::parse(&row.get::<_, String>(0)?).ok_or_else(|| broken("number"))?,
        tenant: TenantId(row.get(1)?),
        state: JobState::parse(&row.get::<_, String>(2)?).ok_or_else(|| broken("state"))?,
        spec: serde_json::from_str(&row.get::<_, String>(SPEC)?).map_err(|_| broken("specification"))?,
        created: Moment(row.get(4)?),
        started: row.get::<_, Option<i64>>(5)?.map(Moment),
        ended: row.get::<_, Option<i64>>(6)?.map(Moment),
        conclusion: Conclusion {
            exit: row.get(7)?,
            message: row.get(8)?,
            items: row.get(9)?,
            failed: row.get(10)?,
            input_bytes: row.get(11)?,
            output_bytes: row.get(12)?,
            cpu_ms: row.get(13)?,
            result: digest(15)?,
            failures: digest(16)?,
            log: digest(17)?,
            report: digest(21)?,
            verdicts: verdicts(row.get(18)?)?,
        },
        attempts: row.get(14)?,
        expires: row.get::<_, Option<i64>>(19)?.map(Moment),
        is_gone: row.get(20)?,
    })
}

/// What became of a job that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is kept, and came at this moment.
    New(Moment),
    /// The same request was made before: this came of it.
    Before(JobId),
    /// The key was used before, for something else.
    OtherRequest,
    /// The tenant has so many jobs that wait or run.
    TooMany(u64),
    /// There is no room for what is asked for beside the so many bytes that the tenant has stored.
    Full(u64),
}

/// A request that may come again.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// What whoever asks calls it.
    pub key: String,
    /// A hash of all of it.
    pub request: [u8; 32],
}

/// How long an answer is kept for a request that comes again.
pub const IDEMPOTENCY_MS: i64 = 24 * 60 * 60 * 1000;

/// What came of a request that was made before: a job, or that it was another request.
///
/// # Errors
/// When that cannot be read.
pub fn before(connection: &Connection, tenant: TenantId, again: &Idempotency) -> Result<Option<Submitted>> {
    let sql = "SELECT request, job FROM idempotency WHERE tenant = ?1 AND key = ?2 AND created >= ?3";
    let since = Moment::now().0 - IDEMPOTENCY_MS;
    let found = connection.query_row(sql, params![tenant.0, again.key, since], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))
    });
    let Some((request, job)) = found.optional()? else { return Ok(None) };
    let job = JobId::parse(&job).ok_or_else(|| StoreError::from(broken("number")))?;
    Ok(Some(if request == again.request { Submitted::Before(job) } else { Submitted::OtherRequest }))
}

/// Keeps a job, unless the request was made before or the tenant has all that it may already.
///
/// # Errors
/// When it cannot be written.
pub fn submit(
    connection: &Connection,
    job: &JobId,
    tenant: TenantId,
    spec: &JobSpec,
    quotas: &Quotas,
    again: Option<&Idempotency>,
) -> Result<Submitted> {
    let now = Moment::now();
    if let Some(again) = again {
        connection.execute("DELETE FROM idempotency WHERE created < ?1", [now.0 - IDEMPOTENCY_MS])?;
        if let Some(before) = before(connection, tenant, again)? {
            return Ok(before);
        }
    }
    let open = open_count(connection, tenant)?;
    if open >= u64::from(quotas.queued_jobs) {
        return Ok(Submitted::TooMany(open));
    }
    if let Some(stored) = lacks_room(connection, tenant, std::slice::from_ref(spec), quotas)? {
        return Ok(Submitted::Full(stored));
    }
    Ok(Submitted::New(insert(connection, job, tenant, spec, again)?))
}

/// Whether a tenant has no room for what is asked for with these jobs, or for what one of them lays out; how many bytes it has stored
/// then.
///
/// # Errors
/// When that cannot be read.
pub fn lacks_room(
    connection: &Connection,
    tenant: TenantId,
    specs: &[JobSpec],
    quotas: &Quotas,
) -> Result<Option<u64>> {
    let counted = specs.iter().map(records::counted).sum::<Result<u64>>()?;
    // Copies of parts last as long as their job runs: each has to find room, and not all of them at a time.
    let copied = specs.iter().map(JobSpec::copied).max().unwrap_or(0);
    if counted == 0 && copied == 0 {
        return Ok(None);
    }
    let stored = contents::total(connection, tenant)?;
    Ok((stored.saturating_add(counted).saturating_add(copied) > quotas.stored_bytes).then_some(stored))
}

/// What is to be done, as it is kept.
pub(super) fn text(spec: &JobSpec) -> Result<String> {
    serde_json::to_string(spec).map_err(|error| StoreError::Database(error.to_string()))
}

/// Keeps a job, and the request that asked for it: whoever calls has looked whether it may be there. Returns when it came.
///
/// # Errors
/// When it cannot be written.
pub fn insert(
    connection: &Connection,
    job: &JobId,
    tenant: TenantId,
    spec: &JobSpec,
    again: Option<&Idempotency>,
) -> Result<Moment> {
    let now = Moment::now();
    let text = text(spec)?;
    connection.execute(
        "INSERT INTO jobs (id, tenant, kernel, state, spec, created, counted) VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6)",
        params![job.as_str(), tenant.0, spec.kernel.to_string(), text, now.0, records::counted(spec)?],
    )?;
    for input in &spec.inputs {
        contents::hold(connection, tenant, &input.blob, job)?;
    }
    label(connection, job, tenant, spec)?;
    if let Some(again) = again {
        connection.execute(
            "INSERT INTO idempotency (tenant, key, request, job, created) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![tenant.0, again.key, again.request, job.as_str(), now.0],
        )?;
    }
    Ok(now)
}

/// Has a job found by its labels.
pub(super) fn label(connection: &Connection, job: &JobId, tenant: TenantId, spec: &JobSpec) -> Result<()> {
    for (name, value) in &spec.labels {
        connection.execute(
            "INSERT INTO job_labels (tenant, name, value, job) VALUES (?1, ?2, ?3, ?4)",
            params![tenant.0, name, value, job.as_str()],
        )?;
    }
    Ok(())
}

/// Asked with each job that comes, however many there are.
const OPEN_COUNT: &str = "SELECT count(*) FROM jobs INDEXED BY jobs_open WHERE ended IS NULL AND tenant = ?1";

/// Jobs of a tenant that wait or run.
///
/// # Errors
/// When they cannot be counted.
pub fn open_count(connection: &Connection, tenant: TenantId) -> Result<u64> {
    Ok(connection.query_row(OPEN_COUNT, [tenant.0], |row| row.get(0))?)
}

/// A job of a tenant; another tenant's is none.
///
/// # Errors
/// When it cannot be read.
pub fn find(connection: &Connection, tenant: TenantId, job: &JobId) -> Result<Option<JobRow>> {
    let sql = format!("{JOB} WHERE id = ?1 AND tenant = ?2");
    Ok(connection.query_row(&sql, params![job.as_str(), tenant.0], row).optional()?)
}

/// How far a job of a tenant is, and no more of it.
///
/// # Errors
/// When it cannot be read.
pub fn state(connection: &Connection, tenant: TenantId, job: &JobId) -> Result<Option<JobState>> {
    let sql = "SELECT state FROM jobs WHERE id = ?1 AND tenant = ?2";
    let state = |row: &Row<'_>| JobState::parse(&row.get::<_, String>(0)?).ok_or_else(|| broken("state"));
    Ok(connection.query_row(sql, params![job.as_str(), tenant.0], state).optional()?)
}

/// A job, whoever it belongs to: for the server itself.
///
/// # Errors
/// When it cannot be read.
pub fn get(connection: &Connection, job: &JobId) -> Result<Option<JobRow>> {
    Ok(connection.query_row(&format!("{JOB} WHERE id = ?1"), [job.as_str()], row).optional()?)
}

/// Jobs that are not over, oldest first: the number, the tenant, and how large each is.
///
/// # Errors
/// When they cannot be read.
pub fn to_do(connection: &Connection) -> Result<Vec<(JobId, TenantId, JobSize)>> {
    let mut statement = connection.prepare(&format!("{JOB} WHERE ended IS NULL ORDER BY id"))?;
    let rows = statement.query_map([], |cells| row(cells).map(|job| (job.id, job.tenant, job.spec.size())))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A job is given a process. Returns how often that was so before.
///
/// # Errors
/// When it cannot be written, or the job is over.
pub fn begin(connection: &Connection, job: &JobId) -> Result<u32> {
    let now = Moment::now().0;
    let changed = connection.execute(
        "UPDATE jobs SET state = 'running', started = coalesce(started, ?2), attempts = attempts + 1
         WHERE id = ?1 AND ended IS NULL",
        params![job.as_str(), now],
    )?;
    if changed == 0 {
        return Err(StoreError::Database(format!("job {job} is over")));
    }
    // Nobody has heard of the end of those that a killed server had.
    connection.execute(
        "UPDATE attempts SET ended = ?2, outcome = 'lost' WHERE job = ?1 AND ended IS NULL",
        params![job.as_str(), now],
    )?;
    let number: u32 =
        connection.query_row("SELECT attempts FROM jobs WHERE id = ?1", [job.as_str()], |row| row.get(0))?;
    connection
        .execute("INSERT INTO attempts (job, number, began) VALUES (?1, ?2, ?3)", params![job.as_str(), number, now])?;
    Ok(number - 1)
}

/// The process of a job has ended, in whatever way.
///
/// # Errors
/// When it cannot be written.
pub fn end_attempt(connection: &Connection, job: &JobId, outcome: &str) -> Result<()> {
    connection.execute(
        "UPDATE attempts SET ended = ?2, outcome = ?3 WHERE job = ?1 AND ended IS NULL",
        params![job.as_str(), Moment::now().0, outcome],
    )?;
    Ok(())
}

/// Puts down what the processes of a job have used that somebody did not want any more: in all, and of that what its tenant was
/// not charged with yet.
///
/// # Errors
/// When it cannot be written.
pub fn charge(connection: &Connection, job: &JobId, tenant: TenantId, cpu_ms: u64, more_ms: u64) -> Result<()> {
    connection.execute("UPDATE jobs SET cpu_ms = ?2 WHERE id = ?1", params![job.as_str(), cpu_ms])?;
    let used = usage::Usage { cpu_ms: more_ms, ..usage::Usage::default() };
    usage::add(connection, tenant, &kernel_of(connection, job)?, used)
}

/// The kernel of a job that is there.
fn kernel_of(connection: &Connection, job: &JobId) -> Result<String> {
    Ok(connection.query_row("SELECT kernel FROM jobs WHERE id = ?1", [job.as_str()], |row| row.get(0))?)
}

/// A job is over, of whose CPU time its tenant was not charged with so many milliseconds yet. Returns false when it was over
/// before: then nothing is changed, so that nothing counts twice.
///
/// # Errors
/// When it cannot be written.
pub fn finish(
    connection: &Connection,
    job: &JobId,
    tenant: TenantId,
    state: JobState,
    conclusion: &Conclusion,
    more_ms: u64,
) -> Result<bool> {
    let Conclusion { exit, message, items, failed, input_bytes, output_bytes, cpu_ms, .. } = conclusion;
    let Conclusion { result, failures, log, report, verdicts, .. } = conclusion;
    let verdicts = (!verdicts.is_empty()).then(|| serde_json::json!(verdicts).to_string());
    let text = |digest: &Option<Digest>| digest.as_ref().map(ToString::to_string);
    let changed = connection.execute(
        "UPDATE jobs SET state = ?2, ended = ?3, exit = ?4, message = ?5, items = ?6, failed = ?7, input_bytes = ?8,
         output_bytes = ?9, cpu_ms = ?10, result = ?11, failures = ?12, log = ?13, verdicts = ?14, report = ?15
         WHERE id = ?1 AND ended IS NULL",
        params![
            job.as_str(),
            state.name(),
            Moment::now().0,
            exit,
            message,
            items,
            failed,
            input_bytes,
            output_bytes,
            cpu_ms,
            text(result),
            text(failures),
            text(log),
            verdicts,
            text(report),
        ],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    if message.is_some() {
        records::recount(connection, job)?;
    }
    super::retention::begin(connection, job, tenant)?;
    super::webhooks::announce(connection, job, tenant, state, conclusion)?;
    for digest in [result, failures, log, report].into_iter().flatten() {
        contents::hold(connection, tenant, digest, job)?;
    }
    let used = usage::Usage { cpu_ms: more_ms, jobs: 1, items: items.unwrap_or(0), calls: 0 };
    usage::add(connection, tenant, &kernel_of(connection, job)?, used)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// A line of ten thousand is counted with each job that comes: by one index, and not by the record of each.
    #[test]
    fn counting_the_line_looks_at_no_job() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let plan = |connection: &Connection| {
            let sql = format!("EXPLAIN QUERY PLAN {OPEN_COUNT}");
            Ok(connection.query_row(&sql, [1], |row| row.get::<_, String>("detail"))?)
        };
        assert_eq!(
            store.read(plan).expect("a plan"),
            "SEARCH jobs USING COVERING INDEX jobs_open (tenant=? AND ended=?)"
        );
    }
}
