//! Verdicts: what became of an item that failed, or of a worker that is gone. The one place that says who is to blame
//! and what happens next.
//!
//! A verdict comes from a kernel's fault ([`Verdict::of_fault`]) or from the end of a worker's process
//! ([`crate::death::Death::of`]). Nothing that a worker says about itself decides more than the words of a message.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskhost_protocol::fault::Fault;

/// How a kernel said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The item is wrong.
    InvalidInput,
    /// It could not do it.
    Failed,
    /// Trying again may help; it was tried as often as `--retries` allows.
    Temporary,
}

/// What became of an item or a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The kernel trapped.
    Trap {
        /// What WebAssembly calls it.
        reason: String,
        /// The functions on the stack, innermost first.
        backtrace: Vec<String>,
    },
    /// The kernel answered with an error.
    KernelError(ErrorKind, String),
    /// The kernel broke its contract.
    Contract(String),
    /// Its result is not one that the output takes.
    Unfit(String),
    /// The item took too long (`--timeout`).
    Deadline(Duration),
    /// The kernel needed more memory than it may have (`--memory`).
    MemoryLimit {
        /// The limit in bytes.
        limit: u64,
        /// What followed.
        reason: String,
    },
    /// The worker itself had no memory left: its limit is that of the kernel and what one item needs beside it.
    WorkerMemory,
    /// The worker used up its CPU time.
    CpuLimit,
    /// The result is too long (`--max-output`).
    OutputLimit {
        /// Bytes of the result.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The item used up its fuel (`--fuel`).
    OutOfFuel(u64),
    /// The item is larger than a kernel can be given.
    ItemTooLarge {
        /// Bytes of the item.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The worker made a system call that it may not make.
    SandboxViolation,
    /// The worker's process crashed, or ended without having been told to.
    Crash(String),
    /// Somebody killed or stopped the worker.
    Killed(String),
    /// The machine ran out of memory and the system killed the worker.
    OutOfMemory,
    /// The worker ended before it could be given work.
    StartUp(String),
    /// The worker said what it must not say.
    ProtocolViolation(String),
    /// The input could not be read.
    Input(String),
    /// The output could not be written.
    Output(String),
    /// The coordinator ended the worker for reasons of its own. Never an item's.
    Retired(String),
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Whoever wrote the kernel.
    Kernel,
    /// Whoever made the item, or set the limit.
    Item,
    /// Whoever runs the machine.
    Host,
    /// Nobody.
    Nobody,
}

/// What happens to the item at which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has failed.
    Final,
    /// It is run once more, alone, on a fresh worker; when that ends like this again, it has failed.
    Isolate,
    /// It is run again, as often as `--retries` allows.
    Retry,
    /// It is run again as if nothing had been.
    Again,
    /// The kernel is not run any more.
    Quarantine,
}

impl Verdict {
    /// The verdict on an item whose worker reported this fault.
    #[must_use]
    pub fn of_fault(fault: Fault) -> Self {
        match fault {
            Fault::InvalidInput(text) => Self::KernelError(ErrorKind::InvalidInput, text),
            Fault::Failed(text) => Self::KernelError(ErrorKind::Failed, text),
            Fault::Temporary(text) => Self::KernelError(ErrorKind::Temporary, text),
            Fault::Trap { reason, backtrace } => Self::Trap { reason, backtrace },
            Fault::OutputLimit { len, limit } => Self::OutputLimit { len, limit },
            Fault::ItemTooLarge { len, limit } => Self::ItemTooLarge { len, limit },
            Fault::MemoryLimit { limit, reason } => Self::MemoryLimit { limit, reason },
            Fault::OutOfFuel { limit } => Self::OutOfFuel(limit),
            Fault::LeftOut => Self::ProtocolViolation("left out an item that it was to run".into()),
            Fault::Contract(text) => Self::Contract(text),
            Fault::Input(text) => Self::Input(text),
            Fault::Output(text) => Self::Output(text),
        }
    }

    /// Its name in reports, error files and capsules. Names are never changed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "kernel-trap",
            Self::KernelError(..) => "kernel-error",
            Self::Contract(_) => "contract",
            Self::Unfit(_) => "unfit",
            Self::Deadline(_) => "deadline",
            Self::MemoryLimit { .. } | Self::WorkerMemory => "memory-limit",
            Self::CpuLimit => "cpu-limit",
            Self::OutputLimit { .. } => "output-limit",
            Self::OutOfFuel(_) => "fuel",
            Self::ItemTooLarge { .. } => "item-too-large",
            Self::SandboxViolation => "sandbox-violation",
            Self::Crash(_) => "crash",
            Self::Killed(_) => "killed",
            Self::OutOfMemory => "out-of-memory",
            Self::StartUp(_) => "start-up",
            Self::ProtocolViolation(_) => "protocol-violation",
            Self::Input(_) => "input",
            Self::Output(_) => "output",
            Self::Retired(_) => "retired",
        }
    }

    /// Who is to blame, and what happens to the item.
    #[must_use]
    pub fn judgement(&self) -> (Blame, Next) {
        match self {
            Self::Trap { .. } | Self::Contract(_) | Self::Unfit(_) => (Blame::Kernel, Next::Final),
            Self::KernelError(ErrorKind::InvalidInput, _) => (Blame::Item, Next::Final),
            Self::KernelError(ErrorKind::Failed, _) => (Blame::Kernel, Next::Final),
            Self::KernelError(ErrorKind::Temporary, _) => (Blame::Nobody, Next::Retry),
            Self::Deadline(_) | Self::OutOfFuel(_) | Self::OutputLimit { .. } => (Blame::Item, Next::Final),
            Self::MemoryLimit { .. } | Self::ItemTooLarge { .. } => (Blame::Item, Next::Final),
            Self::WorkerMemory => (Blame::Item, Next::Isolate),
            Self::SandboxViolation => (Blame::Kernel, Next::Quarantine),
            Self::Crash(_) | Self::ProtocolViolation(_) => (Blame::Kernel, Next::Isolate),
            // The CPU time is that of the whole worker, whose last item has only its share in it.
            Self::CpuLimit | Self::Killed(_) | Self::OutOfMemory => (Blame::Nobody, Next::Retry),
            Self::Input(_) | Self::Output(_) => (Blame::Host, Next::Final),
            Self::StartUp(_) => (Blame::Host, Next::Again),
            Self::Retired(_) => (Blame::Nobody, Next::Again),
        }
    }

    /// Who is to blame.
    #[must_use]
    pub fn blame(&self) -> Blame {
        self.judgement().0
    }

    /// The functions that were on the kernel's stack, innermost first.
    #[must_use]
    pub fn backtrace(&self) -> &[String] {
        match self {
            Self::Trap { backtrace, .. } => backtrace,
            _ => &[],
        }
    }

    /// Bytes of its texts, without the backtrace.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Trap { reason: text, .. }
            | Self::KernelError(_, text)
            | Self::Contract(text)
            | Self::Unfit(text)
            | Self::MemoryLimit { reason: text, .. }
            | Self::Crash(text)
            | Self::Killed(text)
            | Self::StartUp(text)
            | Self::ProtocolViolation(text)
            | Self::Input(text)
            | Self::Output(text) => text.len(),
            _ => 0,
        }
    }

    /// Whether input or output is at fault and not the item, so that there is no use in going on.
    #[must_use]
    pub fn is_input_output(&self) -> bool {
        matches!(self, Self::Input(_) | Self::Output(_))
    }
}

impl Blame {
    /// Its name in reports. Names are never changed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Item => "item",
            Self::Host => "host",
            Self::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap { reason, .. } => write!(f, "the kernel trapped: {reason}"),
            Self::KernelError(_, text) | Self::Input(text) | Self::Output(text) => f.write_str(text),
            Self::Contract(text) => write!(f, "the kernel broke its contract: {text}"),
            Self::Unfit(text) => write!(f, "the output cannot take its result: {text}"),
            Self::Deadline(limit) => write!(f, "it took longer than the {limit:?} that --timeout allows"),
            Self::MemoryLimit { limit, reason } => {
                write!(f, "the kernel needs more memory than the {limit} bytes that --memory allows: {reason}")
            }
            Self::WorkerMemory => f.write_str("its worker ran out of memory; --memory allows more"),
            Self::CpuLimit => f.write_str("its worker used up its CPU time"),
            Self::OutputLimit { len, limit } => {
                write!(f, "the result has {len} bytes, more than the {limit} that --max-output allows")
            }
            Self::OutOfFuel(limit) => write!(f, "the kernel used up the {limit} units of fuel that --fuel allows"),
            Self::ItemTooLarge { len, limit } => {
                write!(f, "the item has {len} bytes, more than the {limit} an item may have")
            }
            Self::SandboxViolation => f.write_str(
                "its worker made a system call that is forbidden: the kernel may have broken out of WebAssembly; keep \
                 the file, and do not run it again",
            ),
            Self::Crash(how) => write!(f, "its worker crashed: it {how}"),
            Self::Killed(how) => write!(f, "its worker {how}"),
            Self::OutOfMemory => f.write_str("the machine ran out of memory, and the system killed its worker"),
            Self::StartUp(how) => write!(f, "its worker could not be started: it {how}"),
            Self::ProtocolViolation(what) => write!(f, "its worker {what}"),
            Self::Retired(why) => write!(f, "its worker {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_does_is_final_and_what_a_process_does_is_looked_into() {
        let trap = Verdict::of_fault(Fault::Trap { reason: "unreachable".into(), backtrace: vec!["f".into()] });
        assert_eq!((trap.judgement(), trap.backtrace().len()), ((Blame::Kernel, Next::Final), 1));
        assert_eq!(Verdict::Crash("died".into()).judgement().1, Next::Isolate);
        assert_eq!(Verdict::Killed("died".into()).judgement(), (Blame::Nobody, Next::Retry));
        assert_eq!(Verdict::SandboxViolation.judgement().1, Next::Quarantine);
        assert!(Verdict::of_fault(Fault::Input("gone".into())).is_input_output());
    }
}
