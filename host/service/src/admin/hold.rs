//! Holding back: tenants that are paused, kernels that are blocked.

use rusqlite::Connection;

use super::AdminAnswer;
use super::perform::{act, refused, unknown};
use crate::blobs::{ContentName, Digest};
use crate::store::audit::{self, Act, Origin};
use crate::store::{self, access, holds, names};
use crate::tenant::{Directory, TenantId};

/// Bytes of a reason: it is told to tenants with every refusal.
const REASON_BYTES: usize = 500;

fn of_all(action: &'static str, object: &str) -> Act {
    Act {
        tenant: None,
        actor: "operator".into(),
        action,
        object: object.to_owned(),
        outcome: "done".into(),
        origin: Origin::default(),
    }
}

/// Does something to a tenant or to all of them, which is written down when it has changed anything.
fn hold(
    directory: &Directory,
    name: Option<String>,
    action: &'static str,
    change: impl FnOnce(&Connection, Option<TenantId>) -> store::Result<bool> + Send + 'static,
) -> store::Result<AdminAnswer> {
    let shown = name.clone();
    let is_known = directory.store().write(move |rows| {
        let tenant = match &name {
            None => None,
            Some(name) => match access::find(rows, name)? {
                Some(tenant) => Some(tenant.id),
                None => return Ok(false),
            },
        };
        if change(rows, tenant)? {
            let name = name.as_deref().unwrap_or_default();
            let act = tenant.map_or_else(|| of_all(action, "everybody"), |tenant| act(tenant, action, name));
            audit::add(rows, &act)?;
        }
        Ok(true)
    })?;
    directory.refresh()?;
    Ok(if is_known { AdminAnswer::Done } else { unknown(shown.as_deref().unwrap_or_default()) })
}

pub(super) fn pause(directory: &Directory, name: Option<String>, parks: bool) -> store::Result<AdminAnswer> {
    let action = if parks { "tenant.park" } else { "tenant.pause" };
    hold(directory, name, action, move |rows, tenant| holds::pause(rows, tenant, parks))
}

pub(super) fn resume(directory: &Directory, name: Option<String>) -> store::Result<AdminAnswer> {
    hold(directory, name, "tenant.resume", holds::resume)
}

/// What a kernel is kept under, whatever it is called.
fn digest(directory: &Directory, text: &str) -> store::Result<Result<Digest, AdminAnswer>> {
    let Ok(name) = text.parse::<ContentName>() else {
        let how = "blake3: and what `b3sum KERNEL.wasm` says, or sha256: and what `sha256sum` does";
        return Ok(Err(refused(format!("{text:?} is no digest, which is {how}"))));
    };
    let found = directory.store().read(|rows| names::kernel(rows, None, name))?;
    let unknown = || refused(format!("nobody has stored {text} by now: call it by its blake3:, as `b3sum` tells it"));
    Ok(found.ok_or_else(unknown))
}

pub(super) fn block(directory: &Directory, text: &str, reason: String) -> store::Result<AdminAnswer> {
    let digest = match digest(directory, text)? {
        Ok(digest) => digest,
        Err(refused) => return Ok(refused),
    };
    if reason.len() > REASON_BYTES || reason.chars().any(char::is_control) {
        return Ok(refused(format!("a reason has at most {REASON_BYTES} bytes, and no control characters")));
    }
    let why = reason.clone();
    let ended = directory.store().write(move |rows| {
        let ended = holds::block(rows, &digest, &reason)?;
        audit::add(rows, &of_all("kernel.block", &digest.to_string()))?;
        for tenant in holds::owners(rows, &digest)? {
            audit::add(rows, &act(tenant, "kernel.block", &digest.to_string()))?;
        }
        for job in ended.iter().flatten() {
            audit::add(rows, &act(job.tenant, "job.end", job.job.as_str()))?;
        }
        Ok(ended.unwrap_or_default())
    })?;
    directory.refresh()?;
    Ok(AdminAnswer::Blocked { digest, reason: why, ended })
}

pub(super) fn unblock(directory: &Directory, text: &str) -> store::Result<AdminAnswer> {
    let digest = match digest(directory, text)? {
        Ok(digest) => digest,
        Err(refused) => return Ok(refused),
    };
    let was_blocked = directory.store().write(move |rows| {
        let was_blocked = holds::unblock(rows, &digest)?;
        if was_blocked {
            audit::add(rows, &of_all("kernel.unblock", &digest.to_string()))?;
            for tenant in holds::owners(rows, &digest)? {
                audit::add(rows, &act(tenant, "kernel.unblock", &digest.to_string()))?;
            }
        }
        Ok(was_blocked)
    })?;
    directory.refresh()?;
    Ok(if was_blocked { AdminAnswer::Done } else { refused(format!("{digest} is not blocked")) })
}

pub(super) fn blocks(directory: &Directory) -> store::Result<AdminAnswer> {
    directory.store().read(holds::blocks).map(AdminAnswer::Blocks)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::admin::{AdminRequest, Ground, perform};
    use crate::blobs::LocalBlobs;
    use crate::job::{Input, JobId, JobSpec, JobState};
    use crate::store::{Store, jobs};
    use crate::tenant::Quotas;

    fn spec(kernel: Digest) -> JobSpec {
        JobSpec { kernel, ..JobSpec::over(vec![Input::whole(Digest::of(b""), "a".into())]) }
    }

    #[test]
    fn a_kernel_that_is_blocked_ends_its_jobs_and_no_others() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let (bad, good) = (Digest::of(b"bad"), Digest::of(b"good"));
        let (waits, runs, other) = (JobId::create(), JobId::create(), JobId::create());
        let all = [(waits.clone(), bad), (runs.clone(), bad), (other.clone(), good)];
        let begun = runs.clone();
        let tenant = store.write(move |rows| {
            let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            for (job, kernel) in &all {
                jobs::insert(rows, job, tenant, &spec(*kernel), None)?;
            }
            jobs::begin(rows, &begun)?;
            Ok(tenant)
        });
        let tenant = tenant.expect("written");
        let directory = Arc::new(Directory::new(store.clone()).expect("a directory"));
        let (blobs, data) = (Arc::new(LocalBlobs::new(place.path())), place.path().to_owned());
        let ground = Ground { directory: Arc::clone(&directory), blobs, data };
        let block = |digest: &str, reason: &str| {
            perform(&ground, AdminRequest::Block { digest: digest.into(), reason: reason.into() })
        };
        for (digest, reason) in [("x", ""), (&*bad.to_string(), "a\nb"), (&bad.to_string(), &"x".repeat(501))] {
            assert!(matches!(block(digest, reason), AdminAnswer::Refused(_)), "{digest} {reason}");
        }
        let AdminAnswer::Blocked { ended, .. } = block(&bad.to_string(), "it is bad") else { panic!("not blocked") };
        // Of jobs that came in one millisecond either may be the first.
        let had_begun: BTreeMap<_, _> = ended.iter().map(|ended| (&ended.job, ended.had_begun)).collect();
        assert_eq!(had_begun, [(&waits, false), (&runs, true)].into());
        assert_eq!(directory.blocked(&bad).as_deref(), Some("it is bad"));
        assert_eq!(directory.blocked(&good), None);
        let ends = |job: &JobId| {
            let job = store.read(|rows| jobs::find(rows, tenant, job)).expect("read").expect("there");
            (job.state, job.conclusion.exit, job.conclusion.message)
        };
        let said = Some("kernel-blocked: the operator has blocked this kernel: it is bad".to_owned());
        assert_eq!(ends(&waits), (JobState::Failed, Some(4), said.clone()));
        assert_eq!(ends(&runs), (JobState::Cancelled, None, said));
        assert_eq!(ends(&other), (JobState::Queued, None, None));
        // Once more is another reason, and ends nothing.
        let AdminAnswer::Blocked { ended, .. } = block(&bad.to_string(), "still") else { panic!("not blocked") };
        assert!(ended.is_empty() && directory.blocked(&bad).as_deref() == Some("still"));
        let unblock = || perform(&ground, AdminRequest::Unblock { digest: bad.to_string() });
        assert!(matches!(unblock(), AdminAnswer::Done));
        assert!(matches!(unblock(), AdminAnswer::Refused(_)) && directory.blocked(&bad).is_none());
    }
}
