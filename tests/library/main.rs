//! The library as a program that embeds it sees it. This program is its own worker, as such programs are: so it is not
//! part of the one integration binary, whose `main` is not ours.

mod attending;
mod cancelling;
mod ending;
mod example;
mod functions;
mod kernels;
mod mapping;
mod memory;
mod pipelines;
mod reducing;
mod sharing;
mod speed;
mod tasks;
mod together;

use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;

/// What no scenario takes, however slow the machine: a pool that hangs ends the tests instead of them never ending.
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    if ending::forgets_the_entry() {
        return ending::forgetful();
    }
    if example::live() {
        return;
    }
    taskhost::worker::run_if_worker();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let scenarios = [
        mapping::SCENARIOS,
        tasks::SCENARIOS,
        together::SCENARIOS,
        attending::SCENARIOS,
        functions::SCENARIOS,
        reducing::SCENARIOS,
        pipelines::SCENARIOS,
        cancelling::SCENARIOS,
        sharing::SCENARIOS,
        memory::SCENARIOS,
        ending::SCENARIOS,
        example::SCENARIOS,
    ]
    .concat();
    let asked_for = speed::SCENARIOS.iter().filter(|(name, _)| wanted.iter().any(|part| part == name));
    for (name, scenario) in scenarios.iter().chain(asked_for) {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            let watched = watch(name);
            scenario();
            drop(watched);
            let _ = writeln!(std::io::stdout(), "test library::{name} ... ok");
        }
    }
}

/// Ends everything when the scenario is not over in time. Dropping the answer says that it is.
fn watch(name: &'static str) -> mpsc::Sender<()> {
    let (over, is_over) = mpsc::channel();
    std::thread::spawn(move || {
        if is_over.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = writeln!(std::io::stderr(), "test library::{name} ... hangs");
            std::process::abort();
        }
    });
    over
}

/// A name and what it stands for.
type Scenario = (&'static str, fn());
