//! Which system calls each role may make once it is locked in, under which conditions, and why.
//!
//! Found by tracing the program (all first-party kernels, hostile kernels, crashes, lack of memory; compiling and
//! decoding) and kept true by the tests that run under the filter. `docs/sandbox.md` has the same list for people.

use libc::c_long;

use super::program::Check::{Below, Bits, Is, Not, OneOf};
use super::program::{Check, Verdict};
use super::{Rule, files};
use crate::sandbox::Role;

/// Numbers that the rules depend on and that are known only when a process locks itself in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// The control socket.
    pub(super) control: u32,
    /// No descriptor has this number or a larger one.
    pub(super) descriptors: u32,
    /// The process as it sees itself.
    pub(super) process: u32,
    /// A granted folder may be written.
    pub(super) writes: bool,
}

/// What mapped memory may be for: never to be executed.
const PROTECTIONS: &[u32] = &[
    (libc::PROT_READ | libc::PROT_WRITE).cast_unsigned(),
    libc::PROT_NONE.cast_unsigned(),
    libc::PROT_READ.cast_unsigned(),
];

/// How memory may be mapped: for this process alone, from nothing or from a descriptor.
const MAP_FLAGS: u32 =
    (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE | libc::MAP_STACK).cast_unsigned();

const SEND_FLAGS: &[u32] =
    &[libc::MSG_NOSIGNAL.cast_unsigned(), (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT).cast_unsigned()];

const RECEIVE_FLAGS: &[u32] =
    &[libc::MSG_CMSG_CLOEXEC.cast_unsigned(), (libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT).cast_unsigned()];

/// Waiting and waking. No inheritance of priority and no requeueing, where the kernel's mistakes were.
const FUTEX_COMMANDS: &[u32] = &[
    (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG).cast_unsigned(),
    (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG).cast_unsigned(),
    (libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG).cast_unsigned(),
    (libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME).cast_unsigned(),
    (libc::FUTEX_WAKE_BITSET | libc::FUTEX_PRIVATE_FLAG).cast_unsigned(),
    // The end of a thread is told and waited for without the private flag.
    libc::FUTEX_WAKE.cast_unsigned(),
    libc::FUTEX_WAIT.cast_unsigned(),
    libc::FUTEX_WAIT_BITSET.cast_unsigned(),
    (libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME).cast_unsigned(),
];

/// The signals of crashes, whose handlers a crashing process takes back.
const CRASHES: &[u32] = &[
    libc::SIGSEGV.cast_unsigned(),
    libc::SIGBUS.cast_unsigned(),
    libc::SIGABRT.cast_unsigned(),
    libc::SIGILL.cast_unsigned(),
    libc::SIGFPE.cast_unsigned(),
];

/// The same, and the two by which the GNU C library speaks to its threads (SIGCANCEL and SIGSETXID).
const THREAD_SIGNALS: &[u32] = &[
    libc::SIGSEGV.cast_unsigned(),
    libc::SIGBUS.cast_unsigned(),
    libc::SIGABRT.cast_unsigned(),
    libc::SIGILL.cast_unsigned(),
    libc::SIGFPE.cast_unsigned(),
    32,
    33,
];

/// What both C libraries ask for when they start a thread: everything shared, no namespace, no process.
const THREAD: u32 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID)
    .cast_unsigned();
const THREADS: &[u32] = &[THREAD, THREAD | libc::CLONE_DETACHED.cast_unsigned()];

/// The rules of a role, the calls of every batch first.
pub(super) fn rules(role: Role, numbers: Numbers) -> Vec<Rule> {
    let handled = if role == Role::Compile { THREAD_SIGNALS } else { CRASHES };
    let mut rules = common(numbers, handled);
    match role {
        Role::Execute | Role::Convert => {}
        Role::ExecuteWithFiles => files::extend(&mut rules, numbers),
        Role::Compile => rules.extend(threads()),
        Role::Stream => {
            // Instead of the rule for the standard error, which is one of these.
            rules.retain(|rule| rule.number != libc::SYS_write);
            rules.extend(streams(numbers));
        }
    }
    rules
}

fn common(numbers: Numbers, handled: &'static [u32]) -> Vec<Rule> {
    let Numbers { control, descriptors, process, writes: _ } = numbers;
    let abort = libc::SIGABRT.cast_unsigned();
    vec![
        // A batch: a message, its input, its results.
        allow(libc::SYS_recvmsg, "recvmsg", &[Is(0, control), OneOf(2, RECEIVE_FLAGS)]),
        allow(libc::SYS_sendmsg, "sendmsg", &[Is(0, control), OneOf(2, SEND_FLAGS)]),
        allow(libc::SYS_pread64, "pread64", &[Below(0, descriptors)]),
        allow(libc::SYS_pwrite64, "pwrite64", &[Below(0, descriptors)]),
        // Second handles on files of a batch; debug builds look whether what they close is open.
        allow(libc::SYS_fcntl, "fcntl", &[Below(0, descriptors), OneOf(1, FCNTL)]),
        allow(libc::SYS_close, "close", &[]),
        // Memory: linear memories grow and are cleared, the allocator takes and gives back. Never code.
        allow(libc::SYS_mprotect, "mprotect", &[OneOf(2, PROTECTIONS)]),
        allow(libc::SYS_mmap, "mmap", &[OneOf(2, PROTECTIONS), Bits(3, !MAP_FLAGS, 0), Bits(3, PRIVATE, PRIVATE)]),
        allow(libc::SYS_madvise, "madvise", &[Is(2, libc::MADV_DONTNEED.cast_unsigned())]),
        allow(libc::SYS_munmap, "munmap", &[]),
        allow(libc::SYS_mremap, "mremap", &[OneOf(3, &[0, MAYMOVE])]),
        allow(libc::SYS_brk, "brk", &[]),
        allow(libc::SYS_futex, "futex", &[OneOf(1, FUTEX_COMMANDS)]),
        // Where the kernel's clock page does not do. No other process's clock.
        allow(libc::SYS_clock_gettime, "clock_gettime", &[OneOf(0, CLOCKS)]),
        allow(libc::SYS_restart_syscall, "restart_syscall", &[]),
        // Seeds of hash tables.
        allow(libc::SYS_getrandom, "getrandom", &[]),
        // The pool of memories asks for it, and goes without it for good once it was refused.
        refuse(libc::SYS_process_madvise, "process_madvise", libc::EPERM),
        // Traps and crashes: the way back from a handler, and to a death that looks like what it is.
        allow(libc::SYS_rt_sigreturn, "rt_sigreturn", &[]),
        allow(libc::SYS_sigaltstack, "sigaltstack", &[]),
        allow(libc::SYS_rt_sigprocmask, "rt_sigprocmask", &[]),
        allow(libc::SYS_rt_sigaction, "rt_sigaction", &[OneOf(0, handled)]),
        allow(libc::SYS_getpid, "getpid", &[]),
        allow(libc::SYS_gettid, "gettid", &[]),
        allow(libc::SYS_tgkill, "tgkill", &[Is(0, process), Is(2, abort)]),
        // The last words of the runtime and of the C library, which go to /dev/null.
        allow(libc::SYS_write, "write", &[Is(0, STANDARD_ERROR)]),
        allow(libc::SYS_writev, "writev", &[Is(0, STANDARD_ERROR)]),
        allow(libc::SYS_exit_group, "exit_group", &[]),
        allow(libc::SYS_exit, "exit", &[]),
    ]
}

/// What parallel compilation needs on top: threads of this process, nothing else.
fn threads() -> Vec<Rule> {
    vec![
        allow(libc::SYS_sched_yield, "sched_yield", &[]),
        // The C library then starts a thread by the older call, whose flags a filter can see.
        refuse(libc::SYS_clone3, "clone3", libc::ENOSYS),
        allow(libc::SYS_clone, "clone", &[OneOf(0, THREADS)]),
        allow(libc::SYS_set_robust_list, "set_robust_list", &[]),
        allow(libc::SYS_rseq, "rseq", &[]),
        // By the number of the calling thread, which a filter cannot tell from another's.
        allow(libc::SYS_sched_getaffinity, "sched_getaffinity", &[]),
        // The number of cores by /proc, and whether the allocator may shrink a heap: there are no names here anyway.
        refuse(libc::SYS_openat, "openat", libc::ENOENT),
    ]
}

/// What a pipe needs on top: it has no offsets, and it may belong to others who made it non-blocking.
fn streams(numbers: Numbers) -> Vec<Rule> {
    let on_file = [Below(0, numbers.descriptors), Not(0, numbers.control)];
    vec![
        allow(libc::SYS_read, "read", &on_file),
        allow(libc::SYS_write, "write", &on_file),
        // A database looks for random numbers by name: there are no names here.
        refuse(libc::SYS_openat, "openat", libc::ENOENT),
        #[cfg(target_arch = "x86_64")]
        allow(libc::SYS_poll, "poll", &[]),
        // What the other architectures have instead.
        #[cfg(not(target_arch = "x86_64"))]
        allow(libc::SYS_ppoll, "ppoll", &[]),
    ]
}

/// `/dev/null` in every worker.
const STANDARD_ERROR: u32 = 2;

const FCNTL: &[u32] = &[libc::F_DUPFD_CLOEXEC.cast_unsigned(), libc::F_GETFD.cast_unsigned()];

const PRIVATE: u32 = libc::MAP_PRIVATE.cast_unsigned();

const MAYMOVE: u32 = libc::MREMAP_MAYMOVE.cast_unsigned();

const CLOCKS: &[u32] = &[libc::CLOCK_MONOTONIC.cast_unsigned(), libc::CLOCK_REALTIME.cast_unsigned()];

pub(super) fn allow(number: c_long, name: &'static str, checks: &[Check]) -> Rule {
    Rule { number, name, checks: checks.to_vec(), verdict: Verdict::Allow, otherwise: None }
}

pub(super) fn refuse(number: c_long, name: &'static str, errno: i32) -> Rule {
    Rule { number, name, checks: Vec::new(), verdict: Verdict::Refuse(errno), otherwise: None }
}
