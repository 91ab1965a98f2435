//! What a job may keep of what it made: no more than its tenant has room for. It is held to what is left when it begins, while
//! it writes; all that a tenant has at work are held to that together; and, since others may have ended meanwhile, each is once
//! more when it is over.

use rusqlite::Connection;

use super::attempt::{Conclusion, Made};
use crate::blobs::Blobs;
use crate::store::contents::Stay;
use crate::store::retention::Unused;
use crate::store::{self, contents, names};
use crate::sweep;
use crate::tenant::TenantId;

/// The exit code of a run that has hit a limit of its own.
pub(super) const RUN_LIMIT: u8 = 7;

/// Bytes that a tenant has room for.
///
/// # Errors
/// When it cannot be read what it has.
pub(super) fn left(connection: &Connection, tenant: TenantId, quota: u64) -> store::Result<u64> {
    Ok(quota.saturating_sub(contents::total(connection, tenant)?))
}

/// What a tenant is told whose result has no room.
pub(super) fn refusal(quota: u64) -> String {
    format!(
        "the quota stored_bytes is used up: there is no room for the result within {quota} bytes; what is not needed can be \
         deleted"
    )
}

/// Which of those that write at the same time have no room for what they have written, of whom the first came first: what it
/// has written stays its own, whatever others write.
pub(super) fn over(mut left: u64, written: &[u64]) -> Vec<usize> {
    let mut over = Vec::new();
    for (number, written) in written.iter().enumerate() {
        match left.checked_sub(*written) {
            Some(rest) => left = rest,
            None => over.push(number),
        }
    }
    over
}

/// Keeps of what a job made as much as there is room for, its result first. Returns what is not kept.
///
/// # Errors
/// When it cannot be written.
pub(super) fn keep(
    connection: &Connection,
    blobs: &dyn Blobs,
    (tenant, quota): (TenantId, u64),
    made: Vec<Made>,
    conclusion: &mut Conclusion,
) -> store::Result<Vec<Unused>> {
    let mut unused = Vec::new();
    let mut room = left(connection, tenant, quota)?;
    for (digest, bytes, sha256) in made {
        sweep::check_kept(blobs, tenant, &digest)?;
        let more = if contents::bytes(connection, tenant, &digest)?.is_some() { 0 } else { contents::counted(bytes) };
        if more <= room {
            room -= more;
            contents::add(connection, tenant, &digest, bytes, Stay::WhileNeeded)?;
            if let Some(sha256) = &sha256 {
                names::note_content(connection, tenant, &digest, sha256)?;
            }
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
    use crate::blobs::{Digest, LocalBlobs};
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
            let (digest, bytes) = blobs.keep(blob).expect("kept");
            (digest, bytes, None)
        };
        let (result, log, other) = (made(&[1; 60_000]), made(&[2; 30_000]), made(&[3; 50_000]));
        let done =
            |result: Digest| Conclusion { exit: Some(0), result: Some(result), log: Some(log.0), ..Default::default() };
        let keep_both = |made: Made, quota| {
            let (blobs, mut conclusion) = (blobs.clone(), done(made.0));
            let kept = store.write(move |rows| {
                let unused = keep(rows, &blobs, (tenant, quota), vec![made, log], &mut conclusion)?;
                Ok((unused, conclusion))
            });
            kept.expect("written")
        };
        assert_eq!(keep_both(result, 100_000), (Vec::new(), done(result.0)));
        assert_eq!(keep_both(result, 0), (Vec::new(), done(result.0)), "both are there");
        let (unused, conclusion) = keep_both(other, 139_000);
        assert_eq!(unused, [(tenant, other.0)]);
        assert_eq!((conclusion.exit, conclusion.result, conclusion.log), (Some(7), None, Some(log.0)));
        assert!(conclusion.message.is_some_and(|message| message.contains("stored_bytes")));
        assert_eq!(store.read(|rows| left(rows, tenant, 100_000)).expect("read"), 10_000);
    }

    #[test]
    fn of_several_that_write_the_last_have_no_room() {
        assert!(over(10, &[4, 6]).is_empty());
        assert_eq!(over(10, &[4, 7]), [1]);
        assert_eq!(over(10, &[11, 7, 3, 1]), [0, 3], "what has no room takes none");
        assert_eq!(over(0, &[0, 1]), [1]);
    }
}
