//! What is said, and what becomes of whoever says it.

use std::time::Duration;

use taskhost::pool::runner::Policy;

use crate::pool::{Ended, ITEMS, Machine};

/// A scenario with its name.
type Scenario = (&'static str, fn(&Machine));

pub(crate) const SCENARIOS: [Scenario; 8] = [
    ("the_truth_is_believed", the_truth_is_believed),
    ("lies_cost_the_liar_its_life_and_no_item", lies_cost_the_liar_its_life_and_no_item),
    ("lies_that_are_told_always_end_the_job", lies_that_are_told_always_end_the_job),
    ("deaths_with_false_hints_cost_no_item", deaths_with_false_hints_cost_no_item),
    ("silence_is_ended", silence_is_ended),
    ("floods_are_survived", floods_are_survived),
    ("false_starts_are_refused", false_starts_are_refused),
    ("memory_stays_bounded", memory_stays_bounded),
];

/// Each with what is said of it.
const LIES: [(&str, &str); 24] = [
    ("generation", ""),
    ("batch", ""),
    ("job", ""),
    ("more items", "ran more items than there are"),
    ("fewer items", "ran fewer items than it says"),
    ("endless items", "ran more items than there are"),
    ("endless output", "claims to have written more than its arena holds"),
    ("rest", "handed back work that it was not given"),
    ("rest of another piece", "handed back work that it was not given"),
    ("left out", "left out an item that it was to run"),
    ("failure outside", "reported an item that it did not run"),
    ("failure of no item", "reported an item that it did not run"),
    ("too many failures", "reported more than it may"),
    ("partials", "returned partial results that nobody asked for"),
    ("counter", "reported more than it may"),
    ("twice", ""),
    ("garbage", "sent not a message"),
    ("a long message", "broke the protocol"),
    ("descriptors", "broke the protocol"),
    ("greeting", "sent a message that has no place"),
    ("ready again", "sent a message that has no place"),
    ("picture", "replied without having been asked"),
    ("file", "replied without having been asked"),
    ("compiled", "sent a message that has no place"),
];

fn patient() -> Policy {
    Policy { retries: 20, ..Policy::default() }
}

/// With a limit for each item, so short that waiting for it takes little.
fn strict() -> Policy {
    Policy { timeout: Some(Duration::from_millis(50)), ..patient() }
}

impl Ended {
    /// How the workers died.
    fn deaths(&self, lie: &str) -> Vec<&str> {
        let report = self.result.as_ref().unwrap_or_else(|error| panic!("{lie}: {error}"));
        report.workers.iter().filter_map(|worker| worker.death.as_deref()).collect()
    }

    /// All items were run, and none is said to have failed.
    fn is_whole(&self, lie: &str) {
        let failed: Vec<String> = self.failed.iter().map(|item| format!("{:?}", item.verdict)).collect();
        assert!(failed.is_empty(), "{lie}: {failed:?}");
        let job = self.job.as_ref().unwrap_or_else(|| panic!("{lie}: there is no report"));
        assert!(job.failure.is_none(), "{lie}: {:?}", job.failure);
        assert_eq!(job.totals.items, ITEMS, "{lie}");
    }
}

fn the_truth_is_believed(machine: &Machine) {
    let ended = machine.run("", patient());
    ended.is_whole("the truth");
    assert_eq!(ended.deaths("the truth"), Vec::<&str>::new());
}

fn lies_cost_the_liar_its_life_and_no_item(machine: &Machine) {
    for (lie, says) in LIES {
        let ended = machine.run(lie, patient());
        let deaths = ended.deaths(lie);
        assert!(!deaths.is_empty(), "{lie}: nobody was ended");
        assert!(deaths.iter().any(|death| death.contains(says)), "{lie}: {deaths:?}");
        ended.is_whole(lie);
    }
}

/// Nothing is tried for ever. Giving up takes seconds of waiting, so these wait together.
fn lies_that_are_told_always_end_the_job(machine: &Machine) {
    let lies = [
        ("always more items", "ran more items than there are"),
        ("always garbage", "sent not a message"),
        ("always left out", "left out an item that it was to run"),
        // Said by each worker before it was given anything.
        ("always a reply to nothing", "replied"),
    ];
    std::thread::scope(|scope| {
        for (lie, says) in lies {
            scope.spawn(move || {
                let ended = machine.run(lie, patient());
                let deaths = ended.deaths(lie);
                assert!(deaths.iter().any(|death| death.contains(says)), "{lie}: {deaths:?}");
                let job = ended.job.as_ref().unwrap_or_else(|| panic!("{lie}: there is no report"));
                assert!(job.failure.is_some() || !ended.failed.is_empty(), "{lie}: it was believed");
            });
        }
    });
}

fn deaths_with_false_hints_cost_no_item(machine: &Machine) {
    for lie in ["of another batch", "far away", "of a packed call", "of nothing"] {
        let lie = format!("progress {lie}");
        let ended = machine.run(&lie, patient());
        assert!(!ended.deaths(&lie).is_empty(), "{lie}: nobody died");
        ended.is_whole(&lie);
        let ended = machine.run(&format!("always {lie}"), patient());
        let job = ended.job.as_ref().unwrap_or_else(|| panic!("{lie}: there is no report"));
        assert!(job.failure.is_some() || ended.failed.len() as u64 == ITEMS, "{lie}: {}", ended.failed.len());
    }
}

fn silence_is_ended(machine: &Machine) {
    let ended = machine.run("always silence", strict());
    let deaths = ended.deaths("silence");
    assert!(!deaths.is_empty(), "nobody was ended");
    let job = ended.job.as_ref().expect("a report");
    assert!(job.failure.is_some() || ended.failed.len() as u64 == ITEMS, "{} failed", ended.failed.len());
}

fn floods_are_survived(machine: &Machine) {
    let ended = machine.run("log", patient());
    ended.is_whole("log");
    let ended = machine.run("endless log", strict());
    assert!(!ended.deaths("endless log").is_empty(), "nobody was ended");
    assert!(ended.job.is_some(), "the run ends after {} lines", ended.log_lines);
}

fn false_starts_are_refused(machine: &Machine) {
    // Only what never comes is waited for in vain: whoever lies has as long for it as an honest worker.
    let soon = Policy { start_up: Duration::from_secs(2), ..patient() };
    let starts = [
        ("another build", patient(), "another build"),
        ("another version", patient(), "another build"),
        ("no greeting", patient(), "sent a message that has no place while it is Starting"),
        ("no walls", patient(), "was not locked in"),
        ("ready at once", patient(), "sent a message that has no place while it is Greeted"),
        ("silence at the start", soon, "was not ready for work in time"),
    ];
    for (lie, policy, says) in starts {
        let Err(error) = machine.start(lie, policy) else { panic!("{lie}: it was believed") };
        assert!(error.to_string().contains(says), "{lie}: {error}");
    }
}

/// Everything above ran in this process.
fn memory_stays_bounded(_: &Machine) {
    let status = std::fs::read_to_string("/proc/self/status").expect("there is /proc");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kilobytes < 256 << 10, "{kilobytes} kB");
}
