//! The fork server itself: one thread, one socket, and a fork for each order. An order that has come is begun before what was forked
//! for the one before is prepared, which takes several times as long and happens on another core.
//!
//! A `clone` without CLONE_VM, so that the worker has memory of its own from its first instruction; with CLONE_PARENT, so that it
//! is the coordinator's child, to be waited for and to die with it; and with the namespaces that it is to have. The C library
//! does not hear of that. What it would do: take locks of other threads, but one that has them refuses to serve; and note the
//! thread's new number, which the kernel is told to do here.
//!
//! A worker's first act is to tell the coordinator of itself. A server that is killed in the middle of an order cannot, and what it
//! has made is the coordinator's to end and to wait for.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::pipe::PipeFlags;
use rustix::process::PidfdFlags;

use super::order::{BYTES, Order, OrderNumber, Reply};
use super::title::Title;
use crate::process_id::ProcessId;
use crate::socket::{Descriptors, Socket, SocketError};
use crate::spawn::steps::{self, Failure, Outcome, Request};
use crate::spawn::{Step, namespace_flags};

/// What becomes of the process that is forked: it is given its control socket, and returns the exit code.
pub type Worker = fn(Socket) -> i32;

/// Serves until the coordinator is gone.
///
/// # Errors
/// When this process was not started as a server, or cannot be one: it has more than one thread. The coordinator then starts
/// workers without it.
pub fn serve(worker: Worker) -> io::Result<()> {
    crate::sandbox::require_single_thread().map_err(io::Error::other)?;
    crate::signals::unblock_all();
    let socket = Socket::inherited()?;
    let (number, title) = (ThreadNumber::find()?, Title::find());
    // Every worker needs to know these, and knows them then: which build it is, and what the processor can do, which takes long to
    // ask in a virtual machine.
    crate::exe::identity()?;
    #[cfg(target_arch = "x86_64")]
    let _ = std::arch::is_x86_feature_detected!("sse4.2");
    let mut next = OrderNumber::default();
    let mut forked = VecDeque::new();
    loop {
        if forked.is_empty() || crate::poll::is_readable(socket.as_fd()) {
            let mut buffer = [0; BYTES];
            let mut received = match socket.recv(&mut buffer, Descriptors::Accept) {
                Ok(received) if received.closed => return Ok(()),
                result => result.map_err(io::Error::other)?,
            };
            let (Some(order), Some(theirs)) = (Order::decode(&buffer[..received.len]), received.fds.pop()) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            forked.push_back(fork((next.take(), order), (&socket, &theirs), (&number, &title), worker));
            continue;
        }
        let Some(oldest) = forked.pop_front() else { continue };
        let (reply, pidfd) = oldest.map_or_else(|failed| (failed, None), Forked::outcome);
        let fds: Vec<BorrowedFd<'_>> = pidfd.iter().map(|fd| fd.as_fd()).collect();
        match socket.send(&reply.encode(), &fds) {
            Err(SocketError::Closed) => return Ok(()),
            result => result.map_err(io::Error::other)?,
        }
    }
}

/// Where the C library keeps the number of this thread.
struct ThreadNumber(NonNull<libc::c_int>);

impl ThreadNumber {
    /// Asks the kernel, which the C library has told when it started.
    fn find() -> io::Result<Self> {
        let mut at: *mut libc::c_int = ptr::null_mut();
        // SAFETY: the kernel stores an address in `at`.
        let result = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut at) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(at).map(Self).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A process that prepares itself to be a worker.
struct Forked {
    id: ProcessId,
    pidfd: OwnedFd,
    /// It says on this how far it came, and closes it.
    report: File,
}

impl Forked {
    /// Waits until it is prepared.
    fn outcome(mut self) -> (Reply, Option<OwnedFd>) {
        let mut said = Vec::new();
        let reply = match self.report.read_to_end(&mut said) {
            Ok(_) => understand(&said, self.id),
            Err(error) => Reply::Failed { step: Step::Clone, errno: error.raw_os_error().unwrap_or(libc::EIO) },
        };
        (reply, Some(self.pidfd))
    }
}

/// Makes a process that will be a worker, or says why there is none.
fn fork(
    (order, Order(apart)): (OrderNumber, Order),
    (coordinator, theirs): (&Socket, &OwnedFd),
    (number, title): (&ThreadNumber, &Title),
    worker: Worker,
) -> Result<Forked, Reply> {
    let failed =
        |error: &io::Error| Reply::Failed { step: Step::Clone, errno: error.raw_os_error().unwrap_or(libc::EAGAIN) };
    let (ours, report) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(&errno.into()))?;
    let outcome = Outcome::default();
    // The parent of the server is that of its workers.
    let request = Request::new(apart, theirs.as_fd(), parent(), &outcome);
    let flags = libc::CLONE_PARENT
        | libc::CLONE_PIDFD
        | libc::CLONE_CHILD_SETTID
        | libc::CLONE_CHILD_CLEARTID
        | libc::SIGCHLD
        | namespace_flags(apart.unshared, apart.user);
    let mut pidfd: libc::c_int = -1;
    let at = number.0.as_ptr();
    // The last two are in another order on other processors; the one that is not `at` is for CLONE_SETTLS.
    #[cfg(target_arch = "x86_64")]
    let (fourth, fifth) = (at, ptr::null_mut::<libc::c_int>());
    #[cfg(not(target_arch = "x86_64"))]
    let (fourth, fifth) = (ptr::null_mut::<libc::c_int>(), at);
    // SAFETY: without CLONE_VM and with no stack given this is a fork: the child goes on here, with a copy of all memory. This
    // process has one thread, as was seen when it began to serve, and nothing here starts another, so no lock is held by a
    // thread that the child lacks. `pidfd` is where CLONE_PIDFD stores the descriptor, and `at` is where the C library keeps
    // the thread's number.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, fourth, fifth) };
    let error = io::Error::last_os_error();
    if pid == 0 {
        announce(coordinator, order);
        live(&request, &report, title, worker);
    }
    drop(report);
    let id = i32::try_from(pid).ok().and_then(ProcessId::new).ok_or_else(|| failed(&error))?;
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Forked { id, pidfd, report: File::from(ours) })
}

fn parent() -> i32 {
    rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get())
}

/// In what was forked: tells the coordinator that it is there, whatever becomes of the server.
fn announce(coordinator: &Socket, order: OrderNumber) {
    // One that cannot is known all the same, as soon as the server says what came of it.
    if let Ok(own) = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()) {
        let _ = coordinator.send(&Reply::Announced(order).encode(), &[own.as_fd()]);
    }
}

/// What a worker said: whether it is pinned, and behind that what failed, if anything did.
fn understand(said: &[u8], id: ProcessId) -> Reply {
    if let [pinned] = said {
        return Reply::Made { id, pinned: *pinned != 0 };
    }
    let failure = said.last_chunk::<BYTES>().and_then(|bytes| Reply::decode(bytes));
    // One that said nothing was killed.
    failure.unwrap_or(Reply::Failed { step: Step::Clone, errno: libc::ESRCH })
}

/// The life of what was forked. It never returns into the server's code, whose descriptors are closed in it.
fn live(request: &Request<'_>, report: &OwnedFd, title: &Title, worker: Worker) -> ! {
    let prepared: Result<(), Failure> = steps::prepare(request).and_then(|()| {
        say(report, &[u8::from(request.outcome.is_pinned())]);
        steps::place_descriptors(request.socket)
    });
    if let Err((step, errno)) = prepared {
        say(report, &Reply::Failed { step, errno }.encode());
        crate::crash::exit_now(1);
    }
    // What the runtime has done for the server, and the steps have undone.
    crate::signals::ignore_broken_pipes();
    title.become_worker();
    crate::crash::exit_now(Socket::placed().map_or(1, worker));
}

/// A few bytes into a pipe that is empty: they fit, or nobody reads them any more.
fn say(report: &OwnedFd, bytes: &[u8]) {
    let _ = rustix::io::write(report, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_said_is_understood() {
        let id = ProcessId::new(42).expect("a number");
        let failed = Reply::Failed { step: Step::UserMap, errno: libc::EPERM };
        assert_eq!(understand(&[1], id), Reply::Made { id, pinned: true });
        assert_eq!(understand(&failed.encode(), id), failed, "before it could say more");
        assert_eq!(understand(&[&[0][..], &failed.encode()].concat(), id), failed, "after it was pinned");
        assert_eq!(understand(&[], id), Reply::Failed { step: Step::Clone, errno: libc::ESRCH });
        assert_eq!(understand(&[1, 2, 3], id), Reply::Failed { step: Step::Clone, errno: libc::ESRCH });
    }
}
