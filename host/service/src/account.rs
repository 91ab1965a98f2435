//! What the calls of each tenant, and its jobs that are not over, have used, and for which kernels: kept in memory, and written
//! down once in a while, since a call takes less time than a write to the disk.

mod today;

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use today::{OnDisk, Today};

use crate::blobs::Digest;
use crate::store::usage::{self, Usage};
use crate::store::{self, Store, StoreError};
#[cfg(feature = "http")]
use crate::tenant::Tenant;
use crate::tenant::TenantId;
use crate::time::Moment;

/// What is known of a tenant.
#[derive(Clone, Debug, Default)]
struct Account {
    /// CPU time of its jobs and calls today, but for what is not on its way to the disk.
    today: Today,
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

/// CPU time of all of it, in milliseconds.
fn in_all(due: &[(Digest, Usage)]) -> u64 {
    due.iter().map(|(_, used)| used.cpu_ms).sum()
}

impl Account {
    fn add(&mut self, kernel: Digest, cpu: Duration, calls: u64) {
        self.cpu += cpu;
        let unwritten = self.kernels.entry(kernel).or_default();
        unwritten.cpu += cpu;
        unwritten.calls += calls;
    }

    /// What is to be written down, for each kernel, and is on its way from here on. What is less than a millisecond stays, and
    /// counts for whichever is first the next time: so no kernel is kept in mind for it.
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
        self.today.send(in_all(&due));
        due
    }

    /// It could not be written down.
    fn take_back(&mut self, due: &[(Digest, Usage)]) {
        for (kernel, used) in due {
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
        let accounts = self.lock();
        let account = accounts.get(&tenant)?;
        Some(account.today.used_ms(Moment::now().day())?.saturating_add(millis(account.cpu)))
    }

    /// The same, read when it has to be. This waits for the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn today(&self, store: &Store, tenant: TenantId) -> store::Result<u64> {
        if let Some(used) = self.used_today(tenant) {
            return Ok(used);
        }
        self.settle(store, tenant, |_| Ok(()))?;
        Ok(self.used_today(tenant).unwrap_or(0))
    }

    /// The seconds of CPU time that a tenant has used today, when it may have no more.
    ///
    /// # Errors
    /// When that cannot be read.
    #[cfg(feature = "http")]
    pub async fn used_up(&self, store: &Store, tenant: &Tenant) -> store::Result<Option<u64>> {
        let used = match self.used_today(tenant.id) {
            Some(used) => used,
            None => {
                let (accounts, store, id) = (self.clone(), store.clone(), tenant.id);
                let read = tokio::task::spawn_blocking(move || accounts.today(&store, id)).await;
                read.map_err(|error| StoreError::Database(error.to_string()))??
            }
        };
        let seconds = used / 1000;
        Ok(Some(seconds).filter(|seconds| *seconds >= tenant.quotas.cpu_seconds_per_day))
    }

    /// Has something done that may change what a tenant has used, and waits until that is on the disk and known here.
    ///
    /// # Errors
    /// When it fails, or cannot be committed.
    pub fn settle<T: Send + 'static>(
        &self,
        store: &Store,
        tenant: TenantId,
        write: impl FnOnce(&Connection) -> store::Result<T> + Send + 'static,
    ) -> store::Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.send(store, tenant, write, 0, move |_, result| {
            // Somebody waits.
            let _ = sender.send(result);
        });
        receiver.recv().map_err(|_| StoreError::Closed)?
    }

    /// Has something done that writes down so much of what a tenant has used, and calls `then` with the account as soon as what came
    /// of it is known there.
    fn send<T: Send + 'static>(
        &self,
        store: &Store,
        tenant: TenantId,
        write: impl FnOnce(&Connection) -> store::Result<T> + Send + 'static,
        amount_ms: u64,
        then: impl FnOnce(&mut Account, store::Result<T>) + Send + 'static,
    ) {
        let accounts = self.clone();
        let write = move |rows: &Connection| {
            let done = write(rows)?;
            let day = Moment::now().day();
            Ok((done, OnDisk { day, used_ms: usage::on_day(rows, tenant, day)?.cpu_ms }))
        };
        store.write_then(write, move |result| {
            let (result, on_disk) = match result {
                Ok((done, on_disk)) => (Ok(done), Some(on_disk)),
                Err(error) => (Err(error), None),
            };
            let mut all = accounts.lock();
            let account = all.entry(tenant).or_default();
            account.today.arrive(amount_ms, on_disk);
            then(account, result);
        });
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
            let (amount_ms, rows_due) = (in_all(&due), due.clone());
            let write = move |rows: &Connection| {
                let mut each = rows_due.into_iter();
                each.try_for_each(|(kernel, used)| usage::add(rows, tenant, &kernel.to_string(), used))
            };
            self.send(store, tenant, write, amount_ms, move |account, result| {
                if result.is_err() {
                    account.take_back(&due);
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
        let add = |rows: &Connection| access::add(rows, "anna", 1, &Quotas::default());
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
            let (kernels, rest) = store.read(|rows| usage::by_kernel(rows, tenant, &(day - 1..=day))).expect("read");
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
        assert_eq!(due, [(kernels[1], used(1))]);
        account.take_back(&due);
        assert_eq!(account.cpu, Duration::from_micros(1050));
        assert_eq!(account.take(), due);
        assert!(account.kernels.is_empty());
    }
}
