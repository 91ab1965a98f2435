//! The tree of a reduction: aligned, 16-ary, over positions (see [`Piece::position`]), fixed by the input alone.
//!
//! A leaf is an item. A node joins its non-empty children in one `combine` call, in order; a single child passes
//! through. Because the tree does not know of batches, a sum of floating-point numbers has the same bits however the
//! run was cut. A worker joins what lies inside its batch ([`LocalTree`]) and returns the partials of the largest
//! nodes there; the coordinator keeps account of the few nodes that straddle batches ([`TreePlan`]).
//!
//! [`Piece::position`]: taskhost_protocol::work::Piece::position

mod check;
mod covered;
mod local;
mod plan;

pub use check::{PartialsError, check_partials};
pub use local::{LocalPartial, LocalTree};
pub use plan::TreePlan;

/// Children of a node, as a power of two.
const FANOUT_BITS: u32 = 4;

/// Children of a node: enough that joining costs little beside the items, few enough that a call stays small.
pub const FANOUT: usize = 1 << FANOUT_BITS;

/// Level of the node over all positions: 16^16 is 2^64.
pub const TOP_LEVEL: u8 = 16;

/// A node: it covers the `16^level` positions from `index × 16^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    /// 0 for a single position, [`TOP_LEVEL`] for all.
    pub level: u8,
    /// Which of the nodes of that level, from 0.
    pub index: u64,
}

impl NodeId {
    /// The node over all positions.
    pub const TOP: Self = Self { level: TOP_LEVEL, index: 0 };

    /// First position.
    #[must_use]
    pub fn start(self) -> u128 {
        u128::from(self.index) << (FANOUT_BITS * u32::from(self.level))
    }

    /// Position behind the last; 2^64 for the last node of a level, hence the width.
    #[must_use]
    pub fn end(self) -> u128 {
        (u128::from(self.index) + 1) << (FANOUT_BITS * u32::from(self.level))
    }

    /// The node that this is a child of. The top is its own parent.
    #[must_use]
    fn parent(self) -> Self {
        if self.level >= TOP_LEVEL {
            return Self::TOP;
        }
        Self { level: self.level + 1, index: self.index >> FANOUT_BITS }
    }

    /// The nodes below it, in order. There are none below a leaf.
    fn children(self) -> impl Iterator<Item = Self> {
        let level = self.level.saturating_sub(1);
        (0..FANOUT as u64).map(move |slot| Self { level, index: self.index << FANOUT_BITS | slot })
    }

    /// Which child of its parent it is.
    fn slot(self) -> usize {
        // Four bits always fit.
        (self.index & (FANOUT as u64 - 1)) as usize
    }

    /// Whether all its positions lie in `start..end`.
    fn lies_in(self, start: u128, end: u128) -> bool {
        start <= self.start() && self.end() <= end
    }
}

#[cfg(test)]
mod tests;
