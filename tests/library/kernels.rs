//! The kernels of the scenarios.

use std::path::PathBuf;

use taskhost::{Kernel, Pool};

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A pool of two workers that share whatever cores there are.
pub(crate) fn pool() -> Pool {
    Pool::builder().workers(2).pin(false).build().expect("this program is its own worker")
}

/// Counts the primes in a range.
pub(crate) fn primes(pool: &Pool) -> Kernel {
    pool.kernel(path("examples/embed/primes.wasm")).expect("it is there")
}

/// A kernel of bytes.
pub(crate) fn bytes(pool: &Pool, name: &str) -> Kernel {
    pool.kernel(path(&format!("tests/kernels/{name}.wat"))).expect("it is there")
}

/// Primes below `high`.
pub(crate) fn count(low: u64, high: u64) -> u64 {
    let is_prime = |number: &u64| *number > 1 && (2..=number.isqrt()).all(|divisor| !number.is_multiple_of(divisor));
    (low..high).filter(is_prime).count() as u64
}

/// A kernel that comes with the program.
pub(crate) fn first_party(pool: &Pool, name: &str) -> Kernel {
    pool.kernel(path(&format!("plugins/dist/{name}.wasm"))).expect("it is there")
}
