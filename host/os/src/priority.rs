//! Who has a core first when several want it.

use std::io;

use rustix::process::{getpriority_process, nice};

use crate::process_id::ProcessId;

/// Leaves the cores to others by so much, as far as they want them.
///
/// # Errors
/// When the kernel refuses.
pub fn step_back(by: i32) -> io::Result<()> {
    nice(by)?;
    Ok(())
}

/// How far this process has stepped back, when it has.
#[must_use]
pub fn stepped_back() -> Option<StepBack> {
    getpriority_process(None).ok().filter(|nice| *nice > 0).map(StepBack)
}

/// By how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepBack(i32);

impl StepBack {
    /// Has a child that leads a session of its own step back as far. It has inherited how far, but where each session has a
    /// share of the cores of its own (`sched_autogroup`, which most distributions turn on), that means nothing between it and
    /// those of other sessions: the kernel is told so of its session, too.
    ///
    /// # Errors
    /// When the kernel refuses: it has no such shares, or somebody who is not root has asked for this already within a tenth of
    /// a second.
    pub fn hand_on(self, child: ProcessId) -> io::Result<()> {
        std::fs::write(format!("/proc/{}/autogroup", child.get()), self.0.to_string())
    }
}
