//! Counts the primes below 100,000 in two halves, one worker each.

use taskhost::Pool;

use super::path;

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::builder().workers(2).build()?;
    let primes = pool.kernel(path("../embed/primes.wasm"))?;
    let halves = [(2_u64, 50_000_u64), (50_000, 100_000)];
    let tasks = halves.map(|half| primes.submit::<_, u64>(&half));
    let mut count = 0;
    for task in tasks {
        count += task?.wait()?;
    }
    println!("{count}");
    Ok(())
}
