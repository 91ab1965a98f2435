//! Which of several kernels a name means this time: a draw, and what it comes to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::random;

/// Which of several things a draw from 0 to 1 comes to, each of which has so much of that; `None` when it is none of them.
#[must_use]
pub(crate) fn choose(weights: impl IntoIterator<Item = f64>, draw: f64) -> Option<usize> {
    let mut until = 0.0;
    weights.into_iter().position(|weight| {
        until += weight;
        draw < until
    })
}

/// Numbers from 0 to 1, all as likely. They are no secrets: whoever has several may find out the next.
#[derive(Debug)]
pub(crate) struct Draws(AtomicU64);

impl Default for Draws {
    fn default() -> Self {
        Self(AtomicU64::new(u64::from_le_bytes(random::bytes())))
    }
}

impl Draws {
    /// The next one, below 1.
    pub(crate) fn next(&self) -> f64 {
        // SplitMix64: any number of threads have one sequence, and none waits for another.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // As many bits as fit.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_comes_to_one_by_its_weight() {
        let weights = [0.1, 0.25];
        let draws = [0.0, 0.0999, 0.1, 0.2, 0.3499, 0.35, 0.5, 0.9999];
        let chosen: Vec<_> = draws.iter().map(|draw| choose(weights, *draw)).collect();
        assert_eq!(chosen, [Some(0), Some(0), Some(1), Some(1), Some(1), None, None, None]);
        assert_eq!(choose([], 0.0), None);
        assert_eq!(choose([1.0], 0.9999), Some(0));
    }

    #[test]
    fn draws_are_spread_evenly() {
        let draws = Draws(AtomicU64::new(7));
        let mut had = [0_u32; 10];
        for _ in 0..10_000 {
            had[(draws.next() * 10.0) as usize] += 1;
        }
        assert!(had.iter().all(|count| (900..1100).contains(count)), "{had:?}");
    }
}
