//! Looks for primes from a billion on, in a range that nobody wants to see the end of, and stops with the tenth.

use taskhost::Pool;

use super::path;

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new()?;
    let primes = pool.kernel(path("../embed/primes.wasm"))?;
    let numbers = 1_000_000_000_u64..;
    let counts = primes.map::<_, u64>(numbers.clone().map(|number| (number, number + 1)));
    // Numbers are taken from the range as they are needed; what was begun beyond the tenth is cancelled.
    let found = numbers.zip(counts).filter(|(_, count)| !matches!(count, Ok(0))).take(10);
    for (number, count) in found {
        count?;
        println!("{number}");
    }
    Ok(())
}
