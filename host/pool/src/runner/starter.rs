//! Starts worker processes: as users of their own where that is possible, in namespaces unless the machine refuses them and nobody
//! insists. The first of a pool are ordered ahead, and made while their code is looked up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskhost_os::child::Child;
use taskhost_os::exe::identity_of;
use taskhost_os::fork_server::Ordered;
use taskhost_os::priority::HandOn;
use taskhost_os::sandbox::HeldFolder;
use taskhost_os::socket::Socket;
use taskhost_os::spawn::{Namespaces, Program, SpawnError};
use taskhost_os::users::{UserLease, Users};
use taskhost_protocol::ids::WorkerId;
use taskhost_protocol::message::{Role, Sandbox};

use super::config::PoolConfig;
use super::grants;
use super::leaves::Leaves;
use super::origin::{self, Wanted};
use super::process::{Asks, Begun, WorkerProcess};
use super::start_up::StopWatch;
use super::times::TimeBook;
use super::walls;
use crate::error::{PoolError, Tried as _};

/// How workers are started.
#[derive(Debug)]
pub(crate) struct Starter {
    program: Program,
    /// Which build that is, once it was asked for.
    build: Option<[u8; 32]>,
    /// How long a worker may take until it is ready.
    start_up: Duration,
    /// How much of the sandbox is insisted on.
    sandbox: Sandbox,
    /// What this machine was found to allow.
    namespaces: Namespaces,
    /// A user for each worker, where that is possible.
    users: Option<Users>,
    /// A control group for each worker, where that is possible.
    leaves: Leaves,
    /// Has workers leave the cores to others, where this process does.
    hand_on: Option<HandOn>,
    /// The folders that the kernel is granted.
    folders: Arc<[HeldFolder]>,
    /// The first workers, as long as nobody has asked for them.
    ahead: VecDeque<Ahead>,
}

impl Starter {
    /// Starts the program of these workers, behind their walls.
    ///
    /// # Errors
    /// When a folder cannot be granted.
    pub(crate) fn new(config: &PoolConfig) -> Result<Self, PoolError> {
        if config.program == Program::ProcSelfExe {
            origin::prepare();
        }
        let is_off = config.sandbox == Sandbox::Off;
        Ok(Self {
            program: config.program.clone(),
            build: None,
            start_up: config.policy.start_up,
            sandbox: config.sandbox,
            namespaces: if is_off { Namespaces::None } else { Namespaces::All },
            users: if is_off { None } else { Users::open() },
            leaves: Leaves::open(config),
            hand_on: HandOn::new(),
            folders: grants::held(&config.grants)?,
            ahead: VecDeque::new(),
        })
    }

    /// What a worker of this role is granted.
    fn folders(&self, role: Role) -> Arc<[HeldFolder]> {
        if role == Role::Execute { Arc::clone(&self.folders) } else { Arc::default() }
    }

    /// The program that workers are.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Starts a process as the user of this one, without namespaces where the machine refuses them and nobody insists: from
    /// then on.
    fn start_plainly(&mut self, wanted: Wanted<'_>) -> Result<Child, PoolError> {
        match origin::make(&self.program, wanted) {
            Err(SpawnError::NamespacesRefused { step, error }) if self.sandbox == Sandbox::Full => {
                Err(walls::no_namespaces(format!("it is refused to {step}: {error}")))
            }
            Err(SpawnError::NamespacesRefused { .. }) => {
                self.namespaces = Namespaces::None;
                origin::make(&self.program, Wanted { namespaces: Namespaces::None, ..wanted }).map_err(failed)
            }
            result => result.map_err(failed),
        }
    }

    /// Has the first workers made, on these cores, while something else is done.
    pub(crate) fn order_ahead(&mut self, cores: &[Option<u32>]) {
        if self.folders(Role::Execute).is_empty()
            && let Some(users) = &self.users
        {
            self.ahead = cores.iter().map_while(|core| Ahead::order(&self.program, users, *core)).collect();
        }
    }

    /// Starts a process. Falls back to no namespaces where the machine refuses them and nobody insists, for this and all
    /// later ones.
    pub(crate) fn start(&mut self, id: WorkerId, role: Role, core: Option<u32>) -> Result<WorkerProcess, PoolError> {
        let build = match self.build {
            Some(build) => build,
            None => *self.build.insert(identity_of(&self.program).tried("identifying the program that workers are")?),
        };
        let ahead = if role == Role::Execute { self.ahead.pop_front() } else { None };
        let begun = match ahead.and_then(|ahead| ahead.collect(core)) {
            Some(begun) => begun,
            None => self.begin(role, core)?,
        };
        let leaf = self.leaves.make(role, begun.child.id());
        if let Some(hand_on) = &mut self.hand_on {
            hand_on.to(begun.child.id());
        }
        let (sandbox, namespaces) = (self.sandbox, self.namespaces);
        let asks = Asks { build, sandbox, namespaces, ready_by: Instant::now() + self.start_up };
        Ok(WorkerProcess::new(id, begun, asks, leaf))
    }

    fn begin(&mut self, role: Role, core: Option<u32>) -> Result<Begun, PoolError> {
        let (stop_watch, times) = (StopWatch::start(), TimeBook::new());
        let (socket, theirs) = Socket::pair().map_err(|error| failed(SpawnError::Clone(error)))?;
        let wanted = Wanted { namespaces: self.namespaces, user: None, core, socket: &theirs };
        let folders = self.folders(role);
        // Files are read and written as the user of this process, to whom they belong.
        let users = if folders.is_empty() { self.users.as_ref() } else { None };
        let user = users.and_then(Users::lease);
        let started = user.and_then(|user| {
            let wanted = Wanted { namespaces: Namespaces::All, user: Some(user.user()), ..wanted };
            Some((origin::make(&self.program, wanted).ok()?, user))
        });
        let (child, user) = match started {
            Some((child, user)) => (child, Some(user)),
            None => (self.start_plainly(wanted)?, None),
        };
        if user.is_none() && folders.is_empty() {
            // A program that only its owner may read, or a machine that allows less than it promised: not tried again.
            self.users = None;
        }
        Ok(Begun { role, core, stop_watch, times, child, socket, folders, user })
    }
}

/// An execute worker that is being made, as a user of its own.
#[derive(Debug)]
struct Ahead {
    core: Option<u32>,
    stop_watch: StopWatch,
    child: Making,
    socket: Socket,
    /// Given back last, when the process is gone.
    user: UserLease,
}

/// A process that is being made. Dropping it ends it.
#[derive(Debug)]
struct Making(Option<Ordered>);

impl Making {
    fn collect(mut self) -> Option<Child> {
        self.0.take().and_then(origin::collect)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        drop(self.0.take().and_then(origin::collect));
    }
}

impl Ahead {
    fn order(program: &Program, users: &Users, core: Option<u32>) -> Option<Self> {
        let stop_watch = StopWatch::start();
        let (socket, theirs) = Socket::pair().ok()?;
        let user = users.lease()?;
        let wanted = Wanted { namespaces: Namespaces::All, user: Some(user.user()), core, socket: &theirs };
        let child = Making(Some(origin::order(program, wanted)?));
        Some(Self { core, stop_watch, child, socket, user })
    }

    /// Waits for it. `None` when it cannot be made, or not on this core.
    fn collect(self, core: Option<u32>) -> Option<Begun> {
        let Self { stop_watch, child, socket, user, .. } = self;
        let child = child.collect().filter(|_| self.core == core)?;
        Some(Begun {
            role: Role::Execute,
            core,
            stop_watch,
            times: TimeBook::new(),
            child,
            socket,
            folders: Arc::default(),
            user: Some(user),
        })
    }
}
fn failed(error: SpawnError) -> PoolError {
    PoolError::Start(error.to_string())
}
