//! Wakes a thread that waits for any of several things.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Wake;

/// A bell. It stays rung until somebody has heard it.
#[derive(Debug, Default)]
pub(super) struct Bell {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    /// Waits until it rings, unless it has.
    pub(super) fn hear(&self) {
        let mut is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_rung {
            is_rung = self.rung.wait(is_rung).unwrap_or_else(PoisonError::into_inner);
        }
        *is_rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.is_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_one();
    }
}
