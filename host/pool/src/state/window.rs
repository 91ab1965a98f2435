//! The window of a job: which batches are out, which finished ones wait for their turn, and how many bytes of results
//! that holds.

use std::collections::{BTreeMap, VecDeque};

use taskhost_protocol::ids::{BatchId, SourceId, WorkerId};

use crate::event::FailedItem;

/// Results that may be finished but not yet written, in bytes. Beyond it nothing new is assigned, so a slow reader
/// costs this much memory and no more. Each job has a window of its own: one whose reader is slow keeps no other
/// waiting.
pub(crate) const WINDOW: u64 = 32 << 20;

/// What results take in memory at least: a region of an arena begins with a page of its own.
const PAGE: u64 = 4096;

/// Batches that may be out or wait for their turn. Results that go straight to their place hold no bytes here, but
/// what is noted of each batch is memory too: about 10 MB for so many.
const BATCHES: usize = 1 << 17;

/// What is kept of a batch until it is merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) batch: BatchId,
    /// Who ran it.
    pub(crate) worker: Option<WorkerId>,
    pub(crate) items: u64,
    /// Bytes of input.
    pub(crate) input: u64,
    /// Bytes of results.
    pub(crate) results: u64,
    /// Bytes to be appended to the output; with 0 nothing of the batch's results is needed.
    pub(crate) output: u64,
    /// Items that failed; the number of each is that within the batch.
    pub(crate) failures: Vec<FailedItem>,
    /// What the kernel counted.
    pub(crate) counters: Vec<(String, u64)>,
    /// Place behind the last item.
    pub(crate) end: (SourceId, u64),
}

impl Finished {
    /// Memory that waits with it, in bytes: its results, and what is known of its failed items.
    fn memory(&self) -> u64 {
        let texts = |failed: &FailedItem| {
            let frames: usize = failed.verdict.backtrace().iter().map(String::len).sum();
            (failed.verdict.text_bytes() + frames) as u64 + size_of::<FailedItem>() as u64
        };
        let counters: usize = self.counters.iter().map(|(name, _)| name.len() + 32).sum();
        memory(self.output) + self.failures.iter().map(texts).sum::<u64>() + counters as u64
    }
}

/// Batches by their place in the input, ordered by `K`.
#[derive(Debug)]
pub(crate) struct Window<K> {
    /// `None`: still out.
    entries: BTreeMap<K, Option<Finished>>,
    /// Finished ones, when the order does not matter.
    ready: VecDeque<Finished>,
    ordered: bool,
    /// Memory of results that wait for what comes before them, in bytes.
    waiting: u64,
    /// Memory of results that are merged but not yet in the output.
    unwritten: u64,
}

impl<K: Ord + Copy> Window<K> {
    /// An empty window. With `ordered` false, batches come out as they finish.
    pub(crate) fn new(ordered: bool) -> Self {
        Self { entries: BTreeMap::new(), ready: VecDeque::new(), ordered, waiting: 0, unwritten: 0 }
    }

    /// A batch at `key` is out. Keys are never used twice at the same time.
    pub(crate) fn insert(&mut self, key: K) {
        let before = self.entries.insert(key, None);
        debug_assert!(before.is_none(), "one batch at a place");
    }

    /// The batch at `key` is finished.
    pub(crate) fn complete(&mut self, key: K, finished: Finished) {
        self.waiting += finished.memory();
        if self.ordered {
            self.entries.insert(key, Some(finished));
        } else {
            self.entries.remove(&key);
            self.ready.push_back(finished);
        }
    }

    /// The batch at `key` was lost: nothing is out there any more.
    pub(crate) fn remove(&mut self, key: K) {
        self.entries.remove(&key);
    }

    /// The next batch to be merged, when it is there and nothing that is still to be given out (from `limit` on)
    /// comes before it.
    pub(crate) fn pop_before(&mut self, limit: Option<K>) -> Option<Finished> {
        let finished = if self.ordered {
            let entry = self.entries.first_entry()?;
            if entry.get().is_none() || limit.is_some_and(|limit| limit < *entry.key()) {
                return None;
            }
            entry.remove()?
        } else {
            self.ready.pop_front()?
        };
        self.waiting -= finished.memory();
        Some(finished)
    }

    /// Results of one batch, of so many bytes, are on their way to the output.
    pub(crate) fn append(&mut self, bytes: u64) {
        self.unwritten += memory(bytes);
    }

    /// Results of one batch, of so many bytes, are now in the output.
    pub(crate) fn written(&mut self, bytes: u64) {
        self.unwritten = self.unwritten.saturating_sub(memory(bytes));
    }

    /// Whether no more results may be made.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting + self.unwritten >= WINDOW || self.entries.len() >= BATCHES
    }

    /// Whether a batch at `next` may be given out. In a full window only the one that all others wait for may, and
    /// only when no write is under way that would make room: otherwise nothing would ever move again.
    pub(crate) fn has_room_at(&self, next: K) -> bool {
        let is_awaited = || self.unwritten == 0 && self.entries.keys().next().is_none_or(|first| next < *first);
        !self.is_full() || is_awaited()
    }

    /// Whether nothing is out and nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.ready.is_empty()
    }

    /// Whether everything that was merged is in the output.
    pub(crate) fn is_written(&self) -> bool {
        self.unwritten == 0
    }

    /// Batches whose results will never be merged.
    pub(crate) fn abandoned(&self) -> impl Iterator<Item = BatchId> + '_ {
        let waiting = self.entries.values().flatten().chain(&self.ready);
        waiting.filter(|finished| finished.output > 0).map(|finished| finished.batch)
    }
}

/// What results of so many bytes take in memory.
fn memory(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(batch: u64, output: u64) -> Finished {
        Finished { batch: BatchId(batch), items: 1, output, ..Finished::default() }
    }

    fn pop(window: &mut Window<u32>, limit: Option<u32>) -> Option<u64> {
        window.pop_before(limit).map(|finished| finished.batch.0)
    }

    #[test]
    fn batches_come_out_in_order_of_the_input() {
        let mut window = Window::new(true);
        for key in [1, 2, 3] {
            window.insert(key);
        }
        window.complete(2, finished(20, 5));
        assert_eq!(pop(&mut window, None), None);
        window.complete(1, finished(10, 5));
        assert_eq!(
            (pop(&mut window, None), pop(&mut window, None), pop(&mut window, None)),
            (Some(10), Some(20), None)
        );
        window.complete(3, finished(30, 5));
        assert_eq!(pop(&mut window, Some(2)), None, "a rest of batch 2 is still to be run");
        assert_eq!(pop(&mut window, None), Some(30));
        assert!(window.is_empty());
    }

    #[test]
    fn what_is_appended_is_awaited() {
        let mut window: Window<u32> = Window::new(true);
        window.append(5);
        window.append(5);
        window.written(5);
        assert!(!window.is_written());
        window.written(5);
        assert!(window.is_written());
    }

    #[test]
    fn without_order_they_come_out_as_they_finish() {
        let mut window = Window::new(false);
        window.insert(1);
        window.insert(2);
        window.complete(2, finished(20, 5));
        assert_eq!(pop(&mut window, None), Some(20));
        assert!(!window.is_empty());
    }

    #[test]
    fn a_full_window_only_lets_in_what_the_others_wait_for() {
        let mut window = Window::new(true);
        window.insert(2);
        window.complete(2, finished(20, WINDOW));
        assert!(window.is_full() && !window.has_room_at(3));
        assert!(window.has_room_at(1), "or nothing would ever be merged");
        window.append(1);
        assert!(!window.has_room_at(1), "the write that is under way will ask again");
    }

    #[test]
    fn small_results_take_a_page_each() {
        let mut window = Window::new(true);
        let count = u32::try_from(WINDOW / PAGE).expect("thousands");
        for key in 1..=count {
            assert!(!window.is_full());
            window.insert(key);
            window.complete(key, finished(u64::from(key), 1));
        }
        assert!(window.is_full());
    }

    #[test]
    fn an_abandoned_window_names_what_is_left_in_it() {
        let mut window = Window::new(true);
        for key in [1, 2, 3] {
            window.insert(key);
        }
        window.complete(2, finished(20, 5));
        window.complete(3, finished(30, 0));
        assert_eq!(window.abandoned().collect::<Vec<_>>(), [BatchId(20)]);
    }
}
