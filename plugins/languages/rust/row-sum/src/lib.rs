//! Adds up a row of an array that all workers share: an item is the row's number, and only that row is read. A kernel of
//! `examples/articles`.

use taskhost_kernel::{Result, broadcast, kernel, reject};

/// Samples of a row.
const COLUMNS: usize = 16;

/// Bytes of a row.
const ROW: u32 = (COLUMNS * size_of::<f64>()) as u32;

/// The sum of row ITEM of the broadcast `array`, which has 16 float64 in a row.
#[kernel(split = "lines", merge = "lines")]
fn row_sum(item: &[u8]) -> Result<Vec<u8>> {
    let Some(row) = std::str::from_utf8(item).ok().and_then(|text| text.trim().parse::<u32>().ok()) else {
        reject!("`{}` is no number of a row", item.escape_ascii());
    };
    let bytes = broadcast::read("array", u64::from(row) * u64::from(ROW), ROW)?;
    if bytes.len() < ROW as usize {
        reject!("the array has no row {row}");
    }
    let samples = bytes.chunks_exact(8).map(|sample| f64::from_le_bytes(*sample.first_chunk().expect("8 bytes")));
    Ok(samples.fold(0.0, |sum, sample| sum + sample).to_string().into_bytes())
}
