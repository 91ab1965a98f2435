//! What the poller watches, as the numbers that it keeps.

use taskhost_os::poll::Token;
use taskhost_protocol::ids::{JobId, WorkerId};

/// What a token of the poller stands for, in its upper half; the lower half is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    Waker,
    Signals,
    Socket(WorkerId),
    Exit(WorkerId),
    Pipe(JobId),
}

impl Watched {
    pub(super) fn token(self) -> Token {
        let (kind, number) = match self {
            Self::Waker => (0, 0),
            Self::Signals => (1, 0),
            Self::Socket(worker) => (2, u64::from(worker.0)),
            Self::Exit(worker) => (3, u64::from(worker.0)),
            Self::Pipe(job) => (4, job.0 & u64::from(u32::MAX)),
        };
        Token(kind << 32 | number)
    }

    pub(super) fn from_token(token: Token) -> Option<Self> {
        let number = (token.0 & u64::from(u32::MAX)) as u32;
        Some(match token.0 >> 32 {
            0 => Self::Waker,
            1 => Self::Signals,
            2 => Self::Socket(WorkerId(number)),
            3 => Self::Exit(WorkerId(number)),
            4 => Self::Pipe(JobId(u64::from(number))),
            _ => return None,
        })
    }
}
