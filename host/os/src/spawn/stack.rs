//! The stack that a new process runs on until it executes its program.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

/// Bytes of stack. The child makes a dozen system calls and calls nothing deep; debug builds have fatter frames.
const STACK_BYTES: usize = 128 * 1024;

/// Bytes kept inaccessible below the stack: the largest page size of the supported processors.
const GUARD_BYTES: usize = 64 * 1024;

/// A mapped stack with a guard below it. Unmapped on drop.
pub(super) struct Stack {
    base: NonNull<c_void>,
}

impl Stack {
    /// Maps a stack. Pages that are not touched cost nothing.
    pub(super) fn new() -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory in use.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                GUARD_BYTES + STACK_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                flags,
            )
        }?;
        let stack = Self { base: NonNull::new(base).expect("mmap never returns address zero") };
        // SAFETY: the guard is the lowest part of the mapping just made, which nothing uses yet.
        unsafe { rustix::mm::mprotect(base, GUARD_BYTES, MprotectFlags::empty()) }?;
        Ok(stack)
    }

    /// The end of the stack, where it begins to grow downwards. Aligned to a page.
    pub(super) fn top(&self) -> *mut c_void {
        self.base.as_ptr().wrapping_byte_add(GUARD_BYTES + STACK_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this address and length, and no process runs on it any more:
        // `clone` returned, so the child has executed its program or ended.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr(), GUARD_BYTES + STACK_BYTES) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can always be unmapped");
    }
}
