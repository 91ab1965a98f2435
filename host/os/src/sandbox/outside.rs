//! What the kernel says of a process, and how that is read.

use std::fs::File;
use std::io::{self, Read as _};

use crate::process_id::ProcessId;

/// Most bytes read of a file in /proc. A `status` has 1.5 kB; the one line of a locked-in `mountinfo` fewer.
const MOST_BYTES: u64 = 16 * 1024;

/// Why a worker is not locked in. It has to be killed.
#[derive(Debug, thiserror::Error)]
pub enum NotLocked {
    /// Its state cannot be read.
    #[error("the state of worker process {id} cannot be read: {error}")]
    Unreadable {
        /// The process.
        id: ProcessId,
        /// What the kernel said.
        error: io::Error,
    },
    /// One thing is not as it has to be.
    #[error("worker process {id} is not locked in: {field} is `{found}` instead of `{wanted}`")]
    Wrong {
        /// The process.
        id: ProcessId,
        /// The field of its `status`, or what else was looked at.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it has to hold.
        wanted: String,
    },
}

/// An empty capability set in `status`.
pub(super) const NO_CAPABILITIES: &str = "0000000000000000";

pub(super) fn read(id: ProcessId, name: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(format!("/proc/{id}/{name}"))?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// One mount, and it is the one of the sandbox.
pub(super) fn is_empty_root(mountinfo: &str) -> bool {
    let mut lines = mountinfo.lines();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let mut fields = line.split(' ').skip(4);
    let at_root = fields.next() == Some("/");
    let read_only = fields.next().is_some_and(|options| options.split(',').any(|option| option == "ro"));
    at_root && read_only && line.contains(" - tmpfs taskhost ")
}

/// The text of `/proc/PID/status`.
pub(super) struct Status {
    pub(super) id: ProcessId,
    pub(super) text: String,
}

impl Status {
    pub(super) fn value(&self, field: &str) -> &str {
        let line = self.text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().trim()
    }

    pub(super) fn require(&self, field: &'static str, wanted: &str) -> Result<(), NotLocked> {
        let found = self.value(field);
        if found == wanted { Ok(()) } else { Err(self.wrong(field, found, wanted)) }
    }

    /// Its number in the innermost namespace is the last of at least two.
    pub(super) fn require_first_of_namespace(&self) -> Result<(), NotLocked> {
        let found = self.value("NSpid");
        let numbers: Vec<&str> = found.split_whitespace().collect();
        match numbers.as_slice() {
            [_, .., "1"] => Ok(()),
            _ => Err(self.wrong("NSpid", found, "… 1")),
        }
    }

    pub(super) fn wrong(&self, field: &'static str, found: &str, wanted: &str) -> NotLocked {
        NotLocked::Wrong { id: self.id, field, found: found.to_owned(), wanted: wanted.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_read_only_mount_is_an_empty_root() {
        let empty = "83 52 0:40 / / ro,nosuid,nodev,noexec,relatime - tmpfs taskhost ro,size=4k\n";
        assert!(is_empty_root(empty));
        assert!(!is_empty_root(&empty.replace("/ ro", "/ rw")));
        assert!(!is_empty_root(&format!("{empty}{empty}")));
        assert!(!is_empty_root("27 1 254:0 / / ro,relatime - ext4 /dev/vda ro\n"));
        assert!(!is_empty_root(""));
    }
}
