//! Random numbers for kernels: a stream that the kernel's digest and the position of the item determine; or, where the
//! user allows it, one that nobody can foretell.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_core::TryRng;

/// What the streams of one instance start from.
pub(crate) struct Seed {
    kernel: [u64; 2],
    position: AtomicU64,
    /// How many numbers were drawn since the item began, by all streams.
    drawn: AtomicU64,
    /// A function with a secret key of the operating system's, where numbers may differ from run to run.
    real: Option<RandomState>,
}

impl Seed {
    pub(crate) fn new(seed: [u8; 16], real: bool) -> Self {
        let seed = u128::from_le_bytes(seed);
        let [low, high] = [seed as u64, (seed >> 64) as u64];
        let real = real.then(RandomState::new);
        Self { kernel: [low, high], position: AtomicU64::new(0), drawn: AtomicU64::new(0), real }
    }

    pub(crate) fn reset(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
        // What nobody can foretell is never said twice.
        if self.real.is_none() {
            self.drawn.store(0, Ordering::Relaxed);
        }
    }

    /// Whether numbers that follow from the item were drawn since it began.
    pub(crate) fn was_drawn(&self) -> bool {
        self.real.is_none() && self.drawn.load(Ordering::Relaxed) > 0
    }

    /// Where a program's own random numbers may start from.
    pub(crate) fn start(&self) -> u128 {
        let [low, high] = match &self.real {
            Some(key) => [key.hash_one(u64::MAX), key.hash_one(u64::MAX - 1)],
            None => self.kernel,
        };
        (u128::from(high) << 64) | u128::from(low)
    }
}

/// One stream.
pub(crate) struct Random {
    seed: Arc<Seed>,
    stream: u64,
}

impl Random {
    pub(crate) fn new(seed: Arc<Seed>, stream: u64) -> Self {
        Self { seed, stream }
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    fn next(&self) -> u64 {
        let drawn = self.seed.drawn.fetch_add(1, Ordering::Relaxed);
        if let Some(key) = &self.seed.real {
            return key.hash_one((drawn, self.stream));
        }
        let position = self.seed.position.load(Ordering::Relaxed);
        let mut state = mix(self.seed.kernel[0] ^ self.stream);
        state = mix(state ^ self.seed.kernel[1]);
        state = mix(state ^ position);
        mix(state.wrapping_add(drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// The finaliser of SplitMix64: every bit of the input changes half of the output.
fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_item_and_not_on_what_came_before() {
        let seed = Arc::new(Seed::new([7; 16], false));
        let mut random = Random::new(Arc::clone(&seed), 0);
        let mut draw = |position| {
            seed.reset(position);
            let mut bytes = [0; 20];
            let Ok(()) = random.try_fill_bytes(&mut bytes);
            bytes
        };
        let first = draw(1);
        assert_ne!(first, draw(2));
        assert_eq!(first, draw(1));
        assert_ne!(first, [0; 20]);
    }

    #[test]
    fn real_ones_are_never_the_same() {
        let draw = || {
            let seed = Arc::new(Seed::new([7; 16], true));
            let random = Random::new(Arc::clone(&seed), 0);
            let mut bytes = [0; 32];
            random.fill(&mut bytes[..16]);
            seed.reset(0);
            random.fill(&mut bytes[16..]);
            (bytes, seed.start())
        };
        let (first, start) = draw();
        assert_ne!(first[..16], first[16..]);
        assert!(draw().0 != first && draw().1 != start);
    }
}
