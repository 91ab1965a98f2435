//! Signals: received through a descriptor instead of handlers, and the masks that a new process needs.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// A signal that a program may want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A request to end.
    Terminate,
    /// The terminal went away.
    HangUp,
    /// Ctrl-\.
    Quit,
    /// The terminal was resized.
    WindowChange,
    /// Ctrl-Z: a request to stop. Whoever takes it does what has to be done before, and then calls [`stop_self`].
    Suspend,
    /// The process was stopped and goes on: clocks have run meanwhile.
    Continue,
    /// User-defined.
    User1,
}

impl Signal {
    const ALL: [Self; 8] = [
        Self::Interrupt,
        Self::Terminate,
        Self::HangUp,
        Self::Quit,
        Self::WindowChange,
        Self::Suspend,
        Self::Continue,
        Self::User1,
    ];

    /// Its number here.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::HangUp => libc::SIGHUP,
            Self::Quit => libc::SIGQUIT,
            Self::WindowChange => libc::SIGWINCH,
            Self::Suspend => libc::SIGTSTP,
            Self::Continue => libc::SIGCONT,
            Self::User1 => libc::SIGUSR1,
        }
    }
}

/// Receives signals through a descriptor that `poll` can watch.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks `signals` in the calling thread and receives them here instead. Call before any thread is started: a
    /// thread inherits the mask, and one without it would take the signal's default action. SIGPIPE is ignored from
    /// here on: writing to a closed pipe is an error, not a death.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn install(signals: &[Signal]) -> io::Result<Self> {
        let mut mask = 0;
        for signal in signals {
            mask |= bit(signal.number());
        }
        // SAFETY: to ignore a signal runs no code.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        change_mask(libc::SIG_BLOCK, mask);
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the mask is valid for reads of the size given.
        let fd = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, size_of_val(&mask), flags) };
        let fd = i32::try_from(fd).expect("a descriptor or -1");
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal that has arrived, if any. Never waits.
    pub fn next_signal(&self) -> Option<Signal> {
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        loop {
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut record[..])).ok()?;
            // The number is the record's first field.
            let number: [u8; 4] = record.get(..4)?.try_into().ok()?;
            let number = i32::from_ne_bytes(number);
            if read != record.len() {
                return None;
            }
            if let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.number() == number) {
                return Some(signal);
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether this process ignores the signal, which it inherits from whoever starts it: `nohup` ignores SIGHUP, so that what
/// it starts goes on without a terminal. A signal that is blocked is received through [`Signals`] even then.
#[must_use]
pub fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: changes nothing; the record is valid for writes.
    unsafe { libc::sigaction(signal.number(), ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zero is a record of this type, and the call, if it did not fail, has filled it.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
}

/// Unblocks every signal in the calling thread: a worker must not inherit what its starter had blocked.
pub fn unblock_all() {
    change_mask(libc::SIG_SETMASK, 0);
}

/// Stops this process, all its threads, as Ctrl-Z does when nobody takes the signal. Returns when somebody lets it go on
/// (SIGCONT), which a [`Signals`] that asked for it hears of as well.
pub fn stop_self() {
    // To this thread, so that it cannot return before the signal has taken effect: another thread that took it would
    // stop this one a moment later.
    // SAFETY: sends a signal whose action is the kernel's own.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Sets every signal to its default action. Makes only system calls, so that a new process may use it.
pub(crate) fn reset_all() {
    // The kernel's own `struct sigaction`, all zero: SIG_DFL, no flags, empty mask. The C library's has another shape.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the record is valid for reads of the size that the kernel takes. The calls for SIGKILL and SIGSTOP
        // fail, as they should.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, ptr::null_mut::<u64>(), size_of::<u64>())
        };
    }
}

/// Has a pipe that nobody reads any more be an error of the one who writes, not its end: as Rust's runtime does for every program
/// that it starts.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: no handler is installed, so none can run.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Blocks all signals of this thread as long as it lives, those of the C library included.
pub(crate) struct BlockAll {
    previous: u64,
}

impl BlockAll {
    pub(crate) fn new() -> Self {
        Self { previous: change_mask(libc::SIG_SETMASK, !0) }
    }
}

impl Drop for BlockAll {
    fn drop(&mut self) {
        change_mask(libc::SIG_SETMASK, self.previous);
    }
}

/// The bit of a signal in the kernel's mask.
fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// Changes this thread's mask and returns the one before. The raw call, since the C library's spares signals of its own.
fn change_mask(how: i32, mask: u64) -> u64 {
    let mut previous = MaybeUninit::<u64>::zeroed();
    // SAFETY: both masks are valid for the size given.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const mask, previous.as_mut_ptr(), size_of::<u64>()) };
    // SAFETY: it was zero, and the kernel wrote a mask over it.
    unsafe { previous.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_arrives_at_the_descriptor() {
        let signals = Signals::install(&[Signal::User1]).expect("descriptors are left");
        assert_eq!(signals.next_signal(), None);
        // To this thread: other threads of the test program have not blocked it.
        let (process, thread) = (rustix::process::getpid(), rustix::thread::gettid());
        // SAFETY: sends a signal to this thread, where it is blocked.
        unsafe {
            libc::syscall(
                libc::SYS_tgkill,
                process.as_raw_nonzero().get(),
                thread.as_raw_nonzero().get(),
                libc::SIGUSR1,
            )
        };
        assert_eq!(signals.next_signal(), Some(Signal::User1));
        assert_eq!(signals.next_signal(), None);
        unblock_all();
    }

    #[test]
    fn blocking_all_is_undone() {
        let before = change_mask(libc::SIG_BLOCK, 0);
        let blocked = BlockAll::new();
        assert_ne!(change_mask(libc::SIG_BLOCK, 0), before);
        drop(blocked);
        assert_eq!(change_mask(libc::SIG_BLOCK, 0), before);
    }
}
