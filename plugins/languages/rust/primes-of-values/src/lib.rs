//! How many primes lie in `low..high`: an item is a pair of numbers, a result a number, both written by postcard. The
//! kernel of `examples/embed`.

use taskhost_kernel::{Result, kernel, reject};

/// The longest range that is counted.
const LONGEST: u64 = 100_000_000;

/// Counts the primes in `low..high` by trial division.
#[kernel(typed, split = "whole", merge = "concat")]
fn primes((low, high): (u64, u64)) -> Result<u64> {
    if high < low || high - low > LONGEST {
        reject!("{low}..{high} is no range of at most {LONGEST} numbers");
    }
    Ok((low..high).filter(|number| is_prime(*number)).count() as u64)
}

fn is_prime(number: u64) -> bool {
    if number < 2 {
        return false;
    }
    let root = number.isqrt();
    let mut divisor = 2;
    while divisor <= root {
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor += 1;
    }
    true
}
