//! A process that ends with whoever started it.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::process_id::ProcessId;

/// Has this process killed when the thread ends that started it. Returns false when `parent` has ended already, or is not who
/// started this process.
///
/// # Errors
/// When the kernel refuses.
pub fn end_with(parent: ProcessId) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // One that had ended before that call cannot end again.
    Ok(getppid().is_some_and(|found| found.as_raw_nonzero().get() == parent.get()))
}
