//! Kills a process right where it has made another: the kernel stops it there for whoever traces it.

use std::sync::mpsc;
use std::thread::JoinHandle;

use libc::{c_int, c_ulong, pid_t};

/// What stops a process that makes another, in whatever way.
const FORKS: c_int = libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACECLONE;

/// Kills this process, a child of the calling one, when it has next made another, which lives on. `None` where nobody is traced.
/// The thread has ended when nothing of that is left.
pub(crate) fn kill_when_it_forks(process: pid_t) -> Option<JoinHandle<()>> {
    let (sender, receiver) = mpsc::channel();
    // Who traces is a thread.
    let thread = std::thread::spawn(move || {
        let is_traced = trace(libc::PTRACE_SEIZE, process, FORKS as usize);
        sender.send(is_traced).expect("somebody waits");
        if is_traced {
            kill_and_let_go(process);
        }
    });
    if receiver.recv().expect("the thread has begun") {
        return Some(thread);
    }
    thread.join().expect("it has nothing to do");
    None
}

fn kill_and_let_go(process: pid_t) {
    assert_eq!(wait(process) >> 16, libc::PTRACE_EVENT_FORK, "it stops where it has made another");
    let mut made: c_ulong = 0;
    assert!(trace(libc::PTRACE_GETEVENTMSG, process, (&raw mut made).expose_provenance()));
    // SAFETY: sends a signal to a child of this process that nobody has waited for.
    assert_eq!(unsafe { libc::kill(process, libc::SIGKILL) }, 0);
    let made = pid_t::try_from(made).expect("the number of a process");
    // It is traced from its beginning, and stands there.
    wait(made);
    assert!(trace(libc::PTRACE_DETACH, made, 0));
}

/// Waits until it stops, and tells why. Its end is for whoever has started it.
fn wait(process: pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    let waited = unsafe { libc::waitpid(process, &raw mut status, libc::__WALL) };
    assert!(waited == process && libc::WIFSTOPPED(status), "{waited} {status:#x}");
    status
}

/// Whether the kernel does so.
fn trace(request: libc::c_uint, process: pid_t, data: usize) -> bool {
    // SAFETY: of the requests made here one writes a number of the machine's size to `data`, which is valid for that then.
    unsafe { libc::ptrace(request, process, 0_usize, data) == 0 }
}
