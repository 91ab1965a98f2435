//! The one place where a worker locks itself in, and where the coordinator checks from outside that it did.
//!
//! [`lock`] puts up all walls, for a role and as far as a policy wants them; its order stands in `sandbox/lock.rs`.
//! `enter_execute` and its like put up those in the list here.
//!
//! The order, with what only [`lock`] does in brackets. A worker calls this when it has opened and loaded everything it
//! needs by name (its artifact through /proc/self/fd) and before any code of a user runs:
//!
//! 1. an empty, read-only root, and a host name of its own: needs the capabilities of its user namespace;
//! 2. [Landlock without any rule];
//! 3. no capabilities, and no way to get them back: the bounding set first, which needs one;
//! 4. `no_new_privs`, which the spawn has set already, checked here;
//! 5. not dumpable, no core file, the parent-death signal again: changes of credentials clear the first and the last;
//! 6. resource limits: those on memory and CPU time are set right before ([`crate::rlimits`]), since /proc is gone after
//!    step 1; [those on descriptors and files, when all of them exist];
//! 7. [the system-call filter, last, because the steps before need calls that it kills].
//!
//! Everything here concerns the calling thread or the process, so it has to run before a second thread is started.

mod capabilities;
mod ceilings;
mod filter;
mod landlock;
mod lock;
mod outside;
mod probe;
mod process;
mod root;
mod specification;

use std::fmt;
use std::io;

pub use filter::{known_names, known_numbers};
pub use landlock::version as landlock_version;
pub use lock::{Grants, Insistence, Policy, lock};
pub use outside::{Expected, NotLocked, verify};
pub use probe::{Finding, probe};
pub use specification::{Seen, Specification, inspect};

/// One wall around a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// User, mount, process, network, IPC, host-name and cgroup namespaces of its own.
    Namespaces,
    /// A root folder that is empty and read-only.
    EmptyRoot,
    /// No capabilities, for good.
    NoCapabilities,
    /// No set-user-id program or file capability can add any.
    NoNewPrivileges,
    /// Landlock without any rule.
    Landlock,
    /// Nobody of the same user can read its memory, and it leaves no core file.
    NoDumps,
    /// Limits on descriptors, files, processes and everything else that is counted.
    Limits,
    /// The system calls of its role, and no other.
    SystemCalls,
}

impl Layer {
    /// Every layer that there is, in the order in which they go up.
    pub const ALL: [Self; 8] = [
        Self::Namespaces,
        Self::EmptyRoot,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::NoCapabilities,
        Self::NoDumps,
        Self::Limits,
        Self::SystemCalls,
    ];

    /// Its name, for the user.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::EmptyRoot => "empty root",
            Self::NoCapabilities => "no capabilities",
            Self::NoNewPrivileges => "no new privileges",
            Self::Landlock => "Landlock",
            Self::NoDumps => "no dumps",
            Self::Limits => "resource limits",
            Self::SystemCalls => "system-call filter",
        }
    }
}

/// What a worker is for, which decides what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Runs a kernel, with or without WASI.
    Execute,
    /// Compiles a kernel, on several threads.
    Compile,
    /// Decodes and encodes file formats.
    Convert,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Execute, Self::Compile, Self::Convert];
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A layer that is not live, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The layer.
    pub layer: Layer,
    /// Why, for the user.
    pub reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.layer, self.reason)
    }
}

/// Which layers are live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    missing: Vec<Missing>,
}

impl Layers {
    /// Whether `layer` is live.
    #[must_use]
    pub fn is_live(&self, layer: Layer) -> bool {
        self.missing.iter().all(|missing| missing.layer != layer)
    }

    /// Those that are not. Empty when the sandbox is full.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Takes note of how setting up `layer` went.
    fn note(&mut self, layer: Layer, result: io::Result<()>) {
        if let Err(error) = result {
            self.lack(layer, error.to_string());
        }
    }

    fn lack(&mut self, layer: Layer, reason: String) {
        self.missing.push(Missing { layer, reason });
    }
}

/// Why a worker must not go on: what any Linux allows was refused here, or came too late.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The walls would hold for one thread only.
    #[error("the process has {0} threads; it has to lock itself in before it starts a second one")]
    Threads(u64),
    /// A step that needs no privilege failed.
    #[error("the process cannot {step}: {error}")]
    Step {
        /// What it could not do.
        step: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// A layer is missing that was insisted on.
    #[error("the sandbox lacks a layer that it must have: {0}")]
    Missing(Missing),
}

/// Locks this process in for running a kernel: it can compute, and use the descriptors that it has.
///
/// # Errors
/// See [`SandboxError`]; the process has to end then. Layers that a machine may refuse are no error but missing in the
/// answer, which the coordinator sees as well ([`verify`]).
pub fn enter_execute() -> Result<Layers, SandboxError> {
    enter()
}

/// Locks this process in for compiling a kernel: as [`enter_execute`].
///
/// # Errors
/// As [`enter_execute`].
pub fn enter_compile() -> Result<Layers, SandboxError> {
    enter()
}

/// Locks this process in for decoding and encoding file formats: as [`enter_execute`].
///
/// # Errors
/// As [`enter_execute`].
pub fn enter_convert() -> Result<Layers, SandboxError> {
    enter()
}

fn enter() -> Result<Layers, SandboxError> {
    process::require_single_thread()?;
    let mut layers = Layers::default();
    if process::is_isolated() {
        layers.note(Layer::EmptyRoot, root::enter_empty_root().and_then(|()| process::set_host_name()));
    } else {
        layers.lack(Layer::Namespaces, "it was started without them".into());
        layers.lack(Layer::EmptyRoot, "it needs a mount namespace".into());
    }
    layers.note(Layer::NoCapabilities, capabilities::drop_all());
    process::forbid_new_privileges()?;
    process::forbid_dumps()?;
    process::die_with_parent()?;
    Ok(layers)
}
