//! Types of samples.

/// A sample, and how it lies in a file.
pub(crate) trait Pixel: Copy + Default + Send + Sync {
    const BYTES: usize;

    /// Takes the place of what is in `samples`.
    fn read(bytes: &[u8], samples: &mut Vec<Self>);
    fn write(samples: &[Self], bytes: &mut [u8]);
    fn to_f64(self) -> f64;
    /// Rounded half up and kept within the type.
    fn rounded(value: f64) -> Self;
    /// The Sobel gradient from the six neighbours whose weights are not zero.
    fn gradient(neighbours: [Self; 6]) -> Self;
}

impl Pixel for f64 {
    const BYTES: usize = 8;

    fn read(bytes: &[u8], samples: &mut Vec<Self>) {
        samples.clear();
        samples.extend(bytes.as_chunks().0.iter().map(|bytes| Self::from_le_bytes(*bytes)));
    }

    fn write(samples: &[Self], bytes: &mut [u8]) {
        for (sample, bytes) in samples.iter().zip(bytes.as_chunks_mut().0) {
            *bytes = sample.to_le_bytes();
        }
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn rounded(value: f64) -> Self {
        value
    }

    #[inline]
    fn gradient([a, b, c, d, e, f]: [Self; 6]) -> Self {
        0.0 + a - b + 2.0 * c - 2.0 * d + e - f
    }
}

impl Pixel for u8 {
    const BYTES: usize = 1;

    fn read(bytes: &[u8], samples: &mut Vec<Self>) {
        samples.clear();
        samples.extend_from_slice(bytes);
    }

    fn write(samples: &[Self], bytes: &mut [u8]) {
        bytes.copy_from_slice(samples);
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    fn rounded(value: f64) -> Self {
        (value + 0.5).floor() as Self
    }

    #[inline]
    fn gradient(neighbours: [Self; 6]) -> Self {
        let [a, b, c, d, e, f] = neighbours.map(i16::from);
        (a - b + 2 * (c - d) + e - f).abs().min(255) as Self
    }
}
