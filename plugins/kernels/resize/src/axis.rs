//! One direction of the picture: which input pixels an output pixel is made of.

/// The pixels that make up an output pixel: (Σ weights × pixels from `first`) / divisor.
#[derive(Debug, PartialEq)]
pub(crate) struct Taps {
    pub(crate) first: usize,
    pub(crate) weights: Vec<f64>,
    pub(crate) divisor: f64,
}

/// The taps of every output pixel, for `from` pixels becoming `to`.
pub(crate) fn axis(from: u32, to: u32) -> Vec<Taps> {
    let (from, to) = (u64::from(from), u64::from(to));
    (0..to).map(|index| if to < from { boxed(index, from, to) } else { bilinear(index, from, to) }).collect()
}

fn boxed(index: u64, from: u64, to: u64) -> Taps {
    let (start, end) = (index * from, (index + 1) * from);
    let (first, last) = (start / to, (end - 1) / to);
    let overlap = |pixel: u64| end.min((pixel + 1) * to) - start.max(pixel * to);
    Taps {
        first: position(first),
        weights: (first..=last).map(|pixel| exact(overlap(pixel))).collect(),
        divisor: exact(from),
    }
}

fn bilinear(index: u64, from: u64, to: u64) -> Taps {
    // The place on the input in units of 1 / (2 × to).
    let place = ((2 * index + 1) * from).saturating_sub(to).min((from - 1) * 2 * to);
    let (whole, fraction) = (place / (2 * to), place % (2 * to));
    let mut weights = vec![1.0];
    if fraction != 0 {
        let t = exact(fraction) / exact(2 * to);
        weights = vec![1.0 - t, t];
    }
    Taps { first: position(whole), weights, divisor: 1.0 }
}

/// Numbers here are below 2^33, which f64 holds exactly.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn exact(number: u64) -> f64 {
    number as f64
}

fn position(pixel: u64) -> usize {
    usize::try_from(pixel).expect("an input pixel is numbered in 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(first: usize, weights: &[f64], divisor: f64) -> Taps {
        Taps { first, weights: weights.to_vec(), divisor }
    }

    #[test]
    fn shrinking_averages_what_a_pixel_covers() {
        assert_eq!(axis(4, 2), [taps(0, &[2.0, 2.0], 4.0), taps(2, &[2.0, 2.0], 4.0)]);
        assert_eq!(axis(3, 2), [taps(0, &[2.0, 1.0], 3.0), taps(1, &[1.0, 2.0], 3.0)]);
        assert_eq!(axis(5, 1), [taps(0, &[1.0; 5], 5.0)]);
    }

    #[test]
    fn growing_interpolates_between_centres() {
        let expected =
            [taps(0, &[1.0], 1.0), taps(0, &[0.75, 0.25], 1.0), taps(0, &[0.25, 0.75], 1.0), taps(1, &[1.0], 1.0)];
        assert_eq!(axis(2, 4), expected);
        assert_eq!(axis(1, 3), [taps(0, &[1.0], 1.0), taps(0, &[1.0], 1.0), taps(0, &[1.0], 1.0)]);
    }

    #[test]
    fn an_unchanged_axis_copies() {
        for (index, copied) in axis(7, 7).iter().enumerate() {
            assert_eq!(*copied, taps(index, &[1.0], 1.0));
        }
    }

    #[test]
    fn weights_always_add_up_and_stay_inside() {
        for from in 1..40_u32 {
            for to in 1..40_u32 {
                for taps in axis(from, to) {
                    assert_eq!(taps.weights.iter().sum::<f64>(), taps.divisor, "{from} to {to}");
                    assert!(taps.first + taps.weights.len() <= from as usize, "{from} to {to}");
                }
            }
        }
    }
}
