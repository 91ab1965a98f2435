//! Waiting for many descriptors at once.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Events taken from the kernel at a time. More are given by the next call.
const BATCH: usize = 64;

/// What the owner of a descriptor calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Data, a connection's end, or the end of a process (for its pidfd).
    Read,
    /// Room to write.
    Write,
    /// Both.
    ReadWrite,
    /// Only errors and a peer's end, which are always told.
    Nothing,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::Write => EventFlags::OUT,
            Self::ReadWrite => EventFlags::IN | EventFlags::OUT,
            Self::Nothing => EventFlags::empty(),
        }
    }
}

/// Something has happened at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What its owner calls it.
    pub token: Token,
    /// Reading will not wait; it may also give the end or an error.
    pub readable: bool,
    /// Writing will not wait; it may also give an error.
    pub writable: bool,
    /// The other side is closed, or there was an error. There may still be something to read.
    pub closed: bool,
}

/// Waits for descriptors, level-triggered: what is not dealt with is told again.
pub struct Poller {
    fd: OwnedFd,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl Poller {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { fd: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Watches `fd`, which has to be removed before it is closed.
    ///
    /// # Errors
    /// `PermissionDenied` for a regular file or a folder: they are always ready, so there is nothing to wait for.
    /// `AlreadyExists` when it is watched already.
    pub fn add(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.fd, fd, EventData::new_u64(token.0), interest.flags())?)
    }

    /// Changes what is waited for.
    ///
    /// # Errors
    /// When `fd` is not watched.
    pub fn modify(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.fd, fd, EventData::new_u64(token.0), interest.flags())?)
    }

    /// Watches `fd` no longer.
    ///
    /// # Errors
    /// When `fd` is not watched.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, fd)?)
    }

    /// Waits for events, at most for `timeout` (rounded up to milliseconds), and puts them into `events` in place of
    /// what was there. None may come before the time is over, when a signal interrupts.
    ///
    /// # Errors
    /// None are expected.
    pub fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        let timeout = timeout.map(timespec);
        let mut buffer = [const { MaybeUninit::uninit() }; BATCH];
        let told: &[epoll::Event] = match epoll::wait(&self.fd, &mut buffer[..], timeout.as_ref()) {
            Ok((told, _)) => told,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        events.extend(told.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            let closed = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            Event {
                token: Token(data.u64()),
                readable: flags.contains(EventFlags::IN) || closed,
                writable: flags.contains(EventFlags::OUT) || closed,
                closed,
            }
        }));
        Ok(())
    }
}

/// It is readable when something has happened.
impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until a read would return at once, at most for `timeout`.
///
/// # Errors
/// When the descriptor cannot be watched.
pub fn wait_readable_for(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<()> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
    match rustix::event::poll(&mut fds, timeout.map(timespec).as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a read would return at once, now.
#[must_use]
pub fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1..))
}

/// Waits until a read would not block.
///
/// # Errors
/// When the descriptor cannot be watched.
pub fn wait_readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    wait(fd, rustix::event::PollFlags::IN)
}

/// Waits until a write would not block.
///
/// # Errors
/// When the descriptor cannot be watched.
pub fn wait_writable(fd: BorrowedFd<'_>) -> io::Result<()> {
    wait(fd, rustix::event::PollFlags::OUT)
}

fn wait(fd: BorrowedFd<'_>, flags: rustix::event::PollFlags) -> io::Result<()> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, flags)];
    match rustix::event::poll(&mut fds, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Longest wait: a day. The kernel's older call counts milliseconds in 31 bits.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(LONGEST);
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Socket;

    fn wait(poller: &mut Poller, timeout: Duration) -> Vec<Event> {
        let mut events = vec![Event { token: Token(99), readable: true, writable: true, closed: true }];
        poller.wait(Some(timeout), &mut events).expect("a poller");
        events
    }

    #[test]
    fn a_message_is_told_until_it_is_read() {
        let mut poller = Poller::new().expect("descriptors are left");
        let (one, other) = Socket::pair().expect("descriptors are left");
        poller.add(&other, Token(7), Interest::Read).expect("a socket");
        assert!(wait(&mut poller, Duration::ZERO).is_empty());
        one.send(b"x", &[]).expect("open");
        for _ in 0..2 {
            let events = wait(&mut poller, Duration::MAX);
            assert_eq!(events, [Event { token: Token(7), readable: true, writable: false, closed: false }]);
        }
        poller.modify(&other, Token(8), Interest::Write).expect("watched");
        assert!(wait(&mut poller, Duration::MAX)[0].writable);
        poller.remove(&other).expect("watched");
        assert!(wait(&mut poller, Duration::ZERO).is_empty());
    }

    #[test]
    fn a_peer_that_goes_is_told_without_interest() {
        let mut poller = Poller::new().expect("descriptors are left");
        let (one, other) = Socket::pair().expect("descriptors are left");
        poller.add(&other, Token(1), Interest::Nothing).expect("a socket");
        drop(one);
        assert!(wait(&mut poller, Duration::MAX)[0].closed);
    }

    #[test]
    fn a_regular_file_cannot_be_watched() {
        let poller = Poller::new().expect("descriptors are left");
        let file = tempfile::tempfile().expect("a temporary folder");
        let error = poller.add(&file, Token(1), Interest::Read).expect_err("always ready");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
