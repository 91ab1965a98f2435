//! Who has a core first when several want it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustix::process::{getpriority_process, nice};

use crate::process_id::ProcessId;

/// How long to wait before the kernel is asked again. From everybody who is not root it takes one request about the share of a
/// session in a tenth of a second (`proc_sched_autogroup_set_nice` in kernel/sched/autogroup.c).
const AGAIN: Duration = Duration::from_millis(101);

/// Leaves the cores to others by so much, as far as they want them.
///
/// # Errors
/// When the kernel refuses.
pub fn step_back(by: i32) -> io::Result<()> {
    nice(by)?;
    Ok(())
}

/// How far this process has stepped back, when it has. Takes no memory.
pub(crate) fn stepped_back() -> Option<Nice> {
    let nice = getpriority_process(None).ok().and_then(|nice| u8::try_from(nice).ok()).filter(|nice| *nice > 0)?;
    let (tens, ones) = (b'0' + nice / 10, b'0' + nice % 10);
    Some(Nice([tens, ones]))
}

/// A nice value above zero, in digits: at most 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nice([u8; 2]);

impl Nice {
    /// As the kernel takes it.
    pub(crate) fn text(&self) -> &[u8] {
        match &self.0 {
            [b'0', ones] => std::slice::from_ref(ones),
            both => both,
        }
    }
}

/// Has children step back as far as this process has.
///
/// They inherit how far, but each leads a session of its own, and where each session has a share of the cores of its own
/// (`sched_autogroup`, which most distributions turn on) that means nothing between it and those of other sessions: the kernel is
/// told so of its session, too. A child tells it while it is made. This is for those that the kernel did not listen to.
#[derive(Debug)]
pub struct HandOn {
    nice: Nice,
    /// Takes the shares that are to be asked for later, once there was one.
    later: Option<Sender<File>>,
}

impl HandOn {
    /// `None` when this process has not stepped back.
    #[must_use]
    pub fn new() -> Option<Self> {
        Some(Self { nice: stepped_back()?, later: None })
    }

    /// Has this child step back as soon as the kernel listens, which is asked again for as long as this value and the child live.
    /// Call it before the child is locked in: then its files in /proc may belong to somebody else.
    pub fn to(&mut self, child: ProcessId) {
        let share = format!("/proc/{}/autogroup", child.get());
        // A kernel without such shares, or a child that has told its own.
        let Ok(said) = fs::read(&share) else { return };
        let said = said.trim_ascii_end();
        if said.is_empty() || said.strip_suffix(self.nice.text()).is_some_and(|before| before.ends_with(b" nice ")) {
            return;
        }
        // Opened once: whoever has this number when the child is gone is not meant.
        let Ok(share) = OpenOptions::new().write(true).open(share) else { return };
        if is_to_be_asked_again(&share, self.nice) {
            let nice = self.nice;
            // Without a thread there is nobody to ask: the child shares the cores as others do.
            let _ = self.later.get_or_insert_with(|| ask_later(nice)).send(share);
        }
    }
}

/// Tells the kernel of one session. Whether it did not listen.
fn is_to_be_asked_again(mut share: &File, nice: Nice) -> bool {
    matches!(share.write_all(nice.text()), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Where to hand in what is to be asked later.
fn ask_later(nice: Nice) -> Sender<File> {
    let (later, shares) = mpsc::channel();
    let _ = thread::Builder::new().name("taskhost-shares".into()).spawn(move || ask_in_turn(&shares, nice));
    later
}

/// Asks about the oldest until the kernel has listened or the process is gone, then about the next. Ends with whoever hands them in.
fn ask_in_turn(shares: &Receiver<File>, nice: Nice) {
    let mut waiting = VecDeque::new();
    loop {
        match shares.recv_timeout(AGAIN) {
            Ok(share) => {
                waiting.push_back(share);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        while waiting.front().is_some_and(|share| !is_to_be_asked_again(share, nice)) {
            waiting.pop_front();
        }
        if waiting.is_empty() {
            let Ok(share) = shares.recv() else { return };
            waiting.push_back(share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nice_value_is_written_in_digits() {
        for (nice, text) in [([b'0', b'7'], "7"), ([b'1', b'0'], "10"), ([b'1', b'9'], "19")] {
            assert_eq!(Nice(nice).text(), text.as_bytes());
        }
    }

    #[test]
    fn how_far_a_process_has_stepped_back_is_seen() {
        // For this thread alone.
        let seen = thread::spawn(|| {
            let now = getpriority_process(None).expect("it has one");
            let before = stepped_back();
            step_back(19 - now).expect("that is always allowed");
            (now, before, stepped_back())
        });
        let (now, before, after) = seen.join().expect("it ends");
        assert_eq!(before.is_some(), now > 0);
        assert_eq!(after, Some(Nice([b'1', b'9'])));
    }
}
