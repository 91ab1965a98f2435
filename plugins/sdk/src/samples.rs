//! Samples as numbers: little-endian bytes seen as slices of a type, without copying where memory allows.

use std::borrow::Cow;

use bytemuck::Pod;

use crate::Sample;

/// The types a sample can have.
pub trait Number: Pod + PartialOrd {
    /// Which of the contract's sample types this is.
    const SAMPLE: Sample;

    /// The value; exact for all of them.
    fn to_f64(self) -> f64;

    /// The nearest sample: integers are rounded half up (`floor(value + 0.5)`) and clamped to the type (NaN becomes its
    /// smallest value); `f32` is rounded to nearest even as always.
    fn from_f64(value: f64) -> Self;
}

macro_rules! integers {
    ($($type:ident $sample:ident through $through:ident),*) => {$(
        impl Number for $type {
            const SAMPLE: Sample = Sample::$sample;

            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline]
            #[expect(clippy::cast_possible_truncation, reason = "the value was clamped to the type")]
            fn from_f64(value: f64) -> Self {
                // Comparisons become vector code; the clamping of `as` to a small type does not.
                let rounded = (value + 0.5).floor();
                let below = if rounded < f64::from(Self::MAX) { rounded } else { f64::from(Self::MAX) };
                let within = if below > f64::from(Self::MIN) { below } else { f64::from(Self::MIN) };
                within as $through as Self
            }
        }
    )*};
}

integers!(u8 U8 through i32, u16 U16 through i32, i16 I16 through i32, u32 U32 through u32, i32 I32 through i32);

impl Number for f32 {
    const SAMPLE: Sample = Sample::F32;

    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the sample type is what is wanted")]
    fn from_f64(value: f64) -> Self {
        value as Self
    }
}

impl Number for f64 {
    const SAMPLE: Sample = Sample::F64;

    #[inline]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline]
    fn from_f64(value: f64) -> Self {
        value
    }
}

#[cfg(target_endian = "big")]
compile_error!("samples are little-endian and are used in place");

/// Bytes as numbers: in place when they are aligned, as allocators make them, else a copy.
///
/// # Panics
///
/// When the bytes are not a whole number of samples; [`Tile::check`](crate::Tile::check) has seen to that.
#[must_use]
pub fn as_samples<T: Number>(bytes: &[u8]) -> Cow<'_, [T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(samples) => Cow::Borrowed(samples),
        Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
    }
}

/// Makes `count` samples, zero at first, by letting `fill` write them, and returns their bytes.
pub fn make_samples<T: Number>(count: usize, fill: impl FnOnce(&mut [T])) -> Vec<u8> {
    let mut bytes = vec![0_u8; count * size_of::<T>()];
    if let Ok(samples) = bytemuck::try_cast_slice_mut(&mut bytes) {
        fill(samples);
        return bytes;
    }
    let mut samples = vec![T::zeroed(); count];
    fill(&mut samples);
    bytes.copy_from_slice(bytemuck::cast_slice(&samples));
    bytes
}

/// Runs an expression with a type name bound to the number type of a [`Sample`].
///
/// ```
/// use taskhost_kernel::{Sample, with_number};
/// let bytes = with_number!(Sample::I16, T => size_of::<T>());
/// assert_eq!(bytes, 2);
/// ```
#[macro_export]
macro_rules! with_number {
    ($sample:expr, $type:ident => $body:expr) => {
        match $sample {
            $crate::Sample::U8 => {
                type $type = u8;
                $body
            }
            $crate::Sample::U16 => {
                type $type = u16;
                $body
            }
            $crate::Sample::I16 => {
                type $type = i16;
                $body
            }
            $crate::Sample::U32 => {
                type $type = u32;
                $body
            }
            $crate::Sample::I32 => {
                type $type = i32;
                $body
            }
            $crate::Sample::F32 => {
                type $type = f32;
                $body
            }
            $crate::Sample::F64 => {
                type $type = f64;
                $body
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_half_up_and_clamp() {
        let rounded: Vec<u8> = [0.49, 0.5, 1.5, 2.5, 254.5, 300.0, -7.0].map(u8::from_f64).to_vec();
        assert_eq!(rounded, [0, 1, 2, 3, 255, 255, 0]);
        let signed: Vec<i16> = [-0.5, -1.5, -1.51, 40_000.0, -40_000.0].map(i16::from_f64).to_vec();
        assert_eq!(signed, [0, -1, -2, i16::MAX, i16::MIN]);
        assert_eq!(u32::from_f64(4_294_967_294.5), u32::MAX);
    }

    #[test]
    fn unaligned_bytes_give_the_same_samples() {
        let bytes: Vec<u8> = (0..33).collect();
        let aligned: Vec<u32> = as_samples(&bytes[..32]).into_owned();
        let shifted: Vec<u32> = as_samples(&[&[9], &bytes[..32]].concat()[1..]).into_owned();
        assert_eq!(aligned, shifted);
        assert_eq!(aligned[0], 0x0302_0100);
    }

    #[test]
    fn samples_are_made_little_endian() {
        assert_eq!(make_samples::<u16>(2, |samples| samples[1] = 0x0102), [0, 0, 2, 1]);
    }
}
