//! Whose turn it is to have something done for a request that costs more than an answer: a kernel is looked at, a job is kept. So
//! much is done at a time, and of each tenant less, so that whoever asks for much at once delays nobody else by more than that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::tenant::TenantId;

/// The lines.
#[derive(Debug)]
pub(super) struct Turns {
    /// Of each tenant no more wait here than may have a turn.
    all: Arc<Semaphore>,
    of_each: usize,
    own: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// A turn, for as long as it is held.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "they are held")] [Option<OwnedSemaphorePermit>; 2]);

impl Turns {
    /// Kernels are looked at one at a time: that costs a core and some hundred megabytes.
    pub(super) fn of_kernels() -> Self {
        Self::new(1, 1)
    }

    /// Jobs are kept many at a time, with one flush of the disk; of each tenant two, so that one is laid down while the other
    /// is written.
    pub(super) fn of_jobs() -> Self {
        Self::new(Semaphore::MAX_PERMITS, 2)
    }

    /// Kernels are fetched from elsewhere a few at a time, and one of each tenant: each holds a thread for as long as that takes.
    pub(super) fn of_pulls() -> Self {
        Self::new(8, 1)
    }

    /// Questions about what jobs have left: one of each tenant at a time. How many at a time for all is said by the part.
    pub(super) fn of_looks() -> Self {
        Self::new(Semaphore::MAX_PERMITS, 1)
    }

    fn new(all: usize, of_each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_each, own: Mutex::default() }
    }

    /// Waits for the turn of a tenant.
    pub(super) async fn next(&self, tenant: TenantId) -> Turn {
        let own = Arc::clone(
            self.own
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(tenant)
                .or_insert_with(|| Arc::new(Semaphore::new(self.of_each))),
        );
        // They are never closed, so that nobody goes without.
        let own = own.acquire_owned().await.ok();
        Turn([Arc::clone(&self.all).acquire_owned().await.ok(), own])
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
        let turns = Arc::new(Turns::of_kernels());
        runtime.block_on(async {
            let first = turns.next(TenantId(1)).await;
            let mut waiting = Vec::new();
            for tenant in [1, 1, 1, 2, 3] {
                let (turns, told) = (Arc::clone(&turns), told.clone());
                waiting.push(tokio::spawn(async move {
                    let turn = turns.next(TenantId(tenant)).await;
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

    #[test]
    fn whoever_hands_in_many_has_two_turns_and_others_have_theirs() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let turns = Turns::of_jobs();
            let first = turns.next(TenantId(1)).await;
            let _second = turns.next(TenantId(1)).await;
            let third = tokio::time::timeout(std::time::Duration::ZERO, turns.next(TenantId(1)));
            assert!(third.await.is_err());
            let _other = turns.next(TenantId(2)).await;
            drop(first);
            turns.next(TenantId(1)).await;
        });
    }
}
