//! Starting a worker process: `clone` with CLONE_VM|CLONE_VFORK on a stack of its own, and typed errors for each step.
//!
//! A plain `fork` copies the page tables of the embedding program (17 ms per GiB); with CLONE_VM nothing is copied, and
//! CLONE_VFORK stops the calling thread until the child has executed the program, so that the child may use the
//! parent's memory. What the child does in between stands in `spawn/steps.rs`. Call from one thread that lives as long as its
//! workers: the parent-death signal follows the *thread* that spawned.
//!
//! The calling process must be dumpable (the default): otherwise the files in /proc that map the user are not its own.

mod stack;
pub(crate) mod steps;
mod user;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::child::Child;
use crate::process_id::ProcessId;
use crate::signals::BlockAll;

pub use steps::Step;
pub use user::{FIRST_USER, USERS, WorkerUser, can_give_users};

/// The descriptor number at which the child finds its control socket.
pub const SOCKET_FD: i32 = 3;

/// The name that `ps` shows.
const ARGUMENT_ZERO: &CStr = c"taskhost";

/// What makes an unshared process: each kind of namespace that keeps it from naming anything outside.
const NAMESPACE_FLAGS: c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Which program the child executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// This same executable, by inode: replacing it on disk cannot mix two versions.
    ProcSelfExe,
    /// A program by path.
    Path(CString),
}

/// How the child is separated from the rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Namespaces {
    /// User, mount, process, network, IPC, host-name and cgroup namespaces of its own.
    All,
    /// None: for machines that refuse them.
    None,
}

/// How to start one child.
#[derive(Clone, Debug)]
pub struct Spawn<'a> {
    /// What follows the program's name in the argument list, such as `__worker`.
    pub args: &'a [&'a CStr],
    /// What to execute.
    pub program: &'a Program,
    /// How to separate it.
    pub namespaces: Namespaces,
    /// The logical cpu it is pinned to before it touches memory; [`Child::is_pinned`] says whether that worked.
    pub core: Option<u32>,
    /// Its control socket, which it finds at [`SOCKET_FD`]. No other descriptor is passed on.
    pub socket: BorrowedFd<'a>,
}

/// Why no child was started. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The machine does not allow the namespaces: try [`Namespaces::None`], and say so.
    #[error("this machine refuses namespaces ({step}: {error})")]
    NamespacesRefused {
        /// Where it was refused.
        step: Step,
        /// What the kernel said.
        error: io::Error,
    },
    /// There is no memory for the child's stack.
    #[error("no memory for the stack of a new process: {0}")]
    Stack(io::Error),
    /// No process could be made: a limit on processes, or no memory. Use fewer workers.
    #[error("no new process could be made: {0}")]
    Clone(io::Error),
    /// The new process could not become a worker.
    #[error("the new process failed to {step}: {error}")]
    Child {
        /// What it failed at.
        step: Step,
        /// What the kernel said.
        error: io::Error,
    },
}

impl Spawn<'_> {
    /// Starts the child. When this returns, the program is being executed.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn start(&self) -> Result<Child, SpawnError> {
        self.start_with(None)
    }

    /// Starts the child as a user of its own, in namespaces whatever [`Spawn::namespaces`] says. In its own user
    /// namespace it is user 0 all the same.
    ///
    /// Files that it opens by name, its program included, must be readable for others. Descriptors work as they are.
    ///
    /// # Errors
    /// See [`SpawnError`]; also when [`can_give_users`] says no. Use [`Spawn::start`] then.
    pub fn start_as(&self, user: WorkerUser) -> Result<Child, SpawnError> {
        if !can_give_users() {
            let error = io::ErrorKind::PermissionDenied.into();
            return Err(SpawnError::NamespacesRefused { step: Step::User, error });
        }
        self.start_with(Some(user))
    }

    fn start_with(&self, user: Option<WorkerUser>) -> Result<Child, SpawnError> {
        let program = match &self.program {
            Program::ProcSelfExe => c"/proc/self/exe",
            Program::Path(path) => path.as_c_str(),
        };
        let mut argv: Vec<*const c_char> = vec![ARGUMENT_ZERO.as_ptr()];
        argv.extend(self.args.iter().map(|arg| arg.as_ptr()));
        argv.push(ptr::null());
        let unshared = self.namespaces == Namespaces::All || user.is_some();
        let apart = steps::Apart { unshared, user, core: self.core };
        let outcome = steps::Outcome::default();
        let parent = std::process::id().cast_signed();
        let execution = steps::Execution {
            program: program.as_ptr(),
            argv: argv.as_ptr(),
            request: steps::Request::new(apart, self.socket, parent, &outcome),
        };
        let child = clone(&execution, namespace_flags(unshared, user))?;
        match outcome.failure() {
            None => Ok(child),
            // The child has ended; dropping `child` reaps it.
            Some((step, error)) => Err(SpawnError::of(step, error, unshared)),
        }
    }
}

impl SpawnError {
    /// What a failure of this step means to the one who wanted a process, with namespaces of its own or without.
    pub(crate) fn of(step: Step, error: io::Error, unshared: bool) -> Self {
        let is_refusal = match step {
            Step::Clone => matches!(
                error.raw_os_error(),
                Some(libc::EPERM | libc::ENOSPC | libc::EUSERS | libc::EINVAL | libc::ENOSYS)
            ),
            step => step.maps_ids(),
        };
        match step {
            step if is_refusal && unshared => Self::NamespacesRefused { step, error },
            Step::Clone => Self::Clone(error),
            step => Self::Child { step, error },
        }
    }
}

/// The namespaces that a process is made with. Who becomes another user makes the others afterwards: they shall belong to that
/// user's namespace.
pub(crate) fn namespace_flags(unshared: bool, user: Option<WorkerUser>) -> c_int {
    match (unshared, user) {
        (false, _) => 0,
        (true, None) => NAMESPACE_FLAGS,
        (true, Some(_)) => libc::CLONE_NEWPID,
    }
}

/// Makes the process and waits until it has executed its program or ended.
fn clone(execution: &steps::Execution<'_>, namespaces: c_int) -> Result<Child, SpawnError> {
    let stack = stack::Stack::new().map_err(SpawnError::Stack)?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD | namespaces;
    let mut pidfd: c_int = -1;
    let argument = ptr::from_ref(execution).cast_mut().cast::<c_void>();
    // Signals are blocked so that no handler of the parent runs in the child, on memory that the two share.
    let blocked = BlockAll::new();
    // SAFETY: `steps::child_main` runs on `stack`, which outlives it because CLONE_VFORK keeps this thread here until
    // the child has executed or ended; until then it also keeps alive everything that `execution` points to. `pidfd` is
    // where CLONE_PIDFD stores the descriptor.
    let pid = unsafe { libc::clone(steps::child_main, stack.top(), flags, argument, &raw mut pidfd) };
    let error = io::Error::last_os_error();
    drop(blocked);
    if pid < 0 {
        return Err(SpawnError::of(Step::Clone, error, namespaces != 0));
    }
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let id = ProcessId::new(pid).expect("clone returns a positive process id");
    Ok(Child::new(pidfd, id, execution.request.outcome.is_pinned()))
}
