//! What may become otherwise of a job that is kept: by what it is found, and for how long what came of it is.

use rusqlite::{Connection, params};

use super::{Result, contents, jobs, records, retention, unless_refused};
use crate::job::{JobId, JobSpec, JobState};
use crate::tenant::{Quotas, TenantId};

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is written.
    Done,
    /// The tenant has no such job.
    Unknown,
    /// It has begun: it is too late to say what it comes before.
    Begun,
    /// What came of the job has gone, and what was asked for with it.
    Gone,
    /// It would make no sense, and why.
    Refused(String),
    /// There is no room for what it says beside the so many bytes that the tenant has stored.
    Full(u64),
}

/// Has a job found by other labels, and what came of it kept for another time; before it has begun, it may also become more urgent.
///
/// # Errors
/// When it cannot be written.
pub fn change(
    connection: &Connection,
    tenant: TenantId,
    job: &JobId,
    quotas: &Quotas,
    apply: impl FnOnce(JobSpec) -> JobSpec,
) -> Result<Changed> {
    let Some(before) = jobs::find(connection, tenant, job)? else { return Ok(Changed::Unknown) };
    if before.is_gone {
        return Ok(Changed::Gone);
    }
    let spec = apply(before.spec.clone());
    if let Err(error) = spec.check() {
        return Ok(Changed::Refused(error.to_string()));
    }
    if spec.urgency != before.spec.urgency && before.state != JobState::Queued {
        return Ok(Changed::Begun);
    }
    let refused = unless_refused(connection, |rows| {
        let counted = "SELECT counted FROM jobs WHERE id = ?1";
        let counted: u64 = rows.query_row(counted, [job.as_str()], |row| row.get(0))?;
        let stored = contents::total(rows, tenant)?;
        rows.execute("UPDATE jobs SET spec = ?2 WHERE id = ?1", params![job.as_str(), jobs::text(&spec)?])?;
        if spec.labels != before.spec.labels {
            rows.execute("DELETE FROM job_labels WHERE job = ?1", [job.as_str()])?;
            jobs::label(rows, job, tenant, &spec)?;
        }
        let more = records::recount(rows, job)?.saturating_sub(counted);
        Ok(if more > 0 && stored.saturating_add(more) > quotas.stored_bytes { Err(stored) } else { Ok(()) })
    });
    if let Err(stored) = refused? {
        return Ok(Changed::Full(stored));
    }
    if let (Some(ended), true) = (before.ended, spec.keep_seconds != before.spec.keep_seconds) {
        retention::keep_from(connection, job, tenant, ended)?;
    }
    Ok(Changed::Done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::blobs::Digest;
    use crate::job::{Conclusion, Input, Urgency};
    use crate::store::listing::{self, Filter};
    use crate::store::{Store, access};

    fn spec(label: &str) -> JobSpec {
        JobSpec {
            labels: [("project".to_owned(), label.to_owned())].into(),
            ..JobSpec::over(vec![Input::whole(Digest::of(b""), "a".into())])
        }
    }

    #[test]
    fn a_job_is_found_by_its_new_labels_and_kept_for_its_new_time() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let tenant = store.write(|rows| access::add(rows, "anna", 1, &Quotas::default()));
        let tenant = tenant.expect("written").expect("a new one").id;
        let (job, quotas) = (JobId::create(), Quotas { keep_seconds: 1000, ..Quotas::default() });
        let id = job.clone();
        let done = store.write(move |rows| {
            jobs::insert(rows, &id, tenant, &spec("old"), None)?;
            let to = |spec: JobSpec| JobSpec { labels: [("project".to_owned(), "new".to_owned())].into(), ..spec };
            assert_eq!(change(rows, TenantId(tenant.0 + 1), &id, &quotas, to)?, Changed::Unknown);
            assert_eq!(change(rows, tenant, &id, &quotas, to)?, Changed::Done);
            let found = |label: &str| {
                let labels = vec![("project".to_owned(), label.to_owned())];
                Ok::<_, super::super::StoreError>(
                    listing::list(rows, tenant, &Filter { labels, ..Filter::default() }, 9)?.0.len(),
                )
            };
            assert_eq!((found("old")?, found("new")?), (0, 1));
            let urgent = |spec: JobSpec| JobSpec { urgency: Urgency { priority: 9, ready_by: Some(7) }, ..spec };
            assert_eq!(change(rows, tenant, &id, &quotas, urgent)?, Changed::Done);
            assert_eq!(jobs::to_do(rows)?[0].2, jobs::get(rows, &id)?.expect("there").spec.size());
            jobs::finish(rows, &id, tenant, JobState::Cancelled, &Conclusion::default(), 0)?;
            let ended = jobs::get(rows, &id)?.expect("there");
            let keep = |seconds| move |spec: JobSpec| JobSpec { keep_seconds: seconds, ..spec };
            for (seconds, kept) in [(Some(60), 60), (None, Quotas::default().keep_seconds), (Some(0), 0)] {
                assert_eq!(change(rows, tenant, &id, &quotas, keep(seconds))?, Changed::Done);
                let now = jobs::get(rows, &id)?.expect("there");
                let after = now.expires.expect("a time").since(ended.ended.expect("it is over"));
                assert_eq!(after.as_secs(), kept, "{seconds:?}");
            }
            let calm = |spec: JobSpec| JobSpec { urgency: Urgency::default(), ..spec };
            assert_eq!(change(rows, tenant, &id, &quotas, urgent)?, Changed::Done, "it is so already");
            assert_eq!(change(rows, tenant, &id, &quotas, calm)?, Changed::Begun);
            assert!(matches!(change(rows, tenant, &id, &quotas, keep(Some(u64::MAX)))?, Changed::Refused(_)));
            let long: BTreeMap<_, _> = (0..100).map(|number| (number.to_string(), "x".repeat(200))).collect();
            let tight = Quotas { stored_bytes: 100, ..quotas };
            let labelled = |spec: JobSpec| JobSpec { labels: long, ..spec };
            assert!(matches!(change(rows, tenant, &id, &tight, labelled)?, Changed::Full(_)));
            retention::forget(rows, tenant, &id)?;
            change(rows, tenant, &id, &quotas, keep(None))
        });
        assert_eq!(done.expect("written"), Changed::Gone);
    }
}
