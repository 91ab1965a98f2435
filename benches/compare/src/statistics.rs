//! The middle of several measurements, and how far the others lie from it.

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of values in any order; `None` when there are none.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        // Between two values where a quartile falls between them.
        let at = |part: f64| {
            let place = part * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Self { low: at(0.25), median: at(0.5), high: at(0.75) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_five_the_second_third_and_fourth() {
        let spread = Spread::of(vec![9.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(spread, Some(Spread { low: 2.0, median: 3.0, high: 4.0 }));
    }

    #[test]
    fn between_two() {
        assert_eq!(Spread::of(vec![1.0, 3.0]), Some(Spread { low: 1.5, median: 2.0, high: 2.5 }));
        assert_eq!(Spread::of(vec![]), None);
    }
}
