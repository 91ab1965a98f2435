//! Calls that are run together by one worker, for as long as somebody waits for one of them.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use super::calls::{Calls, lock};
use super::{Purpose, Running};

/// Where a call finds those that it is run with, once it is.
pub(super) type Place = Arc<Mutex<Option<Arc<Group>>>>;

/// Calls that are run together. When all of them are over, or nobody waits for any, its place is free.
pub(super) struct Group {
    pub(super) calls: Weak<Calls>,
    pub(super) purpose: Purpose,
    pub(super) size: u32,
    pub(super) began: Instant,
    pub(super) is_lost: Arc<AtomicBool>,
    /// Whoever began it looks for its end: nothing else is under way.
    pub(super) is_looked_for: bool,
    pub(super) running: Mutex<Option<Running>>,
}

impl Group {
    /// Looks for their end for a moment, or leaves that to others.
    pub(super) fn attend(&self, look: bool) {
        if let Some(running) = &*lock(&self.running) {
            running.attend(look);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What nobody waits for any more is given up before anything else gets its place.
        drop(lock(&self.running).take());
        if let Some(calls) = self.calls.upgrade() {
            calls.ended(self);
        }
    }
}
