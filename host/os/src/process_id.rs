//! The number of a process, as a type of its own.

use std::fmt;

/// A process id in this process's namespace. It names a process only as long as that was not waited for; hold a
/// [`crate::child::Child`] for certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId(i32);

impl ProcessId {
    /// `None` when `pid` is not positive: zero and negative numbers mean groups to many calls.
    #[must_use]
    pub fn new(pid: i32) -> Option<Self> {
        (pid > 0).then_some(Self(pid))
    }

    /// This process.
    #[must_use]
    pub fn current() -> Self {
        Self(std::process::id().cast_signed())
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
