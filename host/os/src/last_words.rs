//! What a process says when it cannot go on and cannot do much any more either: a message that was made beforehand, one
//! system call, the end.

use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;
use std::sync::OnceLock;

use crate::crash::exit_now;

/// A message, where it goes, and the exit code after it.
#[derive(Debug)]
pub struct LastWords {
    socket: BorrowedFd<'static>,
    message: Vec<u8>,
    code: i32,
}

impl LastWords {
    /// `message`, whole as the other end wants it, is to be sent on `socket`; then the process is to end with `code`.
    #[must_use]
    pub fn new(socket: BorrowedFd<'static>, message: Vec<u8>, code: i32) -> Self {
        Self { socket, message, code }
    }

    /// Sends the message, without waiting for room, and ends the process. Makes system calls only, so that a signal
    /// handler may call it, and an allocator.
    fn say(&self) -> ! {
        let mut part = IoSlice::new(&self.message);
        let message = libc::msghdr {
            msg_name: ptr::null_mut(),
            msg_namelen: 0,
            // An `IoSlice` is an `iovec` on every Unix: the standard library promises it.
            msg_iov: ptr::from_mut(&mut part).cast(),
            msg_iovlen: 1,
            msg_control: ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: `message` and what it points to are valid for reads. Whether it was sent makes no difference.
        unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const message, flags) };
        exit_now(self.code)
    }
}

/// A place for the words of one occasion. Set once, in quiet times.
pub(crate) struct Occasion(OnceLock<LastWords>);

impl Occasion {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The first words stay.
    pub(crate) fn prepare(&self, words: LastWords) {
        self.0.get_or_init(|| words);
    }

    /// Says them and ends the process; returns when there are none. Async-signal-safe.
    pub(crate) fn come(&self) {
        if let Some(words) = self.0.get() {
            words.say();
        }
    }
}
