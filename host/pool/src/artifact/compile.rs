//! Having a kernel compiled: by a worker that is started for it and ended after it, since it parses hostile bytes.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use taskhost_os::memfd;
use taskhost_os::poll::{Interest, Poller, Token};
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::ids::WorkerId;
use taskhost_protocol::kernel::{CompileOptions, KernelInfo};
use taskhost_protocol::limits::{ARTIFACT_BYTES, KERNEL_BYTES, KERNEL_INFO_BYTES, MESSAGE_BYTES};
use taskhost_protocol::message::{FromWorker, Role, Start, ToWorker};
use taskhost_protocol::{PROTOCOL_VERSION, frame};

use crate::death::Reason;
use crate::error::{PoolError, Tried as _};
use crate::runner::process::{Circumstances, Incoming, Starter, WorkerProcess};

/// How long compiling may take. The largest program tried, 69 MB, takes 20 s.
const COMPILE_TIME: Duration = Duration::from_secs(300);

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
    let artifact = memfd::create(c"taskhost-artifact").tried("making room for the artifact")?;
    let mut worker =
        starter.start(WorkerId(u32::MAX), Role::Compile, None).map_err(|error| PoolError::Start(error.to_string()))?;
    let start = ToWorker::Start(Start::Compile { options, kernel_bytes: bytes.len() as u64 });
    let sent = worker.send(&start, &[kernel.as_fd(), artifact.as_fd()]);
    let outcome = match sent {
        Ok(()) => converse(&mut worker),
        Err(reason) => Err(reason),
    };
    match outcome {
        Ok(Reply::Compiled { info_bytes, code_bytes }) => {
            // Only a dead worker cannot change what it wrote.
            worker.kill(Reason::Retired("had done its work"));
            worker.reap(&Circumstances::default());
            read(&artifact, info_bytes, code_bytes)
        }
        Ok(Reply::Refused(refusal)) => Err(refusal.into()),
        Err(reason) => {
            // A worker that closed its socket is ending by itself, and its exit says more.
            if !reason.is_empty() {
                worker.kill(Reason::Violation(reason));
            }
            let (death, _) = worker.reap(&Circumstances::default());
            Err(PoolError::Compile(death.text))
        }
    }
}

enum Reply {
    Compiled { info_bytes: u64, code_bytes: u64 },
    Refused(Refusal),
}

/// Talks to the worker until it has an answer, or says what it did wrong.
fn converse(worker: &mut WorkerProcess) -> Result<Reply, String> {
    let mut poller = Poller::new().map_err(|error| error.to_string())?;
    poller.add(worker.socket_fd(), Token(0), Interest::Read).map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    let deadline = Instant::now() + COMPILE_TIME;
    let mut buffer = vec![0; MESSAGE_BYTES];
    loop {
        let message = match worker.receive(&mut buffer) {
            Incoming::Message(message) => *message,
            Incoming::Broken(reason) => return Err(reason),
            Incoming::Closed => return Err(String::new()),
            Incoming::Nothing => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(format!("took longer than {} s", COMPILE_TIME.as_secs()));
                }
                poller.wait(Some(left), &mut events).map_err(|error| error.to_string())?;
                continue;
            }
        };
        match message {
            FromWorker::Hello { version, build } => check_hello(version, &build)?,
            FromWorker::Locked => {
                worker.verify()?;
                worker.send(&ToWorker::Go, &[])?;
            }
            FromWorker::Compiled { info_bytes, code_bytes } => return Ok(Reply::Compiled { info_bytes, code_bytes }),
            FromWorker::Refused(refusal) => return Ok(Reply::Refused(refusal)),
            FromWorker::Dying(words) => worker.last_words = Some(words),
            FromWorker::Ready { .. }
            | FromWorker::Done(_)
            | FromWorker::Decoded(_)
            | FromWorker::Encoded(_)
            | FromWorker::Log(_) => return Err("sent a message that it has no reason to send".into()),
        }
    }
}

/// Whether the process at the other end is of this very build.
pub(crate) fn check_hello(version: u32, build: &[u8; 32]) -> Result<(), String> {
    let ours = taskhost_os::exe::identity().map_err(|error| error.to_string())?;
    if version != PROTOCOL_VERSION || *build != ours {
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
