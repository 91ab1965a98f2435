//! Every exit code, and what leads to it.

use std::process::ExitCode;

use taskhost_os::signals::Signal;
use taskhost_pool::error::PoolError;
use taskhost_pool::event::JobFailure;
use taskhost_protocol::fault::Refusal;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// Something that should always work did not.
    Host,
    /// The command line makes no sense.
    Usage,
    /// At least one item failed.
    ItemsFailed,
    /// The kernel cannot be used.
    Refused,
    /// An input or an output cannot be used.
    InputOutput,
    /// A layer of the sandbox is missing that is insisted on.
    Sandbox,
    /// A limit of the whole run was hit.
    RunLimit,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// Whoever read standard output went away.
    ReaderGone,
}

/// The table, as the manual prints it.
pub(crate) const TABLE: [(u8, &str); 11] = [
    (0, "everything was done"),
    (1, "something unexpected went wrong on the host's side"),
    (2, "the command line makes no sense"),
    (3, "at least one item failed"),
    (4, "the kernel was refused: not WebAssembly, the wrong shape, an import that is not offered, too large"),
    (5, "an input could not be read or an output could not be written"),
    (
        6,
        "this machine does not allow a wall around the workers that is insisted on: --sandbox full; or one does not hold: doctor --attack",
    ),
    (7, "a limit of the whole run was hit: --deadline, or the memory or time that a scheduler was asked for"),
    (130, "interrupted (Ctrl-C)"),
    (141, "the reader of standard output went away"),
    (143, "terminated"),
];

impl Exit {
    /// What another run of this program ended with.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        let all = [Self::Done, Self::Host, Self::Usage, Self::ItemsFailed, Self::Refused, Self::InputOutput];
        let others = [Self::Sandbox, Self::RunLimit, Self::Interrupted, Self::ReaderGone, Self::Terminated];
        all.into_iter().chain(others).find(|exit| exit.code() == code)
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Host => 1,
            Self::Usage => 2,
            Self::ItemsFailed => 3,
            Self::Refused => 4,
            Self::InputOutput => 5,
            Self::Sandbox => 6,
            Self::RunLimit => 7,
            Self::Interrupted => 130,
            Self::ReaderGone => 141,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// What the kernel was refused for, when it was.
    pub(crate) refusal: Option<Refusal>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), refusal: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Exit::InputOutput, message)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        let exit = match &error {
            PoolError::Refused(Refusal::Setting(_)) => Exit::Usage,
            PoolError::Refused(_) => Exit::Refused,
            PoolError::Sandbox { .. } => Exit::Sandbox,
            PoolError::Deadline(_) => Exit::RunLimit,
            PoolError::Interrupted(Signal::Terminate) => Exit::Terminated,
            PoolError::Interrupted(_) => Exit::Interrupted,
            PoolError::Start(_) | PoolError::Compile(_) | PoolError::Host { .. } => Exit::Host,
        };
        let message = error.to_string();
        let refusal = if let PoolError::Refused(refusal) = error { Some(refusal) } else { None };
        Self { exit, message, refusal }
    }
}

/// How a run ends whose one job failed like this.
pub(crate) fn of_job(failure: &JobFailure) -> Exit {
    match failure {
        JobFailure::Item(item) if item.verdict.is_input_output() => Exit::InputOutput,
        JobFailure::Item(_) => Exit::ItemsFailed,
        JobFailure::Input(_) | JobFailure::Output(_) => Exit::InputOutput,
        JobFailure::OutputLimit(_) => Exit::RunLimit,
        JobFailure::ReaderGone => Exit::ReaderGone,
        JobFailure::Kernel(_) | JobFailure::Violation(_) => Exit::ItemsFailed,
        JobFailure::Lost(_) => Exit::Host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code() {
        let all = [
            Exit::Done,
            Exit::Host,
            Exit::Usage,
            Exit::ItemsFailed,
            Exit::Refused,
            Exit::InputOutput,
            Exit::Sandbox,
            Exit::RunLimit,
            Exit::Interrupted,
            Exit::ReaderGone,
            Exit::Terminated,
        ];
        assert_eq!(all.map(Exit::code), TABLE.map(|(code, _)| code));
    }
}
