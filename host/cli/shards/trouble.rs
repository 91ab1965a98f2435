//! Why a shard has made no part, as it said itself: left beside the parts for whoever decides whether it is run again.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::exit_code::{Exit, Failure};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    exit: u8,
    pub(crate) said: String,
}

impl Trouble {
    fn path(plan: &Plan, shard: u32) -> PathBuf {
        plan.parts().join(format!("{shard:06}.{}.trouble", plan.short_digest()))
    }

    /// What the last attempt at a shard said. It says nothing when it was killed.
    pub(crate) fn read(plan: &Plan, shard: u32) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(plan, shard)).ok()?).ok()
    }

    /// Leaves word. It is help, so that it may fail.
    pub(super) fn leave(plan: &Plan, shard: u32, failure: &Failure) {
        let trouble = Self { exit: failure.exit.code(), said: failure.message.clone() };
        let _ = serde_json::to_vec(&trouble).map(|text| fs::write(Self::path(plan, shard), text));
    }

    /// Another attempt begins.
    pub(super) fn forget(plan: &Plan, shard: u32) {
        let _ = fs::remove_file(Self::path(plan, shard));
    }

    pub(crate) fn exit(&self) -> Exit {
        Exit::from_code(self.exit).unwrap_or(Exit::Host)
    }
}
