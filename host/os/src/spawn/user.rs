//! A user of its own for each worker: what namespaces leave possible between processes of one user (signals, limits,
//! priorities) is not possible between two.

use std::fmt;

use rustix::thread::CapabilitySet;

/// The first of the users that workers may be: `ta`, in the range from 1879048192 to 2147483647 that neither
/// distributions nor systemd give to anybody. User and group have the same number.
pub const FIRST_USER: u32 = 0x7461_0000;

/// How many there are: no machine has as many cores.
pub const USERS: u32 = 0x1_0000;

/// A user that exists only for a worker: it owns no file and is in no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerUser(u32);

impl WorkerUser {
    /// The user for the worker in this slot. Slots must differ between workers that run at the same time, also those of
    /// other pools on this machine; `None` beyond the last.
    #[must_use]
    pub fn for_slot(slot: u32) -> Option<Self> {
        (slot < USERS).then(|| Self(FIRST_USER + slot))
    }

    /// The user of this number; `None` when it is no worker's.
    pub(crate) fn numbered(number: u32) -> Option<Self> {
        Self::for_slot(number.checked_sub(FIRST_USER)?)
    }

    /// Its number, as this process sees it.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for WorkerUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.0)
    }
}

/// Whether this process can start workers as users of their own, and still kill and look at them afterwards.
#[must_use]
pub fn can_give_users() -> bool {
    let needed = CapabilitySet::SETUID
        | CapabilitySet::SETGID
        | CapabilitySet::KILL
        | CapabilitySet::SYS_ADMIN
        | CapabilitySet::SYS_PTRACE;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}
