//! The kernels of lines, blocks and rows.

use std::collections::BTreeMap;

/// How many primes lie in [low, high).
pub(crate) fn primes_between(low: u64, high: u64) -> u64 {
    let is_prime = |number: u64| number > 1 && (2..).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d));
    (low..high).map(|number| u64::from(is_prime(number))).sum()
}

/// `word<TAB>count` lines, sorted by bytes.
pub(crate) fn wordcount(text: &[u8]) -> Vec<u8> {
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        *counts.entry(word).or_default() += 1;
    }
    let mut lines = Vec::new();
    for (word, count) in counts {
        lines.extend_from_slice(word);
        lines.extend_from_slice(format!("\t{count}\n").as_bytes());
    }
    lines
}

/// Rows, and the sum of value² + 4950: exact, as long as the values are whole and small.
pub(crate) fn csv_stats(values: &[u64]) -> String {
    let sum: f64 = values.iter().map(|value| (value * value + 4950) as f64).sum();
    format!("{}\t{sum}\n", values.len())
}

/// One row of the Mandelbrot set over [-2.5, 1] × [-1, 1].
pub(crate) fn mandelbrot_row(y: u32, (width, height): (u32, u32), iterations: u16) -> Vec<u8> {
    let imaginary = -1.0 + 2.0 * (f64::from(y) + 0.5) / f64::from(height);
    let count = |x: u32| {
        let real = -2.5 + 3.5 * (f64::from(x) + 0.5) / f64::from(width);
        let (mut zr, mut zi, mut done) = (0.0_f64, 0.0_f64, 0);
        while done < iterations && zr * zr + zi * zi <= 4.0 {
            (zr, zi) = (zr * zr - zi * zi + real, 2.0 * zr * zi + imaginary);
            done += 1;
        }
        done
    };
    (0..width).flat_map(|x| count(x).to_le_bytes()).collect()
}
