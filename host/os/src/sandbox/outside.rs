//! The coordinator's look at a worker from outside: what the kernel says of it, not what it says of itself.

use std::fs::File;
use std::io::{self, Read as _};

use crate::process_id::ProcessId;

use super::{Layer, Layers};

/// Most bytes read of a file in /proc. A `status` has 1.5 kB; the one line of a locked-in `mountinfo` fewer.
const MOST_BYTES: u64 = 16 * 1024;

/// What a worker was started with, and so has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// It was started with namespaces.
    pub namespaces: bool,
    /// How many threads it has.
    pub threads: u32,
}

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

/// Looks whether the process is locked in as [`super::enter_execute`] does it, and which layers are live.
///
/// # Errors
/// When privileges, capabilities, namespaces or threads are not as expected. A root that is not empty is no error but
/// a missing layer, since some machines forbid mounts.
pub fn verify(id: ProcessId, expected: &Expected) -> Result<Layers, NotLocked> {
    let read = |name: &str| read(id, name).map_err(|error| NotLocked::Unreadable { id, error });
    let status = Status { id, text: read("status")? };
    status.require("NoNewPrivs", "1")?;
    status.require("Threads", &expected.threads.to_string())?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        status.require(set, NO_CAPABILITIES)?;
    }
    let mut layers = Layers::default();
    if expected.namespaces {
        status.require("CapBnd", NO_CAPABILITIES)?;
        status.require_first_of_namespace()?;
        if !is_empty_root(&read("mountinfo")?) {
            layers.lack(Layer::EmptyRoot, "this machine forbids mounts".into());
        }
    } else {
        layers.lack(Layer::Namespaces, "it was started without them".into());
        layers.lack(Layer::EmptyRoot, "it needs a mount namespace".into());
    }
    Ok(layers)
}

/// An empty capability set in `status`.
const NO_CAPABILITIES: &str = "0000000000000000";

pub(super) fn read(id: ProcessId, name: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(format!("/proc/{id}/{name}"))?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// One mount, and it is the one of the sandbox.
fn is_empty_root(mountinfo: &str) -> bool {
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
    fn require_first_of_namespace(&self) -> Result<(), NotLocked> {
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
    fn a_free_process_is_not_locked_in() {
        let expected = Expected { namespaces: false, threads: 1 };
        let error = verify(ProcessId::current(), &expected).expect_err("this test is free");
        assert!(matches!(error, NotLocked::Wrong { .. }), "{error}");
    }

    #[test]
    fn a_process_that_is_gone_cannot_be_read() {
        let id = ProcessId::new(i32::MAX).expect("positive");
        let error = verify(id, &Expected { namespaces: true, threads: 1 }).expect_err("no such process");
        assert!(matches!(error, NotLocked::Unreadable { .. }), "{error}");
    }

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
