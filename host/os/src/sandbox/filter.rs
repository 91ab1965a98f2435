//! The system-call filter: an allow-list for each role, which the kernel holds to for the rest of a process's life.

mod files;
mod profile;
mod program;

use std::io;

use libc::{c_long, c_ulong, sock_filter, sock_fprog};

use super::Role;
use profile::Numbers;
use program::Rule;

/// The longest program that the kernel takes (`BPF_MAXINSNS`).
const MOST_STEPS: usize = 4096;

/// What the rules of a role depend on in this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The only socket that may be used.
    pub(super) control: i32,
    /// No descriptor has this number or a larger one.
    pub(super) descriptors: u64,
    /// A granted folder may be written.
    pub(super) writes: bool,
}

/// Puts the filter of `role` in place, for good.
///
/// # Errors
/// When this kernel has no filters, or (EACCES) when new privileges were not given up.
pub(super) fn install(role: Role, bounds: Bounds) -> io::Result<()> {
    let numbers = Numbers {
        control: bounds.control.cast_unsigned(),
        descriptors: u32::try_from(bounds.descriptors).unwrap_or(u32::MAX),
        process: std::process::id(),
        writes: bounds.writes,
    };
    let mut steps = program::assemble(&profile::rules(role, numbers));
    debug_assert!(steps.len() <= MOST_STEPS, "{} steps", steps.len());
    // Whether it is live cannot be asked from inside, where the question is forbidden; the coordinator looks.
    set(&mut steps)
}

/// Whether this kernel has filters that end a process.
///
/// # Errors
/// When it has not.
pub(super) fn probe() -> io::Result<()> {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: `action` is valid for reads; nothing is changed.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    check(result)
}

/// The numbers of the system calls that do not end a process of this role, if their arguments are right.
#[must_use]
pub fn known_numbers(role: Role) -> Vec<c_long> {
    rules_for_show(role).iter().map(|rule| rule.number).collect()
}

/// The names of the system calls that do not end a process of this role, if their arguments are right.
#[must_use]
pub fn known_names(role: Role) -> Vec<&'static str> {
    rules_for_show(role).iter().map(|rule| rule.name).collect()
}

fn rules_for_show(role: Role) -> Vec<Rule> {
    profile::rules(role, Numbers { control: 0, descriptors: 0, process: 0, writes: true })
}

fn set(steps: &mut [sock_filter]) -> io::Result<()> {
    let len = u16::try_from(steps.len()).map_err(|_| io::Error::other("the filter is too long"))?;
    let program = sock_fprog { len, filter: steps.as_mut_ptr() };
    let flags: c_ulong = 0;
    // SAFETY: `program` and the steps it points to are valid for reads. What it changes is what this thread may do.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    check(result)
}

fn check(result: c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests;
