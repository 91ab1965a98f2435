//! A program that uses the pool as a library. See README.md.

#![expect(clippy::print_stdout, reason = "it is a program, and this its result")]
#![cfg_attr(rustfmt, rustfmt_skip)]

pub(crate) fn main() -> Result<(), taskhost::Error> {
    taskhost::worker::run_if_worker();
    let pool = taskhost::Pool::new()?;                    // one pinned worker per physical core
    let primes = pool.kernel("primes.wasm")?;             // compiled, or from the cache
    for n in primes.map::<_, u64>((0..1000u64).map(|i| (i * 100, i * 100 + 100))) {
        println!("{}", n?);                               // Result<u64, TaskError>, in order, lazily
    }
    let one = primes.submit::<_, u64>(&(2u64, 100_000u64))?;
    assert_eq!(one.wait()?, 9592);
    Ok(())
}
