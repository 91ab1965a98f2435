//! What every test stands on: folders of its own, the program under test with bounds on its life, and a look at the
//! processes that it leaves behind.

mod outcome;
mod place;
mod processes;
mod program;

pub(crate) use outcome::{Outcome, scrubbed};
pub(crate) use place::Place;
pub(crate) use processes::{Process, no_worker_is_left};
pub(crate) use program::{Program, Running};

/// Says that this machine does not allow what a test needs. The test passes then, but not in silence.
#[expect(clippy::print_stderr, reason = "a test that checks nothing has to say so")]
pub(crate) fn skipped(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
}
