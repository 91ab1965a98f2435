//! What the calls of each tenant, and its jobs that are not over, have used, and for which kernels: kept in memory, and written
//! down once in a while, since a call takes less time than a write to the disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::blobs::Digest;
use crate::store::usage::{self, Usage};
use crate::store::{self, Store};
use crate::tenant::TenantId;
use crate::time::Moment;

/// What is known of a tenant.
#[derive(Clone, Debug, Default)]
struct Account {
    /// CPU time of its jobs and calls on this day, as it was last read.
    day: i64,
    read_ms: u64,
    /// Not written down yet: in all, and for each kernel.
    cpu: Duration,
    kernels: HashMap<Digest, Unwritten>,
}

/// What was used for a kernel and is not written down yet.
#[derive(Clone, Copy, Debug, Default)]
struct Unwritten {
    cpu: Duration,
    calls: u64,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Account {
    fn add(&mut self, kernel: Digest, cpu: Duration, calls: u64) {
        self.cpu += cpu;
        let unwritten = self.kernels.entry(kernel).or_default();
        unwritten.cpu += cpu;
        unwritten.calls += calls;
    }

    /// What is to be written down, for each kernel. What is less than a millisecond stays, and counts for whichever is first the
    /// next time: so no kernel is kept in mind for it.
    fn take(&mut self) -> Vec<(Digest, Usage)> {
        let kernels = std::mem::take(&mut self.kernels);
        let mut rest = self.cpu.saturating_sub(kernels.values().map(|unwritten| unwritten.cpu).sum());
        let whole = kernels.into_iter().map(|(kernel, unwritten)| {
            rest += unwritten.cpu;
            let cpu_ms = millis(rest);
            rest -= Duration::from_millis(cpu_ms);
            (kernel, Usage { cpu_ms, calls: unwritten.calls, ..Usage::default() })
        });
        let due: Vec<_> = whole.filter(|(_, used)| *used != Usage::default()).collect();
        self.cpu = rest;
        // Until it is read again.
        self.read_ms += due.iter().map(|(_, used)| used.cpu_ms).sum::<u64>();
        due
    }

    /// It could not be written down.
    fn take_back(&mut self, due: &[(Digest, Usage)]) {
        for (kernel, used) in due {
            self.read_ms = self.read_ms.saturating_sub(used.cpu_ms);
            self.add(*kernel, Duration::from_millis(used.cpu_ms), used.calls);
        }
    }
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
        Some(account.read_ms + millis(account.cpu))
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

    /// So many calls were run, in whatever way they ended.
    pub fn called(&self, tenant: TenantId, kernel: Digest, calls: u32) {
        self.lock().entry(tenant).or_default().add(kernel, Duration::ZERO, u64::from(calls));
    }

    /// Calls or jobs have used CPU time.
    pub fn used(&self, tenant: TenantId, kernel: Digest, cpu: Duration) {
        self.lock().entry(tenant).or_default().add(kernel, cpu, 0);
    }

    /// Has everything written down that was not. What cannot be written now is tried again.
    pub fn write(&self, store: &Store) {
        let take = |(tenant, account): (&TenantId, &mut Account)| (*tenant, account.take());
        let due: Vec<(TenantId, Vec<(Digest, Usage)>)> =
            self.lock().iter_mut().map(take).filter(|(_, due)| !due.is_empty()).collect();
        for (tenant, due) in due {
            let accounts = self.clone();
            let today = Moment::now().day();
            let rows_due = due.clone();
            let write = move |rows: &rusqlite::Connection| {
                for (kernel, used) in rows_due {
                    usage::add(rows, tenant, &kernel.to_string(), used)?;
                }
                usage::on_day(rows, tenant, today)
            };
            store.write_then(write, move |result| {
                let mut all = accounts.lock();
                let account = all.entry(tenant).or_default();
                match result {
                    Ok(now) => (account.day, account.read_ms) = (today, now.cpu_ms),
                    Err(_) => account.take_back(&due),
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
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        accounts.used(tenant, one, Duration::from_micros(1700));
        accounts.used(tenant, other, Duration::from_micros(800));
        accounts.called(tenant, one, 1);
        assert_eq!(accounts.used_today(tenant), Some(2));
        for _ in 0..2 {
            accounts.write(&store);
            // It is in line before this.
            store.write(|_| Ok(())).expect("written");
            let used = store.read(|rows| usage::on_day(rows, tenant, Moment::now().day())).expect("read");
            assert_eq!(used, Usage { cpu_ms: 2, calls: 1, ..Usage::default() });
            assert_eq!(accounts.used_today(tenant), Some(2));
            let day = Moment::now().day();
            let (kernels, rest) = store.read(|rows| usage::by_kernel(rows, tenant, &(day..=day))).expect("read");
            assert_eq!(rest, Usage::default(), "{kernels:?}");
        }
    }

    #[test]
    fn parts_of_milliseconds_are_nobodys_and_are_not_lost() {
        let (mut account, used) = (Account::default(), |cpu_ms| Usage { cpu_ms, ..Usage::default() });
        let kernels = [b"one", b"two"].map(|text| Digest::of(text));
        for _ in 0..3 {
            account.add(kernels[0], Duration::from_micros(700), 0);
        }
        assert_eq!(account.take(), [(kernels[0], used(2))]);
        assert_eq!(account.take(), []);
        account.add(kernels[1], Duration::from_micros(950), 0);
        let due = account.take();
        assert_eq!((due.as_slice(), account.read_ms), ([(kernels[1], used(1))].as_slice(), 3));
        account.take_back(&due);
        assert_eq!((account.read_ms, account.cpu), (2, Duration::from_micros(1050)));
        assert_eq!(account.take(), due);
        assert!(account.kernels.is_empty());
    }
}
