//! What was done for a run before the process that reports on it: a report says of each number which part it covers.

use std::fmt::Write as _;

use serde::Serialize;
use taskhost_data::duration::human_duration;

use super::count;
use crate::args::Earlier;

/// What was done before. Whoever goes on with a run knows what of it is done; how often it was gone on with, and what that took, only
/// a service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    /// Items that were done, and are not run again. `None` where each input has a result of its own: those that are done are left out.
    pub(crate) items: Option<u64>,
    pub(crate) earlier: Option<Earlier>,
}

/// The same for programs.
#[derive(Serialize)]
pub(super) struct Facts {
    processes: Option<u32>,
    items: Option<u64>,
    wall_seconds: Option<f64>,
    cpu_seconds: Option<f64>,
}

impl Before {
    pub(super) fn facts(self) -> Facts {
        let Self { items, earlier } = self;
        Facts {
            processes: earlier.map(|earlier| earlier.processes),
            items,
            wall_seconds: earlier.map(|earlier| earlier.ran.as_secs_f64()),
            cpu_seconds: earlier.map(|earlier| earlier.cpu.as_secs_f64()),
        }
    }

    /// What the numbers are of, for people.
    pub(super) fn sentences(self) -> String {
        let mut text = match self.earlier {
            Some(Earlier { processes, .. }) => {
                let one = if processes == 1 { "was at it" } else { "were at it, one after the other," };
                format!("{} {one} before the one that made this report", processes_of(processes))
            }
            None => "This is of a run that was gone on with".to_owned(),
        };
        match self.items {
            Some(0) => text.push_str(", and nothing of what was done before counts"),
            Some(items) => {
                let _ = write!(text, ": {} had been done", count(items, "item"));
            }
            None => text.push_str(": inputs that had their results are left out"),
        }
        if let Some(Earlier { ran, cpu, .. }) = self.earlier {
            let _ = write!(text, ", in about {}, with {} of CPU time", human_duration(ran), human_duration(cpu));
        }
        let all = if self.items.is_some() {
            "Items, failures, input and output are those of all of it; times"
        } else {
            "All numbers"
        };
        let _ = write!(text, ". {all}, workers, timeline and throughput are those of the last process alone.");
        text
    }
}

fn processes_of(number: u32) -> String {
    if number == 1 { "Another process".to_owned() } else { format!("{number} other processes") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EARLIER: Earlier =
        Earlier { processes: 2, ran: Duration::from_millis(1500), cpu: Duration::from_millis(2250) };

    #[test]
    fn people_are_told_what_the_numbers_are_of() {
        let said = |items, earlier| Before { items, earlier }.sentences();
        assert_eq!(
            said(Some(1200), Some(EARLIER)),
            "2 other processes were at it, one after the other, before the one that made this report: 1,200 items had been \
             done, in about 1.50 s, with 2.25 s of CPU time. Items, failures, input and output are those of all of it; times, \
             workers, timeline and throughput are those of the last process alone."
        );
        let begun_anew = said(Some(0), Some(Earlier { processes: 1, ..EARLIER }));
        assert!(begun_anew.starts_with(
            "Another process was at it before the one that made this report, and nothing of what was done before counts, in about"
        ));
        assert_eq!(
            said(None, None),
            "This is of a run that was gone on with: inputs that had their results are left out. All numbers, workers, timeline \
             and throughput are those of the last process alone."
        );
    }

    #[test]
    fn what_is_not_known_is_nothing_for_programs() {
        let facts = |items, earlier| serde_json::json!(Before { items, earlier }.facts());
        assert_eq!(
            facts(Some(7), Some(EARLIER)),
            serde_json::json!({ "processes": 2, "items": 7, "wall_seconds": 1.5, "cpu_seconds": 2.25 })
        );
        assert_eq!(
            facts(Some(7), None),
            serde_json::json!({ "processes": null, "items": 7, "wall_seconds": null, "cpu_seconds": null })
        );
    }
}
