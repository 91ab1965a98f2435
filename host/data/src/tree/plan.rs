//! The coordinator's side: which joins are due, in pure bookkeeping over handles to partial results.

use std::collections::{BTreeMap, VecDeque};

use super::covered::Covered;
use super::{FANOUT, NodeId, TOP_LEVEL};

/// What is known of one child of an open node.
#[derive(Debug)]
enum Child<H> {
    /// Nothing under it so far.
    Empty,
    /// Something under it, but not all.
    Open,
    /// Its result.
    Ready(H),
}

/// A node with results under it that has none of its own yet.
#[derive(Debug)]
struct OpenNode<H> {
    children: [Child<H>; FANOUT],
    /// Its join was handed out.
    joining: bool,
}

impl<H> Default for OpenNode<H> {
    fn default() -> Self {
        Self { children: std::array::from_fn(|_| Child::Empty), joining: false }
    }
}

/// Collects the partials of batches, in whatever order batches end, and says which nodes to join.
///
/// Its memory holds the nodes that wait for something, so it is bounded by the batches that are unfinished between
/// finished ones.
#[derive(Debug)]
pub struct TreePlan<H> {
    open: BTreeMap<NodeId, OpenNode<H>>,
    due: VecDeque<(NodeId, Vec<H>)>,
    covered: Covered,
    result: Option<H>,
}

impl<H> Default for TreePlan<H> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), due: VecDeque::new(), covered: Covered::default(), result: None }
    }
}

impl<H> TreePlan<H> {
    /// A plan that knows of no position.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the result of all items under `node`. Comes before [`TreePlan::cover`] of its positions. What a worker
    /// says must have passed [`super::check_partials`].
    pub fn add(&mut self, node: NodeId, handle: H) {
        self.resolve(node, handle);
    }

    /// All items at positions in `start..end` have been added.
    pub fn cover(&mut self, start: u64, end: u64) {
        self.cover_wide(start.into(), end.into());
    }

    /// There are no items at position `total` or behind.
    pub fn end(&mut self, total: u64) {
        self.cover_wide(total.into(), NodeId::TOP.end());
    }

    /// A join to be made: the node, and its parts in order. Each is handed out once.
    pub fn next_join(&mut self) -> Option<(NodeId, Vec<H>)> {
        self.due.pop_front()
    }

    /// The join of `node` was made.
    pub fn joined(&mut self, node: NodeId, handle: H) {
        self.open.remove(&node);
        self.resolve(node, handle);
    }

    /// The result of all items once everything is covered and joined; `Some(None)` when there was no item at all.
    #[must_use]
    pub fn result(&self) -> Option<Option<&H>> {
        let over = self.covered.contains(0, NodeId::TOP.end()) && self.open.is_empty() && self.due.is_empty();
        over.then_some(self.result.as_ref())
    }

    /// As [`TreePlan::result`], giving the handle away.
    #[must_use]
    pub fn into_result(self) -> Option<Option<H>> {
        if self.result().is_some() { Some(self.result) } else { None }
    }

    /// The results that can be joined no further before others come, in order; `None` while a join is due or being made.
    #[must_use]
    pub fn frontier(&self) -> Option<Vec<(NodeId, &H)>> {
        if !self.due.is_empty() || self.open.values().any(|node| node.joining) {
            return None;
        }
        let mut results: Vec<(NodeId, &H)> = self.result.iter().map(|result| (NodeId::TOP, result)).collect();
        for (parent, node) in &self.open {
            let ready = parent.children().zip(&node.children).filter_map(|(id, child)| match child {
                Child::Ready(handle) => Some((id, handle)),
                Child::Empty | Child::Open => None,
            });
            results.extend(ready);
        }
        results.sort_by_key(|(node, _)| node.start());
        Some(results)
    }

    fn cover_wide(&mut self, start: u128, end: u128) {
        if start >= end {
            return;
        }
        self.covered.insert(start, end);
        // Only nodes that share a position with the range can have become complete. Children come before parents, so
        // that what passes through a level is seen at the next.
        for level in 1..=TOP_LEVEL {
            let bits = super::FANOUT_BITS * u32::from(level);
            let index = |position: u128| u64::try_from(position >> bits).unwrap_or(u64::MAX);
            let range = NodeId { level, index: index(start) }..=NodeId { level, index: index(end - 1) };
            let nodes: Vec<NodeId> = self.open.range(range).map(|(node, _)| *node).collect();
            for node in nodes {
                self.settle(node);
            }
        }
    }

    /// Stores a node's result with its parent, and goes on upwards as far as nodes are complete.
    fn resolve(&mut self, node: NodeId, handle: H) {
        if node == NodeId::TOP {
            self.result = Some(handle);
            return;
        }
        let parent = node.parent();
        self.mark_open(parent);
        let open = self.open.entry(parent).or_default();
        open.children[node.slot()] = Child::Ready(handle);
        self.settle(parent);
    }

    /// Makes all ancestors know that there is something under `node`.
    fn mark_open(&mut self, mut node: NodeId) {
        while node != NodeId::TOP {
            let parent = node.parent();
            let child = &mut self.open.entry(parent).or_default().children[node.slot()];
            if !matches!(child, Child::Empty) {
                return;
            }
            *child = Child::Open;
            node = parent;
        }
    }

    /// If `node` is complete, passes its only child through or makes its join due.
    fn settle(&mut self, node: NodeId) {
        if !self.covered.contains(node.start(), node.end()) {
            return;
        }
        let Some(open) = self.open.get_mut(&node) else { return };
        if open.joining || open.children.iter().any(|child| matches!(child, Child::Open)) {
            return;
        }
        let mut parts = Vec::new();
        for child in &mut open.children {
            if let Child::Ready(handle) = std::mem::replace(child, Child::Empty) {
                parts.push(handle);
            }
        }
        if parts.len() > 1 {
            open.joining = true;
            self.due.push_back((node, parts));
        } else if let Some(only) = parts.pop() {
            self.open.remove(&node);
            self.resolve(node, only);
        }
    }
}
