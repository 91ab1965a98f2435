//! What can be wrong with a journal.

use std::io;
use std::path::{Path, PathBuf};

use taskhost_os::exact::ExactError;

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is a file of that name.
    #[error(
        "{path} exists already: `taskhost resume {path}` goes on with that run, and a new run needs it deleted first",
        path = .0.display()
    )]
    Exists(PathBuf),
    /// There is something else of that name.
    #[error("{} is there already, and is no journal: name another file", .0.display())]
    Taken(PathBuf),
    /// Another process has it open.
    #[error("the journal {} is in use by {}: wait for that run to end, or stop it", path.display(), process(*.holder))]
    Busy {
        /// The journal.
        path: PathBuf,
        /// The process, as it is called where it runs.
        holder: Option<u32>,
    },
    /// It is something else.
    #[error("{} is no journal of taskhost", .0.display())]
    NotAJournal(PathBuf),
    /// It was written by a newer taskhost.
    #[error("the journal {} has format {found}, of which this taskhost knows nothing: resume it with the version that wrote it", path.display())]
    Version {
        /// The journal.
        path: PathBuf,
        /// The number of its format.
        found: u32,
    },
    /// The crash came before the run began.
    #[error("the run of the journal {} had not begun, so there is nothing to resume: delete it and start the run again", .0.display())]
    NotBegun(PathBuf),
    /// What was on the disk has changed.
    #[error("the journal {} is damaged at byte {offset} ({what}), so nothing in it can be relied on: delete it and start the run again", path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Where the first wrong record begins.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A record is larger than a reader takes. Nothing of it is written.
    #[error("a record of {bytes} bytes is more than the {limit} that a journal takes")]
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// The limit in force.
        limit: u64,
    },
    /// There is no space but what is kept for the last records. Nothing of the record is written.
    #[error("no space is left for the journal {}: make room, then resume the run", .0.display())]
    StorageFull(PathBuf),
    /// It failed before, and what is on the disk is not known since then.
    #[error("the journal {} cannot be written any more: {cause}", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
        /// What failed first.
        cause: String,
    },
    /// The file, or its folder, refused.
    #[error("cannot {what} the journal {}: {error}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl JournalError {
    /// For `map_err`: this was tried.
    pub(super) fn io<E: Into<io::Error>>(path: &Path, what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Io { path: path.to_owned(), what, error: error.into() }
    }

    /// For `map_err`: this was tried, to the last byte.
    pub(super) fn exact(path: &Path, what: &'static str) -> impl FnOnce(ExactError) -> Self {
        move |error| match error {
            ExactError::StorageFull => Self::StorageFull(path.to_owned()),
            ExactError::Io(error) => Self::Io { path: path.to_owned(), what, error },
            error @ ExactError::ShortRead { .. } => {
                Self::Io { path: path.to_owned(), what, error: io::Error::other(error) }
            }
        }
    }
}

fn process(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}
