//! Who may use which core: several pools that share the cores of one machine, as the kernels of one program do. Pure state, as
//! what a pool itself decides by.
//!
//! A pool holds a core for each of its workers that has something to do, and gives it back when that has replied. As long as
//! there are enough for all, nobody waits. When there are not, each pool has a clock that runs with the CPU time that its
//! workers had, the slower the more its jobs weigh; a pool whose clock is ahead of that of another which waits gives up the
//! cores it is owed as its workers reply. So jobs share the cores by weight, whether they are of one pool or of several.

use std::collections::BTreeMap;

/// CPU time that a pool may be ahead of one that waits: an exchange of cores wakes a thread, which takes some 50 µs.
const QUANTUM: u64 = 1_000_000;

/// What a pool that uses a core without using CPU time is charged with of the time that passed: a kernel that waits for
/// something keeps the core from others all the same.
const WAITING: u64 = 32;

/// A pool, as the others know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Borrower(pub u64);

/// What a pool says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Cores on which its workers have something to do. It holds them.
    pub used: Vec<usize>,
    /// How many it could use.
    pub wanted: usize,
    /// What its jobs weigh together.
    pub weight: u64,
    /// Workers that are ready and have nothing to do.
    pub idle: usize,
}

/// What a pool is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The cores that it holds.
    pub cores: Vec<usize>,
    /// How many of its workers may have something to do, once they have replied.
    pub allowed: usize,
    /// Whether another waits for cores.
    pub is_contested: bool,
}

/// What is known of a pool.
#[derive(Clone, Debug, Default)]
struct Account {
    report: Report,
    held: Vec<usize>,
    /// Nanoseconds it had, by weight.
    clock: u64,
    /// When it last held a core, as others count: the least recent goes first.
    last_use: u64,
    /// Idle workers that it has to end, and does not know of.
    dismiss: usize,
}

impl Account {
    fn is_active(&self) -> bool {
        self.report.wanted > 0 || !self.held.is_empty()
    }

    fn weigh(&self, nanos: u64) -> u64 {
        nanos / self.report.weight.max(1)
    }

    fn waits_for(&self) -> usize {
        self.report.wanted.saturating_sub(self.held.len())
    }
}

/// The cores, and who has them.
#[derive(Debug)]
pub struct Lending {
    holders: Vec<Option<Borrower>>,
    /// Whose each core was last: its worker is still there.
    last: Vec<Option<Borrower>>,
    accounts: BTreeMap<Borrower, Account>,
    next: u64,
    /// Workers that all pools may have together, beyond one for each core.
    warm: usize,
    /// Counts uses.
    uses: u64,
    /// Where the clocks stood when somebody was last active.
    now: u64,
}

impl Lending {
    /// So many cores, and workers beyond one for each that all pools may keep together.
    #[must_use]
    pub fn new(cores: usize, warm: usize) -> Self {
        let none = vec![None; cores.max(1)];
        Self { last: none.clone(), holders: none, accounts: BTreeMap::new(), next: 0, warm, uses: 0, now: 0 }
    }

    /// A pool joins.
    pub fn join(&mut self) -> Borrower {
        let new = Borrower(self.next);
        self.next += 1;
        self.accounts.insert(new, Account { clock: self.now, ..Account::default() });
        new
    }

    /// A pool is gone, with all its workers. Returns who else has to be told something.
    pub fn leave(&mut self, gone: Borrower) -> Vec<Borrower> {
        self.accounts.remove(&gone);
        for holder in self.holders.iter_mut().chain(&mut self.last) {
            holder.take_if(|holder| *holder == gone);
        }
        self.hand_out(gone)
    }

    /// A pool says what it does and wants. Returns who else has to be told something.
    pub fn report(&mut self, of: Borrower, report: Report) -> Vec<Borrower> {
        let (front, did_wait) = (self.front(), self.waits(of));
        let is_alone = !self.accounts.iter().any(|(other, account)| *other != of && account.is_active());
        let Some(account) = self.accounts.get_mut(&of) else { return Vec::new() };
        let was_active = account.is_active();
        if !was_active && report.wanted > 0 {
            // Nobody saves time up.
            account.clock = account.clock.max(front);
        }
        self.uses += 1;
        if !report.used.is_empty() || report.idle > account.report.idle {
            account.last_use = self.uses;
        }
        account.dismiss = account.dismiss.min(report.idle);
        account.report = report;
        if is_alone {
            // Whoever comes next begins where the last one stopped.
            self.now = self.now.max(account.clock);
        }
        self.give_back(of);
        let mut tell = self.hand_out(of);
        if !did_wait && self.waits(of) {
            // Whose cores are wanted now has to know, so that nothing more is queued there.
            let holders = self.accounts.iter().filter(|(other, account)| **other != of && !account.held.is_empty());
            tell.extend(holders.map(|(other, _)| *other));
            tell.sort_unstable();
            tell.dedup();
        }
        tell
    }

    fn waits(&self, borrower: Borrower) -> bool {
        self.accounts.get(&borrower).is_some_and(|account| account.waits_for() > 0)
    }

    /// A worker of the pool has replied, which had so much CPU time in so much time. Returns what may go on.
    pub fn charge(&mut self, of: Borrower, cpu: u64, passed: u64) -> Told {
        if let Some(account) = self.accounts.get_mut(&of) {
            let more = account.weigh(cpu.max(passed / WAITING));
            account.clock = account.clock.saturating_add(more);
        }
        self.told(of)
    }

    /// What the pool is to know.
    #[must_use]
    pub fn told(&self, of: Borrower) -> Told {
        let Some(account) = self.accounts.get(&of) else { return Told::default() };
        let is_contested = self.accounts.iter().any(|(other, account)| *other != of && account.waits_for() > 0);
        let allowed = account.held.len().saturating_sub(self.owed(of));
        Told { cores: account.held.clone(), allowed, is_contested }
    }

    /// How many of its idle workers the pool has to end. Says so once.
    pub fn dismissed(&mut self, of: Borrower) -> usize {
        let Some(account) = self.accounts.get_mut(&of) else { return 0 };
        let count = std::mem::take(&mut account.dismiss);
        account.report.idle -= count;
        count
    }

    /// Whether there is more than one pool.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.accounts.len() > 1
    }

    /// Where the clock stands of whoever is furthest behind.
    fn front(&self) -> u64 {
        let active = self.accounts.values().filter(|account| account.is_active());
        active.map(|account| account.clock).min().unwrap_or(self.now).max(self.now)
    }

    /// Cores that the pool has to give up as its workers reply.
    fn owed(&self, by: Borrower) -> usize {
        let Some(account) = self.accounts.get(&by) else { return 0 };
        let others = self.accounts.iter().filter(|(other, _)| **other != by).map(|(_, other)| other);
        let is_behind = |other: &&Account| other.clock.saturating_add(account.weigh(QUANTUM)) < account.clock;
        others.filter(is_behind).map(Account::waits_for).sum()
    }

    /// Takes back what the pool does not use, and does not want or owes.
    fn give_back(&mut self, from: Borrower) {
        let owed = self.owed(from);
        let Some(account) = self.accounts.get_mut(&from) else { return };
        let used = std::mem::take(&mut account.report.used);
        let keeps = account.report.wanted.min(account.held.len().saturating_sub(owed)).max(used.len());
        // Those in use first, since they stay in any case.
        account.held.sort_by_key(|core| !used.contains(core));
        for core in account.held.split_off(keeps.min(account.held.len())) {
            self.holders[core] = None;
        }
        account.report.used = used;
    }

    /// Gives free cores to those that wait, who is furthest behind first, and ends what is idle for the longest time when
    /// too much is. Returns who has to be told something, but for `asking`.
    fn hand_out(&mut self, asking: Borrower) -> Vec<Borrower> {
        let mut tell = Vec::new();
        while self.holders.contains(&None) {
            let waiting = self.accounts.iter().filter(|(_, account)| account.waits_for() > 0);
            let Some(next) = waiting.min_by_key(|(_, account)| account.clock).map(|(next, _)| *next) else { break };
            let free = || (0..self.holders.len()).filter(|core| self.holders[*core].is_none());
            // Where a worker of it was before, it still is.
            let Some(core) = free().find(|core| self.last[*core] == Some(next)).or_else(|| free().next()) else {
                break;
            };
            (self.holders[core], self.last[core]) = (Some(next), Some(next));
            let Some(account) = self.accounts.get_mut(&next) else { break };
            account.held.push(core);
            self.now = self.now.max(account.clock);
            tell.push(next);
        }
        // A worker that has replied is idle for a moment: what counts is how many there are beyond those that could be busy.
        let live = |account: &Account| account.report.used.len() + account.report.idle - account.dismiss;
        let live: usize = self.accounts.values().map(live).sum();
        for _ in self.holders.len() + self.warm..live {
            let idle = self.accounts.iter_mut().filter(|(_, account)| account.report.idle > account.dismiss);
            let Some((oldest, account)) = idle.min_by_key(|(_, account)| account.last_use) else { break };
            account.dismiss += 1;
            tell.push(*oldest);
        }
        tell.sort_unstable();
        tell.dedup();
        tell.retain(|other| *other != asking);
        tell
    }
}

#[cfg(test)]
mod tests;
