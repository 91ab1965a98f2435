//! A child process as an owned token: it can be polled, stopped, killed and waited for; dropping it does the last two.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::process::Signal;

use crate::process_id::ProcessId;
use crate::usage;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
    /// Somebody else in this program waited for it (or ignores SIGCHLD), so nothing is known.
    Unknown,
}

/// What is known of a process that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub end: End,
    /// CPU time spent in the program itself.
    pub user_time: Duration,
    /// CPU time that the kernel spent for it.
    pub system_time: Duration,
    /// The most memory it ever held in RAM, in bytes, shared pages included.
    pub max_resident: u64,
}

impl Exit {
    const UNKNOWN: Self =
        Self { end: End::Unknown, user_time: Duration::ZERO, system_time: Duration::ZERO, max_resident: 0 };
}

/// A running child. Dropping it kills it and waits for its end, so that no zombie is left.
/// It becomes readable in `poll` when it has ended.
#[derive(Debug)]
#[must_use = "dropping a child kills it"]
pub struct Child {
    pidfd: OwnedFd,
    id: ProcessId,
    pinned: bool,
    exit: Option<Exit>,
}

impl Child {
    pub(crate) fn new(pidfd: OwnedFd, id: ProcessId, pinned: bool) -> Self {
        Self { pidfd, id, pinned, exit: None }
    }

    /// Its process id, valid until it was waited for.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Whether it runs on the cpu that was asked for. A cpu may have gone away since the topology was read.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Binds it to this cpu, and threads that it starts from now on.
    ///
    /// # Errors
    /// When the cpu is offline or outside the cpuset of this process, or the child is another user's.
    pub fn pin(&mut self, cpu: u32) -> io::Result<()> {
        if self.exit.is_some() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended and was waited for"));
        }
        crate::cores::affinity::mask_of(cpu).apply_to(self.id)?;
        self.pinned = true;
        Ok(())
    }

    /// Kills it (SIGKILL). It may run for a moment longer: only [`Child::wait`] tells its end.
    ///
    /// # Errors
    /// None are expected; a child that has already ended is fine.
    pub fn kill(&self) -> io::Result<()> {
        self.send(Signal::KILL)
    }

    /// The descriptor names the process for sure, which its number does not.
    fn send(&self, signal: Signal) -> io::Result<()> {
        send(self.pidfd.as_fd(), signal)
    }

    /// Stops it (SIGSTOP): it uses no CPU time until [`Child::cont`], and can be killed all the same.
    ///
    /// # Errors
    /// None are expected; a child that has already ended is fine.
    pub fn stop(&self) -> io::Result<()> {
        self.send(Signal::STOP)
    }

    /// Lets it go on after it was stopped, by whomever (SIGCONT).
    ///
    /// # Errors
    /// None are expected; a child that has already ended is fine.
    pub fn cont(&self) -> io::Result<()> {
        self.send(Signal::CONT)
    }

    /// Whether it is stopped now, by this program or by somebody else. Its end, should it come, is still to be told by
    /// [`Child::wait`].
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        // Only looked at, so that the next question has the same answer; SIGCONT takes it back.
        let options = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
        self.exit.is_none() && waitid(self.pidfd.as_fd(), options).is_ok_and(|change| change.is_some())
    }

    /// CPU time of all its threads so far, to the nanosecond. One that is stopped or waits uses none.
    ///
    /// # Errors
    /// When it was waited for: its number may be another process's by then. [`Exit`] has the time.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        if self.exit.is_some() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended and was waited for"));
        }
        usage::cpu_time(self.id)
    }

    /// Waits for its end. Further calls return the same.
    ///
    /// # Errors
    /// None are expected.
    pub fn wait(&mut self) -> io::Result<Exit> {
        loop {
            if let Some(exit) = self.wait_with(0)? {
                return Ok(exit);
            }
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// None are expected.
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        self.wait_with(libc::WNOHANG)
    }

    fn wait_with(&mut self, options: i32) -> io::Result<Option<Exit>> {
        if self.exit.is_none() {
            self.exit = match wait_once(self.pidfd.as_fd(), libc::WEXITED | options) {
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Some(Exit::UNKNOWN),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                result => result?,
            };
        }
        Ok(self.exit)
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit.is_none() && self.kill().is_ok() {
            // Killed processes end at once, except in uninterruptible device waits, which pass.
            let _ = self.wait();
        }
    }
}

fn send(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Ends a process that is to be no worker, and waits for it.
pub(crate) fn end(pidfd: BorrowedFd<'_>) {
    if send(pidfd, Signal::KILL).is_ok() {
        reap(pidfd);
    }
}

/// Waits for a process that was never a worker, and is about to end.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) {
    while wait_once(pidfd, libc::WEXITED).is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
}

/// The end of a process, when there is one to be told.
fn wait_once(pidfd: BorrowedFd<'_>, options: i32) -> io::Result<Option<Exit>> {
    let Some((info, usage)) = waitid(pidfd, options)? else { return Ok(None) };
    // SAFETY: the change that `waitid` told of is that of a child, for which this field is filled in.
    let status = unsafe { info.si_status() };
    let end = if info.si_code == libc::CLD_EXITED { End::Code(status) } else { End::Signal(status) };
    Ok(Some(Exit {
        end,
        user_time: duration(usage.ru_utime),
        system_time: duration(usage.ru_stime),
        // The kernel counts in KiB.
        max_resident: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    }))
}

/// `waitid` through the raw system call: the C library's leaves out the resource usage. `None` when nothing has
/// changed that `options` ask for.
fn waitid(pidfd: BorrowedFd<'_>, options: i32) -> io::Result<Option<(libc::siginfo_t, libc::rusage)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes of the types that the kernel stores there on 64-bit Linux.
    let result = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            info.as_mut_ptr(),
            options,
            ptr::from_mut(&mut usage),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all bytes were zero, which is a valid value, and the kernel wrote valid values over them.
    let info = unsafe { info.assume_init() };
    // SAFETY: likewise.
    let usage = unsafe { usage.assume_init() };
    // SAFETY: `waitid` filled in the fields of a child's change of state, or left zeros.
    let pid = unsafe { info.si_pid() };
    Ok((pid != 0).then_some((info, usage)))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}
