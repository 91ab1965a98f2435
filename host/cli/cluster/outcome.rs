//! How a run on an engine ended, as a file: written by whoever merges, read by whoever waits.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use taskhost_os::atomic_file::{AtomicFile, Durability};

use crate::exit_code::{Exit, Failure};
use crate::report;
use crate::shards::Plan;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) exit: u8,
    /// What is to be said besides what the merge has said.
    pub(super) said: String,
}

impl Outcome {
    fn path(plan: &Plan) -> PathBuf {
        plan.parts().join("outcome.json")
    }

    pub(super) fn exit(&self) -> Exit {
        Exit::from_code(self.exit).unwrap_or(Exit::Host)
    }

    pub(super) fn write(&self, plan: &Plan) -> Result<(), Failure> {
        write(&Self::path(plan), self)
    }

    /// The end of the run, once it has one.
    pub(super) fn read(plan: &Plan) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(plan)).ok()?).ok()
    }

    /// Forgets the end: it goes on.
    pub(super) fn remove(plan: &Plan) {
        let _ = fs::remove_file(Self::path(plan));
    }

    pub(super) fn tell(&self) {
        if !self.said.is_empty() {
            report::message("error", &self.said);
        }
    }
}

/// Writes something that others read, whole or not at all.
pub(super) fn write(path: &std::path::Path, what: &impl Serialize) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", path.display()));
    let text = serde_json::to_vec_pretty(what).map_err(|error| failed(&error))?;
    let file = AtomicFile::create(path).map_err(|error| failed(&error))?;
    file.file().write_all(&text).map_err(|error| failed(&error))?;
    file.commit(Durability::Disk).map_err(|error| failed(&error))
}
