//! Waking the reactor from another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::EventfdFlags;

/// Wakes whoever polls it. Clones wake the same.
#[derive(Clone, Debug)]
pub struct Waker {
    fd: Arc<OwnedFd>,
}

impl Waker {
    /// A waker that nobody has used yet.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Makes the descriptor readable until [`Waker::clear`]. Many calls are one wake.
    pub fn wake(&self) {
        // It fails only when the counter is at its end, and the descriptor is readable then.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, &1_u64.to_ne_bytes()));
    }

    /// Takes back all wakes so far. Look for work after this, not before, or a wake may be lost.
    pub fn clear(&self) {
        // It fails only when there was no wake.
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut [0_u8; 8]));
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Event, Interest, Poller, Token};
    use std::time::Duration;

    #[test]
    fn a_thread_wakes_the_poller() {
        let waker = Waker::new().expect("descriptors are left");
        let mut poller = Poller::new().expect("descriptors are left");
        poller.add(&waker, Token(3), Interest::Read).expect("an eventfd");
        let other = waker.clone();
        let thread = std::thread::spawn(move || (0..3).for_each(|_| other.wake()));
        let mut events = Vec::new();
        poller.wait(None, &mut events).expect("a poller");
        assert!(matches!(events[..], [Event { token: Token(3), readable: true, .. }]));
        thread.join().expect("no panic");
        waker.clear();
        poller.wait(Some(Duration::ZERO), &mut events).expect("a poller");
        assert!(events.is_empty());
    }
}
