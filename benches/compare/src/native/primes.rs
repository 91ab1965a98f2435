//! Counts primes by trial division up to the square root.

use std::fs;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::{Outcome, number};

/// Reads lines `low high` and writes how many primes lie in all of them.
pub(crate) fn run(input: &str, output: &str) -> Outcome {
    let text = fs::read_to_string(input)?;
    let lines: Vec<&str> = text.lines().collect();
    let count = |line: &&str| -> Result<u64, String> {
        let (low, high) = line.split_once(' ').ok_or("a line is no `low high`")?;
        Ok((number(low)?..number(high)?).map(|number| u64::from(is_prime(number))).sum())
    };
    let total = lines.par_iter().map(count).try_reduce(|| 0, |a, b| Ok(a + b))?;
    Ok(fs::write(output, format!("{total}\n"))?)
}

fn is_prime(number: u32) -> bool {
    if number < 2 {
        return false;
    }
    let root = number.isqrt();
    let mut divisor = 2;
    while divisor <= root {
        let remainder = number % divisor;
        if remainder == 0 {
            return false;
        }
        divisor += 1;
    }
    true
}
