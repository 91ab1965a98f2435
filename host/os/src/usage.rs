//! What a process uses: CPU time and memory, looked up while it runs; and whether the kernel had to kill for memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::time::Duration;

use crate::process_id::ProcessId;

mod family;
mod oom;
mod shares;

pub use family::family_cpu_time;
pub use oom::{OomCount, oom_kills};
pub use shares::{Shares, shares};

/// CPU time of all threads of a process so far, to the nanosecond; one that is stopped or waits uses none. Works for
/// any process, also for a zombie until it is waited for.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(id: ProcessId) -> io::Result<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` is valid for writes.
    let errno = unsafe { libc::clock_getcpuclockid(id.get(), &raw mut clock) };
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `time` is valid for writes.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zero, which is a valid value, and the kernel wrote a time over it.
    let time = unsafe { time.assume_init() };
    Ok(Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)))
}

/// Memory of a process in RAM now, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// All of it.
    pub total: u64,
    /// Those pages that are of files, or of memory shared with other processes; the rest is its own.
    pub shared: u64,
}

impl Resident {
    /// What no other process can share: heap, stacks, and pages of files that were changed.
    #[must_use]
    pub fn private(self) -> u64 {
        self.total.saturating_sub(self.shared)
    }
}

/// Memory of a process in RAM now. The kernel keeps these counts to within some pages for each thread.
///
/// # Errors
/// When there is no such process.
pub fn resident(id: ProcessId) -> io::Result<Resident> {
    // A line of seven numbers, in pages.
    let mut text = String::new();
    File::open(format!("/proc/{id}/statm"))?.take(256).read_to_string(&mut text)?;
    let mut pages = text.split(' ').skip(1).map(str::parse::<u64>);
    let (Some(Ok(total)), Some(Ok(shared))) = (pages.next(), pages.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{id}/statm holds `{text}`")));
    };
    // SAFETY: takes and touches no memory.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    Ok(Resident { total: total * page, shared: shared * page })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_cpu_time() {
        let before = cpu_time(ProcessId::current()).expect("it runs");
        let mut steps = 0_u64;
        while cpu_time(ProcessId::current()).expect("it runs") < before + Duration::from_millis(5) {
            steps += 1;
        }
        assert!(steps > 0);
    }

    #[test]
    fn memory_that_is_touched_is_resident() {
        let before = resident(ProcessId::current()).expect("it runs");
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident(ProcessId::current()).expect("it runs");
        // Other tests come and go meanwhile, with little memory.
        assert!(after.private() > before.private() + (32 << 20), "{before:?} {after:?}");
        drop(touched);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        // The first number that the kernel never gives to a process.
        let id = ProcessId::new(1 << 22).expect("positive");
        assert!(cpu_time(id).is_err());
        assert!(resident(id).is_err());
    }
}
