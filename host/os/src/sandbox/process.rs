//! What a locked-in process gives up that is neither a file nor a capability.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

use super::SandboxError;

/// What a kernel would see as the name of its machine.
const HOST_NAME: &[u8] = b"taskhost";

/// Links of a process's `task` folder besides one for each thread: `.` and the one in its parent.
const OTHER_LINKS: u64 = 2;

/// Whether the process was started with namespaces of its own: it is then the first process of one. A worker without
/// them always has a coordinator that came first.
pub(super) fn is_isolated() -> bool {
    std::process::id() == 1
}

/// Fails when there is a second thread, which the walls would leave outside.
pub(crate) fn require_single_thread() -> Result<(), SandboxError> {
    let links = std::fs::metadata("/proc/self/task")
        .map_err(|error| SandboxError::Step { step: "count its threads", error })?
        .nlink();
    match links.saturating_sub(OTHER_LINKS) {
        1 => Ok(()),
        threads => Err(SandboxError::Threads(threads)),
    }
}

/// Hides the name of the machine. Needs a host-name namespace.
pub(super) fn set_host_name() -> io::Result<()> {
    Ok(rustix::system::sethostname(HOST_NAME)?)
}

/// No program that is executed can have more rights than this process; looks whether it is so.
pub(super) fn give_up_new_privileges() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    if rustix::thread::no_new_privs()? { Ok(()) } else { Err(io::Error::other("they can still be got")) }
}

/// No core file, and nobody of the same user can read the memory; looks whether it is so.
pub(super) fn refuse_dumps() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let behavior = rustix::process::dumpable_behavior()?;
    if behavior == DumpableBehavior::NotDumpable { Ok(()) } else { Err(io::Error::other("it is still dumpable")) }
}

/// A session of its own keeps signals to a process group from passing either way, also out of a process namespace. The
/// spawn made one. A process that leads a group and no session can make none, which no spawn makes.
pub(super) fn require_session() -> Result<(), SandboxError> {
    match rustix::process::setsid() {
        Ok(_) => Ok(()),
        Err(Errno::PERM) if leads_session() => Ok(()),
        Err(errno) => step("start a session", Err(errno)),
    }
}

/// Whether this process leads its session. A session that began outside of this process namespace has no number here.
fn leads_session() -> bool {
    // SAFETY: it only asks, about this process.
    let session = unsafe { libc::getsid(0) };
    u32::try_from(session).is_ok_and(|session| session == std::process::id())
}

/// Fails when the coordinator is gone already, whose death then sends no signal any more.
pub(super) fn require_parent(control: BorrowedFd<'_>) -> Result<(), SandboxError> {
    let mut wait = [PollFd::new(&control, PollFlags::empty())];
    let ready = step("look at the control socket", rustix::event::poll(&mut wait, Some(&Timespec::default())))?;
    let [wait] = wait;
    if ready > 0 && wait.revents().intersects(PollFlags::HUP | PollFlags::NVAL) {
        return Err(SandboxError::Step { step: "find its coordinator", error: io::ErrorKind::BrokenPipe.into() });
    }
    Ok(())
}

/// Killed when the coordinator's thread ends. The end of the control socket covers a coordinator that ended before.
pub(super) fn die_with_parent() -> Result<(), SandboxError> {
    step("set the parent-death signal", rustix::process::set_parent_process_death_signal(Some(Signal::KILL)))?;
    match rustix::process::parent_process_death_signal() {
        Ok(Some(Signal::KILL)) => Ok(()),
        _ => step("keep the parent-death signal", Err(Errno::INVAL)),
    }
}

fn step<T>(step: &'static str, result: rustix::io::Result<T>) -> Result<T, SandboxError> {
    result.map_err(|errno| SandboxError::Step { step, error: errno.into() })
}
