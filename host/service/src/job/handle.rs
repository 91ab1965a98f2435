//! The process of a job, as far as others than its own thread have to do with it: it is signalled and measured, but never
//! once it was waited for, when its number may be that of another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use super::launch;
use crate::blobs::Digest;

/// The process that a job has, if it has one, and what its processes have used.
#[derive(Debug, Default)]
pub(super) struct Handle {
    inner: Mutex<Inner>,
    /// Bytes that its result may have.
    room: AtomicU64,
    /// It was killed since its tenant has no room for what it writes.
    is_out_of_room: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    process: Option<u32>,
    /// CPU time of processes that have ended, in milliseconds.
    before: u64,
    /// That of the one that runs.
    now: u64,
    /// CPU time that its tenant owes for it already, in milliseconds.
    charged: u64,
    /// What its processes run.
    kernel: Option<Digest>,
}

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whole between any two statements.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has a process.
    pub(super) fn began(&self, process: u32) {
        self.lock().process = Some(process);
    }

    /// What its processes run, from now on.
    pub(super) fn runs(&self, kernel: Digest) {
        self.lock().kernel = Some(kernel);
    }

    /// What its processes run; `None` before there was any.
    pub(super) fn kernel(&self) -> Option<Digest> {
        self.lock().kernel
    }

    /// Its process has ended, and is about to be waited for.
    pub(super) fn ended(&self) {
        let mut inner = self.lock();
        inner.measure();
        inner.process = None;
        inner.before += std::mem::take(&mut inner.now);
    }

    /// Signals its process, if it has one.
    pub(super) fn signal(&self, signal: Signal) {
        let inner = self.lock();
        if let Some(process) = inner.process.and_then(|process| Pid::from_raw(i32::try_from(process).ok()?)) {
            // One that has just ended needs no signal.
            let _ = kill_process(process, signal);
        }
    }

    /// CPU time of all its processes until now, in milliseconds.
    pub(super) fn cpu_ms(&self) -> u64 {
        let mut inner = self.lock();
        inner.measure();
        inner.before + inner.now
    }

    /// What was not charged yet of the CPU time that it has used, which now is: in milliseconds. Of what it has used since
    /// this was last asked, as much as it says itself at its end.
    pub(super) fn charge(&self, says_itself: u64) -> u64 {
        let used = self.cpu_ms().max(says_itself);
        let mut inner = self.lock();
        let more = used.saturating_sub(inner.charged);
        inner.charged += more;
        more
    }

    /// What was to be charged could not be.
    pub(super) fn give_back(&self, charged: u64) {
        self.lock().charged -= charged;
    }

    /// Whether it has a process.
    pub(super) fn has_process(&self) -> bool {
        self.lock().process.is_some()
    }

    /// It has a process whose result may have so many bytes.
    pub(super) fn has_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that its result may have.
    pub(super) fn room(&self) -> u64 {
        self.room.load(Ordering::Relaxed)
    }

    /// Ends its process, for which there is no room.
    pub(super) fn end_for_want_of_room(&self) {
        self.is_out_of_room.store(true, Ordering::Relaxed);
        self.signal(Signal::KILL);
    }

    /// Whether its process was ended for want of room.
    pub(super) fn is_out_of_room(&self) -> bool {
        self.is_out_of_room.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn measure(&mut self) {
        if let Some(process) = self.process {
            self.now = self.now.max(launch::cpu_ms(process));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn each_process_counts_once_and_none_is_touched_after_its_end() {
        let handle = Handle::default();
        handle.signal(Signal::KILL);
        let mut before = 0;
        for _ in 0..2 {
            let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read x";
            let mut shell = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().expect("a shell");
            handle.began(shell.id());
            while handle.cpu_ms() < before + 50 {
                std::thread::yield_now();
            }
            drop(shell.stdin.take());
            handle.signal(Signal::KILL);
            launch::wait_for_end(shell.id());
            handle.ended();
            shell.wait().expect("it ends");
            assert!(handle.cpu_ms() >= before + 50);
            let charged = handle.charge(0);
            assert!(charged >= 50 && handle.charge(0) == 0, "{charged}");
            handle.give_back(charged);
            assert_eq!(handle.charge(0), charged);
            assert_eq!(handle.charge(handle.cpu_ms() + 7), 7);
            handle.give_back(7);
            assert_eq!(handle.lock().process, None);
            before = handle.cpu_ms();
        }
    }
}
