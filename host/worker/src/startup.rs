//! The first steps, the same for every role: signals, panics, the greeting, the descriptors.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use taskhost_os::last_words::LastWords;
use taskhost_os::sandbox::{self, Folder, Grants, Insistence, Layers, Policy, Role, SandboxError};
use taskhost_os::socket::{Descriptors, Socket, SocketError};
use taskhost_protocol::limits::{MESSAGE_BYTES, SLOTS, cap_text};
use taskhost_protocol::message::{FromWorker, Lacking, Sandbox, Start, ToWorker};
use taskhost_protocol::{PROTOCOL_VERSION, exit, frame};

use crate::{compile, convert, execute, stream};

/// Room of the buffer for messages. Most are tens of bytes, and none is longer than [`MESSAGE_BYTES`]; but from 128 KiB on the
/// allocator takes a mapping of its own, of which only pages that were written are in memory. A smaller buffer lies on the
/// heap, which is cleared: 60 KiB of private memory for each worker.
const BUFFER: usize = 256 << 10;

/// The socket, where the panic hook finds it too.
static SOCKET: OnceLock<Socket> = OnceLock::new();

/// Why a worker ends before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    /// The coordinator is gone, or says nothing more: the normal end.
    #[error("the coordinator closed the socket")]
    Closed,
    /// The coordinator said something that makes no sense.
    #[error("{0}")]
    Protocol(String),
    /// Something that should always work did not.
    #[error("{what}: {why}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        why: String,
    },
}

impl Fatal {
    /// Names what was tried.
    pub(crate) fn failed(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        move |why| Self::Failed { what, why: why.to_string() }
    }
}

/// The control socket with its buffer.
pub(crate) struct Channel {
    socket: &'static Socket,
    buffer: Vec<u8>,
    /// What the coordinator insists on.
    sandbox: Sandbox,
    /// What is not there, once this process is locked in.
    layers: Layers,
}

impl Channel {
    pub(crate) fn new(socket: &'static Socket) -> Self {
        Self { socket, buffer: vec![0; BUFFER], sandbox: Sandbox::default(), layers: Layers::default() }
    }

    /// Waits for a message.
    pub(crate) fn receive(&mut self) -> Result<(ToWorker, Vec<OwnedFd>), Fatal> {
        self.receive_after(Duration::ZERO)
    }

    /// Receives the next message: looks for it for so long before it sleeps until it comes.
    pub(crate) fn receive_after(&mut self, look: Duration) -> Result<(ToWorker, Vec<OwnedFd>), Fatal> {
        let closed = |error| match error {
            SocketError::Closed => Fatal::Closed,
            error => Fatal::Protocol(error.to_string()),
        };
        let mut received = None;
        if !look.is_zero() {
            let began = Instant::now();
            while received.is_none() && began.elapsed() < look {
                received =
                    self.socket.try_recv(&mut self.buffer[..MESSAGE_BYTES], Descriptors::Accept).map_err(closed)?;
            }
        }
        let received = match received {
            Some(received) => received,
            None => self.socket.recv(&mut self.buffer[..MESSAGE_BYTES], Descriptors::Accept).map_err(closed)?,
        };
        if received.closed {
            return Err(Fatal::Closed);
        }
        let message =
            frame::decode(&self.buffer[..received.len]).map_err(|error| Fatal::Protocol(error.to_string()))?;
        Ok((message, received.fds))
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &FromWorker) -> Result<(), Fatal> {
        let bytes = frame::encode(message).map_err(|error| Fatal::Protocol(error.to_string()))?;
        match self.socket.send(&bytes, &[]) {
            Err(SocketError::Closed) => Err(Fatal::Closed),
            result => result.map_err(|error| Fatal::Protocol(error.to_string())),
        }
    }

    /// Locks this process in for its role, with `threads` threads at most.
    pub(crate) fn lock(&mut self, role: Role, threads: u64) -> Result<(), Fatal> {
        self.lock_in(role, threads, &[])
    }

    /// Locks this process in for running a kernel that was granted these folders, or none.
    pub(crate) fn lock_with(&mut self, folders: &[Folder]) -> Result<(), Fatal> {
        let role = if folders.is_empty() { Role::Execute } else { Role::ExecuteWithFiles };
        self.lock_in(role, 1, folders)
    }

    fn lock_in(&mut self, role: Role, threads: u64, folders: &[Folder]) -> Result<(), Fatal> {
        let grants = Grants { control: self.socket.as_fd(), slots: SLOTS as u64, file_bytes: None, threads };
        let insistence = match self.sandbox {
            Sandbox::Auto => Insistence::Auto,
            Sandbox::Full => Insistence::Full,
            Sandbox::Off => Insistence::Off,
        };
        let policy = Policy { insistence, without: Vec::new() };
        self.layers = sandbox::lock_with(role, &policy, &grants, folders).map_err(|error| {
            if let SandboxError::Missing(missing) = &error {
                // If even that cannot be said, the error itself has to do.
                let _ = self.send(&FromWorker::Unlocked(lacking(missing)));
            }
            Fatal::failed("locking in")(&error)
        })?;
        Ok(())
    }

    /// Waits until the coordinator has seen the walls.
    pub(crate) fn locked(&mut self) -> Result<(), Fatal> {
        self.send(&FromWorker::Locked(self.layers.missing().iter().map(lacking).collect()))?;
        match self.receive()? {
            (ToWorker::Go, _) => Ok(()),
            (other, _) => Err(Fatal::Protocol(format!("expected to be told to go, not {other:?}"))),
        }
    }
}

fn lacking(missing: &sandbox::Missing) -> Lacking {
    Lacking { layer: missing.layer.name().to_owned(), reason: cap_text(missing.reason.clone()) }
}

/// The whole life of a worker.
pub(crate) fn run(socket: Socket) -> Result<(), Fatal> {
    taskhost_os::signals::unblock_all();
    let socket = SOCKET.get_or_init(|| socket);
    report_panics();
    // The guard of the stack is looked for where this limit puts it.
    taskhost_os::rlimits::limit_stack().map_err(|error| Fatal::failed("limiting its stack")(&error))?;
    // Before there is an engine, whose handlers are to come first: most of what crashes is a kernel that traps.
    taskhost_os::stack_overflow::report_on(last_words(socket, NO_STACK, exit::STACK_OVERFLOW)?)
        .map_err(|error| Fatal::failed("watching the stack")(&error))?;
    let mut channel = Channel::new(socket);
    let result = live(&mut channel);
    match result {
        Ok(()) | Err(Fatal::Closed) => Ok(()),
        Err(error) => {
            // If even that cannot be said, the exit code has to do.
            let _ = channel.send(&FromWorker::Dying(cap_text(error.to_string())));
            Err(error)
        }
    }
}

fn live(channel: &mut Channel) -> Result<(), Fatal> {
    let build = taskhost_os::exe::identity().map_err(|error| Fatal::failed("identifying this executable")(&error))?;
    channel.send(&FromWorker::Hello { version: PROTOCOL_VERSION, build })?;
    let (message, fds) = channel.receive()?;
    let ToWorker::Start(start, sandbox) = message else {
        return Err(Fatal::Protocol("expected to be told what to be".into()));
    };
    channel.sandbox = sandbox;
    // Decoders cope with sizes that a picture makes up.
    if !matches!(start, Start::Convert) {
        taskhost_os::allocator::report_failure_on(last_words(channel.socket, NO_MEMORY, exit::NO_MEMORY)?);
    }
    match start {
        Start::Compile { options, kernel_bytes, limits } => {
            compile::run(channel, compile::Order { options, kernel_bytes, limits }, fds)
        }
        Start::Execute(start) => execute::run(channel, start, fds),
        Start::Convert => convert::run(channel),
        Start::Stream { memory } => stream::run(channel, memory),
    }
}

/// What is said when the worker's own needs cannot be met.
const NO_MEMORY: &str = "the worker itself got no memory";

/// What is said when a function of the host, not of the kernel, recursed too far.
const NO_STACK: &str = "the worker's own stack was used up";

/// Made beforehand: when they are needed, nothing can be encoded any more.
fn last_words(socket: &'static Socket, text: &str, code: i32) -> Result<LastWords, Fatal> {
    let message = frame::encode(&FromWorker::Dying(text.into())).map_err(|error| Fatal::Protocol(error.to_string()))?;
    Ok(LastWords::new(socket.as_fd(), message, code))
}

/// A panic is said on the socket, since a worker has no standard error, and ends the process.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("for no given reason");
        let place = panic.location().map(|place| format!(", at {place}")).unwrap_or_default();
        let text = cap_text(format!("{what}{place}"));
        if let (Some(socket), Ok(bytes)) = (SOCKET.get(), frame::encode(&FromWorker::Dying(text))) {
            let _ = socket.send(&bytes, &[]);
        }
        // Without running what was to run at the exit: this process cannot be trusted to get through that.
        taskhost_os::crash::exit_now(exit::PANICKED);
    }));
}
