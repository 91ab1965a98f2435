//! Users for workers, claimed in blocks so that two pools on one machine never give the same one.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::lease::RuntimeFolder;
use crate::spawn::{USERS, WorkerUser, can_give_users};

/// Users in a block: one lock for as many workers as most machines have cores.
const BLOCK: u32 = 64;

/// The users that this process may give to its workers.
#[derive(Clone, Debug)]
pub struct Users {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    folder: RuntimeFolder,
    /// Held as long as any user of its block may be in use: as long as this lives.
    locks: Vec<OwnedFd>,
    /// The block that is tried next.
    next: u32,
    free: Vec<WorkerUser>,
}

/// A user that no other worker on this machine has. Given back on drop, when its process must be gone.
#[derive(Debug)]
#[must_use = "dropping it gives the user back"]
pub struct UserLease {
    user: WorkerUser,
    users: Users,
}

impl UserLease {
    /// The user.
    #[must_use]
    pub fn user(&self) -> WorkerUser {
        self.user
    }
}

impl Drop for UserLease {
    fn drop(&mut self) {
        self.users.inner.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.user);
    }
}

impl Users {
    /// The users of this machine, if this process can give any: it needs the rights of root, and a folder for its claims.
    #[must_use]
    pub fn open() -> Option<Self> {
        if !can_give_users() {
            return None;
        }
        RuntimeFolder::open().ok().map(Self::of)
    }

    fn of(folder: RuntimeFolder) -> Self {
        let inner = Inner { folder, locks: Vec::new(), next: 0, free: Vec::new() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// A user that nobody has; none when all are taken.
    #[must_use]
    pub fn lease(&self) -> Option<UserLease> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.free.is_empty() {
            inner.claim_block();
        }
        let user = inner.free.pop()?;
        Some(UserLease { user, users: self.clone() })
    }
}

impl Inner {
    /// Claims the next block that no other process holds.
    fn claim_block(&mut self) {
        while self.next < USERS / BLOCK {
            let block = self.next;
            self.next += 1;
            if let Ok(lock) = self.folder.lock(&format!("users-{block}")) {
                self.locks.push(lock);
                // The first is given first.
                self.free = (block * BLOCK..(block + 1) * BLOCK).rev().filter_map(WorkerUser::for_slot).collect();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nobody_gets_a_user_that_another_has() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("runtime");
        let users = || Users::of(RuntimeFolder::at(&path).expect("a folder"));
        let (one, other) = (users(), users());
        let leases: Vec<UserLease> =
            (0..70).flat_map(|_| [one.lease(), other.lease()]).map(|lease| lease.expect("thousands")).collect();
        let different: HashSet<u32> = leases.iter().map(|lease| lease.user().number()).collect();
        assert_eq!(different.len(), 140);
        drop(leases);
        let again = one.lease().expect("all are free");
        assert!(different.contains(&again.user().number()));
    }

    #[test]
    fn they_come_to_an_end() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let users = Users::of(RuntimeFolder::at(&place.path().join("runtime")).expect("a folder"));
        users.inner.lock().expect("not poisoned").next = USERS / BLOCK - 1;
        let leases: Vec<UserLease> = (0..100).map_while(|_| users.lease()).collect();
        assert_eq!(leases.len(), 64);
        assert_eq!(leases[63].user(), WorkerUser::for_slot(USERS - 1).expect("the last"));
    }
}
