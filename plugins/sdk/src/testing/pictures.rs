//! Pictures in tests: cut into strips as the host cuts them, and samples to fill them with.

use crate::{Cut, Error, Format, ImageFilter, Result, Tile};

/// Runs a whole picture through a filter in strips of `rows` rows, each with the context that the filter asked for.
/// `rows` does not matter to a filter that needs the whole picture. A correct filter gives the same for any `rows`.
///
/// # Errors
///
/// Those of the filter, and [`Error::Failed`] when it returns another number of bytes than it planned.
///
/// # Panics
///
/// When `samples` is not as long as the format says.
pub fn in_strips<F: ImageFilter>(image: Format, samples: &[u8], rows: u32) -> Result<Vec<u8>> {
    let plan = F::prepare(image)?;
    let (halo, rows) = match plan.cut {
        Cut::Strips(halo) => (halo, rows.max(1)),
        Cut::Whole => (0, image.height.max(1)),
    };
    let too_large = || Error::failed("the picture is too large");
    let row_bytes = image.row_bytes().ok_or_else(too_large)?;
    assert_eq!(Some(samples.len()), image.bytes(), "samples of {image}");
    let mut result = Vec::new();
    for first_row in (0..image.height).step_by(rows as usize) {
        let rows = rows.min(image.height - first_row);
        let above = halo.min(first_row);
        let below = halo.min(image.height - first_row - rows);
        let bytes = (first_row - above) as usize * row_bytes..(first_row + rows + below) as usize * row_bytes;
        let tile = Tile { image, first_row, rows, above, below, samples: samples[bytes].to_vec() };
        tile.check()?;
        let output = F::filter(&tile)?;
        let planned = match plan.cut {
            Cut::Strips(_) => Format { height: rows, ..plan.output }.bytes(),
            Cut::Whole => plan.output.bytes(),
        };
        if planned != Some(output.len()) {
            return Err(Error::failed(format!("{} bytes returned, {planned:?} planned", output.len())));
        }
        result.extend(output);
    }
    Ok(result)
}

/// Numbers without a pattern, the same in every run.
pub fn noise(seed: u64) -> impl Iterator<Item = u64> {
    // SplitMix64, by Sebastiano Vigna: every seed gives another sequence that passes the usual tests of randomness.
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}
