//! The weights of the blur.

use taskhost_kernel::prelude::*;

use crate::exp::exp;

/// A radius of 3000 rows on each side; wider blurs belong to another algorithm.
const LARGEST_SIGMA: f64 = 1000.0;

/// The weights from −radius to radius; their sum is 1 but for rounding.
#[derive(Debug)]
pub(crate) struct Weights(Vec<f64>);

impl Weights {
    pub(crate) fn new(sigma: f64) -> Result<Self> {
        if !(sigma > 0.0 && sigma <= LARGEST_SIGMA) {
            return Err(Error::failed(format!(
                "--config sigma={sigma}: must be larger than 0, at most {LARGEST_SIGMA}"
            )));
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 3000")]
        let radius = (3.0 * sigma).ceil() as i32;
        let mut weights: Vec<f64> =
            (-radius..=radius).map(|x| exp(-f64::from(x * x) / (2.0 * sigma * sigma))).collect();
        let mut sum = 0.0;
        for weight in &weights {
            sum += weight;
        }
        for weight in &mut weights {
            *weight /= sum;
        }
        Ok(Self(weights))
    }

    pub(crate) fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// How many pixels on each side are needed.
    pub(crate) fn radius(&self) -> u32 {
        u32::try_from(self.0.len() / 2).expect("the radius is at most 3000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sigma_of_two() -> Result<()> {
        let weights = Weights::new(2.0)?;
        assert_eq!(weights.radius(), 6);
        assert_eq!(weights.0.len(), 13);
        let expected: Vec<f64> = (-6..=6).map(|x| (-f64::from(x * x) / 8.0).exp()).collect();
        let sum: f64 = expected.iter().sum();
        for (weight, expected) in weights.0.iter().zip(expected) {
            assert_eq!(*weight, expected / sum);
        }
        Ok(())
    }

    #[test]
    fn small_and_fractional_sigmas() -> Result<()> {
        assert_eq!(Weights::new(0.01)?.0, [0.0, 1.0, 0.0]);
        assert_eq!(Weights::new(0.34)?.radius(), 2);
        Ok(())
    }

    #[test]
    fn senseless_sigmas_are_refused() {
        for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e6] {
            assert!(Weights::new(sigma).is_err(), "{sigma}");
        }
    }
}
