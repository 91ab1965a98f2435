//! The output arena: where one worker writes results of unknown size, through the descriptor; mapped by nobody.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Length of an output arena in bytes (1 EiB, of the 8 that a file may have): room for far more results of the greatest
/// length than can wait at a time. Only pages that hold results take memory.
pub const OUTPUT_ARENA_BYTES: u64 = 1 << 60;

/// A sparse file in memory with a fixed length.
///
/// Nothing in it can be trusted to stay as it is while its worker lives: read a part once, into private memory (or
/// let the kernel copy it), and validate that.
#[derive(Debug)]
pub struct OutputArena {
    fd: OwnedFd,
}

impl OutputArena {
    /// An arena of [`OUTPUT_ARENA_BYTES`].
    ///
    /// # Errors
    /// When there are no descriptors left, or a limit on file sizes (`ulimit -f`) is in force.
    pub fn create() -> io::Result<Self> {
        Ok(Self { fd: super::create_sized(c"taskhost-output", OUTPUT_ARENA_BYTES)? })
    }

    /// Gives back the memory of `len` bytes from `offset` on; they read as zeros from now on.
    ///
    /// # Errors
    /// None are expected inside the arena.
    pub fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        loop {
            match rustix::fs::fallocate(&self.fd, flags, offset, len) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Bytes of memory that it takes now.
    ///
    /// # Errors
    /// None are expected.
    pub fn resident(&self) -> io::Result<u64> {
        // Counted in units of 512 bytes, whatever the block size.
        Ok(u64::try_from(rustix::fs::fstat(&self.fd)?.st_blocks).unwrap_or(0) * 512)
    }
}

impl AsFd for OutputArena {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::{pread_exact, pwrite_all};

    #[test]
    fn memory_is_given_back() {
        let arena = OutputArena::create().expect("memory");
        let far = OUTPUT_ARENA_BYTES - (1 << 20);
        pwrite_all(arena.as_fd(), &vec![7; 1 << 20], far).expect("inside");
        let mut byte = [0; 1];
        pread_exact(arena.as_fd(), &mut byte, far + 4096).expect("inside");
        assert_eq!(byte, [7]);
        assert!(arena.resident().expect("open") >= 1 << 20);
        arena.punch(far, 1 << 20).expect("inside");
        assert_eq!(arena.resident().expect("open"), 0);
        pread_exact(arena.as_fd(), &mut byte, far + 4096).expect("inside");
        assert_eq!(byte, [0]);
    }

    #[test]
    fn it_neither_grows_nor_shrinks() {
        let arena = OutputArena::create().expect("memory");
        assert!(pwrite_all(arena.as_fd(), b"xy", OUTPUT_ARENA_BYTES - 1).is_err());
        assert!(rustix::fs::ftruncate(&arena, 0).is_err());
    }
}
