//! What requests hold in memory while they wait for their turn: of each tenant so much. More is refused with a time to come again
//! instead of being held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;
use crate::tenant::TenantId;

/// Bytes of a tenant: dozens of the largest requests, thousands of the usual ones.
const MOST: usize = 64 << 20;

/// They are counted in pieces.
const PIECE: usize = 1 << 10;

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<TenantId, Arc<Semaphore>>>);

/// Room for a request, for as long as this lives.
#[derive(Debug)]
pub(super) struct Room(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Waiting {
    /// Takes room for so many bytes, which are fewer than there are.
    pub(super) fn enter(&self, tenant: TenantId, bytes: usize) -> Result<Room, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(MOST / PIECE)));
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        Arc::clone(own).try_acquire_many_owned(pieces).map(Room).map_err(|_| {
            let used = MOST - own.available_permits() * PIECE;
            Problem::quota("waiting_bytes", MOST as u64, used as u64, Duration::from_secs(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_so_much_and_others_have_theirs() {
        let waiting = Waiting::default();
        let (anna, bert) = (TenantId(1), TenantId(2));
        let first = waiting.enter(anna, MOST - PIECE).expect("room");
        let _second = waiting.enter(anna, 1).expect("room");
        assert!(waiting.enter(anna, 1).is_err());
        assert!(waiting.enter(bert, MOST).is_ok());
        drop(first);
        assert!(waiting.enter(anna, MOST - PIECE).is_ok());
    }
}
