//! The death table: how a worker went, from what the operating system says and what the coordinator did itself. The one
//! place where deaths are classified.
//!
//! The worker is the first process of a pid namespace where the machine allows one: there only SIGKILL, SIGSYS and the
//! faults of its own instructions end it, and `abort` ends in SIGSEGV. Without one, any signal may. The table holds for
//! both.

use std::fmt;
use std::time::Duration;

use taskhost_os::child::End;
use taskhost_protocol::exit;
use taskhost_protocol::limits::cap_text;

use crate::verdict::Verdict;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGKILL: i32 = 9;
const SIGPIPE: i32 = 13;
const SIGALRM: i32 = 14;
const SIGTERM: i32 = 15;
const SIGXCPU: i32 = 24;
const SIGSYS: i32 = 31;

/// Of its limit, the CPU time that a worker must have had to be said to have used it up: the system ends it by a clock
/// that counts whole ticks, which on a busy machine runs ahead of the one of its report, by a quarter as seen here.
const USED_UP: (u32, u32) = (2, 3);

/// Why the coordinator killed a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An item took longer than this.
    Deadline(Duration),
    /// It said what it must not say, or nothing when it had to.
    Violation(String),
    /// Somebody had stopped it.
    Stopped,
    /// It is not needed any more.
    Retired(&'static str),
}

/// Everything that is known of a worker that is gone.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// How its process ended, as the system says.
    pub end: End,
    /// CPU time it had, as the system says.
    pub cpu: Duration,
    /// CPU time it was allowed.
    pub cpu_limit: Option<Duration>,
    /// Whether the coordinator killed it, and why.
    pub reason: Option<Reason>,
    /// Whether the system killed processes for want of memory since it was started.
    pub out_of_memory: bool,
    /// Whether code of the kernel ran in it.
    pub kernel_ran: bool,
    /// Whether it was ever ready for work.
    pub was_ready: bool,
    /// What it said before. Only ever part of a message.
    pub last_words: Option<String>,
}

/// What became of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The verdict.
    pub verdict: Verdict,
    /// What happened, as the end of "a worker …".
    pub text: String,
    /// Whether it was ever ready for work.
    pub was_ready: bool,
    /// What was left in its progress cell: a hint, see [`taskhost_protocol::progress::Progress`].
    pub cell: u64,
}

impl Death {
    /// The death of a worker that could not even be started.
    #[must_use]
    pub fn not_started(why: &str) -> Self {
        let text = format!("could not be started: {why}");
        Self { verdict: Verdict::StartUp(text.clone()), text, was_ready: false, cell: 0 }
    }

    /// The death that this is evidence of, with what was in the progress cell.
    #[must_use]
    pub fn of(evidence: &Evidence, cell: u64) -> Self {
        let text = describe(evidence);
        Self { verdict: classify(evidence, &text), text, was_ready: evidence.was_ready, cell }
    }
}

/// The table.
fn classify(evidence: &Evidence, text: &str) -> Verdict {
    match (&evidence.reason, evidence.end) {
        (Some(Reason::Retired(why)), _) => Verdict::Retired((*why).to_owned()),
        (Some(Reason::Violation(_)), _) if evidence.was_ready => Verdict::ProtocolViolation(text.to_owned()),
        // A kernel's own start runs behind the walls, too.
        (_, End::Signal(SIGSYS)) if evidence.kernel_ran => Verdict::SandboxViolation,
        // Being killed says nothing about whether it could have started.
        (None, End::Signal(SIGKILL)) if !evidence.was_ready => Verdict::Killed(text.to_owned()),
        _ if !evidence.was_ready => Verdict::StartUp(text.to_owned()),
        // A kill that came too late is none: what ended the process is what counts.
        (Some(Reason::Deadline(limit)), End::Signal(SIGKILL)) => Verdict::Deadline(*limit),
        (Some(Reason::Stopped), End::Signal(SIGKILL)) => Verdict::Killed(text.to_owned()),
        (_, End::Signal(SIGSYS)) => Verdict::SandboxViolation,
        (_, End::Signal(SIGXCPU)) => Verdict::CpuLimit,
        (_, End::Signal(SIGKILL)) if used_up(evidence) => Verdict::CpuLimit,
        (_, End::Signal(SIGKILL)) if evidence.out_of_memory => Verdict::OutOfMemory,
        (_, End::Signal(SIGKILL | SIGHUP | SIGINT | SIGQUIT | SIGTERM | SIGALRM | SIGPIPE)) => {
            Verdict::Killed(text.to_owned())
        }
        (_, End::Signal(_)) => Verdict::Crash(text.to_owned()),
        (_, End::Code(exit::NO_MEMORY)) => Verdict::WorkerMemory,
        (_, End::Code(_)) => Verdict::Crash(text.to_owned()),
        // Somebody else waited for the process: nothing is known, so nobody is blamed.
        (_, End::Unknown) => Verdict::Killed(text.to_owned()),
    }
}

/// Whether the CPU time was used up: the system then sends SIGKILL, since the first process of a namespace ignores
/// SIGXCPU.
fn used_up(evidence: &Evidence) -> bool {
    evidence.cpu_limit.is_some_and(|limit| evidence.cpu * USED_UP.1 >= limit * USED_UP.0)
}

/// What happened, as the end of "a worker …".
fn describe(evidence: &Evidence) -> String {
    let mut text = match (&evidence.reason, evidence.end) {
        (Some(reason), _) => reason.to_string(),
        (None, End::Code(code)) => format!("ended by itself with exit code {code}{}", code_name(code)),
        (None, End::Signal(SIGKILL)) if used_up(evidence) => "used up its CPU time".into(),
        (None, End::Signal(SIGKILL)) if evidence.out_of_memory => {
            "died of signal 9 (SIGKILL: the machine is out of memory)".into()
        }
        (None, End::Signal(signal)) => format!("died of signal {signal}{}", signal_name(signal)),
        (None, End::Unknown) => "ended, and nobody knows how".into(),
    };
    if let Some(words) = &evidence.last_words {
        text.push_str(": ");
        text.push_str(&cap_text(words.clone()));
    }
    text
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(limit) => write!(f, "was ended because an item took longer than {limit:?}"),
            Self::Violation(what) => write!(f, "was ended because it {what}"),
            Self::Stopped => f.write_str("was ended because somebody had stopped it"),
            Self::Retired(why) => write!(f, "was ended because it {why}"),
        }
    }
}

/// What exit codes mean, see [`taskhost_protocol::exit`].
fn code_name(code: i32) -> &'static str {
    match code {
        exit::NO_MEMORY => " (no memory was left)",
        exit::STACK_OVERFLOW => " (its stack overflowed)",
        exit::PANICKED => " (it panicked)",
        _ => "",
    }
}

/// The usual suspects by name.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL: killed from outside, or the machine is out of memory)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        31 => " (SIGSYS: a forbidden system call)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(end: End) -> Evidence {
        Evidence {
            end,
            cpu: Duration::from_secs(3),
            cpu_limit: None,
            reason: None,
            out_of_memory: false,
            kernel_ran: true,
            was_ready: true,
            last_words: None,
        }
    }

    fn verdict(evidence: &Evidence) -> Verdict {
        Death::of(evidence, 0).verdict
    }

    fn name(evidence: &Evidence) -> &'static str {
        verdict(evidence).name()
    }

    #[test]
    fn what_the_system_says_decides() {
        let cases = [
            (End::Signal(31), "sandbox-violation"),
            (End::Signal(9), "killed"),
            (End::Signal(15), "killed"),
            (End::Signal(24), "cpu-limit"),
            (End::Signal(11), "crash"),
            (End::Signal(7), "crash"),
            (End::Signal(4), "crash"),
            (End::Signal(6), "crash"),
            (End::Code(0), "crash"),
            (End::Code(exit::NO_MEMORY), "memory-limit"),
            (End::Code(exit::PANICKED), "crash"),
            (End::Code(exit::STACK_OVERFLOW), "crash"),
            (End::Unknown, "killed"),
        ];
        for (end, expected) in cases {
            assert_eq!(name(&evidence(end)), expected, "{end:?}");
        }
    }

    #[test]
    fn a_sigkill_needs_evidence_to_be_more_than_that() {
        let killed = evidence(End::Signal(9));
        assert_eq!(name(&Evidence { out_of_memory: true, ..killed.clone() }), "out-of-memory");
        let limit = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(name(&Evidence { cpu_limit: limit(3), ..killed.clone() }), "cpu-limit");
        assert_eq!(name(&Evidence { cpu_limit: limit(5), ..killed }), "killed");
    }

    #[test]
    fn what_the_coordinator_did_counts_when_it_was_in_time() {
        let deadline = Some(Reason::Deadline(Duration::from_millis(10)));
        let late = Evidence { reason: deadline, ..evidence(End::Signal(9)) };
        assert_eq!(verdict(&late), Verdict::Deadline(Duration::from_millis(10)));
        assert_eq!(name(&Evidence { end: End::Signal(11), ..late.clone() }), "crash");
        assert_eq!(name(&Evidence { end: End::Code(0), ..late }), "crash");
        let retired = Evidence { reason: Some(Reason::Retired("was old")), ..evidence(End::Code(0)) };
        assert_eq!(name(&retired), "retired");
        let broken = Evidence { reason: Some(Reason::Violation("lied".into())), ..evidence(End::Code(0)) };
        assert_eq!(name(&broken), "protocol-violation");
    }

    #[test]
    fn before_it_is_ready_everything_is_a_failed_start() {
        for end in [End::Code(1), End::Signal(11), End::Signal(31)] {
            let death = Evidence { kernel_ran: false, was_ready: false, ..evidence(end) };
            assert_eq!(name(&death), "start-up");
        }
        let start = Evidence { was_ready: false, ..evidence(End::Signal(31)) };
        assert_eq!(name(&start), "sandbox-violation", "the kernel's own start is the kernel's doing");
        assert_eq!(name(&Evidence { was_ready: false, ..evidence(End::Signal(9)) }), "killed", "which is no failure");
    }

    #[test]
    fn a_death_is_described() {
        let death = Death::of(&Evidence { last_words: Some("oops".into()), ..evidence(End::Signal(11)) }, 0);
        assert_eq!(death.text, "died of signal 11 (SIGSEGV): oops");
    }
}
