//! The progress cell: the one page that coordinator and worker both map, and neither ever waits for the other.
//!
//! * Where the worker is: it stores a number, the coordinator reads it.
//! * Which orders it may begin: a bit for each, set by the coordinator before it sends the order. The worker clears the bit
//!   when it begins, the coordinator when it takes the order back to give it to another; whoever finds it set has the
//!   order. A worker that cheats here gets an order less, or one that is no longer its own and ends it when it replies.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mapping::Mapping;
use crate::memfd;

/// Bytes of the cell's file; the kernel maps whole pages anyway.
const CELL_BYTES: usize = 4096;

/// Where the bits of the orders are: in a cache line of their own, since the number is stored for every item.
const ORDERS_AT: usize = 64;

/// Orders that may be told apart: what a worker was sent and has not looked at must be fewer.
pub const ORDERS: u32 = u64::BITS;

/// The bit of the order of that number. Numbers count up from 0 with each order of a worker, and start again behind the last.
fn bit(order: u32) -> u64 {
    1 << (order % ORDERS)
}

/// The coordinator's end: it reads where the worker is, and offers orders.
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
        let mapping = Mapping::new(fd.as_fd(), CELL_BYTES)?;
        Ok(Self { mapping, fd })
    }

    /// What the worker stored last; only a hint, since a hostile worker stores what it likes.
    #[must_use]
    pub fn load(&self) -> u64 {
        number(&self.mapping).load(Ordering::Acquire)
    }

    /// The worker may begin this order, which is about to be sent.
    pub fn offer(&self, order: u32) {
        orders(&self.mapping).fetch_or(bit(order), Ordering::AcqRel);
    }

    /// Takes an order back. False when the worker has begun it.
    #[must_use]
    pub fn recall(&self, order: u32) -> bool {
        orders(&self.mapping).fetch_and(!bit(order), Ordering::AcqRel) & bit(order) != 0
    }
}

impl AsFd for ProgressCell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The worker's end: it stores where it is, and takes orders.
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
        Ok(Self { mapping: Mapping::new(fd, CELL_BYTES)? })
    }

    /// Makes `value` visible to the coordinator. Costs one store.
    pub fn store(&self, value: u64) {
        number(&self.mapping).store(value, Ordering::Release);
    }

    /// Begins an order. False when the coordinator has taken it back.
    #[must_use]
    pub fn begin(&self, order: u32) -> bool {
        orders(&self.mapping).fetch_and(!bit(order), Ordering::AcqRel) & bit(order) != 0
    }
}

/// The number at the start of the page.
fn number(mapping: &Mapping) -> &AtomicU64 {
    // SAFETY: the page is mapped as long as `mapping` lives and its length is sealed, so that it cannot vanish; it is
    // aligned to a page; both processes only ever touch it through this atomic.
    unsafe { AtomicU64::from_ptr(mapping.start().as_ptr().cast()) }
}

/// The bits of the orders.
fn orders(mapping: &Mapping) -> &AtomicU64 {
    const { assert!(ORDERS_AT + size_of::<u64>() <= CELL_BYTES, "the bits are inside of the page") };
    // SAFETY: the page has room for it there, as the assertion says.
    let at = unsafe { mapping.start().add(ORDERS_AT) };
    // SAFETY: as for the number; the place is aligned to a cache line.
    unsafe { AtomicU64::from_ptr(at.as_ptr().cast()) }
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
    fn an_order_is_had_by_one_of_both() {
        let cell = ProgressCell::create().expect("memory");
        let writer = ProgressWriter::from_fd(cell.as_fd()).expect("a cell");
        assert!(!writer.begin(0), "nothing was offered");
        cell.offer(0);
        cell.offer(1);
        assert!(writer.begin(0));
        assert!(!cell.recall(0), "it has begun");
        assert!(cell.recall(1));
        assert!(!writer.begin(1), "it was taken back");
        cell.offer(ORDERS + 1);
        assert!(writer.begin(ORDERS + 1), "bits are used again");
        assert_eq!(cell.load(), 0, "the number is another word");
    }

    #[test]
    fn another_file_is_refused() {
        let fd = memfd::create_sized(c"test", 8).expect("memory");
        assert!(ProgressWriter::from_fd(fd.as_fd()).is_err());
    }
}
