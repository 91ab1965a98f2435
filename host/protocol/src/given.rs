//! What the user gives a kernel besides its items and settings: words for a command, data for all workers, real clocks.

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// For a command.
    pub program: Program,
    /// What may make two runs differ.
    pub allow: Allow,
    /// Data for all workers. It stands end to end in one sealed memfd, which comes last of the descriptors at the start
    /// of a worker when there is any.
    pub broadcast: Vec<Broadcast>,
    /// Whether it is written down where the kernel spends its time: into a memfd that comes behind all other descriptors. Its
    /// code has to be of the profile for that.
    pub profile: bool,
}

/// How a command is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name: what stands in front of the arguments.
    pub name: String,
    /// Its arguments; together with its environment and the names of all that is given, at most
    /// [`crate::limits::PROGRAM_BYTES`].
    pub arguments: Vec<String>,
    /// Its environment (`--env`).
    pub environment: Vec<(String, String)>,
}

/// What a kernel may have of the world that differs from run to run (`--allow`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// Real clocks. A sleep still takes no time.
    pub clock: bool,
    /// Random numbers that nobody can foretell.
    pub random: bool,
}

impl Allow {
    /// Whether two runs may differ.
    #[must_use]
    pub fn any(self) -> bool {
        self.clock || self.random
    }
}

/// Data that all workers can read (`--broadcast`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    /// What kernels call it, at most [`crate::limits::NAME_BYTES`].
    pub name: String,
    /// Where it begins in the memfd.
    pub at: u64,
    /// Its bytes.
    pub len: u64,
}
