//! What every test stands on: folders of its own, the program under test with bounds on its life, and a look at the
//! processes that it leaves behind.

mod outcome;
mod place;
mod processes;
mod program;
mod random;
pub(crate) mod strace;

use std::io::Write as _;

pub(crate) use outcome::Outcome;
pub(crate) use place::Place;
pub(crate) use processes::{GONE_WITHIN, Process, no_worker_is_left};
pub(crate) use program::{Program, Running};
pub(crate) use random::{Random, rounds};

/// Says that this machine does not allow what a test needs. The test passes then, but not in silence: what is written to
/// standard error without a macro is shown also for tests that pass.
///
/// Where everything is required (`TASKHOST_REQUIRE=full`), it fails.
#[track_caller]
pub(crate) fn skipped(test: &str, reason: &str) {
    let required = std::env::var_os("TASKHOST_REQUIRE").is_some_and(|value| value == "full");
    assert!(!required, "{test} is required, and this machine does not allow it: {reason}");
    not_for_this_user(test, reason);
}

/// Says that a test is about other users than the one who runs it: about root, or about everybody but root.
pub(crate) fn not_for_this_user(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

/// Waits until something is so, looking again and again; a machine may be slow, but not for ever.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < program::LIMIT, "this never came: {what}");
        std::thread::yield_now();
    }
}
