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

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::child::Child;
use crate::socket::{Descriptors, Socket, SocketError};
use crate::spawn::steps::Apart;
use crate::spawn::{Namespaces, Program, Spawn, SpawnError, WorkerUser};
use order::{BYTES, Order, OrderNumber, Reply};

pub use serve::{Worker, serve};

/// What follows the program's name in the argument list of a server. As long as [`WORKER_ARGUMENT`], by which it is replaced in
/// what is forked: so `ps` tells them apart.
pub const SERVER_ARGUMENT: &CStr = c"__server";

/// What follows the program's name in the argument list of a worker.
pub const WORKER_ARGUMENT: &CStr = c"__worker";

/// A server that runs. Dropping it ends it; its workers stay, but for those that nobody has collected.
#[derive(Debug)]
pub struct ForkServer {
    id: ServerId,
    book: RefCell<Book>,
    socket: Socket,
    _process: Child,
}

/// Tells the servers of this process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ServerId(u64);

/// A worker that is being made.
#[derive(Debug)]
#[must_use = "it is to be collected"]
pub struct Ordered(ServerId, OrderNumber);

/// What was ordered, and what came of it.
#[derive(Debug, Default)]
struct Book {
    /// The number of the next order.
    next: OrderNumber,
    /// Whether those that were not answered are to have namespaces of their own, the oldest of them first, which is the next that
    /// is answered.
    open: VecDeque<(OrderNumber, bool)>,
    /// Those that have told of themselves, and were not answered for.
    announced: BTreeMap<OrderNumber, OwnedFd>,
    /// Answered for and not collected.
    made: BTreeMap<OrderNumber, Result<Child, SpawnError>>,
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
        static SERVERS: AtomicU64 = AtomicU64::new(0);
        let id = ServerId(SERVERS.fetch_add(1, Ordering::Relaxed));
        Ok(Self { id, book: RefCell::default(), _process: spawn.start()?, socket })
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
        self.collect(self.order(namespaces, user, core, socket)?)
    }

    /// Orders a worker, and does not wait for it. Several may be ordered before the first is collected.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn order(
        &self,
        namespaces: Namespaces,
        user: Option<WorkerUser>,
        core: Option<u32>,
        socket: BorrowedFd<'_>,
    ) -> Result<Ordered, ForkError> {
        let unshared = namespaces == Namespaces::All || user.is_some();
        self.socket.send(&Order(Apart { unshared, user, core }).encode(), &[socket])?;
        let mut book = self.book.borrow_mut();
        let number = book.next.take();
        book.open.push_back((number, unshared));
        Ok(Ordered(self.id, number))
    }

    /// Waits for what was ordered, which then is as [`ForkServer::fork`] says.
    ///
    /// # Errors
    /// See [`ForkError`]; also when another server has taken the place of the one where it was ordered.
    pub fn collect(&self, Ordered(server, number): Ordered) -> Result<Child, ForkError> {
        if server != self.id {
            return Err(ForkError::Gone("another has taken its place".into()));
        }
        let mut book = self.book.borrow_mut();
        loop {
            if let Some(outcome) = book.made.remove(&number) {
                return Ok(outcome?);
            }
            book.hear(&self.socket)?;
        }
    }
}

impl Book {
    /// Waits for an answer, or for what comes before it. When the server is gone, nothing is left of what it has not answered
    /// for: nobody else knows of that, and it would hold the socket of whoever is made in its place.
    fn hear(&mut self, socket: &Socket) -> Result<(), ForkError> {
        let heard = self.receive(socket);
        if heard.is_err() {
            for pidfd in std::mem::take(&mut self.announced).into_values() {
                crate::child::end(pidfd.as_fd());
            }
        }
        heard
    }

    fn receive(&mut self, socket: &Socket) -> Result<(), ForkError> {
        let mut buffer = [0; BYTES];
        let mut received = socket.recv(&mut buffer, Descriptors::Accept)?;
        if received.closed {
            return Err(ForkError::Gone("it has ended".into()));
        }
        let (reply, pidfd) = (Reply::decode(&buffer[..received.len]), received.fds.pop());
        let nonsense = || ForkError::Gone("it says what makes no sense".into());
        let (number, unshared) = self.open.front().copied().ok_or_else(nonsense)?;
        let outcome = match (reply, pidfd) {
            (Some(Reply::Announced(number)), Some(pidfd)) => {
                self.announced.insert(number, pidfd);
                return Ok(());
            }
            (Some(Reply::Made { id, pinned }), Some(pidfd)) => Ok(Child::new(pidfd, id, pinned)),
            (Some(Reply::Failed { step, errno }), ended) => {
                if let Some(pidfd) = ended {
                    crate::child::reap(pidfd.as_fd());
                }
                Err(SpawnError::of(step, io::Error::from_raw_os_error(errno), unshared))
            }
            _ => return Err(nonsense()),
        };
        self.open.pop_front();
        self.announced.remove(&number);
        self.made.insert(number, outcome);
        Ok(())
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        // What nobody collects any more is known first, and then ended.
        let book = self.book.get_mut();
        while !book.open.is_empty() && book.hear(&self.socket).is_ok() {}
    }
}
