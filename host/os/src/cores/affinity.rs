//! The kernel's affinity mask of a thread: which cpus it may run on.

use std::io;

use super::cpu_set::{CpuSet, MOST_CPUS};
use crate::process_id::ProcessId;

/// Words of a mask that has a bit for every possible cpu. The C library's own type stops at 1024 cpus.
const WORDS: usize = MOST_CPUS as usize / 64;

/// An affinity mask in the form that the kernel takes.
pub(crate) struct Mask {
    words: [u64; WORDS],
}

/// The mask of one cpu; empty, and so refused by the kernel, when there can be no such cpu.
pub(crate) fn mask_of(cpu: u32) -> Mask {
    let mut words = [0; WORDS];
    if let Some(word) = words.get_mut(cpu as usize / 64) {
        *word = 1 << (cpu % 64);
    }
    Mask { words }
}

impl Mask {
    /// Binds the calling thread. Makes one system call and nothing else, so that a new process may use it.
    pub(crate) fn apply(&self) -> io::Result<()> {
        self.apply_to_number(0)
    }

    /// Binds the first thread of a process, and those that it starts from then on.
    pub(crate) fn apply_to(&self, process: ProcessId) -> io::Result<()> {
        self.apply_to_number(process.get())
    }

    fn apply_to_number(&self, thread: i32) -> io::Result<()> {
        let bytes = size_of_val(&self.words);
        // SAFETY: the mask is valid for reads of the size given.
        let result = unsafe { libc::syscall(libc::SYS_sched_setaffinity, thread, bytes, self.words.as_ptr()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Binds the calling thread, and those it starts from now on, to one cpu.
///
/// # Errors
/// When the cpu is offline or outside the cpuset of this process.
pub fn pin_current(cpu: u32) -> io::Result<()> {
    mask_of(cpu).apply()
}

/// Has the calling thread, and those it starts from now on, run on these cpus alone.
///
/// # Errors
/// When none of them is online and in the cpuset of this process.
pub fn bind_current(cpus: &CpuSet) -> io::Result<()> {
    let mut words = [0; WORDS];
    for cpu in cpus.iter() {
        if let Some(word) = words.get_mut(cpu as usize / 64) {
            *word |= 1 << (cpu % 64);
        }
    }
    Mask { words }.apply()
}

/// The cpus that the calling thread may run on.
#[must_use]
pub fn current_affinity() -> CpuSet {
    let mut words = [0_u64; WORDS];
    // SAFETY: the mask is valid for writes of the size given.
    let written = unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&words), words.as_mut_ptr()) };
    debug_assert!(written > 0, "a mask this large is never too small");
    (0..MOST_CPUS)
        .filter(|cpu| words.get(*cpu as usize / 64).is_some_and(|word| word & (1 << (cpu % 64)) != 0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned() {
        // In a thread of its own: a test thread may run other tests afterwards.
        let pinned = std::thread::spawn(|| {
            let cpu = current_affinity().iter().last().expect("a thread runs somewhere");
            pin_current(cpu).expect("it was allowed");
            (cpu, current_affinity())
        });
        let (cpu, after) = pinned.join().expect("no panic");
        assert_eq!(after, [cpu].into_iter().collect());
    }

    #[test]
    fn a_thread_can_be_bound_to_some() {
        let all = current_affinity();
        let some: CpuSet = all.iter().take(2).collect();
        let wanted = some.clone();
        let bound = std::thread::spawn(move || {
            bind_current(&wanted).expect("they are there");
            bind_current(&CpuSet::default()).expect_err("it must be somewhere");
            // What it starts is where it is.
            std::thread::spawn(current_affinity).join().expect("it ends")
        });
        assert_eq!(bound.join().expect("it ends"), some);
    }

    #[test]
    fn a_cpu_that_cannot_be_is_refused() {
        assert!(pin_current(MOST_CPUS - 1).is_err());
        assert!(pin_current(u32::MAX).is_err());
    }
}
