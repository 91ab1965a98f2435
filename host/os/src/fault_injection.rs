//! Ways for a process to come to grief, for tests of those that watch it. Debug builds only.

use std::hint::black_box;

use crate::crash;

/// Bytes taken at a time by `exhaust-memory`: few steps to any limit.
const STEP: usize = 64 << 20;

/// Steps after which `exhaust-memory` gives up: 64 GiB, which a machine without a limit may promise.
const STEPS: usize = 1024;

/// The function of that name: one of `abort`, `segv`, `kill`, `sys`, `exit42`, `panic`, `exhaust-memory`,
/// `overflow-stack`, `block` and `spin`. None of them returns.
#[must_use]
pub fn by_name(name: &str) -> Option<fn()> {
    Some(match name {
        "abort" => || std::process::abort(),
        "segv" => || crash::touch_nothing(),
        "kill" => kill,
        "sys" => forbidden_call,
        "exit42" => || crash::exit_now(42),
        "panic" => || panic!("a panic was asked for"),
        "exhaust-memory" => exhaust_memory,
        "overflow-stack" => || {
            black_box(deeper(0));
        },
        "block" => || {
            loop {
                std::thread::park();
            }
        },
        "spin" => || {
            loop {
                std::hint::spin_loop();
            }
        },
        _ => return None,
    })
}

/// Ends by SIGKILL. The first process of a process namespace is deaf to what it sends itself, even to that; but not to
/// the kernel, which sends the same to a process that is over its hard limit of CPU time.
fn kill() {
    let own = std::process::id().cast_signed();
    // SAFETY: sends a signal to this process.
    unsafe { libc::kill(own, libc::SIGKILL) };
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the record is valid for reads.
    unsafe { libc::setrlimit(libc::RLIMIT_CPU, &raw const none) };
    // The kernel looks at its clock ticks.
    loop {
        std::hint::spin_loop();
    }
}

/// Makes a system call that a filter, which is set up first, answers with SIGSYS.
fn forbidden_call() {
    let step = |code: u32, jump_if: u8, jump_if_not: u8, value: u32| libc::sock_filter {
        code: code as u16,
        jt: jump_if,
        jf: jump_if_not,
        k: value,
    };
    // The number of the call is the first word of what a filter looks at.
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_getppid as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: changes a flag of this thread.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: `filter` and the program it points to are valid for reads.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    // SAFETY: takes and touches no memory.
    unsafe { libc::getppid() };
    panic!("the filter let a forbidden call through");
}

fn exhaust_memory() {
    let mut all = Vec::new();
    for _ in 0..STEPS {
        all.push(black_box(Vec::<u8>::with_capacity(STEP)));
    }
    panic!("{} GiB of memory were not enough to exhaust it", (STEP * all.len()) >> 30);
}

fn deeper(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return 0;
    }
    let frame = black_box([depth; 64]);
    // Something is left to be done afterwards, so that this is no loop.
    black_box(deeper(depth + 1)) ^ frame[0]
}
