//! One worker process: its socket, its open files, its arena, and what it said so far. A token: dropping it ends the
//! process.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskhost_os::cgroup_leaf::Leaf;
use taskhost_os::child::{Child, End, Exit};
use taskhost_os::process_id::ProcessId;
use taskhost_os::progress::ProgressCell;
use taskhost_os::sandbox::{HeldFolder, Layers};
use taskhost_os::socket::{Descriptors, Socket, SocketError};
use taskhost_os::spawn::Namespaces;
use taskhost_os::users::UserLease;
use taskhost_protocol::frame;
use taskhost_protocol::ids::{BatchId, SlotId, WorkerId};
use taskhost_protocol::limits::MESSAGE_BYTES;
use taskhost_protocol::message::{FromWorker, Lacking, Role, Sandbox, Start, ToWorker};

use super::regions::Regions;
use super::slots::Slots;
use super::start_up::StopWatch;
use super::times::TimeBook;
use super::walls::{self, Surroundings};
use super::watch::Watch;
use crate::death::{Death, Evidence, Reason};
use crate::error::PoolError;
use crate::event::Post;

/// How far a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not shown who it is.
    Starting,
    /// It is known; waits for its walls.
    Greeted,
    /// Its walls were seen; the kernel starts.
    Going,
    /// It can be given work.
    Ready,
}

/// One worker process.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) id: WorkerId,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    pub(crate) slots: Slots,
    pub(crate) regions: Option<Arc<Regions>>,
    pub(crate) progress: Option<ProgressCell>,
    /// When it must be ready.
    pub(crate) ready_by: Instant,
    /// What it was asked for and has not answered, oldest first: the slots of each.
    pub(crate) asked: VecDeque<Asked>,
    /// Orders it was sent so far.
    orders: u32,
    pub(crate) last_words: Option<String>,
    /// The job whose picture it converts.
    pub(crate) converting: Option<taskhost_protocol::ids::JobId>,
    /// What it is used for.
    pub(crate) post: Post,
    /// Watches the item it is at.
    pub(crate) watch: Watch,
    /// What stood in its cell when it was found to be late.
    pub(crate) late_at: Option<u64>,
    /// What stood in its cell when the user was told that it takes long.
    pub(crate) named_at: Option<u64>,
    /// The core that it has among those that several pools share, while it has something to do.
    pub(crate) seat: Option<usize>,
    /// CPU time that it had when that was last measured.
    pub(crate) measured: Option<Duration>,
    /// How long it took to start.
    pub(crate) stop_watch: StopWatch,
    /// Where its time goes.
    pub(crate) times: TimeBook,
    /// Most memory that its kernel had at the end of a batch, as it says.
    pub(crate) memory: u64,
    /// Which build it has to be.
    build: [u8; 32],
    closing: bool,
    killed: Option<Reason>,
    sandbox: Sandbox,
    namespaces: Namespaces,
    core: Option<u32>,
    child: Child,
    socket: Socket,
    /// The folders that it was granted.
    folders: Arc<[HeldFolder]>,
    /// Given back last, when the process is gone.
    user: Option<UserLease>,
    _leaf: Option<Leaf>,
}

/// A batch that a worker was given.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) batch: BatchId,
    /// Which of the worker's orders it is; `None` for a convert worker's.
    pub(crate) order: Option<u32>,
    /// The slots that it uses.
    pub(crate) slots: Vec<SlotId>,
}

/// What is known of a death beside the process itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Circumstances {
    /// Whether the system killed processes for want of memory.
    pub(crate) out_of_memory: bool,
    /// CPU time that each worker is allowed.
    pub(crate) cpu_limit: Option<Duration>,
}

/// A process that runs, and is to become a worker.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) role: Role,
    pub(crate) core: Option<u32>,
    pub(crate) stop_watch: StopWatch,
    pub(crate) times: TimeBook,
    pub(crate) child: Child,
    pub(crate) socket: Socket,
    pub(crate) folders: Arc<[HeldFolder]>,
    pub(crate) user: Option<UserLease>,
}

/// What is asked of a new worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks {
    /// Which build it is to be.
    pub(crate) build: [u8; 32],
    pub(crate) sandbox: Sandbox,
    pub(crate) namespaces: Namespaces,
    /// When it is to be ready.
    pub(crate) ready_by: Instant,
}

/// What came from a worker.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Box<FromWorker>),
    /// Nothing more for now.
    Nothing,
    /// It closed its end.
    Closed,
    /// It broke the protocol.
    Broken(String),
}

impl WorkerProcess {
    /// A worker that has not said anything yet.
    pub(crate) fn new(id: WorkerId, begun: Begun, asks: Asks, leaf: Option<Leaf>) -> Self {
        let Begun { role, core, stop_watch, times, child, socket, folders, user } = begun;
        let Asks { build, sandbox, namespaces, ready_by } = asks;
        Self {
            id,
            role,
            phase: Phase::Starting,
            slots: Slots::new(),
            regions: None,
            progress: None,
            ready_by,
            asked: VecDeque::new(),
            orders: 0,
            last_words: None,
            converting: None,
            post: if role == Role::Convert { Post::Convert } else { Post::Execute },
            watch: Watch::default(),
            late_at: None,
            named_at: None,
            seat: None,
            measured: None,
            stop_watch,
            times,
            memory: 0,
            build,
            closing: false,
            killed: None,
            sandbox,
            namespaces,
            core,
            child,
            socket,
            folders,
            user,
            _leaf: leaf,
        }
    }

    /// Tells it what to be.
    pub(crate) fn begin(&self, start: Start, fds: &[BorrowedFd<'_>]) -> Result<(), String> {
        self.send(&ToWorker::Start(start, self.sandbox), fds)
    }

    /// Sends a message with descriptors. A worker that cannot take it at once does not read, since a worker is never
    /// asked for more than fits its socket: `Err` says so.
    pub(crate) fn send(&self, message: &ToWorker, fds: &[BorrowedFd<'_>]) -> Result<(), String> {
        let bytes = frame::encode(message).map_err(|error| error.to_string())?;
        match self.socket.try_send(&bytes, fds) {
            Ok(true) => Ok(()),
            Ok(false) => Err("did not read its messages".into()),
            // Its end is closed: the process is about to be reported as gone.
            Err(SocketError::Closed) => Ok(()),
            Err(error) => Err(format!("could not be sent a message: {error}")),
        }
    }

    /// Offers it the order that is about to be sent. Returns its number.
    pub(crate) fn offer(&mut self) -> Option<u32> {
        let order = self.orders;
        self.progress.as_ref()?.offer(order);
        self.orders = order.wrapping_add(1);
        Some(order)
    }

    /// Takes a batch back that it has not begun, and gives what that uses. `None` when it has.
    pub(crate) fn recall(&mut self, batch: BatchId) -> Option<Asked> {
        let place = self.asked.iter().position(|asked| asked.batch == batch)?;
        let order = self.asked.get(place)?.order?;
        if !self.progress.as_ref()?.recall(order) {
            return None;
        }
        self.asked.remove(place)
    }

    /// Receives one message, if one is there.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Incoming {
        debug_assert!(buffer.len() >= MESSAGE_BYTES, "the longest message fits");
        match self.socket.try_recv(buffer, Descriptors::Refuse) {
            Ok(None) => Incoming::Nothing,
            Ok(Some(received)) if received.closed => Incoming::Closed,
            Ok(Some(received)) => match frame::decode(&buffer[..received.len]) {
                Ok(message) => Incoming::Message(Box::new(message)),
                Err(error) => Incoming::Broken(format!("sent {error}")),
            },
            Err(SocketError::Closed) => Incoming::Closed,
            Err(error) => Incoming::Broken(format!("broke the protocol: {error}")),
        }
    }

    /// Looks at the process from outside: are the walls it says it has really there, and is it enough? The outer error is
    /// what the worker did wrong.
    pub(crate) fn verify(&self, lacking: Vec<Lacking>) -> Result<Result<Layers, PoolError>, String> {
        let user = self.user.as_ref().map(|lease| lease.user().number());
        let surroundings =
            Surroundings { sandbox: self.sandbox, namespaces: self.namespaces, user, folders: &self.folders };
        walls::verify(self.child.id(), surroundings, lacking)
    }

    /// It says that it lacks a layer that is insisted on.
    pub(crate) fn unlocked(&self, lacking: Lacking) -> Result<PoolError, String> {
        Ok(PoolError::Sandbox { lacking: walls::missing(lacking)?, sandbox: self.sandbox })
    }

    /// Ends the process, for this reason. Its death is reported by its pidfd.
    pub(crate) fn kill(&mut self, reason: Reason) {
        self.killed.get_or_insert(reason);
        // It can only fail for a process that is gone, which is what is wanted.
        let _ = self.child.kill();
    }

    /// Ends a process that broke the protocol.
    pub(crate) fn violated(&mut self, what: impl Into<String>) {
        self.kill(Reason::Violation(what.into()));
    }

    /// CPU time it has had; none for a process that is gone.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.child.cpu_time().unwrap_or_default()
    }

    /// Whether somebody has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.child.is_stopped()
    }

    /// Stops it for a while. One that is gone need not be stopped.
    pub(crate) fn stop(&self) {
        let _ = self.child.stop();
    }

    /// Lets it go on.
    pub(crate) fn cont(&self) {
        let _ = self.child.cont();
    }

    /// It closed its socket: its exit is awaited for so long.
    pub(crate) fn close(&mut self, linger: Duration) {
        self.closing = true;
        self.ready_by = Instant::now() + linger;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.is_some()
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> ProcessId {
        self.child.id()
    }

    pub(crate) fn socket_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn child_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }

    /// Which build it has to be.
    pub(crate) fn build(&self) -> &[u8; 32] {
        &self.build
    }

    /// Moves it to this cpu, unless it is there. Where that cannot be, it stays where it is.
    pub(crate) fn move_to(&mut self, cpu: u32) {
        if self.core != Some(cpu) && self.child.pin(cpu).is_ok() {
            self.core = Some(cpu);
        }
    }

    pub(crate) fn core(&self) -> Option<u32> {
        self.core
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.child.is_pinned()
    }

    /// Waits for the end of a process that has been killed or reported as gone.
    pub(crate) fn reap(mut self, circumstances: &Circumstances) -> (Death, Exit) {
        let exit = self.child.wait().unwrap_or(Exit {
            end: End::Unknown,
            user_time: Duration::ZERO,
            system_time: Duration::ZERO,
            max_resident: 0,
        });
        let cell = self.progress.as_ref().map_or(0, ProgressCell::load);
        let reason = match self.killed.take() {
            // It had finished that item when the kill came.
            Some(Reason::Deadline(_)) if self.late_at != Some(cell) => {
                Some(Reason::Retired("was found to be late, but had gone on"))
            }
            reason => reason,
        };
        let evidence = Evidence {
            end: exit.end,
            cpu: exit.user_time + exit.system_time,
            cpu_limit: circumstances.cpu_limit,
            reason,
            out_of_memory: circumstances.out_of_memory,
            kernel_ran: matches!(self.phase, Phase::Going | Phase::Ready),
            was_ready: self.phase == Phase::Ready,
            last_words: self.last_words.take(),
        };
        (Death::of(&evidence, cell), exit)
    }
}
