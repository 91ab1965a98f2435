//! Where the time of a worker went: what it says of its batches, and around that what is seen from outside.

use std::time::{Duration, Instant};

use taskhost_protocol::work::Spent;

/// Where the time of a worker went, from its start to its end. What a worker says is for show: nothing is decided by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerTimes {
    /// From before its process was made to its end.
    pub lifetime: Duration,
    /// Of that, until it was ready for work.
    pub start_up: Duration,
    /// In calls of the kernel for items, arguments and results handed over. Of tiny items an estimate.
    pub call: Duration,
    /// Reading input and writing results.
    pub copy: Duration,
    /// Joining partial results.
    pub merge: Duration,
    /// The rest of its batches: finding items, keeping books.
    pub other: Duration,
    /// It had a batch, or its reply was not read, and it was not at work: messages, waking up.
    pub dispatch: Duration,
    /// Ready, and without anything to do.
    pub wait: Duration,
    /// Batches it answered.
    pub batches: u64,
    /// Items in those, failed ones included.
    pub items: u64,
}

/// What a pool spent itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolTimes {
    /// CPU time of the coordinator since the pool began, all its threads together.
    pub cpu: Duration,
    /// Its writing thread at work: appending results to outputs, and bringing them to the disk.
    pub write: Duration,
}

/// Keeps the books of one worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBook {
    began: Instant,
    ready: Option<Instant>,
    /// Since when it has something to do.
    asked: Option<Instant>,
    had_work: Duration,
    spent: Spent,
    batches: u64,
    items: u64,
}

impl TimeBook {
    /// A worker is about to be started.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            ready: None,
            asked: None,
            had_work: Duration::ZERO,
            spent: Spent::default(),
            batches: 0,
            items: 0,
        }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn ready_since(&self) -> Option<Instant> {
        self.ready
    }

    /// It is ready.
    pub(crate) fn ready(&mut self) {
        self.ready.get_or_insert_with(Instant::now);
    }

    /// It was given something.
    pub(crate) fn asked(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
    }

    /// It has answered; `idle` when nothing else is left. Returns since when it was at that, at most.
    pub(crate) fn answered(&mut self, idle: bool) -> Option<Instant> {
        let now = Instant::now();
        let since = self.asked.take()?;
        self.had_work += now - since;
        self.asked = (!idle).then_some(now);
        Some(since)
    }

    /// Items that it says it ran.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    /// What it says of a batch.
    pub(crate) fn spent(&mut self, spent: &Spent, items: u64) {
        for (sum, more) in [
            (&mut self.spent.total, spent.total),
            (&mut self.spent.copy, spent.copy),
            (&mut self.spent.call, spent.call),
            (&mut self.spent.join, spent.join),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.batches += 1;
        self.items = self.items.saturating_add(items);
    }

    /// The balance, for a worker that ends now.
    pub(crate) fn close(&self) -> WorkerTimes {
        let now = Instant::now();
        let lifetime = now - self.began;
        let start_up = self.ready.map_or(lifetime, |ready| ready - self.began);
        let had_work = self.had_work + self.asked.map_or(Duration::ZERO, |since| now - since);
        // No worker has worked longer than it had work, and no part is longer than the whole.
        let mut left = Duration::from_nanos(self.spent.total).min(had_work);
        let dispatch = had_work - left;
        let mut part = |nanos: u64| {
            let part = Duration::from_nanos(nanos).min(left);
            left -= part;
            part
        };
        let (copy, merge, call) = (part(self.spent.copy), part(self.spent.join), part(self.spent.call));
        WorkerTimes {
            lifetime,
            start_up,
            call,
            copy,
            merge,
            other: left,
            dispatch,
            wait: lifetime.saturating_sub(start_up).saturating_sub(had_work),
            batches: self.batches,
            items: self.items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_whole() {
        let mut book = TimeBook::new();
        book.ready();
        book.asked();
        std::hint::black_box((0..10_000).sum::<u64>());
        book.spent(&Spent { total: 5_000, copy: 1_000, call: 3_000, join: 500 }, 7);
        assert!(book.answered(true).is_some());
        let times = book.close();
        let parts = [times.start_up, times.call, times.copy, times.merge, times.other, times.dispatch, times.wait];
        assert_eq!(parts.iter().sum::<Duration>(), times.lifetime);
        assert_eq!((times.batches, times.items), (1, 7));
    }

    #[test]
    fn a_worker_that_boasts_has_worked_no_longer_than_it_had_work() {
        let mut book = TimeBook::new();
        book.ready();
        book.asked();
        book.spent(&Spent { total: u64::MAX, copy: u64::MAX, call: u64::MAX, join: u64::MAX }, u64::MAX);
        book.spent(&Spent { total: 1, copy: 1, call: 1, join: 1 }, 1);
        let times = book.close();
        assert!(times.copy <= times.lifetime);
        assert_eq!(times.call, Duration::ZERO);
    }
}
