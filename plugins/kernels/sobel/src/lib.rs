//! The horizontal Sobel gradient: correlation with
//!
//! ```text
//! 1  0 -1
//! 2  0 -2
//! 1  0 -1
//! ```
//!
//! per channel, zero on the one-pixel border. Written as the textbook loop: `sum = 0`, then row by row from left to
//! right `sum += weight × pixel` for the six weights that are not zero. So, with the neighbours
//!
//! ```text
//! a . b
//! c . d
//! e . f
//! ```
//!
//! a float result is `((((((0 + a) − b) + 2c) − 2d) + e) − f)` in f64, rounded to f32 at the end for f32 pictures (for
//! finite samples that is also what the loop over all nine weights gives, bit for bit). Floats keep the value; integers
//! get the absolute value of the exact sum, at most the largest value of their type.

use taskhost_kernel::prelude::*;

struct Sobel;

impl Kernel for Sobel {
    fn describe() -> Description {
        Description::new("Horizontal Sobel gradient (3x3), per channel, zero on the border.")
    }
}

impl ImageFilter for Sobel {
    fn prepare(input: Format) -> Result<Plan> {
        Ok(Plan::strips(1, input))
    }

    fn filter(tile: &Tile) -> Result<Vec<u8>> {
        with_number!(tile.image.sample, T => filter::<T>(tile))
    }
}

taskhost_kernel::export!(Sobel as image);

/// How a type of sample is computed.
trait Gradient: Number {
    /// The six neighbours in the order of the formula.
    fn gradient(neighbours: [Self; 6]) -> Self;
}

macro_rules! integers {
    ($($type:ident in $wide:ident),*) => {$(
        impl Gradient for $type {
            #[inline]
            #[expect(
                clippy::cast_possible_truncation, reason = "the sum was clamped to the type"
            )]
            fn gradient(neighbours: [Self; 6]) -> Self {
                let [a, b, c, d, e, f] = neighbours.map($wide::from);
                let sum = a - b + 2 * (c - d) + e - f;
                sum.abs().min($wide::from(Self::MAX)) as Self
            }
        }
    )*};
}

// The widest sum is eight times the largest sample. u8 fits into 16 bits, which makes the vectors twice as wide.
integers!(u8 in i16, u16 in i32, i16 in i32, u32 in i64, i32 in i64);

macro_rules! floats {
    ($($type:ident),*) => {$(
        impl Gradient for $type {
            #[inline]
            fn gradient(neighbours: [Self; 6]) -> Self {
                let [a, b, c, d, e, f] = neighbours.map(Number::to_f64);
                Self::from_f64(0.0 + a - b + 2.0 * c - 2.0 * d + e - f)
            }
        }
    )*};
}

floats!(f32, f64);

fn filter<T: Gradient>(tile: &Tile) -> Result<Vec<u8>> {
    let view: View<'_, T> = tile.view(1)?;
    let Format { height, channels, .. } = tile.image;
    let row_samples = tile.image.row_samples().ok_or_else(|| Error::failed("the picture is too wide"))?;
    let count = row_samples * tile.rows as usize;
    Ok(make_samples(count, |out: &mut [T]| {
        if row_samples == 0 {
            return;
        }
        for (y, out) in tile.own_rows().zip(out.chunks_exact_mut(row_samples)) {
            if y > 0 && y + 1 < height {
                row([view.row(y - 1), view.row(y), view.row(y + 1)], channels as usize, out);
            }
        }
    }))
}

/// One row but its first and last pixel, which stay as they are.
fn row<T: Gradient>(rows: [&[T]; 3], channels: usize, out: &mut [T]) {
    let Some(inner) = out.len().checked_sub(2 * channels) else { return };
    // Six slices of one length: the loop below needs no bounds checks and becomes vector code.
    let [a, c, e] = rows.map(|row| &row[..inner]);
    let [b, d, f] = rows.map(|row| &row[2 * channels..][..inner]);
    let out = &mut out[channels..][..inner];
    for x in 0..inner {
        out[x] = T::gradient([a[x], b[x], c[x], d[x], e[x], f[x]]);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use taskhost_kernel::testing;

    const KERNEL: [[f64; 3]; 3] = [[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]];

    /// The textbook loop over all nine weights.
    fn textbook<T: Number>(pixels: &[T], format: Format) -> Vec<f64> {
        let (width, height, channels) = (format.width as usize, format.height as usize, format.channels as usize);
        let mut out = vec![0.0; pixels.len()];
        for y in 1..height.saturating_sub(1) {
            for x in 1..width.saturating_sub(1) {
                for channel in 0..channels {
                    let mut sum = 0.0;
                    for (dy, weights) in KERNEL.iter().enumerate() {
                        for (dx, weight) in weights.iter().enumerate() {
                            let pixel = ((y + dy - 1) * width + x + dx - 1) * channels + channel;
                            sum += weight * pixels[pixel].to_f64();
                        }
                    }
                    out[(y * width + x) * channels + channel] = sum;
                }
            }
        }
        out
    }

    fn formats(sample: Sample) -> impl Iterator<Item = Format> {
        [(1, 1, 1), (2, 5, 1), (5, 2, 1), (3, 3, 1), (17, 9, 1), (33, 12, 3), (8, 21, 4)]
            .into_iter()
            .map(move |(width, height, channels)| Format { width, height, channels, sample })
    }

    fn check<T: Number>(random: impl Fn(u64) -> T, expected: impl Fn(f64) -> T) {
        for format in formats(T::SAMPLE) {
            let count = format.row_samples().unwrap() * format.height as usize;
            let pixels: Vec<T> = testing::noise(1).map(&random).take(count).collect();
            let bytes = make_samples(count, |out: &mut [T]| out.copy_from_slice(&pixels));
            let wanted: Vec<T> = textbook(&pixels, format).into_iter().map(&expected).collect();
            let wanted = make_samples(count, |out: &mut [T]| out.copy_from_slice(&wanted));
            for rows in [1, 2, 3, 100] {
                assert_eq!(
                    testing::in_strips::<Sobel>(format, &bytes, rows).as_ref(),
                    Ok(&wanted),
                    "{format} in strips of {rows}"
                );
            }
        }
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "`as` clamps, as the contract says")]
    fn integers_are_absolute_and_saturated() {
        check(|random| random as u8, |sum| sum.abs() as u8);
        check(|random| random as u16, |sum| sum.abs() as u16);
        check(|random| random as i16, |sum| sum.abs() as i16);
        check(|random| random as u32, |sum| sum.abs() as u32);
        check(|random| random as i32, |sum| sum.abs() as i32);
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test data")]
    fn floats_equal_the_textbook_bit_for_bit() {
        check(|random| random as f64 / 1e15 - 5e3, |sum| sum);
        check(|random| if random % 3 == 0 { -0.0 } else { 0.0 }, |sum: f64| sum);
        check(|random| (random as f64 / 1e15 - 5e3) as f32, |sum| sum as f32);
    }

    #[test]
    fn a_tile_without_its_context_is_refused() {
        let image = Format { width: 4, height: 9, channels: 1, sample: Sample::U8 };
        let tile = Tile { image, first_row: 3, rows: 2, above: 0, below: 1, samples: vec![0; 12] };
        assert!(matches!(Sobel::filter(&tile), Err(Error::Failed(_))));
    }
}
