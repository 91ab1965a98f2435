//! A set of logical cpus, as the kernel writes it: `0-3,8`.

use std::collections::BTreeSet;

/// Highest number of cpus that any Linux kernel is built for: a list that claims more is not believed.
pub(super) const MOST_CPUS: u32 = 8192;

/// A set of logical cpus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet {
    cpus: BTreeSet<u32>,
}

impl CpuSet {
    /// The cpus below `count`.
    #[must_use]
    pub fn first(count: u32) -> Self {
        (0..count.min(MOST_CPUS)).collect()
    }

    /// Reads a list such as `0-3,8`. An empty list is an empty set; `None` when it is no list.
    #[must_use]
    pub fn parse(list: &str) -> Option<Self> {
        let mut cpus = BTreeSet::new();
        for part in list.trim().split(',').filter(|part| !part.is_empty()) {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
            if from > to || to >= MOST_CPUS {
                return None;
            }
            cpus.extend(from..=to);
        }
        Some(Self { cpus })
    }

    /// Whether `cpu` is in it.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.cpus.contains(&cpu)
    }

    /// Whether no cpu is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cpus.is_empty()
    }

    /// How many cpus are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cpus.len()
    }

    /// Its cpus, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.cpus.iter().copied()
    }

    /// The cpus in both, or all of `self` when there are none: a limit that leaves nothing was misread.
    #[must_use]
    pub(super) fn narrowed_to(&self, other: &Self) -> Self {
        let both: Self = self.cpus.intersection(&other.cpus).copied().collect();
        if both.is_empty() { self.clone() } else { both }
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<T: IntoIterator<Item = u32>>(cpus: T) -> Self {
        Self { cpus: cpus.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(CpuSet::parse("0-2,8\n"), Some([0, 1, 2, 8].into_iter().collect()));
        assert_eq!(CpuSet::parse("\n"), Some(CpuSet::default()));
        assert_eq!(CpuSet::parse("5"), Some([5].into_iter().collect()));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for wrong in ["a", "3-1", "0-", "-4", "0-4294967295", "1;2"] {
            assert_eq!(CpuSet::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn narrowing_never_leaves_nothing() {
        let all = CpuSet::first(4);
        assert_eq!(all.narrowed_to(&[2, 9].into_iter().collect()), [2].into_iter().collect());
        assert_eq!(all.narrowed_to(&[9].into_iter().collect()), all);
    }
}
