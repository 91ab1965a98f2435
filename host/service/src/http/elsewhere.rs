//! What comes for tenants from servers of others: what is wrong with what they answer, and how what comes is handed on.

use std::io::Read as _;

use super::Problem;
use super::stream::Parts;
use crate::fetch::{Fetched, Fetcher, Get};
use crate::webhook::Undelivered;
use axum::http::StatusCode;

/// Bytes that are read at a time.
const PART: usize = 256 << 10;

/// Who is asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// A registry, for a kernel.
    Registry,
    /// A source, for a content.
    Source,
}

impl Server {
    /// What is asked for there.
    fn thing(self) -> &'static str {
        match self {
            Self::Registry => "kernel",
            Self::Source => "content",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Source => "source",
        }
    }

    /// What names nothing there.
    pub(super) fn unfit(self, why: String) -> Problem {
        let code = match self {
            Self::Registry => "bad-reference",
            Self::Source => "bad-source",
        };
        Problem::unprocessable(code, why)
    }

    /// The operator has not said that it may be asked.
    pub(super) fn not_listed(self, host: &str) -> Problem {
        let (code, name) = match self {
            Self::Registry => ("registry-not-listed", "registry"),
            Self::Source => ("source-not-listed", "source"),
        };
        Problem::new(StatusCode::FORBIDDEN, code, format!("the operator does not list the {name} {host}"))
    }

    /// It did not do what is asked of it.
    pub(super) fn failed(self, why: &str) -> Problem {
        let code = match self {
            Self::Registry => "registry-failed",
            Self::Source => "source-failed",
        };
        Problem::new(StatusCode::BAD_GATEWAY, code, why)
    }

    /// Asks it.
    pub(super) fn ask(self, fetcher: &dyn Fetcher, wanted: Get<'_>) -> Result<Fetched, Problem> {
        let refused = |error: Undelivered| self.failed(&format!("the {} does not answer: {error}", self.name()));
        fetcher.fetch(wanted).map_err(refused)
    }

    /// Whether it answers with what it was asked for.
    pub(super) fn good(self, status: u16) -> Result<(), Problem> {
        match (status, self) {
            // Any other success is of a part, or of nothing.
            (200 | 203, _) => Ok(()),
            (401 | 403, Self::Registry) => Err(self.failed("not everybody may read this in the registry")),
            (401 | 403, Self::Source) => Err(self.failed("the source does not give this content to this server")),
            (300..=399, Self::Source) => {
                Err(self.failed("the source sends one on to another place: name that one, when the operator lists it"))
            }
            (404 | 410, _) => Err(self.unfit(format!("the {} has no such {}", self.name(), self.thing()))),
            (status, _) => Err(self.failed(&format!("the {} answers {status}", self.name()))),
        }
    }

    /// Asks it for something, and hands on what comes, as it comes. Waits for it.
    pub(super) fn hand_on(
        self,
        fetcher: &dyn Fetcher,
        wanted: Get<'_>,
        parts: Parts,
        runtime: &tokio::runtime::Handle,
    ) -> Result<(), Problem> {
        let read = || {
            let fetched = self.ask(fetcher, wanted)?;
            self.good(fetched.status)?;
            let (mut body, mut buffer) = (fetched.body, vec![0; PART]);
            loop {
                let read = body.read(&mut buffer);
                let read =
                    read.map_err(|error| self.failed(&format!("the {} cannot be read: {error}", self.thing())))?;
                // Whoever takes it says itself why it takes no more.
                if read == 0 || runtime.block_on(parts.give(buffer[..read].to_vec())).is_err() {
                    return Ok(());
                }
            }
        };
        let result = read();
        if result.is_err() {
            runtime.block_on(parts.cut());
        }
        result
    }
}
