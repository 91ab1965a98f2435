//! Having a kernel compiled: by a worker that is started for it and ended after it, since it parses hostile bytes.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use taskhost_data::duration::human_duration;
use taskhost_data::size::human_size;
use taskhost_os::child::End;
use taskhost_os::poll::{Interest, Poller, Token};
use taskhost_os::{memfd, usage};
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::ids::WorkerId;
use taskhost_protocol::kernel::{CompileOptions, KernelInfo};
use taskhost_protocol::limits::{ARTIFACT_BYTES, CompileLimits, KERNEL_BYTES, KERNEL_INFO_BYTES, MESSAGE_BYTES};
use taskhost_protocol::message::{FromWorker, Role, Start, ToWorker};
use taskhost_protocol::{PROTOCOL_VERSION, exit, frame};

use super::limits::Limits;
use crate::death::{Death, Reason};
use crate::error::{PoolError, Tried as _};
use crate::runner::process::{Circumstances, Incoming, Phase, WorkerProcess};
use crate::runner::starter::Starter;
use crate::verdict::Verdict;

/// What a compile worker made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) info: KernelInfo,
    pub(crate) info_bytes: Vec<u8>,
    pub(crate) code_bytes: Vec<u8>,
    pub(crate) code: OwnedFd,
}

/// Compiles a kernel in a worker.
pub(crate) fn compile(bytes: &[u8], options: CompileOptions, starter: &mut Starter) -> Result<Made, PoolError> {
    if bytes.len() as u64 > KERNEL_BYTES {
        let limit = KERNEL_BYTES >> 20;
        return Err(
            Refusal::TooLarge(format!("the kernel is larger than {limit} MiB, the most a kernel may have")).into()
        );
    }
    let kernel =
        memfd::sealed_copy(c"taskhost-kernel", bytes).map_err(std::io::Error::other).tried("copying the kernel")?;
    let limits = Limits::in_force();
    let artifact = memfd::create(c"taskhost-artifact").tried("making room for the artifact")?;
    let mut worker = starter.start(WorkerId(u32::MAX), Role::Compile, None)?;
    let start = Start::Compile { options, kernel_bytes: bytes.len() as u64, limits: limits.worker };
    let sent = worker.begin(start, &[kernel.as_fd(), artifact.as_fd()]);
    let before = usage::oom_kills();
    let outcome = match sent {
        Ok(()) => converse(&mut worker, limits.time),
        Err(what) => Err(Failure::Broke(what)),
    };
    match outcome {
        Ok(Reply::Compiled { info_bytes, code_bytes }) => {
            // Only a dead worker cannot change what it wrote.
            worker.kill(Reason::Retired("had done its work"));
            worker.reap(&Circumstances::default());
            read(&artifact, info_bytes, code_bytes)
        }
        Ok(Reply::Refused(refusal)) => Err(refusal.into()),
        Err(Failure::Late) => {
            worker.kill(Reason::Deadline(limits.time));
            worker.reap(&Circumstances::default());
            Err(too_large(&format!("more than {}", human_duration(limits.time)), "its deadline"))
        }
        Err(Failure::Unlocked(error)) => {
            worker.kill(Reason::Retired("lacked a wall"));
            worker.reap(&Circumstances::default());
            Err(error)
        }
        Err(failure) => {
            if let Failure::Broke(what) = failure {
                worker.kill(Reason::Violation(what));
            }
            let circumstances = Circumstances {
                out_of_memory: usage::oom_kills().grew_since(&before),
                cpu_limit: Some(Duration::from_secs(limits.worker.cpu)),
            };
            let (death, exit) = worker.reap(&circumstances);
            Err(blame(&death, exit.end, limits.worker))
        }
    }
}

/// Whether it is the kernel's doing that the compiler process died.
fn blame(death: &Death, end: End, limits: CompileLimits) -> PoolError {
    match (&death.verdict, end) {
        (Verdict::WorkerMemory, _) => {
            too_large(&format!("more than {} of memory", human_size(limits.memory)), "RLIMIT_DATA")
        }
        (Verdict::CpuLimit, _) => too_large(&format!("more than {} s of CPU time", limits.cpu), "RLIMIT_CPU"),
        (Verdict::Crash(_), End::Code(exit::STACK_OVERFLOW)) => too_large("more stack than there is", "RLIMIT_STACK"),
        _ => PoolError::Compile(death.text.clone()),
    }
}

/// The kernel needs so much of something that has this limit.
fn too_large(what: &str, limit: &str) -> PoolError {
    Refusal::TooLarge(format!("the kernel needs {what} to compile, the most that a compiler may take ({limit})")).into()
}

/// Why there is no answer.
enum Failure {
    /// It did what it must not do.
    Broke(String),
    /// It took too long.
    Late,
    /// It lacks a wall that is insisted on.
    Unlocked(PoolError),
    /// It closed its socket: it is ending by itself, and its exit says more.
    Gone,
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::Broke(what)
    }
}

enum Reply {
    Compiled { info_bytes: u64, code_bytes: u64 },
    Refused(Refusal),
}

/// Talks to the worker until it has an answer, or says what it did wrong.
fn converse(worker: &mut WorkerProcess, time: Duration) -> Result<Reply, Failure> {
    let mut poller = Poller::new().map_err(|error| error.to_string())?;
    poller.add(worker.socket_fd(), Token(0), Interest::Read).map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    let deadline = Instant::now() + time;
    let mut buffer = vec![0; MESSAGE_BYTES];
    loop {
        let message = match worker.receive(&mut buffer) {
            Incoming::Message(message) => *message,
            Incoming::Broken(what) => return Err(what.into()),
            Incoming::Closed => return Err(Failure::Gone),
            Incoming::Nothing => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Failure::Late);
                }
                poller.wait(Some(left), &mut events).map_err(|error| error.to_string())?;
                continue;
            }
        };
        match message {
            FromWorker::Hello { version, build } => check_hello(version, &build, worker.build())?,
            FromWorker::Locked(lacking) => {
                worker.verify(lacking)?.map_err(Failure::Unlocked)?;
                worker.send(&ToWorker::Go, &[])?;
                // Whatever happens from here on is no failed start, but came of the kernel.
                worker.phase = Phase::Ready;
            }
            FromWorker::Unlocked(lacking) => return Err(Failure::Unlocked(worker.unlocked(lacking)?)),
            FromWorker::Compiled { info_bytes, code_bytes } => return Ok(Reply::Compiled { info_bytes, code_bytes }),
            FromWorker::Refused(refusal) => return Ok(Reply::Refused(refusal)),
            FromWorker::Dying(words) => worker.last_words = Some(words),
            FromWorker::Ready { .. }
            | FromWorker::Done(_)
            | FromWorker::Decoded(_)
            | FromWorker::Encoded(_)
            | FromWorker::Streamed(_)
            | FromWorker::Taken(_)
            | FromWorker::Log(_) => return Err("sent a message that it has no reason to send".to_owned().into()),
        }
    }
}

/// Whether the process at the other end is of the build that was started.
pub(crate) fn check_hello(version: u32, build: &[u8; 32], started: &[u8; 32]) -> Result<(), String> {
    if version != PROTOCOL_VERSION || build != started {
        return Err("is of another build than this program: was the program replaced during the run?".into());
    }
    Ok(())
}

/// Copies what the worker wrote, then looks at the copy.
fn read(artifact: &OwnedFd, info_bytes: u64, code_bytes: u64) -> Result<Made, PoolError> {
    let broken = || PoolError::Compile("wrote something that is no artifact".into());
    if info_bytes > KERNEL_INFO_BYTES || code_bytes > ARTIFACT_BYTES {
        return Err(broken());
    }
    let copy = |offset, len: u64| {
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| broken())?];
        taskhost_os::exact::pread_exact(artifact.as_fd(), &mut bytes, offset).map_err(|_| broken())?;
        Ok::<_, PoolError>(bytes)
    };
    let info_copy = copy(0, info_bytes)?;
    let code_copy = copy(info_bytes, code_bytes)?;
    let info = frame::decode_info(&info_copy).map_err(|_| broken())?;
    let code = memfd::sealed_copy(c"taskhost-code", &code_copy)
        .map_err(std::io::Error::other)
        .tried("copying the artifact")?;
    Ok(Made { info, info_bytes: info_copy, code_bytes: code_copy, code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::death::Evidence;

    fn text(end: End, cpu: u64) -> String {
        let evidence = Evidence {
            end,
            cpu: Duration::from_secs(cpu),
            cpu_limit: Some(Duration::from_secs(CompileLimits::default().cpu)),
            reason: None,
            out_of_memory: false,
            kernel_ran: true,
            was_ready: true,
            last_words: None,
        };
        match blame(&Death::of(&evidence, 0), end, CompileLimits::default()) {
            PoolError::Refused(Refusal::TooLarge(text)) => text,
            PoolError::Compile(text) => format!("it {text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_limit_that_was_met_is_the_kernels_doing_and_is_named() {
        let rest = "to compile, the most that a compiler may take";
        let memory = format!("the kernel needs more than 4.00 GiB of memory {rest} (RLIMIT_DATA)");
        assert_eq!(text(End::Code(exit::NO_MEMORY), 3), memory);
        let time = format!("the kernel needs more than 300 s of CPU time {rest} (RLIMIT_CPU)");
        assert_eq!(text(End::Signal(libc::SIGKILL), 300), time);
        assert_eq!(text(End::Signal(libc::SIGXCPU), 300), time);
        let stack = format!("the kernel needs more stack than there is {rest} (RLIMIT_STACK)");
        assert_eq!(text(End::Code(exit::STACK_OVERFLOW), 3), stack);
    }

    #[test]
    fn any_other_death_is_not() {
        assert!(text(End::Signal(libc::SIGKILL), 3).starts_with("it died of signal 9"));
        assert!(text(End::Signal(libc::SIGSEGV), 3).starts_with("it died of signal 11"));
        assert!(text(End::Code(exit::PANICKED), 3).starts_with("it ended by itself with exit code 73"));
    }
}
