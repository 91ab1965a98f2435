//! Random numbers for kernels: a stream that the kernel's digest and the position of the item determine.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_core::TryRng;

/// What the streams of one instance start from.
pub(crate) struct Seed {
    kernel: [u64; 2],
    position: AtomicU64,
    /// How many numbers were drawn since the item began, by all streams.
    drawn: AtomicU64,
}

impl Seed {
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_le_bytes(seed);
        let [low, high] = [seed as u64, (seed >> 64) as u64];
        Self { kernel: [low, high], position: AtomicU64::new(0), drawn: AtomicU64::new(0) }
    }

    pub(crate) fn reset(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
        self.drawn.store(0, Ordering::Relaxed);
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

    fn next(&self) -> u64 {
        let drawn = self.seed.drawn.fetch_add(1, Ordering::Relaxed);
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
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_item_and_not_on_what_came_before() {
        let seed = Arc::new(Seed::new([7; 16]));
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
}
