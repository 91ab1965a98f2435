//! Files in memory, and the seals that make them safe to share with a process that is not trusted.
//!
//! Only seals count: a descriptor that was opened for reading can be opened again for writing through /proc by the
//! same user, whatever the file's mode.

mod input_arena;
mod output_arena;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use crate::exact::{ExactError, pwrite_all};

pub use input_arena::InputArena;
pub use output_arena::{OUTPUT_ARENA_BYTES, OutputArena};

/// An empty file in memory, close-on-exec, that can be sealed and not executed. `name` is seen in /proc only.
///
/// # Errors
/// When there are no descriptors left.
pub fn create(name: &CStr) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 there is no such flag, and a file in memory is always executable.
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create(name, flags)?),
        result => Ok(result?),
    }
}

/// An empty file of `len` bytes whose length is fixed for ever.
///
/// # Errors
/// When there are no descriptors left, or `len` is beyond the largest file.
pub fn create_sized(name: &CStr, len: u64) -> io::Result<OwnedFd> {
    let fd = create(name)?;
    rustix::fs::ftruncate(&fd, len)?;
    seal_size(fd.as_fd())?;
    Ok(fd)
}

/// Fixes the length for ever, so that nobody who maps it can be killed by SIGBUS.
///
/// # Errors
/// When it is sealed already.
pub fn seal_size(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?)
}

/// Fixes length and content for ever.
///
/// # Errors
/// When it is sealed already, or (EBUSY) while anybody has it mapped for writing.
pub fn seal_read_only(fd: BorrowedFd<'_>) -> io::Result<()> {
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    Ok(rustix::fs::fcntl_add_seals(fd, seals)?)
}

/// Whether length and content can never change again.
#[must_use]
pub fn is_read_only(fd: BorrowedFd<'_>) -> bool {
    let wanted = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(wanted))
}

/// A file in memory that holds `bytes` and can never change.
///
/// # Errors
/// When there are no descriptors or no memory left.
pub fn sealed_copy(name: &CStr, bytes: &[u8]) -> Result<OwnedFd, ExactError> {
    let fd = create(name).map_err(ExactError::Io)?;
    pwrite_all(fd.as_fd(), bytes, 0)?;
    seal_read_only(fd.as_fd()).map_err(ExactError::Io)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::pread_exact;

    #[test]
    fn a_sealed_copy_never_changes() {
        let fd = sealed_copy(c"test", b"hello").expect("memory");
        assert!(is_read_only(fd.as_fd()));
        assert!(pwrite_all(fd.as_fd(), b"x", 0).is_err());
        assert!(rustix::fs::ftruncate(&fd, 1).is_err());
        let mut buffer = [0; 5];
        pread_exact(fd.as_fd(), &mut buffer, 0).expect("five bytes");
        assert_eq!(&buffer, b"hello");
    }

    #[test]
    fn a_size_seal_leaves_the_content_writable() {
        let fd = create_sized(c"test", 4096).expect("memory");
        assert!(!is_read_only(fd.as_fd()));
        pwrite_all(fd.as_fd(), b"x", 0).expect("writable");
        assert!(pwrite_all(fd.as_fd(), b"xy", 4095).is_err());
        assert!(rustix::fs::ftruncate(&fd, 1).is_err());
        assert!(seal_read_only(fd.as_fd()).is_err());
    }

    #[test]
    fn it_closes_on_exec() {
        let fd = create(c"test").expect("memory");
        assert_eq!(rustix::io::fcntl_getfd(&fd).expect("open"), rustix::io::FdFlags::CLOEXEC);
    }
}
