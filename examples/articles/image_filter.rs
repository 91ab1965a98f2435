//! Correlates a 2000×2000 picture of float64 samples with a Sobel kernel, in strips that overlap, so that their seams are right.

use taskhost::Pool;

use super::path;

const SIDE: usize = 2000;

/// Rows of a strip.
const STRIP: usize = 125;

type Row = Vec<f64>;

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let picture = noise();
    let pool = Pool::new()?;
    let sobel = pool.kernel(path("sobel-strip.wasm"))?;
    let strips = (0..SIDE).step_by(STRIP).map(|first| strip(&picture, first));
    let mut filtered: Vec<f64> = Vec::with_capacity(SIDE * SIDE);
    for strip in sobel.map_bytes(strips) {
        let bytes = strip?;
        filtered.extend(bytes.chunks_exact(8).filter_map(|sample| Some(f64::from_le_bytes(*sample.first_chunk()?))));
    }
    assert_eq!(filtered.len(), SIDE * SIDE);
    // The same in one loop, without strips.
    let wrong = (0..SIDE * SIDE).find(|at| filtered[*at] != sample(&picture, at / SIDE, at % SIDE));
    assert_eq!(wrong, None);
    println!("{SIDE}x{SIDE}, {}", filtered.iter().map(|sample| sample.abs()).sum::<f64>());
    Ok(())
}

/// Whole numbers below 1000, by the generator of Park and Miller.
fn noise() -> Vec<Row> {
    let mut state = 1_u64;
    let mut next = || {
        state = state * 16_807 % 2_147_483_647;
        (state % 1000) as f64
    };
    (0..SIDE).map(|_| (0..SIDE).map(|_| next()).collect()).collect()
}

/// A strip with a row above it and one below.
fn strip(picture: &[Row], first: usize) -> Vec<u8> {
    let zeros = vec![0.0; SIDE];
    let row = |number: Option<usize>| number.and_then(|number| picture.get(number)).unwrap_or(&zeros);
    let rows = std::iter::once(first.checked_sub(1)).chain((first..=first + STRIP).map(Some));
    let mut bytes = (SIDE as u32).to_le_bytes().to_vec();
    rows.for_each(|number| bytes.extend(row(number).iter().flat_map(|sample| sample.to_le_bytes())));
    bytes
}

/// What the result has to be at a place.
fn sample(picture: &[Row], row: usize, column: usize) -> f64 {
    let at = |row: Option<usize>, column: Option<usize>| {
        let row = row.and_then(|row| picture.get(row));
        row.zip(column).and_then(|(row, column)| row.get(column)).copied().unwrap_or(0.0)
    };
    let side = |column| at(row.checked_sub(1), column) + 2.0 * at(Some(row), column) + at(Some(row + 1), column);
    side(column.checked_sub(1)) - side(Some(column + 1))
}
