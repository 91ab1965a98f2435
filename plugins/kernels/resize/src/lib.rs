//! A picture in another size. Settings `width` and `height`, in pixels.
//!
//! Rows first, then columns, in f64; each direction by itself: box average where the picture shrinks, bilinear where it
//! grows, untouched where it keeps its size. With `from` pixels becoming `to`:
//!
//! * Box: output pixel i covers [i × from, (i + 1) × from) on an axis where input pixel j covers [j × to, (j + 1) × to).
//!   The result is (Σ overlap(j) × pixel(j), added in the order of j, starting with 0) / from.
//! * Bilinear: pixel centres are matched: the output pixel lies at ((2i + 1) × from − to) / (2 × to) on the input, moved to
//!   0 or from − 1 where it is outside. With j the whole part and t the fraction (an exact quotient rounded to f64), the
//!   result is (0 + (1 − t) × pixel(j)) + t × pixel(j + 1), where the second term is left out when t is 0.
//!
//! At the end integers are rounded half up and clamped to their type, f32 is rounded to nearest. All channels alike.

mod axis;
mod scale;

use taskhost_kernel::prelude::*;

struct Resize;

static SIZE: Setup<(u32, u32)> = Setup::new();

impl Kernel for Resize {
    fn describe() -> Description {
        Description::new("Resizes: box average when shrinking, bilinear when growing.")
            .required("width", "Width of the result in pixels.")
            .required("height", "Height of the result in pixels.")
    }

    fn start() -> Result<()> {
        let size: (u32, u32) = (config::parse("width")?, config::parse("height")?);
        if size.0 == 0 || size.1 == 0 {
            return Err(Error::failed("--config width and height must be at least 1"));
        }
        SIZE.fill(size);
        Ok(())
    }
}

impl ImageFilter for Resize {
    fn prepare(input: Format) -> Result<Plan> {
        let (width, height) = *SIZE.get();
        let output = Format { width, height, ..input };
        if input.width == 0 || input.height == 0 {
            reject!("an empty picture cannot be resized ({input})");
        }
        if output.bytes().is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            reject!("the result would not fit into memory ({output})");
        }
        Ok(Plan::whole(output))
    }

    fn filter(tile: &Tile) -> Result<Vec<u8>> {
        with_number!(tile.image.sample, T => scale::scale::<T>(tile, *SIZE.get()))
    }
}

taskhost_kernel::export!(Resize as image);
