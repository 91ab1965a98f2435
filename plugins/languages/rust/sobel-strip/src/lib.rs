//! Correlates a strip of a picture with the first Sobel kernel: what `examples/articles/image_filter.rs` gives its workers.
//!
//! An item is the width in four bytes, little-endian, and rows of float64 samples: those of the strip, one above it and one
//! below it, which are zero at the border. Its result are the rows of the strip.

use taskhost_kernel::{Result, kernel, reject};

/// Bytes of a sample.
const SAMPLE: usize = size_of::<f64>();

/// Correlates with [[1, 0, -1], [2, 0, -2], [1, 0, -1]].
#[kernel(split = "whole", merge = "concat")]
fn sobel_strip(item: &[u8]) -> Result<Vec<u8>> {
    let Some((width, samples)) = item.split_first_chunk::<4>() else {
        reject!("an item begins with its width in four bytes");
    };
    let width = u32::from_le_bytes(*width) as usize;
    if width == 0 || samples.len() % (width * SAMPLE) != 0 || samples.len() < 3 * width * SAMPLE {
        reject!("{} bytes are no three or more rows of {width} float64 samples", samples.len());
    }
    let samples: Vec<f64> = samples
        .chunks_exact(SAMPLE)
        .map(|sample| f64::from_le_bytes(*sample.first_chunk().expect("as many bytes as a sample has")))
        .collect();
    let rows: Vec<&[f64]> = samples.chunks_exact(width).collect();
    let mut result = Vec::with_capacity((rows.len() - 2) * width * SAMPLE);
    for rows in rows.windows(3) {
        for column in 0..width {
            let at = |row: usize, column: Option<usize>| {
                column.and_then(|column| rows[row].get(column)).copied().unwrap_or(0.0)
            };
            let side = |column: Option<usize>| at(0, column) + 2.0 * at(1, column) + at(2, column);
            let sample = side(column.checked_sub(1)) - side(Some(column + 1));
            result.extend_from_slice(&sample.to_le_bytes());
        }
    }
    Ok(result)
}
