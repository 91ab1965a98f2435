//! Where worker processes come from: forked from a server that was loaded once, or, where that cannot be, each started by itself.

use std::cell::RefCell;
use std::os::fd::AsFd as _;

use taskhost_os::child::Child;
use taskhost_os::fork_server::{ForkError, ForkServer, Ordered, WORKER_ARGUMENT};
use taskhost_os::socket::Socket;
use taskhost_os::spawn::{Namespaces, Program, Spawn, SpawnError, WorkerUser};

/// The worker process that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) namespaces: Namespaces,
    pub(super) user: Option<WorkerUser>,
    pub(super) core: Option<u32>,
    /// The worker's end.
    pub(super) socket: &'a Socket,
}

/// The server of a thread.
#[derive(Debug)]
enum Server {
    /// None yet, or the last one had to go.
    Absent,
    Runs(ForkServer),
    /// Tried, and not to be had here.
    Useless,
}

thread_local! {
    // One for all pools of a thread, whose workers end with it, as the server does.
    static SERVER: RefCell<Server> = const { RefCell::new(Server::Absent) };
}

/// Starts what workers are forked from, unless this thread has it already: it is loaded while its user does something else.
pub fn prepare() {
    SERVER.with_borrow_mut(Server::start);
}

/// A worker has died: it may have been made to by somebody who tries out at which addresses its program lies. The next ones lie
/// at others.
pub(super) fn renew() {
    SERVER.with_borrow_mut(|server| {
        if matches!(server, Server::Runs(_)) {
            *server = Server::Absent;
        }
    });
}

/// Has a process of this program made while its user does something else. `None` where there is no server.
pub(super) fn order(program: &Program, wanted: Wanted<'_>) -> Option<Ordered> {
    if *program != Program::ProcSelfExe {
        return None;
    }
    SERVER.with_borrow_mut(|server| {
        server.start();
        let Server::Runs(runs) = server else { return None };
        let Wanted { namespaces, user, core, socket } = wanted;
        runs.order(namespaces, user, core, socket.as_fd()).ok()
    })
}

/// What came of that. `None` when there is none, for whatever reason.
pub(super) fn collect(ordered: Ordered) -> Option<Child> {
    // In the end of a thread its server goes first, and everything that nobody has collected goes with it.
    let collected = SERVER.try_with(|server| match &*server.borrow() {
        Server::Runs(server) => server.collect(ordered).ok(),
        Server::Absent | Server::Useless => None,
    });
    collected.ok().flatten()
}

/// Makes a process of this program.
pub(super) fn make(program: &Program, wanted: Wanted<'_>) -> Result<Child, SpawnError> {
    // Only this same executable is known to be able to serve.
    let forked =
        if *program == Program::ProcSelfExe { SERVER.with_borrow_mut(|server| server.make(wanted)) } else { None };
    let Wanted { namespaces, user, core, socket } = wanted;
    forked.unwrap_or_else(|| {
        let spawn = Spawn { args: &[WORKER_ARGUMENT], program, namespaces, core, socket: socket.as_fd() };
        match user {
            Some(user) => spawn.start_as(user),
            None => spawn.start(),
        }
    })
}

impl Server {
    fn start(&mut self) {
        if !matches!(self, Self::Absent) {
            return;
        }
        // A worker's walls are looked at from outside. To somebody without privileges the kernel shows that of what was executed in
        // a user namespace that is his, and not of what was forked into it: its memory still belongs to the one before.
        let can_look = taskhost_os::spawn::can_give_users();
        *self = if can_look { ForkServer::start().map_or(Self::Useless, Self::Runs) } else { Self::Useless };
    }

    /// `None` when there is no server.
    fn make(&mut self, wanted: Wanted<'_>) -> Option<Result<Child, SpawnError>> {
        let Wanted { namespaces, user, core, socket } = wanted;
        self.start();
        let Self::Runs(server) = self else { return None };
        match server.fork(namespaces, user, core, socket.as_fd()) {
            Ok(child) => Some(Ok(child)),
            Err(ForkError::Spawn(error)) => Some(Err(error)),
            // It cannot serve, or somebody has ended it.
            Err(ForkError::Gone(_)) => {
                *self = Self::Useless;
                None
            }
        }
    }
}
