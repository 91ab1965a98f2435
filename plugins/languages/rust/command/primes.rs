//! `lo hi` on standard input: how many primes lie in [lo, hi).

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let line = io::read_to_string(io::stdin()).unwrap_or_default();
    let numbers: Vec<u32> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    if numbers.len() != 2 || line.split_ascii_whitespace().count() != 2 {
        eprintln!("expected two whole numbers `lo hi`");
        return ExitCode::FAILURE;
    }
    print!("{}", (numbers[0]..numbers[1]).filter(|number| is_prime(*number)).count());
    ExitCode::SUCCESS
}

fn is_prime(number: u32) -> bool {
    number > 1 && (2..).take_while(|divisor| *divisor <= number / divisor).all(|divisor| !number.is_multiple_of(divisor))
}
