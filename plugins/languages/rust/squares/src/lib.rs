//! Adds up the squares below a number, one by one: work for a processor. A kernel of `examples/articles`.

use taskhost_kernel::{Result, kernel, reject};

/// The sum of the squares of all whole numbers below the item.
#[kernel(split = "lines", merge = "lines")]
fn squares(item: &[u8]) -> Result<Vec<u8>> {
    let Some(end) = std::str::from_utf8(item).ok().and_then(|text| text.trim().parse::<u64>().ok()) else {
        reject!("`{}` is no whole number", item.escape_ascii());
    };
    // What the optimiser cannot see through it cannot replace by a formula.
    let sum = (0..end).fold(0_u128, |sum, number| sum + u128::from(std::hint::black_box(number)).pow(2));
    Ok(sum.to_string().into_bytes())
}
