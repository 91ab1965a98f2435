//! Limits on what is neither memory nor time (those are [`crate::rlimits`]): lowered for good, and read back.

use std::io;

use rustix::process::Resource;

use super::{Grants, Role};
use crate::rlimits;

/// Signals that may wait to be delivered. Only those with a number of their own are counted, which nobody here sends.
const PENDING_SIGNALS: u64 = 8;

/// Descriptors beyond those that a role keeps: one message brings eight at most, and a batch has second handles on two
/// files while it runs.
pub(super) const PASSING_DESCRIPTORS: u64 = crate::socket::DESCRIPTORS as u64 + 2;

/// Lowers all of them. `descriptors` is one more than the highest number that any may have.
pub(super) fn lower(role: Role, grants: &Grants<'_>, descriptors: u64) -> io::Result<()> {
    // A thread counts as a process. Who has no user namespace shares the count with all that its user runs, so that
    // threads, if it needs some, cannot be counted there.
    let processes = match role {
        Role::Compile if !super::process::is_isolated() => None,
        Role::Compile => Some(grants.threads),
        Role::Execute | Role::ExecuteWithFiles | Role::Convert | Role::Stream => Some(0),
    };
    rlimits::limit_stack()?;
    let limits = [
        (Resource::Core, Some(0)),
        (Resource::Nproc, processes),
        (Resource::Fsize, grants.file_bytes),
        (Resource::Memlock, Some(0)),
        (Resource::Msgqueue, Some(0)),
        (Resource::Locks, Some(0)),
        (Resource::Sigpending, Some(PENDING_SIGNALS)),
        (Resource::Nice, Some(0)),
        (Resource::Rtprio, Some(0)),
        (Resource::Nofile, Some(descriptors)),
    ];
    for (resource, limit) in limits {
        let Some(limit) = limit else { continue };
        rlimits::limit(resource, limit)?;
        let now = rustix::process::getrlimit(resource);
        if now.maximum.is_none_or(|now| now > limit) || now.current.is_none_or(|now| now > limit) {
            return Err(io::Error::other(format!("{resource:?} is still {now:?}")));
        }
    }
    Ok(())
}

/// One more than the highest number that a descriptor may get, when `more` come on top of those that are open now: the
/// kernel gives each the lowest number that is free. To be called as long as /proc can be read.
pub(super) fn descriptors(more: u64) -> io::Result<u64> {
    let (mut open, mut highest) = (0, 0);
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        highest = highest.max(number.unwrap_or(0));
        open += 1;
    }
    // One of them was the folder's own.
    Ok((highest + 1).max(open - 1 + more + PASSING_DESCRIPTORS))
}
