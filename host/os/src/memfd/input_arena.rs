//! The input arena: memory that the coordinator fills and workers only read, through the descriptor.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::SealFlags;

use crate::mapping::Mapping;

/// Memory of a fixed size that only this process can ever write, through [`InputArena::bytes_mut`].
///
/// It is mapped first and sealed against future writes then: from there on nobody, this process included, can map it
/// for writing, write it or punch holes into it through the descriptor. Workers `pread` what they are told to.
///
/// Its pages stay until it is dropped: the seal forbids giving them back (`MADV_REMOVE` is refused as well). Make it
/// as large as the read-ahead window, reuse its parts, and pages that were never touched cost nothing.
#[derive(Debug)]
pub struct InputArena {
    mapping: Mapping,
    fd: OwnedFd,
}

impl InputArena {
    /// An arena of `len` zero bytes.
    ///
    /// # Errors
    /// When `len` is 0, or no descriptors or address space are left.
    pub fn create(len: usize) -> io::Result<Self> {
        let fd = super::create(c"taskhost-input")?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        let mapping = Mapping::new(fd.as_fd(), len)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals)?;
        Ok(Self { mapping, fd })
    }

    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an arena is never empty")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// A part of it, to be filled.
    ///
    /// # Panics
    /// When `range` is not inside.
    pub fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        // SAFETY: the mapping is readable and writable, lives as long as `self`, and cannot lose pages because the
        // length is sealed. No other mapping for writing can exist (sealed right after this one was made), no other
        // process can write through the descriptor, and `&mut self` excludes a second slice in this one.
        let all = unsafe { std::slice::from_raw_parts_mut(self.mapping.start().as_ptr(), self.mapping.len()) };
        &mut all[range]
    }
}

impl AsFd for InputArena {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::{pread_exact, pwrite_all};

    #[test]
    fn what_is_filled_can_be_read_and_by_nobody_else_be_written() {
        let mut arena = InputArena::create(1 << 20).expect("memory");
        arena.bytes_mut(5000..5005).copy_from_slice(b"hello");
        let mut buffer = [0; 5];
        pread_exact(arena.as_fd(), &mut buffer, 5000).expect("inside");
        assert_eq!(&buffer, b"hello");
        assert!(pwrite_all(arena.as_fd(), b"x", 0).is_err());
        assert!(Mapping::new(arena.as_fd(), 4096).is_err());
        assert!(rustix::fs::ftruncate(&arena, 1).is_err());
    }

    #[test]
    fn its_pages_cannot_be_given_back() {
        let mut arena = InputArena::create(1 << 16).expect("memory");
        arena.bytes_mut(0..4096).fill(1);
        let start = arena.mapping.start().as_ptr().cast();
        // SAFETY: the page lies in the mapping and nothing borrows it.
        let removed = unsafe { rustix::mm::madvise(start, 4096, rustix::mm::Advice::LinuxRemove) };
        assert!(removed.is_err(), "this kernel would let the arena shrink: use it");
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn outside_is_a_bug() {
        InputArena::create(4096).expect("memory").bytes_mut(4000..5000);
    }
}
