//! What the calls of each tenant, and its jobs that are not over, have used: kept in memory, and written down once in a while,
//! since a call takes less time than a write to the disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::usage::{self, Usage};
use crate::store::{self, Store};
use crate::tenant::TenantId;
use crate::time::Moment;

/// What is known of a tenant.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// CPU time of its jobs and calls on this day, as it was last read.
    day: i64,
    read_ms: u64,
    /// Not written down yet.
    cpu: Duration,
    calls: u64,
}

/// The accounts of all tenants that have used anything.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<Mutex<HashMap<TenantId, Account>>>);

impl Accounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds of CPU time that a tenant has used today. `None` when that has to be read first.
    #[must_use]
    pub fn used_today(&self, tenant: TenantId) -> Option<u64> {
        let today = Moment::now().day();
        let accounts = self.lock();
        let account = accounts.get(&tenant).filter(|account| account.day == today)?;
        Some(account.read_ms + u64::try_from(account.cpu.as_millis()).unwrap_or(u64::MAX))
    }

    /// The same, read when it has to be. This waits for the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn today(&self, store: &Store, tenant: TenantId) -> store::Result<u64> {
        if let Some(used) = self.used_today(tenant) {
            return Ok(used);
        }
        self.read(store, tenant)?;
        Ok(self.used_today(tenant).unwrap_or(0))
    }

    /// Reads what a tenant has used today, which may be known already.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, store: &Store, tenant: TenantId) -> store::Result<()> {
        let today = Moment::now().day();
        let used = store.read(|rows| usage::on_day(rows, tenant, today))?;
        let mut accounts = self.lock();
        let account = accounts.entry(tenant).or_default();
        (account.day, account.read_ms) = (today, used.cpu_ms);
        Ok(())
    }

    /// A call was run, in whatever way it ended.
    pub fn called(&self, tenant: TenantId) {
        self.lock().entry(tenant).or_default().calls += 1;
    }

    /// Calls or jobs have used CPU time.
    pub fn used(&self, tenant: TenantId, cpu: Duration) {
        self.lock().entry(tenant).or_default().cpu += cpu;
    }

    /// Has everything written down that was not. What cannot be written now is tried again.
    pub fn write(&self, store: &Store) {
        let due: Vec<(TenantId, Usage)> = self
            .lock()
            .iter_mut()
            .filter_map(|(tenant, account)| {
                let cpu_ms = u64::try_from(account.cpu.as_millis()).unwrap_or(u64::MAX);
                if cpu_ms == 0 && account.calls == 0 {
                    return None;
                }
                // What is less than a millisecond stays.
                account.cpu -= Duration::from_millis(cpu_ms);
                // Until it is read again.
                account.read_ms += cpu_ms;
                Some((*tenant, Usage { cpu_ms, calls: std::mem::take(&mut account.calls), ..Usage::default() }))
            })
            .collect();
        for (tenant, used) in due {
            let accounts = self.clone();
            let today = Moment::now().day();
            let write = move |rows: &rusqlite::Connection| {
                usage::add(rows, tenant, used)?;
                usage::on_day(rows, tenant, today)
            };
            store.write_then(write, move |result| {
                let mut all = accounts.lock();
                let account = all.entry(tenant).or_default();
                match result {
                    Ok(now) => (account.day, account.read_ms) = (today, now.cpu_ms),
                    Err(_) => {
                        account.cpu += Duration::from_millis(used.cpu_ms);
                        account.read_ms = account.read_ms.saturating_sub(used.cpu_ms);
                        account.calls += used.calls;
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::access;
    use crate::tenant::Quotas;

    #[test]
    fn what_was_used_is_known_at_once_and_written_down_once() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let add = |rows: &rusqlite::Connection| access::add(rows, "anna", 1, &Quotas::default());
        let tenant = store.write(add).expect("written").expect("a new one").id;
        let accounts = Accounts::default();
        assert_eq!(accounts.used_today(tenant), None);
        assert_eq!(accounts.today(&store, tenant).expect("read"), 0);
        accounts.used(tenant, Duration::from_micros(2500));
        accounts.called(tenant);
        assert_eq!(accounts.used_today(tenant), Some(2));
        for _ in 0..2 {
            accounts.write(&store);
            // It is in line before this.
            store.write(|_| Ok(())).expect("written");
            let used = store.read(|rows| usage::on_day(rows, tenant, Moment::now().day())).expect("read");
            assert_eq!(used, Usage { cpu_ms: 2, calls: 1, ..Usage::default() });
            assert_eq!(accounts.used_today(tenant), Some(2));
        }
    }
}
