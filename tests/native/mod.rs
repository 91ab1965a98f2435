//! What the first-party kernels compute, written the plain way, and inputs made from nothing but arithmetic.

mod pictures;
mod text;

pub(crate) use pictures::{Picture, Sample};
pub(crate) use text::{csv_stats, mandelbrot_row, primes_between, wordcount};

/// Numbers that look random and are the same everywhere (xorshift64*).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Any `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 4);
        while bytes.len() < count {
            bytes.extend_from_slice(&(self.next() as u32).to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
