//! Whose kernel is looked at next. Looking costs a core and some hundred megabytes, so that one is looked at at a time; and each
//! tenant has one of its own in line, so that whoever brings many delays nobody else by more than one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::tenant::TenantId;

/// Kernels that are looked at at a time.
const AT_A_TIME: usize = 1;

/// The lines.
#[derive(Debug)]
pub(super) struct Checks {
    /// One of each tenant at most waits here.
    all: Arc<Semaphore>,
    own: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// A turn, for as long as it is held.
#[derive(Debug)]
pub(super) struct Checking(#[expect(dead_code, reason = "they are held")] [Option<OwnedSemaphorePermit>; 2]);

impl Default for Checks {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_A_TIME)), own: Mutex::default() }
    }
}

impl Checks {
    /// Waits for the turn of a tenant.
    pub(super) async fn next(&self, tenant: TenantId) -> Checking {
        let own = Arc::clone(
            self.own
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(tenant)
                .or_insert_with(|| Arc::new(Semaphore::new(1))),
        );
        // They are never closed, so that nobody goes without.
        let own = own.acquire_owned().await.ok();
        Checking([Arc::clone(&self.all).acquire_owned().await.ok(), own])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn whoever_brings_many_delays_others_by_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (told, order) = mpsc::channel();
        let checks = Arc::new(Checks::default());
        runtime.block_on(async {
            let first = checks.next(TenantId(1)).await;
            let mut waiting = Vec::new();
            for tenant in [1, 1, 1, 2, 3] {
                let (checks, told) = (Arc::clone(&checks), told.clone());
                waiting.push(tokio::spawn(async move {
                    let turn = checks.next(TenantId(tenant)).await;
                    let _ = told.send(tenant);
                    drop(turn);
                }));
                tokio::task::yield_now().await;
            }
            drop(first);
            for one in waiting {
                one.await.expect("it ends");
            }
        });
        let order: Vec<i64> = order.try_iter().collect();
        let place = |tenant| order.iter().position(|one| *one == tenant).expect("had a turn");
        assert_eq!(order.len(), 5);
        assert!(place(2) <= 1 && place(3) <= 2, "{order:?}");
    }
}
