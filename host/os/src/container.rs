//! The narrower world of a container, for finding out how a pool fares in it: a thread and what it starts are refused
//! some system calls.

use std::io;

use libc::{c_long, c_ulong, sock_filter, sock_fprog};

/// What a container may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Namespaces, as Docker's own profile does: `unshare` and `setns`, `clone` with the flags for them, and `clone3`, whose
    /// flags a filter cannot see.
    Namespaces,
    /// Landlock.
    Landlock,
    /// Filters of its own.
    Filters,
}

/// Offsets in `struct seccomp_data`: the number of the call, and the lower half of its first argument.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = 16;

/// Flags of `clone` that make namespaces. That for time has a bit in common with the signal, and exists in `clone3` only.
const NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP)
    .cast_unsigned();

/// Refuses these to this thread and to whatever it starts, for good: with EPERM, and `clone3` with ENOSYS, so that callers
/// fall back to `clone`. Gives up new privileges, too.
///
/// # Errors
/// When this kernel has no filters.
pub fn refuse(refusals: &[Refusal]) -> io::Result<()> {
    let mut steps = vec![load(NUMBER)];
    for refusal in refusals {
        match refusal {
            Refusal::Namespaces => {
                steps.extend(answer(libc::SYS_unshare, libc::EPERM));
                steps.extend(answer(libc::SYS_setns, libc::EPERM));
                steps.extend(answer(libc::SYS_clone3, libc::ENOSYS));
                // The number is loaded again for what follows.
                let flags = [
                    jump(libc::BPF_JEQ, number(libc::SYS_clone), 0, 4),
                    load(FIRST_ARGUMENT),
                    jump(libc::BPF_JSET, NAMESPACES, 0, 1),
                    result(libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
                    load(NUMBER),
                ];
                steps.extend(flags);
            }
            Refusal::Landlock => steps.extend(answer(libc::SYS_landlock_create_ruleset, libc::EPERM)),
            Refusal::Filters => steps.extend(answer(libc::SYS_seccomp, libc::EPERM)),
        }
    }
    steps.push(result(libc::SECCOMP_RET_ALLOW));
    install(&mut steps)
}

fn install(steps: &mut [sock_filter]) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let len = u16::try_from(steps.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len, filter: steps.as_mut_ptr() };
    let flags: c_ulong = 0;
    // SAFETY: `program` and the steps it points to are valid for reads. What it changes is what this thread may do.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The call of this number fails with `errno`.
fn answer(call: c_long, errno: i32) -> [sock_filter; 2] {
    [jump(libc::BPF_JEQ, number(call), 0, 1), result(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())]
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).expect("numbers of calls are small")
}

fn load(offset: u32) -> sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn jump(condition: u32, value: u32, then: u8, otherwise: u8) -> sock_filter {
    step(libc::BPF_JMP | condition | libc::BPF_K, value, then, otherwise)
}

fn result(value: u32) -> sock_filter {
    step(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("codes have 16 bits"), jt, jf, k }
}
