//! `lo hi` on each line: how many primes lie in [lo, hi).
//!
//! By trial division with 2, 3, 4, … up to the square root, without any sieve: the work is the point. With
//! `--merge reduce` the sum of all lines, 0 for no input.

use taskhost_kernel::prelude::*;

struct Primes;

impl Kernel for Primes {
    fn describe() -> Description {
        Description::new("Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.")
            .split("lines")
            .merge("lines")
    }
}

impl Map for Primes {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        let (low, high) = parse_range(item)?;
        Ok(count_primes(low, high).to_string().into_bytes())
    }
}

impl Reduce for Primes {
    fn combine(parts: &[Vec<u8>]) -> Result<Vec<u8>> {
        let mut sum = 0_u64;
        for part in parts {
            let count = parse_number(part).ok_or_else(|| Error::failed("a partial result is not a number"))?;
            sum = sum.checked_add(count).ok_or_else(|| Error::failed("the sum exceeds 64 bits"))?;
        }
        Ok(sum.to_string().into_bytes())
    }

    fn finish(mut total: Vec<u8>) -> Result<Vec<u8>> {
        total.push(b'\n');
        Ok(total)
    }
}

taskhost_kernel::export!(Primes as reduce);

/// Reads `lo hi`: two whole numbers with white space between and around them.
fn parse_range(line: &[u8]) -> Result<(u64, u64)> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let range = match (words.next(), words.next(), words.next()) {
        (Some(low), Some(high), None) => parse_number(low).zip(parse_number(high)),
        _ => None,
    };
    match range {
        Some((low, high)) if low <= high => Ok((low, high)),
        Some((low, high)) => reject!("the range is empty the wrong way round: {low} is larger than {high}"),
        None => reject!("expected two whole numbers `lo hi`, found `{}`", line.escape_ascii()),
    }
}

fn parse_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn count_primes(low: u64, high: u64) -> u64 {
    // Division of 32-bit numbers is several times faster on many processors, and gives the same answer.
    match (u32::try_from(low), u32::try_from(high)) {
        (Ok(low), Ok(high)) => (low..high).map(|number| u64::from(is_prime_32(number))).sum(),
        _ => (low..high).map(|number| u64::from(is_prime_64(number))).sum(),
    }
}

fn is_prime_32(number: u32) -> bool {
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

fn is_prime_64(number: u64) -> bool {
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<String> {
        Primes::process(line.as_bytes()).map(|result| String::from_utf8(result).unwrap())
    }

    #[test]
    fn counts_what_a_sieve_counts() {
        let mut composite = vec![false; 3000];
        composite[..2].fill(true);
        for number in 2..3000 {
            for multiple in (number * 2..3000).step_by(number) {
                composite[multiple] = true;
            }
        }
        for (low, high) in [(0, 3000), (0, 0), (0, 2), (2, 3), (24, 29), (961, 962), (2, 100), (1000, 2999)] {
            let expected = composite[low..high].iter().filter(|composite| !**composite).count();
            assert_eq!(run(&format!("{low} {high}")), Ok(expected.to_string()), "[{low}, {high})");
        }
    }

    #[test]
    fn the_known_count_below_100_000() {
        assert_eq!(run("2 100000"), Ok("9592".into()));
    }

    #[test]
    fn large_numbers_are_divided_in_64_bits() {
        assert_eq!(run("4294967290 4294967312"), Ok("2".into()), "4294967291 and 4294967311");
    }

    #[test]
    fn white_space_may_stand_around() {
        assert_eq!(run(" 2\t100 \r"), Ok("25".into()));
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["", "7", "a b", "1 2 3", "-1 5", "9 3", "1 99999999999999999999"] {
            assert!(matches!(run(line), Err(Error::InvalidInput(_))), "{line}");
        }
    }

    #[test]
    fn the_reduction_is_a_sum() {
        let sum = Primes::combine(&[b"4".to_vec(), b"21".to_vec()]).unwrap();
        assert_eq!(Primes::finish(sum).unwrap(), b"25\n");
        assert_eq!(Primes::finish(Primes::combine(&[]).unwrap()).unwrap(), b"0\n");
    }
}
