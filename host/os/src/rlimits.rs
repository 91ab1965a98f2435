//! Limits that the kernel holds this process to, whatever the coordinator does.
//!
//! * RLIMIT_DATA: private writable memory. Over it the allocator fails, and so does making reserved pages writable, by
//!   which linear memories grow: `memory.grow` gives -1, and nothing dies. Reservations of address space do not count,
//!   which RLIMIT_AS would count (a pool reserves 64 GiB).
//! * RLIMIT_CPU: a backstop for a coordinator that hangs. Hard and soft are the same, so that it ends by SIGKILL: the
//!   SIGXCPU of a soft limit is ignored in the first process of a namespace.
//! * RLIMIT_CORE: no core files.

use std::fs::File;
use std::io::{self, Read as _};

use rustix::process::{Resource, Rlimit};

/// Limits of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimits {
    /// Bytes of private writable memory beyond what the process has now.
    pub more_data: u64,
    /// Seconds of CPU time in the whole life of the process.
    pub cpu: Option<u64>,
}

impl Rlimits {
    /// Sets them for this process, for good. To be called when everything is loaded, and as long as /proc can be read.
    ///
    /// # Errors
    /// None are expected: to lower a limit needs no privilege, and one that is lower already stays.
    pub fn set(&self) -> io::Result<()> {
        limit(Resource::Data, data_now()?.saturating_add(self.more_data))?;
        if let Some(seconds) = self.cpu {
            limit(Resource::Cpu, seconds)?;
        }
        limit(Resource::Core, 0)
    }
}

/// Bytes of stack of the first thread: what Linux gives by default.
const STACK: u64 = 8 << 20;

/// Limits the stack to what Linux gives by default, for good. To be called before anybody asks where the stack ends
/// ([`crate::stack_overflow::report_on`]), so that a user who has raised the limit gets the same answers.
///
/// # Errors
/// None are expected.
pub fn limit_stack() -> io::Result<()> {
    limit(Resource::Stack, STACK)
}

/// Lowers both limits to `value`.
pub(crate) fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let least = |limit: Option<u64>| Some(limit.map_or(value, |limit| limit.min(value)));
    let both = least(now.maximum.into_iter().chain(now.current).min());
    Ok(rustix::process::setrlimit(resource, Rlimit { current: both, maximum: both })?)
}

/// Bytes that count for RLIMIT_DATA: `VmData` of `status`, which has 1.5 kB.
fn data_now() -> io::Result<u64> {
    let mut status = String::new();
    File::open("/proc/self/status")?.take(16 << 10).read_to_string(&mut status)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")?.strip_suffix("kB"));
    let kilobytes: Option<u64> = line.and_then(|line| line.trim().parse().ok());
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "/proc/self/status has no VmData");
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_known() {
        let before = data_now().expect("Linux");
        let untouched = std::hint::black_box(Vec::<u8>::with_capacity(64 << 20));
        assert!(data_now().expect("Linux") >= before + (32 << 20), "memory counts before it is touched");
        drop(untouched);
    }
}
