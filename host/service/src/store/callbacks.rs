//! Callbacks as rows: a webhook that is told of the end of one job, and of nothing else. Its secret is kept until that is told or given
//! up, and the rest of it for as long as what became of the message is.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Result;
use super::webhooks::{self, DeliveryRow};
use crate::job::JobId;
use crate::tenant::TenantId;
use crate::time::Moment;

/// Callbacks of a tenant that are still to be told.
pub const MOST: u64 = 10_000;

/// How many there are of a tenant that are still to be told.
///
/// # Errors
/// When they cannot be counted.
pub fn open(connection: &Connection, tenant: TenantId) -> Result<u64> {
    let sql = "SELECT count(*) FROM webhooks WHERE tenant = ?1 AND job IS NOT NULL AND enabled = 1";
    Ok(connection.query_row(sql, [tenant.0], |row| row.get(0))?)
}

/// Has a place told of the end of a job that was just kept.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, tenant: TenantId, job: &JobId, url: &str, secret: &str) -> Result<()> {
    connection.execute(
        "INSERT INTO webhooks (id, tenant, url, secret, created, job) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![webhooks::number("cb"), tenant.0, url, secret, Moment::now().0, job.as_str()],
    )?;
    Ok(())
}

/// The place that is told of the end of a job, and what became of that. `None` when there is none.
///
/// # Errors
/// When it cannot be read.
pub fn of(connection: &Connection, tenant: TenantId, job: &JobId) -> Result<Option<(String, Vec<DeliveryRow>)>> {
    let sql = "SELECT id, url FROM webhooks WHERE job = ?1 AND tenant = ?2";
    let found = connection.query_row(sql, params![job.as_str(), tenant.0], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((id, url)) = found.optional()? else { return Ok(None) };
    let id: String = id;
    Ok(Some((url, webhooks::messages(connection, &id, 1)?)))
}

/// The one that is to be told of the end of this job.
pub(super) fn waiting(connection: &Connection, job: &JobId) -> Result<Option<String>> {
    let sql = "SELECT id FROM webhooks WHERE job = ?1 AND enabled = 1";
    Ok(connection.query_row(sql, [job.as_str()], |row| row.get(0)).optional()?)
}

/// A message was tried: when it is the last of a callback, nothing is sent there any more, and nothing needs its secret.
pub(super) fn close(connection: &Connection, webhook: &str) -> Result<()> {
    connection.execute(
        "UPDATE webhooks SET enabled = 0, secret = '' WHERE id = ?1 AND job IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE webhook = ?1 AND next IS NOT NULL)",
        [webhook],
    )?;
    Ok(())
}

/// Forgets those whose message is forgotten.
pub(super) fn forget(connection: &Connection) -> Result<usize> {
    Ok(connection.execute(
        "DELETE FROM webhooks WHERE job IS NOT NULL AND enabled = 0
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE webhook = webhooks.id)",
        [],
    )?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::blobs::Digest;
    use crate::job::{Conclusion, Input, JobSpec, JobState};
    use crate::store::webhooks::{Attempted, Due, due, tried};
    use crate::store::{Store, access, jobs, retention};
    use crate::tenant::Quotas;

    fn spec() -> JobSpec {
        JobSpec::over(vec![Input::whole(Digest::of(b""), "a".into())])
    }

    struct Place {
        _folder: tempfile::TempDir,
        store: Store,
        tenant: TenantId,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Store::open(&folder.path().join("store.db")).expect("a store");
            let added = store.write(|rows| access::add(rows, "anna", 1, &Quotas::default()));
            let tenant = added.expect("written").expect("a new one").id;
            Self { _folder: folder, store, tenant }
        }

        fn write<T: Send + 'static>(&self, write: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> T {
            self.store.write(write).expect("written")
        }

        /// A job with a place that is told of its end.
        fn job(&self, url: &'static str) -> JobId {
            let (job, tenant) = (JobId::create(), self.tenant);
            let id = job.clone();
            self.write(move |rows| {
                jobs::insert(rows, &id, tenant, &spec(), None)?;
                add(rows, tenant, &id, url, "whsec_eA==")
            });
            job
        }

        fn end(&self, job: &JobId) {
            let (job, tenant) = (job.clone(), self.tenant);
            let done = Conclusion::default();
            self.write(move |rows| jobs::finish(rows, &job, tenant, JobState::Cancelled, &done, 0));
        }

        fn due(&self) -> Vec<Due> {
            self.write(|rows| due(rows, Moment(i64::MAX), 10)).0
        }

        fn open(&self) -> u64 {
            let tenant = self.tenant;
            self.write(move |rows| open(rows, tenant))
        }

        fn of(&self, job: &JobId) -> Option<(String, Vec<DeliveryRow>)> {
            let (job, tenant) = (job.clone(), self.tenant);
            self.write(move |rows| of(rows, tenant, &job))
        }

        fn tried(&self, message: &Due, attempted: Attempted) {
            let message = message.clone();
            self.write(move |rows| tried(rows, &message, &attempted));
        }
    }

    #[test]
    fn each_is_told_of_its_own_job_and_forgotten_after_that() {
        let place = Place::new();
        let (one, other) = (place.job("https://one/"), place.job("https://other/"));
        assert_eq!(place.open(), 2);
        assert_eq!(place.of(&one), Some(("https://one/".into(), Vec::new())));
        place.end(&one);
        let messages = place.due();
        assert_eq!(messages.iter().map(|due| due.url.as_str()).collect::<Vec<_>>(), ["https://one/"]);
        place.tried(&messages[0], Attempted::Failed(Some(500), "no".into()));
        assert_eq!((place.open(), place.due().len()), (2, 1), "it is tried again");
        place.tried(&messages[0], Attempted::Delivered(204));
        assert_eq!((place.open(), place.due().len()), (1, 0));
        let secrets = "SELECT count(*) FROM webhooks WHERE secret != ''";
        assert_eq!(place.write(move |rows| Ok(rows.query_row(secrets, [], |row| row.get::<_, u64>(0))?)), 1);
        let (_, told) = place.of(&one).expect("it is told still");
        assert_eq!((told[0].status, told[0].attempts), (Some(204), 2));
        // It is no webhook that anybody can list, or tell anything.
        let tenant = place.tenant;
        assert!(place.write(move |rows| webhooks::list(rows, tenant)).is_empty());
        let week = Moment::now().after(Duration::from_secs(8 * 24 * 60 * 60));
        place.write(move |rows| webhooks::forget(rows, week));
        assert_eq!((place.of(&one), place.of(&other).map(|(url, _)| url)), (None, Some("https://other/".into())));
    }

    /// However short the time is for which records are kept.
    #[test]
    fn a_record_stays_until_its_end_was_told() {
        let place = Place::new();
        let job = place.job("https://one/");
        place.end(&job);
        let (tenant, id) = (place.tenant, job.clone());
        place.write(move |rows| retention::forget(rows, tenant, &id));
        let remove = || {
            let later = Moment::now().after(Duration::from_secs(10));
            place.write(move |rows| retention::remove_records(rows, later, Duration::ZERO));
        };
        remove();
        let message = place.due().remove(0);
        place.tried(&message, Attempted::Delivered(200));
        remove();
        assert_eq!((place.of(&job), place.open()), (None, 0));
    }

    /// Many messages of one tenant hold up nobody else's.
    #[test]
    fn whoever_has_many_is_in_nobodys_way() {
        let place = Place::new();
        for _ in 0..30 {
            place.end(&place.job("https://one/"));
        }
        let added = place.write(|rows| access::add(rows, "bert", 1, &Quotas::default()));
        let bert = Place { tenant: added.expect("a new one").id, store: place.store.clone(), _folder: place._folder };
        bert.end(&bert.job("https://bert/"));
        let due = bert.due();
        assert!(due.len() <= 10 && due.iter().any(|due| due.url == "https://bert/"), "{due:?}");
    }
}
