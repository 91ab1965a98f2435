//! What can go wrong with a pool as a whole, sorted by who is to blame. Jobs have failures of their own.

use std::io;

use taskhost_protocol::fault::Refusal;

use taskhost_os::sandbox::Missing;
use taskhost_os::signals::Signal;
use taskhost_protocol::message::Sandbox;

/// Why a pool cannot work.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The kernel is to blame.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Workers cannot be started, or die before they are ready.
    #[error("no worker could be started: {0}")]
    Start(String),
    /// This machine lacks a layer of the sandbox that is insisted on.
    #[error("{}", sandbox_text(.lacking, *.sandbox))]
    Sandbox {
        /// The layer, and why it is missing.
        lacking: Missing,
        /// What was asked for.
        sandbox: Sandbox,
    },
    /// The worker that compiled the kernel died.
    #[error("compiling the kernel failed: the compiler process {0}")]
    Compile(String),
    /// A signal asked for an end.
    #[error("{}", signal_text(*.0))]
    Interrupted(Signal),
    /// The run took longer than `--deadline` allows.
    #[error("the run took longer than the {0:?} that --deadline allows")]
    Deadline(std::time::Duration),
    /// Something that should always work did not.
    #[error("{what}: {error}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// Names what was tried when a call fails that never should.
pub(crate) trait Tried<T> {
    /// The value, or [`PoolError::Host`].
    fn tried(self, what: &'static str) -> Result<T, PoolError>;
}

impl<T, E: Into<io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: &'static str) -> Result<T, PoolError> {
        self.map_err(|error| PoolError::Host { what, error: error.into() })
    }
}

fn sandbox_text(lacking: &Missing, sandbox: Sandbox) -> String {
    let (who, what_to_do) = match sandbox {
        Sandbox::Full => ("--sandbox full", "`taskhost doctor` tells more, and --sandbox auto does with what there is"),
        Sandbox::Auto | Sandbox::Off => ("every run", "--sandbox off runs kernels that you trust without any walls"),
    };
    let Missing { layer, reason } = lacking;
    format!("this machine does not allow a wall that {who} needs around the workers: {layer} ({reason}); {what_to_do}")
}

fn signal_text(signal: Signal) -> &'static str {
    match signal {
        Signal::Interrupt => "interrupted",
        Signal::Terminate => "terminated",
        Signal::HangUp => "ended, since the terminal went away",
        Signal::Quit | Signal::WindowChange | Signal::Suspend | Signal::Continue | Signal::User1 => "ended by a signal",
    }
}
