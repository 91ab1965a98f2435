//! What the record of a job counts: what was asked for, by which labels it is found, and why there is no result. Short ones are free,
//! as many as there may be.

use rusqlite::{Connection, params};

use super::{Result, jobs};
use crate::job::{JobId, JobSpec};

/// A record counts like contents, with all its bytes, when it has more than this.
pub const FREE: u64 = 4096;

/// A label stands in its table, and once more by the job that has it.
const COPIES: u64 = 2;

/// Bytes that a new job counts.
///
/// # Errors
/// When it cannot be written down.
pub fn counted(spec: &JobSpec) -> Result<u64> {
    let labels = spec.labels.iter().map(|(name, value)| name.len() + value.len() + JobId::BYTES);
    let bytes = jobs::text(spec)?.len() as u64 + COPIES * labels.sum::<usize>() as u64;
    Ok(if bytes > FREE { bytes } else { 0 })
}

/// A record has become otherwise: it counts what it has now. Returns how much.
///
/// # Errors
/// When it cannot be read or written.
pub fn recount(connection: &Connection, job: &JobId) -> Result<u64> {
    let bytes = "SELECT octet_length(spec) + coalesce(octet_length(message), 0) + ?2 * (
                     SELECT coalesce(sum(octet_length(name) + octet_length(value) + octet_length(job)), 0)
                     FROM job_labels WHERE job = ?1)
                 FROM jobs WHERE id = ?1";
    let bytes: u64 = connection.query_row(bytes, params![job.as_str(), COPIES], |row| row.get(0))?;
    let counted = if bytes > FREE { bytes } else { 0 };
    connection.execute("UPDATE jobs SET counted = ?2 WHERE id = ?1", params![job.as_str(), counted])?;
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::Digest;
    use crate::job::{Conclusion, Input, JobState};
    use crate::store::{Store, access, contents, retention, schema};
    use crate::tenant::Quotas;

    fn spec(labels: usize, sign: &str) -> JobSpec {
        JobSpec {
            labels: (0..labels).map(|number| (format!("{number:03}"), sign.repeat(252 / sign.len()))).collect(),
            ..JobSpec::over(vec![Input::whole(Digest::of(b""), "a".into())])
        }
    }

    #[test]
    fn bytes_count_and_not_signs_and_both_copies_of_labels_do() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let write = |rows: &Connection| {
            let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            for (labels, sign, is_free) in [(0, "x", true), (4, "x", true), (8, "x", false), (8, "\u{1f600}", false)] {
                let (job, spec) = (JobId::create(), spec(labels, sign));
                let in_advance = counted(&spec)?;
                jobs::insert(rows, &job, tenant, &spec, None)?;
                assert_eq!((in_advance, in_advance == 0), (recount(rows, &job)?, is_free), "{labels} {sign}");
                assert_eq!(contents::total(rows, tenant)?, in_advance);
                // What is told of its end counts, too.
                let message = Some("y".repeat(5000));
                let done = Conclusion { message, ..Conclusion::default() };
                jobs::finish(rows, &job, tenant, JobState::Failed, &done, 0)?;
                let stored = contents::total(rows, tenant)?;
                assert!((5000..=5000 + FREE).contains(&(stored - in_advance)), "{stored}");
                retention::forget(rows, tenant, &job)?;
                assert_eq!(contents::total(rows, tenant)?, 0);
                let left = "SELECT octet_length(spec) + octet_length(message) FROM jobs WHERE id = ?1";
                assert!(rows.query_row(left, [job.as_str()], |row| row.get::<_, u64>(0))? < FREE);
            }
            // Of one that was short, too, nothing stays that was said when somebody forgets it.
            let (job, labels) = (JobId::create(), "SELECT count(*) FROM job_labels");
            jobs::insert(rows, &job, tenant, &spec(3, "x"), None)?;
            jobs::finish(rows, &job, tenant, JobState::Cancelled, &Conclusion::default(), 0)?;
            let count = || rows.query_row(labels, [], |row| row.get::<_, u64>(0));
            retention::forget(rows, tenant, &job)?;
            assert_eq!((count()?, jobs::get(rows, &job)?.expect("there").spec.labels.len()), (3, 3));
            retention::delete(rows, tenant, &job)?;
            assert_eq!((count()?, jobs::get(rows, &job)?.expect("there").spec.labels.len()), (0, 0));
            Ok(())
        };
        store.write(write).expect("written");
    }

    #[test]
    fn what_an_earlier_program_kept_counts_as_if_it_came_now() {
        let mut rows = schema::old(15);
        rows.execute_batch("INSERT INTO tenants VALUES (1, 'anna', 1, 1, '{}', 0)").expect("written");
        let (job, spec) = (JobId::create(), spec(8, "\u{1f600}"));
        let text = jobs::text(&spec).expect("JSON");
        let insert = "INSERT INTO jobs (id, tenant, kernel, state, spec, created) VALUES (?1, 1, '', 'queued', ?2, 0)";
        rows.execute(insert, params![job.as_str(), text]).expect("written");
        jobs::label(&rows, &job, crate::tenant::TenantId(1), &spec).expect("written");
        schema::migrate(&mut rows).expect("brought up to date");
        let total = contents::total(&rows, crate::tenant::TenantId(1)).expect("read");
        assert_eq!((total, total > FREE), (counted(&spec).expect("JSON"), true));
    }
}
