//! What a job may keep of what it made: no more than its tenant has room for. It is held to what is left when it begins, while
//! it writes; and, since others of its tenant may have ended meanwhile, once more when it is over.

use rusqlite::Connection;

use super::attempt::Conclusion;
use crate::blobs::{Blobs, Digest};
use crate::store::contents::Stay;
use crate::store::retention::Unused;
use crate::store::{self, contents};
use crate::sweep;
use crate::tenant::TenantId;

/// What a run says of a result that became larger than it may.
const OVER: &str = "bytes that they may have";

/// The exit code of a run that has hit a limit of its own.
const RUN_LIMIT: u8 = 7;

/// Bytes that a tenant has room for.
///
/// # Errors
/// When it cannot be read what it has.
pub(super) fn left(connection: &Connection, tenant: TenantId, quota: u64) -> store::Result<u64> {
    Ok(quota.saturating_sub(contents::total(connection, tenant)?))
}

/// What a tenant is told whose result has no room.
fn refusal(quota: u64) -> String {
    format!(
        "the quota stored_bytes is used up: there is no room for the result within {quota} bytes; what is not needed can be \
         deleted"
    )
}

/// Says why a run ended, when that was for want of the tenant's room.
pub(super) fn in_words(code: u8, said: String, quota: u64) -> String {
    if code == RUN_LIMIT && said.contains(OVER) { refusal(quota) } else { said }
}

/// Keeps of what a job made as much as there is room for, its result first. Returns what is not kept.
///
/// # Errors
/// When it cannot be written.
pub(super) fn keep(
    connection: &Connection,
    blobs: &dyn Blobs,
    (tenant, quota): (TenantId, u64),
    made: Vec<(Digest, u64)>,
    conclusion: &mut Conclusion,
) -> store::Result<Vec<Unused>> {
    let mut unused = Vec::new();
    let mut room = left(connection, tenant, quota)?;
    for (digest, bytes) in made {
        sweep::check_kept(blobs, tenant, &digest)?;
        let more = if contents::bytes(connection, tenant, &digest)?.is_some() { 0 } else { bytes };
        if more <= room {
            room -= more;
            contents::add(connection, tenant, &digest, bytes, Stay::WhileNeeded)?;
            continue;
        }
        unused.push((tenant, digest));
        if conclusion.result == Some(digest) {
            (conclusion.exit, conclusion.message) = (Some(RUN_LIMIT), Some(refusal(quota)));
        }
        let Conclusion { result, failures, log, report, .. } = conclusion;
        for kept in [result, failures, log, report] {
            kept.take_if(|kept| *kept == digest);
        }
    }
    Ok(unused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::LocalBlobs;
    use crate::store::Store;
    use crate::store::access;
    use crate::tenant::Quotas;

    #[test]
    fn what_has_no_room_is_not_kept_and_what_is_there_takes_none() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let tenant = store.write(|rows| access::add(rows, "anna", 1, &Quotas::default()));
        let tenant = tenant.expect("written").expect("a new one").id;
        let blobs = LocalBlobs::new(place.path());
        let made = |bytes: &[u8]| {
            let mut blob = blobs.begin(tenant).expect("a place");
            blob.write(bytes).expect("room");
            blobs.keep(blob).expect("kept")
        };
        let (result, log, other) = (made(&[1; 60]), made(&[2; 30]), made(&[3; 50]));
        let done =
            |result: Digest| Conclusion { exit: Some(0), result: Some(result), log: Some(log.0), ..Default::default() };
        let keep_both = |made: (Digest, u64), quota| {
            let (blobs, mut conclusion) = (blobs.clone(), done(made.0));
            let kept = store.write(move |rows| {
                let unused = keep(rows, &blobs, (tenant, quota), vec![made, log], &mut conclusion)?;
                Ok((unused, conclusion))
            });
            kept.expect("written")
        };
        assert_eq!(keep_both(result, 100), (Vec::new(), done(result.0)));
        assert_eq!(keep_both(result, 0), (Vec::new(), done(result.0)), "both are there");
        let (unused, conclusion) = keep_both(other, 139);
        assert_eq!(unused, [(tenant, other.0)]);
        assert_eq!((conclusion.exit, conclusion.result, conclusion.log), (Some(7), None, Some(log.0)));
        assert!(conclusion.message.is_some_and(|message| message.contains("stored_bytes")));
        assert_eq!(store.read(|rows| left(rows, tenant, 100)).expect("read"), 10);
    }

    #[test]
    fn only_a_limit_of_the_result_is_one_of_the_tenant() {
        let said = || "error: a: the results have more than the 10 bytes that they may have".to_owned();
        assert!(in_words(7, said(), 10).contains("stored_bytes"));
        assert_eq!(in_words(3, said(), 10), said());
        assert_eq!(in_words(7, "it took too long".into(), 10), "it took too long");
    }
}
