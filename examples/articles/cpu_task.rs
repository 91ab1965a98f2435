//! Adds up the squares below 10,000,000, four times over.

use taskhost::Pool;

use super::path;

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new()?;
    let squares = pool.kernel(path("squares.wasm"))?;
    for sum in squares.map_bytes(["10000000"; 4]) {
        println!("{}", String::from_utf8(sum?)?);
    }
    Ok(())
}
