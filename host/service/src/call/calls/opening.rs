//! Kernels that are made ready to be called, and those that make room for them.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Attending, Callee, Calls, MOST_READY, Purpose, Ready, lock};
use crate::call::{CallError, OpenError, Wanted};

impl Calls {
    /// Has a kernel made ready, beside the thread that has the connections.
    pub(super) fn open(&self, purpose: Purpose) {
        let Some(me) = self.me.upgrade() else { return };
        self.runtime.get_or_init(Handle::current).spawn_blocking(move || me.make_ready(&purpose));
    }

    /// Makes a kernel ready; whoever waits for it hears when it cannot be. To be called in a thread of the runtime that is to receive
    /// its results.
    pub(super) fn make_ready(&self, purpose: &Purpose) {
        let opened = match self.shared.blobs.open(purpose.tenant, &purpose.kernel) {
            Ok(Some(kernel)) => {
                let cache = self.shared.compiled.used(purpose.tenant, &purpose.kernel);
                let opened = self.engine.open(&Wanted { purpose: purpose.clone(), kernel, cache });
                match &opened {
                    Err(OpenError::Failed(_)) => self.shared.starts.calls.failed(),
                    // A worker has looked at it, whatever it thinks of it.
                    Ok(_) | Err(OpenError::Refused(_)) => self.shared.starts.calls.succeeded(),
                    Err(OpenError::Gone) => {}
                }
                opened
            }
            Ok(None) => Err(OpenError::Gone),
            Err(error) => Err(OpenError::Failed(error.to_string())),
        };
        let unused = match opened {
            Ok(callee) => self.opened(purpose, callee),
            Err(error) => {
                let error = match error {
                    OpenError::Gone => CallError::Gone,
                    OpenError::Refused(why) => CallError::Refused(why),
                    OpenError::Failed(why) => CallError::Lost(format!("a kernel cannot be made ready: {why}")),
                };
                self.end(|other| other == purpose, &error)
            }
        };
        // Their workers are waited for.
        drop(unused);
    }

    /// A kernel is ready. Returns those that are not kept any more.
    fn opened(&self, purpose: &Purpose, callee: Arc<dyn Callee>) -> Vec<Ready> {
        let mut unused = Vec::new();
        let mut books = lock(&self.books);
        let place = books.kernels.get_mut(purpose);
        // Nobody may want it any more, or another be there: its kernel was deleted, and stored once more.
        let Some(ready) = place.filter(|ready| ready.callee.is_none()) else {
            drop(books);
            drop(callee);
            return unused;
        };
        ready.attending = callee.attend().map(Attending::begin);
        ready.callee = Some(callee);
        self.dispatch(&mut books);
        while books.kernels.len() > MOST_READY {
            let idle = books.kernels.iter().filter(|(_, ready)| ready.calls == 0 && ready.callee.is_some());
            let Some(oldest) = idle.min_by_key(|(_, ready)| ready.last_use).map(|(key, _)| key.clone()) else { break };
            unused.extend(self.take_out(&mut books, &oldest));
        }
        unused
    }
}
