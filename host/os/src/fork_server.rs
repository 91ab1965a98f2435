//! The fork server, as the coordinator sees it: a process of this executable that was loaded once, and makes each worker by
//! forking itself (as `forkserver` of Python's multiprocessing does).
//!
//! Loading an executable writes every address in its tables, which takes most of the time in which a worker starts, and the
//! pages are that process's alone. A worker that is forked has them already, shared with all others. What it gives up is that
//! each worker is loaded at addresses of its own: workers of one server have the same. Whoever uses this replaces the server as
//! soon as a worker has crashed ([`ForkServer`] is cheap to drop), so that nobody can try twice at the same addresses.
//!
//! The server holds nothing but its end of a socket, and is as old as the coordinator's first worker: it has seen no kernel and
//! no input. Workers are children of the coordinator, not of the server.

mod order;
mod serve;
mod title;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::child::Child;
use crate::socket::{Descriptors, Socket, SocketError};
use crate::spawn::steps::Apart;
use crate::spawn::{Namespaces, Program, Spawn, SpawnError, WorkerUser};
use order::{BYTES, Order, Reply};

pub use serve::{Worker, serve};

/// What follows the program's name in the argument list of a server. As long as [`WORKER_ARGUMENT`], by which it is replaced in
/// what is forked: so `ps` tells them apart.
pub const SERVER_ARGUMENT: &CStr = c"__server";

/// What follows the program's name in the argument list of a worker.
pub const WORKER_ARGUMENT: &CStr = c"__worker";

/// A server that runs. Dropping it ends it; its workers stay.
#[derive(Debug)]
pub struct ForkServer {
    socket: Socket,
    _process: Child,
}

/// Why a server made no worker.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// It is not to be used any more: use [`Spawn`] for this worker.
    #[error("the process that workers are forked from is gone: {0}")]
    Gone(String),
    /// There is no worker, as there would be none without a server.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl From<SocketError> for ForkError {
    fn from(error: SocketError) -> Self {
        Self::Gone(error.to_string())
    }
}

impl ForkServer {
    /// Starts a server: this same executable, whose `main` must call [`serve()`] when it is started with [`SERVER_ARGUMENT`].
    /// Returns before it has been loaded. Its workers are killed when the calling thread ends.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn start() -> Result<Self, SpawnError> {
        let (socket, theirs) = Socket::pair().map_err(SpawnError::Clone)?;
        let spawn = Spawn {
            args: &[SERVER_ARGUMENT],
            program: &Program::ProcSelfExe,
            namespaces: Namespaces::None,
            core: None,
            socket: theirs.as_fd(),
        };
        Ok(Self { _process: spawn.start()?, socket })
    }

    /// Has a worker made. It is pinned and behind its namespaces when this returns, and finds its socket where one that was
    /// spawned finds it.
    ///
    /// # Errors
    /// See [`ForkError`].
    pub fn fork(
        &self,
        namespaces: Namespaces,
        user: Option<WorkerUser>,
        core: Option<u32>,
        socket: BorrowedFd<'_>,
    ) -> Result<Child, ForkError> {
        let unshared = namespaces == Namespaces::All || user.is_some();
        self.socket.send(&Order(Apart { unshared, user, core }).encode(), &[socket])?;
        let mut announced = None;
        let outcome = self.outcome(unshared, &mut announced);
        if let (Err(ForkError::Gone(_)), Some(pidfd)) = (&outcome, announced) {
            // Nobody else knows of it, and it holds the socket of whoever is made in its place.
            crate::child::end(pidfd.as_fd());
        }
        outcome
    }

    /// What came of an order. A process that has told of itself is left in `announced`.
    fn outcome(&self, unshared: bool, announced: &mut Option<OwnedFd>) -> Result<Child, ForkError> {
        let mut buffer = [0; BYTES];
        loop {
            let mut received = self.socket.recv(&mut buffer, Descriptors::Accept)?;
            if received.closed {
                return Err(ForkError::Gone("it has ended".into()));
            }
            match (Reply::decode(&buffer[..received.len]), received.fds.pop()) {
                (Some(Reply::Announced), Some(pidfd)) => *announced = Some(pidfd),
                (Some(Reply::Made { id, pinned }), Some(pidfd)) => return Ok(Child::new(pidfd, id, pinned)),
                (Some(Reply::Failed { step, errno }), ended) => {
                    if let Some(pidfd) = ended {
                        crate::child::reap(pidfd.as_fd());
                    }
                    return Err(SpawnError::of(step, io::Error::from_raw_os_error(errno), unshared).into());
                }
                _ => return Err(ForkError::Gone("it says what makes no sense".into())),
            }
        }
    }
}
