//! What came of an attempt, and what that says of the walls.

use std::fmt;

use super::{Aim, Attempt};
use crate::child::End;
use crate::sandbox::Layer;

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The filter killed the process.
    Killed,
    /// The kernel refused it, with this errno.
    Refused(i32),
    /// The coordinator refused what it was sent.
    Unwanted,
    /// It was done.
    CameThrough,
    /// The process died of something else.
    Died(End),
}

/// What stopped an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stopper {
    /// A layer.
    Layer(Layer),
    /// The seals of the files in memory that it was given.
    Seals,
    /// The coordinator takes no descriptors.
    Coordinator,
    /// The kernel, for some other reason.
    Kernel,
}

impl fmt::Display for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Layer(layer) => layer.name(),
            Self::Seals => "seals",
            Self::Coordinator => "coordinator",
            Self::Kernel => "kernel",
        })
    }
}

impl Outcome {
    /// What stopped this attempt, as far as its end tells; `None` when nothing did.
    #[must_use]
    pub fn stopper(self, attempt: &Attempt) -> Option<Stopper> {
        Some(match (self, attempt.aim) {
            (Self::CameThrough, _) => return None,
            (Self::Killed, _) => Stopper::Layer(Layer::SystemCalls),
            (Self::Unwanted, _) => Stopper::Coordinator,
            (Self::Refused(libc::ENOMEM), Aim::Granted) => Stopper::Layer(Layer::Limits),
            (Self::Refused(_), Aim::Granted) => Stopper::Seals,
            _ => Stopper::Kernel,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => f.write_str("SIGSYS"),
            Self::Refused(errno) => match NAMES.iter().find(|(number, _)| number == errno) {
                Some((_, name)) => f.write_str(name),
                None => write!(f, "errno {errno}"),
            },
            Self::Unwanted => f.write_str("refused"),
            Self::CameThrough => f.write_str("came through"),
            Self::Died(End::Signal(signal)) => write!(f, "signal {signal}"),
            Self::Died(End::Code(code)) => write!(f, "exit code {code}"),
            Self::Died(End::Unknown) => f.write_str("an unknown end"),
        }
    }
}

/// Names of the errnos that attempts meet.
const NAMES: &[(i32, &str)] = &[
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::ESRCH, "ESRCH"),
    (libc::ENXIO, "ENXIO"),
    (libc::ENOEXEC, "ENOEXEC"),
    (libc::EBADF, "EBADF"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EFAULT, "EFAULT"),
    (libc::ENODEV, "ENODEV"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EINVAL, "EINVAL"),
    (libc::EMFILE, "EMFILE"),
    (libc::ENOTTY, "ENOTTY"),
    (libc::EROFS, "EROFS"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ENOTCONN, "ENOTCONN"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::ENOKEY, "ENOKEY"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos_have_names() {
        assert_eq!(Outcome::Refused(libc::ENOENT).to_string(), "ENOENT");
        assert_eq!(Outcome::Refused(133).to_string(), "errno 133");
        assert_eq!(Outcome::Died(End::Signal(9)).to_string(), "signal 9");
    }
}
