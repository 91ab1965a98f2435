//! A colour picture in grey: `0.299 × R + 0.587 × G + 0.114 × B`, added in this order in f64.
//!
//! Integers are rounded half up, f32 to nearest, f64 stays as it is. RGB becomes grey; RGB and alpha becomes grey and
//! alpha, with the alpha as it was.

use taskhost_kernel::prelude::*;

struct Grayscale;

impl Kernel for Grayscale {
    fn describe() -> Description {
        Description::new("RGB to grey: 0.299 R + 0.587 G + 0.114 B; alpha is kept.")
    }
}

impl ImageFilter for Grayscale {
    fn prepare(input: Format) -> Result<Plan> {
        let channels = match input.channels {
            3 => 1,
            4 => 2,
            1 | 2 => reject!("the picture is grey already ({input})"),
            _ => reject!("grayscale needs 3 channels (RGB) or 4 (RGB and alpha), the picture is {input}"),
        };
        Ok(Plan::strips(0, Format { channels, ..input }))
    }

    fn filter(tile: &Tile) -> Result<Vec<u8>> {
        with_number!(tile.image.sample, T => Ok(filter::<T>(&tile.view(0)?, tile)))
    }
}

taskhost_kernel::export!(Grayscale as image);

fn filter<T: Number>(view: &View<'_, T>, tile: &Tile) -> Vec<u8> {
    let pixels = tile.image.width as usize;
    let with_alpha = tile.image.channels == 4;
    let row_samples = if with_alpha { 2 * pixels } else { pixels };
    make_samples(row_samples * tile.rows as usize, |out: &mut [T]| {
        for (y, out) in tile.own_rows().zip(out.chunks_exact_mut(row_samples.max(1))) {
            if with_alpha {
                for (out, [r, g, b, alpha]) in out.as_chunks_mut().0.iter_mut().zip(view.row(y).as_chunks().0) {
                    *out = [grey(*r, *g, *b), *alpha];
                }
            } else {
                for (out, [r, g, b]) in out.iter_mut().zip(view.row(y).as_chunks().0) {
                    *out = grey(*r, *g, *b);
                }
            }
        }
    })
}

#[inline]
fn grey<T: Number>(r: T, g: T, b: T) -> T {
    T::from_f64(0.299 * r.to_f64() + 0.587 * g.to_f64() + 0.114 * b.to_f64())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use taskhost_kernel::testing;

    fn format(width: u32, height: u32, channels: u32, sample: Sample) -> Format {
        Format { width, height, channels, sample }
    }

    #[test]
    fn all_colours_of_a_coarse_cube() {
        let levels = [0_u8, 1, 2, 127, 128, 254, 255];
        let mut colours = Vec::new();
        let mut expected = Vec::new();
        for r in levels {
            for g in levels {
                for b in levels {
                    colours.extend([r, g, b]);
                    let grey = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
                    let whole = grey.trunc();
                    let up = if grey - whole >= 0.5 { 1.0 } else { 0.0 };
                    expected.push(format!("{}", whole + up).parse().unwrap());
                }
            }
        }
        let image = format(49, 7, 3, Sample::U8);
        for rows in [1, 2, 7] {
            assert_eq!(testing::in_strips::<Grayscale>(image, &colours, rows), Ok(expected.clone()));
        }
    }

    #[test]
    fn alpha_and_floats_are_kept() {
        let image = format(1, 2, 4, Sample::F64);
        let pixels = [1.5_f64, -2.25, 4.0, 0.75, 0.0, 0.0, 1.0, 0.5];
        let samples: Vec<u8> = pixels.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let grey: [f64; 4] = [0.299 * 1.5 + 0.587 * -2.25 + 0.114 * 4.0, 0.75, 0.114, 0.5];
        let expected: Vec<u8> = grey.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(testing::in_strips::<Grayscale>(image, &samples, 1), Ok(expected));
    }

    #[test]
    fn wide_samples_do_not_overflow() {
        let image = format(1, 1, 3, Sample::U32);
        assert_eq!(testing::in_strips::<Grayscale>(image, &[255; 12], 1), Ok(vec![255; 4]));
        let image = format(1, 1, 3, Sample::I16);
        let samples: Vec<u8> = [i16::MIN; 3].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(testing::in_strips::<Grayscale>(image, &samples, 1), Ok(i16::MIN.to_le_bytes().to_vec()));
    }

    #[test]
    fn pictures_without_colour_are_refused() {
        for channels in [0, 1, 2, 5] {
            let plan = Grayscale::prepare(format(4, 4, channels, Sample::U8));
            assert!(matches!(plan, Err(Error::InvalidInput(_))), "{channels} channels");
        }
    }
}
