//! Both directions together. Input rows are scaled when a column first needs them; the few that the next output row
//! needs again are kept, so that no copy of the whole picture in f64 is ever held.

use taskhost_kernel::prelude::*;

use crate::axis::{Taps, axis};

pub(crate) fn scale<T: Number>(tile: &Tile, (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let view: View<'_, T> = tile.view(0)?;
    if tile.rows != tile.image.height {
        return Err(Error::failed("resize needs the whole picture in one tile"));
    }
    let channels = tile.image.channels as usize;
    let across = axis(tile.image.width, width);
    let down = axis(tile.image.height, height);
    let row_samples = across.len() * channels;
    // Two output rows share at most two input rows, at either end of what each needs.
    let mut kept = [Kept::default(), Kept::default()];
    let mut sums = vec![0.0; row_samples];
    Ok(make_samples(row_samples * down.len(), |out: &mut [T]| {
        for (taps, out) in down.iter().zip(out.chunks_exact_mut(row_samples.max(1))) {
            sums.fill(0.0);
            for (row, weight) in (taps.first..).zip(&taps.weights) {
                let kept = &mut kept[row % 2];
                if kept.row != Some(row) {
                    kept.row = Some(row);
                    let input = view.row(u32::try_from(row).expect("rows are numbered in 32 bits"));
                    across_row(input, &across, channels, &mut kept.scaled);
                }
                for (sum, sample) in sums.iter_mut().zip(&kept.scaled) {
                    *sum += weight * sample;
                }
            }
            for (out, sum) in out.iter_mut().zip(&sums) {
                *out = T::from_f64(sum / taps.divisor);
            }
        }
    }))
}

/// An input row, scaled across.
#[derive(Default)]
struct Kept {
    row: Option<usize>,
    scaled: Vec<f64>,
}

fn across_row<T: Number>(input: &[T], across: &[Taps], channels: usize, scaled: &mut Vec<f64>) {
    scaled.clear();
    match channels {
        1 => across_pixels::<T, 1>(input, across, scaled),
        2 => across_pixels::<T, 2>(input, across, scaled),
        3 => across_pixels::<T, 3>(input, across, scaled),
        4 => across_pixels::<T, 4>(input, across, scaled),
        _ => across_samples(input, across, channels, scaled),
    }
}

/// The usual numbers of channels, all of a pixel at once.
fn across_pixels<T: Number, const CHANNELS: usize>(input: &[T], across: &[Taps], scaled: &mut Vec<f64>) {
    let (input, _) = input.as_chunks::<CHANNELS>();
    for taps in across {
        let mut sums = [0.0; CHANNELS];
        for (weight, pixel) in taps.weights.iter().zip(&input[taps.first..]) {
            for (sum, sample) in sums.iter_mut().zip(pixel) {
                *sum += weight * sample.to_f64();
            }
        }
        scaled.extend(sums.map(|sum| sum / taps.divisor));
    }
}

/// Any number of channels.
fn across_samples<T: Number>(input: &[T], across: &[Taps], channels: usize, scaled: &mut Vec<f64>) {
    for taps in across {
        let pixels = &input[taps.first * channels..][..taps.weights.len() * channels];
        for channel in 0..channels {
            let mut sum = 0.0;
            for (weight, pixel) in taps.weights.iter().zip(pixels.iter().skip(channel).step_by(channels)) {
                sum += weight * pixel.to_f64();
            }
            scaled.push(sum / taps.divisor);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use taskhost_kernel::testing;

    fn resized<T: Number>(pixels: &[T], image: Format, size: (u32, u32)) -> Vec<u8> {
        let samples = make_samples(pixels.len(), |out: &mut [T]| out.copy_from_slice(pixels));
        let tile = Tile { image, first_row: 0, rows: image.height, above: 0, below: 0, samples };
        tile.check().unwrap();
        scale::<T>(&tile, size).unwrap()
    }

    /// The formulas of the crate's documentation, for one direction of a list of pixels.
    fn line(pixels: &[f64], to: usize) -> Vec<f64> {
        let from = pixels.len();
        let place = |i: usize| ((2 * i + 1) * from) as i64 - to as i64;
        let bilinear = |i: usize| {
            let twice = (2 * to) as i64;
            let place = place(i).clamp(0, (from as i64 - 1) * twice);
            let (j, t) = ((place / twice) as usize, (place % twice) as f64 / twice as f64);
            if t == 0.0 { pixels[j] } else { (1.0 - t) * pixels[j] + t * pixels[j + 1] }
        };
        let boxed = |i: usize| {
            let mut sum = 0.0;
            for (j, pixel) in pixels.iter().enumerate() {
                let overlap = ((i + 1) * from).min((j + 1) * to).saturating_sub((i * from).max(j * to));
                if overlap > 0 {
                    sum += overlap as f64 * pixel;
                }
            }
            sum / from as f64
        };
        (0..to).map(|i| if to < from { boxed(i) } else { bilinear(i) }).collect()
    }

    #[test]
    fn every_combination_equals_the_formulas() {
        let sizes = [((7, 5), (3, 2)), ((7, 5), (14, 11)), ((7, 5), (3, 9)), ((7, 5), (20, 4)), ((7, 5), (7, 5))];
        for ((from, to), channels) in sizes.into_iter().flat_map(|size| (1..=5).map(move |channels| (size, channels))) {
            let image = Format { width: from.0, height: from.1, channels, sample: Sample::U16 };
            let count = (from.0 * from.1 * channels) as usize;
            let pixels: Vec<u16> = testing::noise(3).take(count).map(|random| random as u16).collect();
            let mut expected = vec![0_u16; (to.0 * to.1 * channels) as usize];
            for channel in 0..channels as usize {
                let rows: Vec<Vec<f64>> = pixels
                    .chunks(image.row_samples().unwrap())
                    .map(|row| {
                        row[channel..]
                            .iter()
                            .step_by(channels as usize)
                            .map(|pixel| f64::from(*pixel))
                            .collect::<Vec<f64>>()
                    })
                    .map(|row| line(&row, to.0 as usize))
                    .collect();
                for x in 0..to.0 as usize {
                    let column: Vec<f64> = rows.iter().map(|row| row[x]).collect();
                    for (y, value) in line(&column, to.1 as usize).into_iter().enumerate() {
                        expected[(y * to.0 as usize + x) * channels as usize + channel] = (value + 0.5).floor() as u16;
                    }
                }
            }
            let expected = make_samples(expected.len(), |out: &mut [u16]| out.copy_from_slice(&expected));
            assert_eq!(resized(&pixels, image, to), expected, "{from:?} to {to:?}, {channels} channels");
        }
    }

    #[test]
    fn a_checkerboard_averages_to_grey() {
        let image = Format { width: 4, height: 4, channels: 1, sample: Sample::U8 };
        let pixels: Vec<u8> = (0..16).map(|index| if (index + index / 4) % 2 == 0 { 255 } else { 0 }).collect();
        assert_eq!(resized(&pixels, image, (2, 2)), [128; 4], "127.5 is rounded up");
    }

    #[test]
    fn the_same_size_changes_no_bit() {
        let image = Format { width: 3, height: 3, channels: 1, sample: Sample::F64 };
        let pixels = [0.1, -0.25, 1e300, 5e-324, 0.3, 7.0, 1.0 / 3.0, -1e-300, 2.0];
        let expected: Vec<u8> = pixels.iter().flat_map(|pixel: &f64| pixel.to_le_bytes()).collect();
        assert_eq!(resized(&pixels, image, (3, 3)), expected);
    }
}
