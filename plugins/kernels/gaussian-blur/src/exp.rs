//! The exponential function, rounded correctly, so that every machine and language can make the same weights.
//!
//! Mathematical libraries differ in the last bit of `exp`, and a filter that is checked byte for byte against other
//! programs must not. Computed in double-double arithmetic: a number is the unevaluated sum of two f64, good for
//! about 106 bits. Called a few dozen times per run.

use std::ops::{Add, Mul};

/// A number as `high + low`, where `high` is the sum rounded to f64.
#[derive(Clone, Copy)]
struct Double {
    high: f64,
    low: f64,
}

impl Double {
    fn new(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }

    /// The exact sum of two f64 (Knuth).
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let part = high - a;
        Self { high, low: (a - (high - part)) + (b - part) }
    }

    /// The exact product of two f64.
    fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }
}

impl Add for Double {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let high = Self::sum(self.high, other.high);
        let low = Self::sum(self.low, other.low);
        let sum = Self::sum(high.high, high.low + low.high);
        Self::sum(sum.high, sum.low + low.low)
    }
}

impl Mul for Double {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        Self::sum(product.high, product.low + (self.high * other.low + self.low * other.high))
    }
}

/// The natural logarithm of 2 as the sum of two f64.
const LN_2: Double = Double { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };

/// Below this `exp` is no normal f64; such a weight changes nothing.
const SMALLEST: f64 = -708.0;

/// e^x for x at most 0, rounded to nearest; 0 for x below -708.
pub(crate) fn exp(x: f64) -> f64 {
    if x < SMALLEST {
        return 0.0;
    }
    // x = halvings × ln 2 + rest, and e^rest = (e^(rest / 256))^256.
    let halvings = (x / LN_2.high).round();
    let rest = Double::new(x) + Double::new(-halvings) * LN_2;
    let small = rest * Double::new(1.0 / 256.0);
    // |small| < 0.0014, so 12 terms of the series leave less than 2^-120.
    let mut sum = Double::new(1.0);
    for term in (1..=12).rev() {
        let divided = small * reciprocal(f64::from(term));
        sum = Double::new(1.0) + divided * sum;
    }
    for _ in 0..8 {
        sum = sum * sum;
    }
    // A power of two: exact, because the result is a normal number.
    sum.high * halvings.exp2()
}

/// 1 / n, with the remainder of the division as the low part.
fn reciprocal(n: f64) -> Double {
    let high = 1.0 / n;
    Double { high, low: (-high).mul_add(n, 1.0) / n }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn correctly_rounded_values() {
        // From 50-digit decimal arithmetic (Python's decimal module), rounded to nearest.
        let cases = [
            (0.0, 1.0),
            (-0.125, 0.882_496_902_584_595_4),
            (-0.5, 0.606_530_659_712_633_4),
            (-1.0, 0.367_879_441_171_442_33),
            (-4.5, 0.011_108_996_538_242_306),
            (-50.0, 1.928_749_847_963_917_8e-22),
            (-700.5, 5.980_196_118_639_791e-305),
            (-800.0, 0.0),
        ];
        for (x, expected) in cases {
            assert_eq!(exp(x), expected, "e^{x}");
        }
    }

    #[test]
    fn never_further_than_one_step_from_the_library() {
        for step in 0_u32..7000 {
            let x = -f64::from(step) / 10.0;
            let (ours, library) = (exp(x), x.exp());
            assert!(ours.to_bits().abs_diff(library.to_bits()) <= 1, "e^{x}: {ours} and {library}");
        }
    }
}
