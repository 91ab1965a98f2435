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

/// The same by the gate for 32-bit programs: `getpid`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_by_the_old_gate() -> c_long {
    let result: u64;
    // SAFETY: call 20 of that table takes and touches no memory; the gate changes no register but the result's, and
    // some that are named.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_u64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result.cast_signed()
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

/// Puts a filter in place that refuses these calls with EPERM, as a container does.
pub(crate) fn forbid(numbers: &[c_long]) {
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let answer = |code| step(libc::BPF_RET | libc::BPF_K, code, 0, 0);
    let mut steps = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for number in numbers {
        steps.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *number as u32, 0, 1));
        steps.push(answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    }
    steps.push(answer(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let mode = libc::SECCOMP_MODE_FILTER as usize;
    assert_eq!(call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0, 0]), 0);
    let program = std::ptr::from_ref(&program).expose_provenance();
    assert_eq!(call(libc::SYS_prctl, [libc::PR_SET_SECCOMP as usize, mode, program, 0, 0, 0]), 0);
}
