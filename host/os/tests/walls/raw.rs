//! System calls as they are, and forks of this program.

use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::c_long;
use taskhost_os::child::End;

/// Any system call at all. What comes of it is the caller's problem: it is made by processes that are about to end.
pub(crate) fn call(number: c_long, arguments: [usize; 6]) -> c_long {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: pointers among the arguments are null, or valid for what a call does that succeeds; calls that would harm
    // this process's memory are made right before its end.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

/// Ends without further ado.
pub(crate) fn end(code: i32) -> ! {
    taskhost_os::crash::exit_now(code)
}

/// Runs this in a copy of the process, which ends with its answer, and tells its end.
pub(crate) fn in_fork(run: impl FnOnce() -> i32) -> End {
    // SAFETY: this process has one thread, so the copy can do everything.
    let id = unsafe { libc::fork() };
    if id == 0 {
        let code = catch_unwind(AssertUnwindSafe(run)).unwrap_or(101);
        end(code);
    }
    assert!(id > 0, "a process more");
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    let waited = unsafe { libc::waitpid(id, &raw mut status, 0) };
    assert_eq!(waited, id);
    if libc::WIFSIGNALED(status) { End::Signal(libc::WTERMSIG(status)) } else { End::Code(libc::WEXITSTATUS(status)) }
}

/// Gives up being root, for good, and stays one that can start workers.
pub(crate) fn become_nobody() {
    const NOBODY: usize = 65534;
    assert_eq!(call(libc::SYS_setgroups, [0; 6]), 0);
    assert_eq!(call(libc::SYS_setresgid, [NOBODY, NOBODY, NOBODY, 0, 0, 0]), 0);
    assert_eq!(call(libc::SYS_setresuid, [NOBODY, NOBODY, NOBODY, 0, 0, 0]), 0);
    assert_eq!(call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0, 0, 0]), 0);
}
