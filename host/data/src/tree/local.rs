//! The worker's side: joins the items of one range of positions as they are made.

use super::{FANOUT, NodeId, TOP_LEVEL};

/// The result of all items under one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPartial {
    /// The node.
    pub node: NodeId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The non-empty children of one open node, in order: their bytes end to end.
#[derive(Debug, Default)]
struct OpenNode {
    /// Index of the node that they are children of, one level up.
    parent: u64,
    /// Their indexes in their own level.
    indexes: Vec<u64>,
    /// Where the bytes of each end.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl OpenNode {
    fn push(&mut self, index: u64, bytes: &[u8]) {
        self.indexes.push(index);
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    /// The bytes of child `i`.
    fn child(&self, i: usize) -> &[u8] {
        let begin = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[begin..self.ends[i]]
    }

    /// Empties it, keeping its memory.
    fn clear(&mut self) {
        self.indexes.clear();
        self.ends.clear();
        self.bytes.clear();
    }
}

/// Takes the items of a range of positions in order and joins what is complete. Holds at most 16 children for each
/// level, so its memory does not grow with the range.
#[derive(Debug)]
pub struct LocalTree {
    /// First position of the range.
    start: u64,
    /// Place `l` holds children of level `l`.
    open: Vec<OpenNode>,
    /// Partials of nodes whose parents reach out of the range at its start.
    done: Vec<LocalPartial>,
}

impl LocalTree {
    /// A tree for the range of positions that begins at `start`, whether an item stands there or not.
    #[must_use]
    pub fn new(start: u64) -> Self {
        Self { start, open: (0..=TOP_LEVEL).map(|_| OpenNode::default()).collect(), done: Vec::new() }
    }

    /// Adds the partial result of the item at `position`, which lies behind all items added before. `combine` is
    /// called for each node of two or more children that is complete with that.
    ///
    /// # Errors
    /// Those of `combine`; the tree is of no use then.
    pub fn push<E>(
        &mut self,
        position: u64,
        bytes: &[u8],
        combine: &mut impl FnMut(&[&[u8]]) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        self.add(NodeId { level: 0, index: position }, bytes, combine)
    }

    /// Ends the range at position `end` and returns the partials of the largest nodes that lie in it, in order.
    ///
    /// # Errors
    /// Those of `combine`.
    pub fn finish<E>(
        mut self,
        end: u64,
        combine: &mut impl FnMut(&[&[u8]]) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<LocalPartial>, E> {
        for level in 0..TOP_LEVEL {
            let open = &self.open[usize::from(level)];
            let parent = NodeId { level: level + 1, index: open.parent };
            if !open.indexes.is_empty() && parent.lies_in(self.start.into(), end.into()) {
                self.close(level, combine)?;
            }
        }
        // What is open now reaches beyond the end; the higher the level, the further in front.
        for level in (0..=TOP_LEVEL).rev() {
            self.release(level);
        }
        Ok(self.done)
    }

    /// Adds a node's result to those of its siblings, and first closes the node before if it has other parents.
    fn add<E>(
        &mut self,
        node: NodeId,
        bytes: &[u8],
        combine: &mut impl FnMut(&[&[u8]]) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let parent = node.parent();
        let open = &self.open[usize::from(node.level)];
        if !open.indexes.is_empty() && open.parent != parent.index {
            // An item came behind its end, so it lies in the range unless it began before.
            if (NodeId { level: node.level + 1, index: open.parent }).start() >= u128::from(self.start) {
                self.close(node.level, combine)?;
            } else {
                self.release(node.level);
            }
        }
        let open = &mut self.open[usize::from(node.level)];
        open.parent = parent.index;
        open.push(node.index, bytes);
        Ok(())
    }

    /// Joins the children at `level` into their parent, which is complete.
    fn close<E>(&mut self, level: u8, combine: &mut impl FnMut(&[&[u8]]) -> Result<Vec<u8>, E>) -> Result<(), E> {
        let mut open = std::mem::take(&mut self.open[usize::from(level)]);
        let parent = NodeId { level: level + 1, index: open.parent };
        if open.indexes.len() == 1 {
            self.add(parent, open.child(0), combine)?;
        } else {
            let mut parts: [&[u8]; FANOUT] = [&[]; FANOUT];
            for (i, part) in parts.iter_mut().enumerate().take(open.indexes.len()) {
                *part = open.child(i);
            }
            let joined = combine(&parts[..open.indexes.len()])?;
            self.add(parent, &joined, combine)?;
        }
        open.clear();
        self.open[usize::from(level)] = open;
        Ok(())
    }

    /// Gives the children at `level` out as they are: their parent is not theirs alone.
    fn release(&mut self, level: u8) {
        let open = &mut self.open[usize::from(level)];
        for (i, index) in open.indexes.iter().enumerate() {
            let node = NodeId { level, index: *index };
            self.done.push(LocalPartial { node, bytes: open.child(i).to_vec() });
        }
        open.clear();
    }
}
