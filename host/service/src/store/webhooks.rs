//! Webhooks as rows, and the messages that are on their way: each is written in the transaction that ends its job, so that none is
//! forgotten, and stays until it has got through or is given up.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Result, callbacks};
use crate::job::{Conclusion, JobId, JobState};
use crate::random;
use crate::tenant::TenantId;
use crate::time::Moment;

/// Webhooks of a tenant.
pub const MOST: u64 = 16;

/// Messages that wait for one webhook; of what comes beyond that it is not told.
const MOST_WAITING: u64 = 10_000;

/// How long a message is tried again.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// After so long without anything getting through, a webhook is switched off.
const SWITCHED_OFF_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// How long it is told what became of a message.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Messages of a webhook of which that is told.
const MOST_KEPT: u32 = 1000;

/// Time until the next attempt, after the first, the second and so on; the last of these is that of all others.
const PAUSES: [u64; 7] = [2, 10, 60, 5 * 60, 15 * 60, 60 * 60, 2 * 60 * 60];

/// Messages of one tenant that are named at a time as due: more than are sent at a time, so that one that is under way is in nobody's
/// way, and few enough that many of one tenant leave room for those of others.
const MOST_OF_TENANT: u32 = 8;

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "http", schema(as = Webhook))]
pub struct WebhookRow {
    /// Its number.
    pub id: String,
    /// Where messages go.
    pub url: String,
    /// Milliseconds since 1970, as all moments.
    pub created: i64,
    /// Whether it is told anything: no more when nothing has got through for three days.
    pub enabled: bool,
    /// Since when nothing gets through.
    pub failing_since: Option<i64>,
}

/// A message, as far as it has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "http", schema(as = Delivery))]
pub struct DeliveryRow {
    /// Its number, the same in every attempt.
    pub id: String,
    /// `job.ended`, `quota.warning` or `ping`.
    pub event: String,
    /// The job that it is about.
    pub job: Option<String>,
    /// When it came to be.
    pub created: i64,
    /// When it is tried next; none when it has got through or is given up.
    pub next: Option<i64>,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt was answered.
    pub status: Option<u16>,
    /// Why it did not get through.
    pub error: Option<String>,
    /// When it got through.
    pub delivered: Option<i64>,
}

/// A message that is to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its number.
    pub id: String,
    /// The webhook that it is for, of which one message is under way at a time.
    pub webhook: String,
    /// Whose that is.
    pub tenant: TenantId,
    /// Where it goes.
    pub url: String,
    /// What it is signed with.
    pub secret: String,
    /// What it says.
    pub body: String,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// It got through, and was answered with this status.
    Delivered(u16),
    /// It did not: what it was answered, and why that is not enough.
    Failed(Option<u16>, String),
}

/// A number that sorts by time and cannot be guessed.
pub(super) fn number(prefix: &str) -> String {
    format!("{prefix}_{:011x}{}", Moment::now().0, random::word(13))
}

/// Adds a webhook; `None` when the tenant has as many as it may.
///
/// # Errors
/// When it cannot be written.
pub fn add(connection: &Connection, tenant: TenantId, url: &str, secret: &str) -> Result<Option<WebhookRow>> {
    let count = "SELECT count(*) FROM webhooks WHERE tenant = ?1 AND job IS NULL";
    if connection.query_row(count, [tenant.0], |row| row.get::<_, u64>(0))? >= MOST {
        return Ok(None);
    }
    let (id, now) = (number("wh"), Moment::now().0);
    connection.execute(
        "INSERT INTO webhooks (id, tenant, url, secret, created) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, tenant.0, url, secret, now],
    )?;
    Ok(Some(WebhookRow { id, url: url.to_owned(), created: now, enabled: true, failing_since: None }))
}

/// The webhooks of a tenant, oldest first.
///
/// # Errors
/// When they cannot be read.
pub fn list(connection: &Connection, tenant: TenantId) -> Result<Vec<WebhookRow>> {
    let sql = "SELECT id, url, created, enabled, failing_since FROM webhooks
        WHERE tenant = ?1 AND job IS NULL ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([tenant.0], |row| {
        let (id, url, created) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(WebhookRow { id, url, created, enabled: row.get(3)?, failing_since: row.get(4)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Forgets a webhook with its messages. Returns whether the tenant had it.
///
/// # Errors
/// When it cannot be written.
pub fn remove(connection: &Connection, tenant: TenantId, id: &str) -> Result<bool> {
    let sql = "DELETE FROM webhooks WHERE id = ?1 AND tenant = ?2 AND job IS NULL";
    Ok(connection.execute(sql, params![id, tenant.0])? > 0)
}

fn is_there(connection: &Connection, tenant: TenantId, id: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM webhooks WHERE id = ?1 AND tenant = ?2 AND job IS NULL)";
    Ok(connection.query_row(sql, params![id, tenant.0], |row| row.get(0))?)
}

/// Has a message sent that is about nothing, also to a webhook that is switched off. `None` when the tenant has no such webhook.
///
/// # Errors
/// When it cannot be written.
pub fn ping(connection: &Connection, tenant: TenantId, id: &str) -> Result<Option<DeliveryRow>> {
    if !is_there(connection, tenant, id)? {
        return Ok(None);
    }
    let body = json!({ "type": "ping", "timestamp": Moment::now().0, "data": {} }).to_string();
    let message = insert(connection, id, "ping", None, &body)?;
    delivery(connection, &message)
}

/// Tenants that have a webhook that is told anything.
pub(super) fn listeners(connection: &Connection) -> Result<Vec<TenantId>> {
    let mut statement = connection.prepare("SELECT DISTINCT tenant FROM webhooks WHERE enabled = 1 AND job IS NULL")?;
    let rows = statement.query_map([], |row| row.get(0).map(TenantId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The end of a job: every webhook of its tenant is to be told, and the one of this job.
pub(super) fn announce(
    connection: &Connection,
    job: &JobId,
    tenant: TenantId,
    state: JobState,
    done: &Conclusion,
) -> Result<()> {
    let data = json!({
        "id": job.as_str(),
        "href": format!("/v1/jobs/{job}"),
        "state": state,
        "exit_code": done.exit,
        "items": done.items,
        "failed_items": done.failed,
    });
    tell_all(connection, tenant, "job.ended", Some(job), &data)?;
    if let Some(own) = callbacks::waiting(connection, job)? {
        tell(connection, &own, "job.ended", Some(job), &data)?;
    }
    Ok(())
}

/// Has every webhook of a tenant told something.
pub(super) fn tell_all(
    connection: &Connection,
    tenant: TenantId,
    event: &str,
    job: Option<&JobId>,
    data: &Value,
) -> Result<()> {
    let mut statement =
        connection.prepare("SELECT id FROM webhooks WHERE tenant = ?1 AND job IS NULL AND enabled = 1")?;
    let webhooks: Vec<String> = statement.query_map([tenant.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for webhook in webhooks {
        let waiting: u64 = connection.query_row(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE webhook = ?1 AND next IS NOT NULL LIMIT ?2)",
            params![webhook, MOST_WAITING],
            |row| row.get(0),
        )?;
        if waiting < MOST_WAITING {
            tell(connection, &webhook, event, job, data)?;
        }
    }
    Ok(())
}

fn tell(connection: &Connection, webhook: &str, event: &str, job: Option<&JobId>, data: &Value) -> Result<()> {
    let body = json!({ "type": event, "timestamp": Moment::now().0, "data": data });
    insert(connection, webhook, event, job, &body.to_string())?;
    Ok(())
}

fn insert(connection: &Connection, webhook: &str, event: &str, job: Option<&JobId>, body: &str) -> Result<String> {
    let (id, now) = (number("msg"), Moment::now().0);
    connection.execute(
        // What happens waits behind what did not get through; what is asked for by hand does not.
        "INSERT INTO deliveries (id, webhook, event, job, body, created, next)
         SELECT ?1, id, ?3, ?4, ?5, ?6, CASE WHEN ?3 = 'ping' THEN ?6 ELSE max(?6, rests_until) END
         FROM webhooks WHERE id = ?2",
        params![id, webhook, event, job.map(JobId::as_str), body, now],
    )?;
    Ok(id)
}

const DELIVERY: &str = "SELECT id, event, job, created, next, attempts, status, error, delivered FROM deliveries";

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: row.get(0)?,
        event: row.get(1)?,
        job: row.get(2)?,
        created: row.get(3)?,
        next: row.get(4)?,
        attempts: row.get(5)?,
        status: row.get(6)?,
        error: row.get(7)?,
        delivered: row.get(8)?,
    })
}

fn delivery(connection: &Connection, id: &str) -> Result<Option<DeliveryRow>> {
    Ok(connection.query_row(&format!("{DELIVERY} WHERE id = ?1"), [id], row).optional()?)
}

/// The newest messages of a webhook; `None` when the tenant has none like that.
///
/// # Errors
/// When they cannot be read.
pub fn deliveries(connection: &Connection, tenant: TenantId, id: &str, most: u32) -> Result<Option<Vec<DeliveryRow>>> {
    if is_there(connection, tenant, id)? { messages(connection, id, most).map(Some) } else { Ok(None) }
}

/// The same of one that is there.
pub(super) fn messages(connection: &Connection, id: &str, most: u32) -> Result<Vec<DeliveryRow>> {
    let mut statement = connection.prepare(&format!("{DELIVERY} WHERE webhook = ?1 ORDER BY id DESC LIMIT ?2"))?;
    let rows = statement.query_map(params![id, most], row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Has a message sent now, also one that has got through, or to a webhook that is switched off. `None` when the tenant has none like
/// that.
///
/// # Errors
/// When it cannot be written.
pub fn again(connection: &Connection, tenant: TenantId, webhook: &str, id: &str) -> Result<Option<DeliveryRow>> {
    let sql = "UPDATE deliveries SET next = ?4, delivered = NULL WHERE id = ?1 AND webhook = ?2
        AND EXISTS (SELECT 1 FROM webhooks WHERE id = ?2 AND tenant = ?3 AND job IS NULL)";
    match connection.execute(sql, params![id, webhook, tenant.0, Moment::now().0])? {
        0 => Ok(None),
        _ => delivery(connection, id),
    }
}

/// Messages that are due, of each webhook the oldest one, of each tenant a few, those first that have waited longest; and when there is
/// another one.
///
/// # Errors
/// When they cannot be read.
pub fn due(connection: &Connection, now: Moment, most: u32) -> Result<(Vec<Due>, Option<Moment>)> {
    let mut statement = connection.prepare(
        "SELECT id, webhook, tenant, url, secret, body FROM (
             SELECT *, row_number() OVER (PARTITION BY tenant ORDER BY next, id) AS place FROM (
                 SELECT min(d.id) AS id, d.webhook AS webhook, w.tenant AS tenant, w.url AS url, w.secret AS secret,
                     d.body AS body, d.next AS next
                 FROM deliveries AS d INDEXED BY deliveries_due JOIN webhooks AS w ON w.id = d.webhook
                 JOIN tenants AS t ON t.id = w.tenant
                 WHERE d.next IS NOT NULL AND d.next <= ?1 AND t.enabled = 1 GROUP BY d.webhook))
         WHERE place <= ?3 ORDER BY next, id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![now.0, most, MOST_OF_TENANT], |row| {
        let (id, webhook, url, secret, body) = (row.get(0)?, row.get(1)?, row.get(3)?, row.get(4)?, row.get(5)?);
        Ok(Due { id, webhook, tenant: TenantId(row.get(2)?), url, secret, body })
    })?;
    let due = rows.collect::<rusqlite::Result<_>>()?;
    let later = "SELECT min(next) FROM deliveries INDEXED BY deliveries_due WHERE next IS NOT NULL AND next > ?1";
    let next: Option<i64> = connection.query_row(later, [now.0], |row| row.get(0))?;
    Ok((due, next.map(Moment)))
}

/// A message was tried. What waits for a webhook that does not answer waits as long as that message.
///
/// # Errors
/// When it cannot be written.
pub fn tried(connection: &Connection, due: &Due, attempted: &Attempted) -> Result<()> {
    let now = Moment::now();
    let Some(before) = delivery(connection, &due.id)? else { return Ok(()) };
    match attempted {
        Attempted::Delivered(status) => {
            connection.execute(
                "UPDATE deliveries SET next = NULL, attempts = attempts + 1, status = ?2, error = NULL, delivered = ?3
                 WHERE id = ?1",
                params![due.id, status, now.0],
            )?;
            let sql = "UPDATE webhooks SET failing_since = NULL, rests_until = 0, enabled = 1 WHERE id = ?1";
            connection.execute(sql, [&due.webhook])?;
        }
        Attempted::Failed(status, why) => {
            let pause = PAUSES.get(before.attempts as usize).or(PAUSES.last()).copied().unwrap_or(1);
            let next = now.after(Duration::from_secs(pause));
            let is_over = now.since(Moment(before.created)) >= PATIENCE;
            connection.execute(
                "UPDATE deliveries SET next = ?2, attempts = attempts + 1, status = ?3, error = ?4 WHERE id = ?1",
                params![due.id, (!is_over).then_some(next.0), status, why],
            )?;
            let others = "UPDATE deliveries SET next = max(next, ?2) WHERE webhook = ?1 AND next IS NOT NULL";
            connection.execute(others, params![due.webhook, next.0])?;
            fail(connection, &due.webhook, (now, next), *status == Some(410))?;
        }
    }
    callbacks::close(connection, &due.webhook)
}

/// Nothing gets through to a webhook. One that wants nothing any more, or that has failed for too long, is switched off.
fn fail(connection: &Connection, webhook: &str, (now, next): (Moment, Moment), is_unwanted: bool) -> Result<()> {
    let sql = "UPDATE webhooks SET failing_since = coalesce(failing_since, ?2), rests_until = ?3 WHERE id = ?1
        RETURNING failing_since";
    let since: Option<i64> = connection.query_row(sql, params![webhook, now.0, next.0], |row| row.get(0)).optional()?;
    if is_unwanted || since.is_some_and(|since| now.since(Moment(since)) >= SWITCHED_OFF_AFTER) {
        connection.execute("UPDATE webhooks SET enabled = 0 WHERE id = ?1", [webhook])?;
        connection.execute("UPDATE deliveries SET next = NULL WHERE webhook = ?1 AND next IS NOT NULL", [webhook])?;
    }
    Ok(())
}

/// Forgets messages that have been over for long, and those of which there are too many.
///
/// # Errors
/// When it cannot be written.
pub fn forget(connection: &Connection, now: Moment) -> Result<usize> {
    let before = now.0 - i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    let old = connection.execute("DELETE FROM deliveries WHERE next IS NULL AND created < ?1", [before])?;
    let many = "DELETE FROM deliveries WHERE next IS NULL AND id IN (SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY webhook ORDER BY id DESC) AS place FROM deliveries) WHERE place > ?1)";
    let many = connection.execute(many, [MOST_KEPT])?;
    callbacks::forget(connection)?;
    Ok(old + many)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, access};
    use crate::tenant::Quotas;

    struct Place {
        _folder: tempfile::TempDir,
        store: Store,
        tenant: TenantId,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store.db")).expect("a store");
        let added = store.write(|rows| access::add(rows, "anna", 1, &Quotas::default()));
        let tenant = added.expect("written").expect("a new one").id;
        Place { _folder: folder, store, tenant }
    }

    impl Place {
        fn write<T: Send + 'static>(&self, write: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> T {
            self.store.write(write).expect("written")
        }

        fn webhook(&self) -> String {
            let tenant = self.tenant;
            self.write(move |rows| add(rows, tenant, "https://example.org/", "whsec_eA==")).expect("room").id
        }

        fn due_at(&self, moment: Moment) -> Vec<Due> {
            self.write(move |rows| due(rows, moment, 10)).0
        }

        fn end_of_a_job(&self) {
            let tenant = self.tenant;
            let done = Conclusion { exit: Some(0), ..Conclusion::default() };
            self.write(move |rows| announce(rows, &JobId::create(), tenant, JobState::Succeeded, &done));
        }

        fn fail(&self, message: &Due, status: Option<u16>) {
            let message = message.clone();
            self.write(move |rows| tried(rows, &message, &Attempted::Failed(status, "no".into())));
        }
    }

    const LATER: Moment = Moment(i64::MAX);

    #[test]
    fn each_webhook_is_told_of_each_end_one_after_the_other() {
        let place = place();
        place.end_of_a_job();
        assert!(place.due_at(LATER).is_empty(), "nobody wants to know");
        let webhooks = [place.webhook(), place.webhook()];
        place.end_of_a_job();
        place.end_of_a_job();
        let first = place.due_at(LATER);
        assert_eq!(first.len(), webhooks.len());
        assert!(first[0].body.contains("\"state\":\"succeeded\""), "{}", first[0].body);
        for message in first.clone() {
            place.write(move |rows| tried(rows, &message, &Attempted::Delivered(204)));
        }
        let second = place.due_at(LATER);
        assert!(second.len() == 2 && second.iter().all(|message| first.iter().all(|one| one.id != message.id)));
    }

    #[test]
    fn what_does_not_get_through_is_tried_later_and_so_is_all_that_waits_behind_it() {
        let place = place();
        let webhook = place.webhook();
        place.end_of_a_job();
        place.end_of_a_job();
        let message = place.due_at(LATER).remove(0);
        // Whichever of the two it is, by the millisecond in which both came.
        place.fail(&message, Some(500));
        assert!(place.due_at(Moment::now()).is_empty());
        let tenant = place.tenant;
        let all = place.write(move |rows| deliveries(rows, tenant, &webhook, 10)).expect("it is the tenant's");
        let tried = all.iter().find(|tried| tried.id == message.id).expect("it is kept");
        assert_eq!((tried.attempts, tried.status, tried.error.as_deref()), (1, Some(500), Some("no")));
        place.end_of_a_job();
        assert!(place.due_at(Moment::now()).is_empty(), "what comes later waits behind it");
        let ids: Vec<_> =
            place.due_at(Moment::now().after(Duration::from_secs(3))).into_iter().map(|due| due.id).collect();
        assert_eq!(ids, [message.id], "one at a time, the oldest first");
    }

    #[test]
    fn one_that_is_gone_is_switched_off_until_a_ping_gets_through() {
        let place = place();
        let (webhook, tenant) = (place.webhook(), place.tenant);
        place.end_of_a_job();
        place.fail(&place.due_at(LATER)[0], Some(410));
        place.end_of_a_job();
        assert!(place.due_at(LATER).is_empty());
        place.write(move |rows| ping(rows, tenant, &webhook)).expect("it is there");
        let message = place.due_at(LATER).remove(0);
        place.write(move |rows| tried(rows, &message, &Attempted::Delivered(200)));
        place.end_of_a_job();
        assert_eq!(place.due_at(LATER).len(), 1);
    }

    #[test]
    fn a_message_is_given_up_after_a_day_and_forgotten_after_a_week() {
        let place = place();
        let webhook = place.webhook();
        place.end_of_a_job();
        let day = i64::try_from(PATIENCE.as_millis()).expect("a day");
        place.write(move |rows| Ok(rows.execute("UPDATE deliveries SET created = created - ?1", [day])?));
        place.fail(&place.due_at(LATER)[0], None);
        assert!(place.due_at(LATER).is_empty());
        assert_eq!(place.write(|rows| forget(rows, Moment::now())), 0);
        let week = Moment::now().after(KEPT);
        assert_eq!(place.write(move |rows| forget(rows, week)), 1);
        let tenant = place.tenant;
        assert!(place.write(move |rows| remove(rows, tenant, &webhook)));
    }

    #[test]
    fn what_has_got_through_can_be_told_again() {
        let place = place();
        let (webhook, tenant) = (place.webhook(), place.tenant);
        place.end_of_a_job();
        let message = place.due_at(LATER).remove(0);
        let done = message.clone();
        place.write(move |rows| tried(rows, &done, &Attempted::Delivered(200)));
        assert!(place.due_at(LATER).is_empty());
        let (id, other) = (message.id.clone(), TenantId(tenant.0 + 1));
        let (theirs, known) = (id.clone(), webhook.clone());
        assert_eq!(place.write(move |rows| again(rows, other, &known, &theirs)), None);
        assert!(place.due_at(LATER).is_empty());
        let sent = place.write(move |rows| again(rows, tenant, &webhook, &id)).expect("it is the tenant's");
        assert_eq!((sent.id.as_str(), sent.attempts, sent.delivered), (message.id.as_str(), 1, None));
        assert_eq!(place.due_at(Moment::now()), [message]);
    }

    #[test]
    fn what_is_anothers_is_not_there() {
        let place = place();
        let webhook = place.webhook();
        let other = TenantId(place.tenant.0 + 1);
        let (one, two) = (webhook.clone(), webhook.clone());
        assert_eq!(place.write(move |rows| ping(rows, other, &one)), None);
        assert_eq!(place.write(move |rows| deliveries(rows, other, &two, 10)), None);
        assert!(!place.write(move |rows| remove(rows, other, &webhook)));
    }
}
