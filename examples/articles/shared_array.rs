//! An array of 100,000 rows of 16 float64 that all workers share: an item is the number of a row, its result the row's sum.

use taskhost::Pool;

use super::path;

const ROWS: u32 = 100_000;
const COLUMNS: u32 = 16;

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let array: Vec<u8> = (0..ROWS * COLUMNS).flat_map(|number| f64::from(number).to_le_bytes()).collect();
    let pool = Pool::builder().broadcast("array", array).build()?;
    let row_sum = pool.kernel(path("row-sum.wasm"))?;
    let (mut rows, mut total) = (0, 0.0);
    for sum in row_sum.map_bytes((0..ROWS).map(|row| row.to_string())) {
        let sum: f64 = String::from_utf8(sum?)?.parse()?;
        // The numbers from 16 r to 16 r + 15.
        assert_eq!(sum, 256.0 * f64::from(rows) + 120.0);
        rows += 1;
        total += sum;
    }
    println!("{rows} rows, {total}");
    Ok(())
}
