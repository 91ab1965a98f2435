//! Which positions have been reported: a set of ranges that join when they touch.

use std::collections::BTreeMap;

/// A set of positions. Small: it has one range for each gap that an unfinished batch leaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Covered {
    /// Start and end of each range; they neither overlap nor touch.
    ranges: BTreeMap<u128, u128>,
}

impl Covered {
    /// Adds `start..end`, whether parts of it were in the set or not.
    pub(super) fn insert(&mut self, mut start: u128, mut end: u128) {
        if start >= end {
            return;
        }
        while let Some((&other_start, &other_end)) = self.ranges.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.ranges.remove(&other_start);
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.ranges.insert(start, end);
    }

    /// Whether all of `start..end` is in the set.
    pub(super) fn contains(&self, start: u128, end: u128) -> bool {
        self.ranges.range(..=start).next_back().is_some_and(|(_, &range_end)| end <= range_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_when_they_touch() {
        let mut covered = Covered::default();
        covered.insert(10, 20);
        covered.insert(30, 40);
        covered.insert(5, 5);
        assert!(covered.contains(10, 20) && covered.contains(12, 13));
        assert!(!covered.contains(10, 21) && !covered.contains(5, 5) && !covered.contains(19, 31));
        covered.insert(20, 30);
        assert!(covered.contains(10, 40));
        covered.insert(0, 100);
        assert!(covered.contains(0, 100));
        assert_eq!(covered.ranges.len(), 1);
    }
}
