//! A reduction: the parts of results that exist, the joins that are due, and what comes after the last item.

use std::collections::{BTreeMap, VecDeque};

use taskhost_data::tree::{NodeId, TreePlan};
use taskhost_protocol::work::Partial;

use super::job::Pick;
use crate::event::{Action, Destination, PartId, Task};

/// What comes after the last item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// Items or joins are out.
    No,
    /// The identity or `finish` was asked for.
    Asked,
    /// The result is on its way to the output.
    Finished,
}

/// A reduction.
#[derive(Debug)]
pub(crate) struct Reduction {
    tree: TreePlan<PartId>,
    /// Joins that can be made.
    due: VecDeque<(NodeId, Vec<PartId>)>,
    closing: Closing,
    /// Parts that are kept, and their lengths.
    parts: BTreeMap<PartId, u64>,
}

impl Reduction {
    pub(crate) fn new() -> Self {
        Self { tree: TreePlan::new(), due: VecDeque::new(), closing: Closing::No, parts: BTreeMap::new() }
    }

    /// Takes in what a batch returned, which was checked. To be called before the positions of the batch are covered.
    pub(crate) fn add(&mut self, partials: &[Partial], next_part: &mut u64) -> Vec<(PartId, u64)> {
        let mut parts = Vec::with_capacity(partials.len());
        for partial in partials {
            let part = self.new_part(partial.len, next_part);
            self.tree.add(NodeId { level: partial.level, index: partial.index }, part);
            parts.push((part, partial.len));
        }
        self.collect_due();
        parts
    }

    /// All items at these positions, if any, were added.
    pub(crate) fn cover(&mut self, (start, end): (u64, u64)) {
        self.tree.cover(start, end);
        self.collect_due();
    }

    /// There are no items at position `end` or behind.
    pub(crate) fn end(&mut self, end: u64) {
        self.tree.end(end);
        self.collect_due();
    }

    fn collect_due(&mut self) {
        self.due.extend(std::iter::from_fn(|| self.tree.next_join()));
    }

    fn new_part(&mut self, len: u64, next_part: &mut u64) -> PartId {
        let part = PartId(*next_part);
        *next_part += 1;
        self.parts.insert(part, len);
        part
    }

    /// The next join, or, when there is nothing else left, what comes after the last.
    pub(crate) fn next(&mut self) -> Option<Pick> {
        if let Some((node, parts)) = self.due.pop_front() {
            return Some(Pick { node: Some(node), ..Pick::new(Task::Combine(parts), Destination::Arena) });
        }
        if self.closing != Closing::No {
            return None;
        }
        let task = match self.tree.result()? {
            Some(part) => Task::Finish(*part),
            None => Task::Combine(Vec::new()),
        };
        self.closing = Closing::Asked;
        Some(Pick::new(task, Destination::Arena))
    }

    /// Whether [`Self::next`] has something.
    pub(crate) fn has_next(&self) -> bool {
        !self.due.is_empty() || (self.closing == Closing::No && self.tree.result().is_some())
    }

    /// A join was made, of `len` bytes. Returns its result, and what is to be done with that, if it is clear already.
    pub(crate) fn joined(&mut self, pick: &Pick, len: u64, next_part: &mut u64) -> (PartId, Option<Pick>) {
        let part = self.new_part(len, next_part);
        let Some(node) = pick.node else {
            // That was the identity.
            return (part, Some(Pick::new(Task::Finish(part), Destination::Arena)));
        };
        self.tree.joined(node, part);
        self.collect_due();
        (part, None)
    }

    /// The result was made of `part`.
    pub(crate) fn finished(&mut self, part: PartId, actions: &mut Vec<Action>) {
        self.closing = Closing::Finished;
        self.drop_parts(vec![part], actions);
    }

    /// The parts that can be joined no further, in order, once nothing else is left to be joined; what stands behind
    /// and in front of them is elsewhere. Given once.
    pub(crate) fn hand_over(&mut self) -> Option<Vec<(PartId, Partial)>> {
        if self.closing != Closing::No || !self.due.is_empty() {
            return None;
        }
        let frontier = self.tree.frontier()?;
        self.closing = Closing::Finished;
        let partial = |(node, part): (NodeId, &PartId)| {
            let len = self.parts.get(part).copied().unwrap_or(0);
            (*part, Partial { level: node.level, index: node.index, len })
        };
        Some(frontier.into_iter().map(partial).collect())
    }

    /// Whether the result was made.
    pub(crate) fn is_finished(&self) -> bool {
        self.closing == Closing::Finished
    }

    /// Forgets all parts.
    pub(crate) fn abandon(&mut self, actions: &mut Vec<Action>) {
        self.drop_parts(self.parts.keys().copied().collect(), actions);
    }

    /// Forgets these parts.
    pub(crate) fn drop_parts(&mut self, parts: Vec<PartId>, actions: &mut Vec<Action>) {
        for part in &parts {
            self.parts.remove(part);
        }
        if !parts.is_empty() {
            actions.push(Action::DropParts { parts });
        }
    }
}
