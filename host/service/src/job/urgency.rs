//! Which of a tenant's jobs comes before which other one: as it is asked for and kept, and as a place in line. Between tenants it
//! says nothing.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::SpecError;

/// Most of a priority, in either direction: enough to put something between any two.
const MOST: i32 = 100;

/// How urgent a job is beside others of its tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Urgency {
    /// What has more of it is begun first.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub priority: i32,
    /// Of jobs of one priority, the one that is to be ready first is begun first, and those last that are to be ready at no
    /// certain time. In milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_by: Option<i64>,
}

fn is_usual(priority: &i32) -> bool {
    *priority == 0
}

impl Urgency {
    /// Says what is wrong with it.
    pub(super) fn check(self) -> Result<(), SpecError> {
        if (-MOST..=MOST).contains(&self.priority) {
            return Ok(());
        }
        Err(SpecError(format!("priority is from -{MOST} to {MOST}")))
    }
}

/// The place of a job among those of its tenant: the least is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    priority: Reverse<i32>,
    ready_by: i64,
    /// No two have the same.
    came: u64,
}

impl Rank {
    /// Of a job that is so urgent, and before which so many others came.
    #[must_use]
    pub fn new(Urgency { priority, ready_by }: Urgency, came: u64) -> Self {
        Self { priority: Reverse(priority), ready_by: ready_by.unwrap_or(i64::MAX), came }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_comes_before_time_and_time_before_who_came_first() {
        let rank = |priority, ready_by, came| Rank::new(Urgency { priority, ready_by }, came);
        let in_order = [
            rank(100, None, 9),
            rank(1, Some(5), 8),
            rank(1, Some(6), 7),
            rank(1, None, 2),
            rank(0, Some(1), 3),
            rank(0, None, 1),
            rank(0, None, 4),
            rank(-1, Some(0), 0),
        ];
        assert!(in_order.is_sorted());
    }

    #[test]
    fn what_is_as_usual_is_not_written_down() {
        assert_eq!(serde_json::to_string(&Urgency::default()).expect("text"), "{}");
        assert_eq!(serde_json::from_str::<Urgency>("{}").expect("read"), Urgency::default());
        let high = Urgency { priority: 100, ready_by: Some(1) };
        assert_eq!(serde_json::from_str::<Urgency>(r#"{"priority": 100, "ready_by": 1}"#).expect("read"), high);
        assert!(high.check().is_ok() && Urgency { priority: 101, ..high }.check().is_err());
        assert!(Urgency { priority: i32::MIN, ..high }.check().is_err());
    }
}
