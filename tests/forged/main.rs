//! Workers that lie. The coordinator is this program, and so is the worker: under the name `forger` it passes the
//! handshake and locks itself in like an honest one, and then says what nobody should believe.
//!
//! Not part of the one integration binary, whose `main` is not ours, and which therefore cannot be a worker.

mod forger;
mod lies;
mod pool;

use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;

/// What no scenario takes, however slow the machine: a coordinator that hangs ends the tests instead of them never
/// ending.
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    if forger::is_asked_for() {
        forger::run();
        return;
    }
    taskhost::worker::run_if_worker();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let machine = pool::Machine::new();
    for (name, scenario) in lies::SCENARIOS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            let watched = watch(name);
            scenario(&machine);
            drop(watched);
            let _ = writeln!(std::io::stdout(), "test forged::{name} ... ok");
        }
    }
}

/// Ends everything when the scenario is not over in time. Dropping the answer says that it is.
fn watch(name: &'static str) -> mpsc::Sender<()> {
    let (over, is_over) = mpsc::channel();
    std::thread::spawn(move || {
        if is_over.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = writeln!(std::io::stderr(), "test forged::{name} ... hangs");
            std::process::abort();
        }
    });
    over
}
