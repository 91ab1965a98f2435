//! A row of the table: programs that do the same work, and what is aimed at.

use std::collections::BTreeMap;

use crate::contender::{Contender, OURS, Sample};

/// What all programs of a row did once, one after the other.
pub(crate) type Round = BTreeMap<String, Sample>;

pub(crate) struct Row {
    /// What the work is, for a reader.
    pub(crate) work: String,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// How a figure comes from a round; `None` where not all that it needs was measured.
type Figure = Box<dyn Fn(&Round) -> Option<f64>>;

/// A figure and where it should be.
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) bound: Bound,
    pub(crate) figure: Figure,
}

impl Bound {
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Target {
    pub(crate) fn new(
        what: impl Into<String>,
        unit: &'static str,
        bound: Bound,
        figure: impl Fn(&Round) -> Option<f64> + 'static,
    ) -> Self {
        Self { what: what.into(), unit, bound, figure: Box::new(figure) }
    }

    /// The time of taskhost divided by that of another.
    pub(crate) fn time_over(other: &'static str, most: f64) -> Self {
        Self::new(format!("time, over that of {other}"), "", Bound::AtMost(most), move |round| {
            Some(seconds(round, OURS)? / seconds(round, other)?)
        })
    }

    /// How many times faster taskhost is than another.
    pub(crate) fn faster_than(other: &'static str, least: f64) -> Self {
        Self::new(format!("times faster than {other}"), "", Bound::AtLeast(least), move |round| {
            Some(seconds(round, other)? / seconds(round, OURS)?)
        })
    }
}

/// The time that one of the programs took.
pub(crate) fn seconds(round: &Round, name: &str) -> Option<f64> {
    Some(round.get(name)?.seconds)
}

/// A number that one of the programs said.
pub(crate) fn said(round: &Round, name: &str, key: &str) -> Option<f64> {
    round.get(name)?.said.get(key).copied()
}
