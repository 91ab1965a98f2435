//! Numbers that look random and are the same every time, so that a test that fails fails again.

use std::time::Duration;

/// How often tests that try their luck do so: a variable asks for more than there is time for every day.
pub(crate) fn rounds(usual: u64) -> u64 {
    let asked = std::env::var("TASKHOST_ROUNDS").ok();
    asked.map_or(usual, |asked| asked.parse().expect("TASKHOST_ROUNDS is a number"))
}

/// A stream of numbers (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// The stream of that name.
    pub(crate) fn new(name: &str) -> Self {
        Self(
            name.bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)),
        )
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    /// A time shorter than so many milliseconds.
    pub(crate) fn time(&mut self, milliseconds: u64) -> Duration {
        Duration::from_micros(self.below(1000 * milliseconds))
    }

    /// One of these.
    pub(crate) fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}
