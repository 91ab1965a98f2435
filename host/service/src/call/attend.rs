//! Receives results in the loop that has the connections: no other thread has to be woken for one, and has to wake this loop.

use std::os::fd::{AsFd as _, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Attended;

/// Something that is attended to, until this is dropped.
pub(super) struct Attending(AbortHandle);

impl Attending {
    /// In the loop of this thread, or of the one that has begun this.
    pub(super) fn begin(attended: Box<dyn Attended>) -> Self {
        Self(Handle::current().spawn(attend(attended)).abort_handle())
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn attend(attended: Box<dyn Attended>) {
    // What cannot be watched is dropped, and has a thread of its own then.
    let Ok(Ok(events)) = attended.as_fd().try_clone_to_owned().map(watch) else { return };
    while let Ok(mut ready) = events.readable().await {
        // What happens from here on is told again.
        ready.clear_ready();
        drop(ready);
        while attended.turn() {
            // Others have something to do, too.
            tokio::task::yield_now().await;
        }
    }
}

#[expect(
    deprecated,
    reason = "for descriptors that are not owned; this one is, and cannot be closed while it is watched. What is to take its \
              place trusts whoever calls it."
)]
fn watch(events: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(events, Interest::READABLE)
}
