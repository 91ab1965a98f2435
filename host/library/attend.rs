//! Attending to a kernel from a loop of the program's own: no thread has to be woken for a result.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use taskhost_os::poll::is_readable;

use super::drive::Drive;
use super::error::Error;
use super::function::Function;
use super::kernel::Kernel;

/// What a loop of the program attends to, one that waits for many descriptors: whenever this one is readable, it calls
/// [`Attendance::turn`], in which everybody is told of results, and what waits is begun. Dropping it leaves that to the pool's
/// own thread again.
///
/// It is for programs that answer many at once with [`Kernel::submit_together`]: the pool's thread, which would have to be woken
/// for each result and would have to wake the loop in turn, rests meanwhile. It still looks some times a second, and whenever there
/// is something that only it can do; so now and then it is the thread in which somebody is told.
pub struct Attendance {
    drive: Arc<Drive>,
    events: OwnedFd,
}

impl Attendance {
    /// Deals with what has happened, and never waits. True when there is more, and this is to be called again.
    ///
    /// A descriptor that tells of changes alone (edge-triggered) tells of everything that happens after this has begun.
    #[must_use]
    pub fn turn(&self) -> bool {
        self.drive.turn();
        is_readable(self.events.as_fd())
    }
}

impl AsFd for Attendance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.drive.leave();
    }
}

impl std::fmt::Debug for Attendance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attendance").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Kernel {
    /// Attends to it from now on, until the result is dropped.
    ///
    /// # Errors
    /// When the pool is closed, or no descriptor is left.
    pub fn attend(&self) -> Result<Attendance, Error> {
        let drive = self.desk().drive().ok_or(Error::Closed)?;
        let events = drive.attend().map_err(|error| Error::Start(error.to_string()))?;
        Ok(Attendance { drive, events })
    }
}

impl Function {
    /// As [`Kernel::attend`].
    ///
    /// # Errors
    /// As [`Kernel::attend`].
    pub fn attend(&self) -> Result<Attendance, Error> {
        self.kernel().attend()
    }
}
