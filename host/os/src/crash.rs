//! Ending this process without further ado.

use std::ptr;

/// Ends the process at once: nothing is dropped, flushed or called that was to be called at the exit. For a process that
/// cannot be trusted to get through that.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes and touches no memory, and does not return.
    unsafe { libc::_exit(code) }
}

/// Touches memory that does not exist: the kernel answers with a SIGSEGV that nobody can ignore, not even the first
/// process of a namespace, which is deaf to one that it sends itself.
pub(crate) fn touch_nothing() {
    let nothing = ptr::without_provenance::<u8>(NOWHERE);
    // SAFETY: none; this is to fail. The kernel keeps the first pages of every process unmapped, so the read cannot
    // succeed, and the process ends here.
    unsafe { ptr::read_volatile(nothing) };
}

/// An address in the first page.
const NOWHERE: usize = 16;
