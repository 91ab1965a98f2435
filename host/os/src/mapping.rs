//! Memory shared with other processes: the one place where a descriptor is mapped.

use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags};

/// A shared mapping of the first bytes of a descriptor, to be read and written. Unmapped on drop.
///
/// It hands out a raw pointer only: who else can write, and so what may be made of the pointer, is the user's to say.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; what is done through the pointer is up to its users,
// which take `&mut self` or use atomics.
unsafe impl Send for Mapping {}

// SAFETY: a shared reference gives a pointer and a length; dereferencing is up to the users, as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `fd`, which must not be zero.
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { rustix::mm::mmap(ptr::null_mut(), len, protection, MapFlags::SHARED, fd, 0) }?;
        Ok(Self { start: NonNull::new(start.cast()).expect("mmap never returns address zero"), len })
    }

    /// Its first byte, aligned to a page.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this address and length, and all that was borrowed from it is gone.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast::<c_void>(), self.len) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can always be unmapped");
    }
}
