//! The place of one pool among several that share cores: what it asks for, and what it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use taskhost_os::eventfd::Waker;
use taskhost_protocol::ids::WorkerId;

use super::{Observer, Pool};
use crate::event::Post;
use crate::lending::{Borrower, Lending, Report, Told};

/// The cores of several pools.
#[derive(Clone, Debug)]
pub struct SharedCores {
    shared: Arc<Mutex<Shared>>,
    /// What each core is, where workers are pinned.
    cpus: Arc<[Option<u32>]>,
}

#[derive(Debug)]
struct Shared {
    lending: Lending,
    wakers: HashMap<Borrower, Waker>,
}

impl Shared {
    fn wake(&self, all: &[Borrower]) {
        all.iter().filter_map(|borrower| self.wakers.get(borrower)).for_each(Waker::wake);
    }
}

impl SharedCores {
    /// One entry for each core: the cpu that workers are pinned to. All pools together keep so many workers, and `warm` more.
    #[must_use]
    pub fn new(cpus: &[Option<u32>], warm: usize) -> Self {
        let shared = Shared { lending: Lending::new(cpus.len(), warm), wakers: HashMap::new() };
        Self { shared: Arc::new(Mutex::new(shared)), cpus: cpus.into() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sit(self, waker: Waker) -> Seat {
        let mut shared = self.lock();
        let borrower = shared.lending.join();
        shared.wakers.insert(borrower, waker);
        drop(shared);
        Seat { cores: self, borrower, report: Report::default(), told: Told::default() }
    }
}

/// The place of one pool.
#[derive(Debug)]
pub(super) struct Seat {
    cores: SharedCores,
    borrower: Borrower,
    /// What was said last.
    report: Report,
    told: Told,
}

impl Seat {
    /// Says what the pool does and wants; what it is told, when that is new, and how many idle workers it has to end.
    fn report(&mut self, report: Report) -> Option<(Told, usize)> {
        let mut shared = self.cores.lock();
        if self.report != report {
            self.report.clone_from(&report);
            let tell = shared.lending.report(self.borrower, report);
            shared.wake(&tell);
        }
        let told = shared.lending.told(self.borrower);
        let dismissed = shared.lending.dismissed(self.borrower);
        drop(shared);
        self.report.idle -= dismissed;
        let is_new = self.told != told || dismissed > 0;
        self.told.clone_from(&told);
        is_new.then_some((told, dismissed))
    }

    /// A worker has replied.
    fn charge(&mut self, cpu: Duration, passed: Duration) -> Told {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let told = self.cores.lock().lending.charge(self.borrower, nanos(cpu), nanos(passed));
        self.told.clone_from(&told);
        told
    }

    /// Whether there are others.
    fn is_shared(&self) -> bool {
        self.cores.lock().lending.is_shared()
    }

    /// A core of those it holds on which no worker of it is at work, best that of this cpu.
    fn free_core(&self, taken: &[usize], cpu: Option<u32>) -> Option<usize> {
        let free = || self.told.cores.iter().copied().filter(|core| !taken.contains(core));
        free().find(|core| cpu.is_some() && self.cores.cpus.get(*core) == Some(&cpu)).or_else(|| free().next())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut shared = self.cores.lock();
        shared.wakers.remove(&self.borrower);
        let tell = shared.lending.leave(self.borrower);
        shared.wake(&tell);
    }
}

impl Pool {
    /// From now on the cores are shared with other pools.
    pub fn share_cores(&mut self, cores: SharedCores) {
        self.seat = Some(cores.sit(self.waker.clone()));
        let nothing = self.state.lend(0, false);
        debug_assert!(nothing.is_empty(), "there is no job yet");
    }

    /// Asks for the cores that the pool could use, gives back those that it does not, and uses what it is lent.
    pub(super) fn balance(&mut self, observer: &mut dyn Observer) {
        // Each round begins something, or is the last.
        loop {
            let used = self.cores_in_use();
            let Some(seat) = &mut self.seat else { return };
            let wish = self.state.wish();
            let report = Report { used, wanted: wish.wanted, weight: wish.weight, idle: wish.idle };
            let Some((told, dismissed)) = seat.report(report) else { return };
            let mut actions = self.state.lend(told.allowed, told.is_contested);
            actions.extend(self.state.dismiss(dismissed));
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.perform(action, observer);
            }
            self.settle(observer);
        }
    }

    fn cores_in_use(&self) -> Vec<usize> {
        let busy = self.workers.values().filter(|worker| !worker.asked.is_empty());
        busy.filter_map(|worker| worker.seat).collect()
    }

    /// A worker has replied, by whose word that took so long: it is measured, where it matters to anybody.
    pub(super) fn measure(&mut self, id: WorkerId, since: Option<Instant>, said: u64) {
        let is_shared = self.seat.as_ref().is_some_and(Seat::is_shared);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !is_shared && !self.state.is_to_measure() {
            worker.measured = None;
            return;
        }
        let cpu = worker.cpu_time();
        let before = worker.measured.replace(cpu);
        let took = before.map_or(Duration::from_nanos(said), |before| cpu.saturating_sub(before));
        self.state.measured(id, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if let Some(seat) = &mut self.seat {
            let told = seat.charge(took, since.map_or(Duration::ZERO, |since| since.elapsed()));
            self.state.yield_cores(told.allowed, told.is_contested);
        }
    }

    /// A worker that had nothing to do is given something: it gets a core.
    pub(super) fn seat_worker(&mut self, id: WorkerId) {
        let Some(seat) = &self.seat else { return };
        let taken = self.cores_in_use();
        let Some(worker) = self.workers.get(&id).filter(|worker| worker.asked.is_empty()) else { return };
        let core = seat.free_core(&taken, worker.core());
        let cpu = core.and_then(|core| seat.cores.cpus.get(core).copied()).flatten();
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.seat = core;
        if let Some(cpu) = cpu {
            worker.move_to(cpu);
        }
    }

    /// The cpu for a new worker.
    pub(super) fn free_cpu(&self) -> Option<u32> {
        let taken: Vec<Option<u32>> = self
            .workers
            .values()
            .filter(|worker| worker.post == Post::Execute)
            .map(super::process::WorkerProcess::core)
            .collect();
        let lent: Vec<Option<u32>> = self.seat.as_ref().map_or_else(Vec::new, |seat| {
            seat.told.cores.iter().filter_map(|core| seat.cores.cpus.get(*core).copied()).collect()
        });
        let all = lent.into_iter().chain(self.config.cores.iter().copied());
        all.filter(|core| core.is_some() && !taken.contains(core)).flatten().next()
    }
}
