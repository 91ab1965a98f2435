//! Quotas that are nearly used up: what of them is on the disk, and that webhooks are told of each once a day.

use rusqlite::{Connection, params};
use serde_json::json;

use super::{Result, access, contents, jobs, kernels, usage, webhooks};
use crate::tenant::{QuotaUse, TenantId, Used};
use crate::time::Moment;

/// What a tenant has and has used, as far as that is on the disk.
///
/// # Errors
/// When it cannot be read.
pub fn used(connection: &Connection, tenant: TenantId, now: Moment) -> Result<Used> {
    Ok(Used {
        open_jobs: jobs::open_count(connection, tenant)?,
        cpu_seconds: usage::on_day(connection, tenant, now.day())?.cpu_ms / 1000,
        stored_bytes: contents::total(connection, tenant)?,
        kernels: kernels::count(connection, tenant)?,
        day_ends: now.after(now.until_tomorrow()).0,
        ..Used::default()
    })
}

/// Of whom webhooks are to be told which quota is nearly used up: those of which they were not told today.
///
/// # Errors
/// When that cannot be read.
pub fn due(connection: &Connection, now: Moment) -> Result<Vec<(TenantId, QuotaUse)>> {
    let mut due = Vec::new();
    for tenant in webhooks::listeners(connection)? {
        let quotas = access::quotas(connection, tenant)?;
        for used in used(connection, tenant, now)?.of(&quotas, kernels::MOST).into_iter().filter(|used| used.warning) {
            let told = "SELECT EXISTS (SELECT 1 FROM quota_warnings WHERE tenant = ?1 AND quota = ?2 AND day >= ?3)";
            let is_told: bool =
                connection.query_row(told, params![tenant.0, used.quota, now.day()], |row| row.get(0))?;
            if !is_told {
                due.push((tenant, used));
            }
        }
    }
    Ok(due)
}

/// Has webhooks told of them.
///
/// # Errors
/// When it cannot be written.
pub fn announce(connection: &Connection, now: Moment, due: &[(TenantId, QuotaUse)]) -> Result<()> {
    for (tenant, used) in due {
        connection.execute(
            "INSERT INTO quota_warnings (tenant, quota, day) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET day = ?3",
            params![tenant.0, used.quota, now.day()],
        )?;
        let QuotaUse { quota, limit, used, resets_at, .. } = used;
        let data = json!({ "quota": quota, "limit": limit, "used": used, "resets_at": resets_at });
        webhooks::tell_all(connection, *tenant, "quota.warning", None, &data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::blobs::Digest;
    use crate::store::Store;
    use crate::store::contents::Stay;
    use crate::tenant::Quotas;

    #[test]
    fn webhooks_are_told_of_each_quota_once_a_day() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let quotas = Quotas { stored_bytes: 100_000, ..Quotas::default() };
        let tenant = store.write(move |rows| access::add(rows, "anna", 1, &quotas));
        let tenant = tenant.expect("written").expect("a new one").id;
        let now = Moment::now();
        let write = store.clone();
        let told = move |now: Moment| {
            let done = store.write(move |rows| {
                let due = due(rows, now)?;
                announce(rows, now, &due)?;
                Ok((due, webhooks::due(rows, Moment(i64::MAX), 10)?.0))
            });
            done.expect("written")
        };
        let add = |bytes: u64, text: &[u8]| {
            let digest = Digest::of(text);
            let add = move |rows: &Connection| contents::add(rows, tenant, &digest, bytes, Stay::UntilDeleted);
            write.write(add).expect("written");
        };
        add(90_000, b"a");
        assert!(told(now).0.is_empty(), "nobody wants to know");
        write.write(move |rows| webhooks::add(rows, tenant, "https://x/", "whsec_eA==")).expect("written");
        let (due, messages) = told(now);
        assert_eq!(
            due.iter().map(|(_, used)| (used.quota, used.used)).collect::<Vec<_>>(),
            [("stored_bytes", Some(90_000))]
        );
        assert_eq!(messages.len(), 1);
        let said: serde_json::Value = serde_json::from_str(&messages[0].body).expect("JSON");
        let data = json!({ "quota": "stored_bytes", "limit": 100_000, "used": 90_000, "resets_at": null });
        assert_eq!((&said["type"], &said["data"]), (&json!("quota.warning"), &data));
        add(20_000, b"b");
        assert!(told(now).0.is_empty(), "once is enough");
        let tomorrow = now.after(Duration::from_secs(24 * 60 * 60));
        assert_eq!(told(tomorrow).0.len(), 1);
    }
}
