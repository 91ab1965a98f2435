//! The two passes over a tile. Blurred rows are made once, in order, and kept in a ring as long as a column needs them,
//! so that the working set is a few rows and stays in the cache.

use taskhost_kernel::prelude::*;

use crate::weights::Weights;

/// Samples summed together: eight 128-bit vectors, which hide the latency of an addition and fit the registers.
const LANES: usize = 16;

pub(crate) fn blur<T: Number>(tile: &Tile, weights: &Weights) -> Result<Vec<u8>> {
    let radius = weights.radius();
    let view: View<'_, T> = tile.view(radius)?;
    let row_samples = tile.image.row_samples().ok_or_else(|| Error::failed("the picture is too wide"))?;
    if row_samples == 0 {
        return Ok(Vec::new());
    }
    let last_row = tile.image.height.saturating_sub(1);
    let mut ring = Ring::new(tile, row_samples, weights);
    let mut column = vec![0.0; row_samples];
    Ok(make_samples(row_samples * tile.rows as usize, |out: &mut [T]| {
        for (y, out) in tile.own_rows().zip(out.chunks_exact_mut(row_samples)) {
            ring.fill(&view, y.saturating_add(radius).min(last_row));
            let rows: Vec<&[f64]> = (i64::from(y) - i64::from(radius)..)
                .map(|near| ring.row(u32::try_from(near).unwrap_or(0).min(last_row)))
                .take(weights.as_slice().len())
                .collect();
            weighted_sum(&rows, weights.as_slice(), &mut column);
            for (out, value) in out.iter_mut().zip(&column) {
                *out = T::from_f64(*value);
            }
        }
    }))
}

/// The last rows that were blurred from left to right.
struct Ring<'a> {
    weights: &'a Weights,
    channels: usize,
    row_samples: usize,
    /// As many rows as there are weights: row y of the picture is row y modulo that number.
    rows: Vec<f64>,
    /// The next row to be blurred.
    next: u32,
    /// A row with its edge pixels repeated on both sides.
    padded: Vec<f64>,
}

impl<'a> Ring<'a> {
    fn new(tile: &Tile, row_samples: usize, weights: &'a Weights) -> Self {
        let count = weights.as_slice().len();
        let channels = tile.image.channels as usize;
        Self {
            weights,
            channels,
            row_samples,
            rows: vec![0.0; count * row_samples],
            next: tile.first_row.saturating_sub(weights.radius()),
            padded: vec![0.0; row_samples + (count - 1) * channels],
        }
    }

    fn start(&self, y: u32) -> usize {
        y as usize % self.weights.as_slice().len() * self.row_samples
    }

    fn row(&self, y: u32) -> &[f64] {
        &self.rows[self.start(y)..][..self.row_samples]
    }

    /// Blurs rows up to row `last` of the picture.
    fn fill<T: Number>(&mut self, view: &View<'_, T>, last: u32) {
        let margin = self.weights.radius() as usize * self.channels;
        while self.next <= last {
            let row = view.row(self.next);
            let (left, rest) = self.padded.split_at_mut(margin);
            let (middle, right) = rest.split_at_mut(self.row_samples);
            for (padded, sample) in middle.iter_mut().zip(row) {
                *padded = sample.to_f64();
            }
            for (index, padded) in left.iter_mut().enumerate() {
                *padded = middle[index % self.channels];
            }
            for (index, padded) in right.iter_mut().enumerate() {
                *padded = middle[self.row_samples - self.channels + index % self.channels];
            }
            let shifted: Vec<&[f64]> = (0..self.weights.as_slice().len())
                .map(|shift| &self.padded[shift * self.channels..][..self.row_samples])
                .collect();
            let start = self.start(self.next);
            weighted_sum(&shifted, self.weights.as_slice(), &mut self.rows[start..][..self.row_samples]);
            self.next += 1;
        }
    }
}

/// out[i] = 0 + weights[0] × rows[0][i] + weights[1] × rows[1][i] + …, in this order.
fn weighted_sum(rows: &[&[f64]], weights: &[f64], out: &mut [f64]) {
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    let first_of_rest = blocks.len() * LANES;
    for (index, block) in blocks.iter_mut().enumerate() {
        let mut sums = [0.0; LANES];
        for (row, weight) in rows.iter().zip(weights) {
            let samples = &row[index * LANES..][..LANES];
            for (sum, sample) in sums.iter_mut().zip(samples) {
                *sum += weight * sample;
            }
        }
        *block = sums;
    }
    for (index, out) in rest.iter_mut().enumerate() {
        let mut sum = 0.0;
        for (row, weight) in rows.iter().zip(weights) {
            sum += weight * row[first_of_rest + index];
        }
        *out = sum;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::GaussianBlur;
    use taskhost_kernel::testing;

    /// The definition, pixel by pixel, over the whole picture.
    fn by_definition<T: Number>(pixels: &[T], format: Format, sigma: f64) -> Vec<f64> {
        let (width, height, channels) = (format.width as i64, format.height as i64, format.channels as i64);
        let radius = (3.0 * sigma).ceil() as i64;
        let exponentials: Vec<f64> =
            (-radius..=radius).map(|x| crate::exp::exp(-((x * x) as f64) / (2.0 * sigma * sigma))).collect();
        let total = exponentials.iter().fold(0.0, |sum, value| sum + value);
        let pass = |source: &[f64], horizontal: bool| -> Vec<f64> {
            let mut out = Vec::new();
            for y in 0..height {
                for x in 0..width {
                    for channel in 0..channels {
                        let mut sum = 0.0;
                        for offset in -radius..=radius {
                            let (dx, dy) = if horizontal { (offset, 0) } else { (0, offset) };
                            let (x, y) = ((x + dx).clamp(0, width - 1), (y + dy).clamp(0, height - 1));
                            let weight = exponentials[(offset + radius) as usize] / total;
                            sum += weight * source[((y * width + x) * channels + channel) as usize];
                        }
                        out.push(sum);
                    }
                }
            }
            out
        };
        let pixels: Vec<f64> = pixels.iter().map(|pixel| pixel.to_f64()).collect();
        pass(&pass(&pixels, true), false)
    }

    fn check<T: Number>(sigma: f64, random: impl Fn(u64) -> T, round: impl Fn(f64) -> T) {
        testing::set_config("sigma", &sigma.to_string());
        <GaussianBlur as Kernel>::start().unwrap();
        for (width, height, channels) in [(1, 1, 1), (2, 30, 1), (35, 3, 3), (19, 17, 4)] {
            let format = Format { width, height, channels, sample: T::SAMPLE };
            let count = (width * height * channels) as usize;
            let pixels: Vec<T> = testing::noise(2).take(count).map(&random).collect();
            let bytes = make_samples(count, |out: &mut [T]| out.copy_from_slice(&pixels));
            let expected: Vec<T> = by_definition(&pixels, format, sigma).into_iter().map(&round).collect();
            let expected = make_samples(count, |out: &mut [T]| out.copy_from_slice(&expected));
            for rows in [1, 4, 100] {
                let blurred = testing::in_strips::<GaussianBlur>(format, &bytes, rows);
                assert_eq!(blurred.as_ref(), Ok(&expected), "{format}, strips of {rows}, sigma {sigma}");
            }
        }
    }

    // A kernel's settings are set once per process, so all samples are tested with one sigma.
    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "test data"
    )]
    fn every_sample_equals_the_definition() {
        check(1.3, |random| random as u8, |value| (value + 0.5).floor() as u8);
        check(1.3, |random| if random % 2 == 0 { 0 } else { 255 }, |value| (value + 0.5).floor() as u8);
        check(1.3, |random| random as u16, |value| (value + 0.5).floor() as u16);
        check(1.3, |random| random as i16, |value| (value + 0.5).floor() as i16);
        check(1.3, |random| random as u32, |value| (value + 0.5).floor() as u32);
        check(1.3, |random| random as i32, |value| (value + 0.5).floor() as i32);
        check(1.3, |random| random as f32 / 1e18, |value| value as f32);
        check(1.3, |random| random as f64 / 1e18 - 9.0, |value| value);
    }
}
