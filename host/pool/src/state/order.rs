//! The ordered window: which batches of a job are out, and which finished one may be merged next.

use std::collections::{BTreeMap, VecDeque};

/// Batches by their place in the input. `K` orders them, `V` is what is known of a finished one.
#[derive(Debug)]
pub(crate) struct Order<K, V> {
    /// `None`: still out.
    entries: BTreeMap<K, Option<V>>,
    /// Finished ones, when the order does not matter.
    ready: VecDeque<(K, V)>,
    ordered: bool,
}

impl<K: Ord + Copy, V> Order<K, V> {
    /// An empty window. With `ordered` false, batches come out as they finish.
    pub(crate) fn new(ordered: bool) -> Self {
        Self { entries: BTreeMap::new(), ready: VecDeque::new(), ordered }
    }

    /// A batch at `key` is out. Keys are never used twice at the same time.
    pub(crate) fn insert(&mut self, key: K) {
        let before = self.entries.insert(key, None);
        debug_assert!(before.is_none(), "one batch at a place");
    }

    /// The batch at `key` is finished.
    pub(crate) fn complete(&mut self, key: K, value: V) {
        if self.ordered {
            self.entries.insert(key, Some(value));
        } else {
            self.entries.remove(&key);
            self.ready.push_back((key, value));
        }
    }

    /// The next batch to be merged, when it is there and nothing that is still to be given out (from `limit` on)
    /// comes before it.
    pub(crate) fn pop_before(&mut self, limit: Option<K>) -> Option<(K, V)> {
        if !self.ordered {
            return self.ready.pop_front();
        }
        let entry = self.entries.first_entry()?;
        if entry.get().is_none() || limit.is_some_and(|limit| limit < *entry.key()) {
            return None;
        }
        let (key, value) = entry.remove_entry();
        value.map(|value| (key, value))
    }

    /// Whether nothing is out and nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_out_in_order_of_the_input() {
        let mut order = Order::new(true);
        for key in [1, 2, 3] {
            order.insert(key);
        }
        order.complete(2, "b");
        assert_eq!(order.pop_before(None), None);
        order.complete(1, "a");
        assert_eq!((order.pop_before(None), order.pop_before(None), order.pop_before(None)), (Some((1, "a")), Some((2, "b")), None));
        order.complete(3, "c");
        assert_eq!(order.pop_before(Some(2)), None, "a rest of batch 2 is still to be run");
        assert_eq!(order.pop_before(None), Some((3, "c")));
        assert!(order.is_empty());
    }

    #[test]
    fn without_order_they_come_out_as_they_finish() {
        let mut order = Order::new(false);
        order.insert(1);
        order.insert(2);
        order.complete(2, "b");
        assert_eq!(order.pop_before(None), Some((2, "b")));
        assert!(!order.is_empty());
    }
}
