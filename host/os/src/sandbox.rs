//! The one place where a worker locks itself in, and where the coordinator checks from outside that it did.
//!
//! A worker calls [`lock`] when it has opened and loaded everything that it needs by name (its artifact through
//! /proc/self/fd) and before any code of a user runs; the order of the walls stands in `sandbox/lock.rs`. The coordinator
//! then calls [`inspect`], and [`probe`] tells what a machine offers without any worker.
//!
//! Everything here concerns the calling thread or the process, so it has to run before a second thread is started.

mod capabilities;
mod ceilings;
mod filter;
mod grants;
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
pub use grants::{Folder, FolderError, OPEN_FILES};
pub use landlock::version as landlock_version;
pub use lock::{Grants, Insistence, Policy, lock, lock_with};
pub use outside::NotLocked;
pub use probe::{Finding, probe};
pub(crate) use process::require_single_thread;
pub use specification::{Held, HeldFolder, Seen, Specification, inspect, inspect_with};

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
    /// Landlock, with no rule but those for granted folders.
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

    /// The layer of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == name)
    }

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
    /// The same for a kernel that was granted folders.
    ExecuteWithFiles,
    /// Compiles a kernel, on several threads.
    Compile,
    /// Decodes and encodes file formats.
    Convert,
    /// The same for a stream, which it reads and writes through pipes.
    Stream,
}

impl Role {
    /// Every role that is granted nothing.
    pub const ALL: [Self; 4] = [Self::Execute, Self::Compile, Self::Convert, Self::Stream];
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

    /// Takes note of a layer that is missing, unless that is known.
    pub fn add(&mut self, missing: Missing) {
        if self.is_live(missing.layer) {
            self.missing.push(missing);
        }
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
