//! The progress cell: the one page that coordinator and worker both map. The worker stores a number, the coordinator
//! reads it, and neither ever waits for the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mapping::{Access, Mapping};
use crate::memfd;

/// Bytes of the cell's file; the kernel maps whole pages anyway.
const CELL_BYTES: usize = 4096;

/// The coordinator's end: it reads.
#[derive(Debug)]
pub struct ProgressCell {
    mapping: Mapping,
    fd: OwnedFd,
}

impl ProgressCell {
    /// A cell that holds 0. Send its descriptor to the worker.
    ///
    /// # Errors
    /// When there are no descriptors or address space left.
    pub fn create() -> io::Result<Self> {
        let fd = memfd::create_sized(c"taskhost-progress", CELL_BYTES as u64)?;
        let mapping = Mapping::new(fd.as_fd(), CELL_BYTES, Access::Read)?;
        Ok(Self { mapping, fd })
    }

    /// What the worker stored last; only a hint, since a hostile worker stores what it likes.
    #[must_use]
    pub fn load(&self) -> u64 {
        number(&self.mapping).load(Ordering::Acquire)
    }
}

impl AsFd for ProgressCell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The worker's end: it stores.
#[derive(Debug)]
pub struct ProgressWriter {
    mapping: Mapping,
}

impl ProgressWriter {
    /// Maps the cell whose descriptor came from the coordinator; the descriptor may be closed then.
    ///
    /// # Errors
    /// When it is not a progress cell, or there is no address space left.
    pub fn from_fd(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let size = rustix::fs::fstat(fd)?.st_size;
        if usize::try_from(size) != Ok(CELL_BYTES) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is not a progress cell"));
        }
        Ok(Self { mapping: Mapping::new(fd, CELL_BYTES, Access::ReadWrite)? })
    }

    /// Makes `value` visible to the coordinator. Costs one store.
    pub fn store(&self, value: u64) {
        number(&self.mapping).store(value, Ordering::Release);
    }
}

/// The number at the start of the page.
fn number(mapping: &Mapping) -> &AtomicU64 {
    // SAFETY: the page is mapped as long as `mapping` lives and its length is sealed, so that it cannot vanish; it is
    // aligned to a page; both processes only ever touch it through this atomic. Through a read-only mapping it is only
    // loaded, by `ProgressCell`, which has no way to store.
    unsafe { AtomicU64::from_ptr(mapping.start().as_ptr().cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_seen() {
        let cell = ProgressCell::create().expect("memory");
        assert_eq!(cell.load(), 0);
        let writer = ProgressWriter::from_fd(cell.as_fd()).expect("a cell");
        writer.store(u64::MAX - 1);
        assert_eq!(cell.load(), u64::MAX - 1);
    }

    #[test]
    fn another_file_is_refused() {
        let fd = memfd::create_sized(c"test", 8).expect("memory");
        assert!(ProgressWriter::from_fd(fd.as_fd()).is_err());
    }
}
