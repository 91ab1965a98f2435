//! The child process: what a worker does from its first instruction to its last.
//!
//! * [`startup`] shakes hands and takes the descriptors, whatever the role.
//! * [`compile`], [`execute`] and [`convert`] are the roles; each locks itself in before it touches anything that a
//!   stranger wrote.
//! * [`files`] are the descriptors it was given, [`results`] is where results go.
//! * [`items`], [`rows`] and [`join`] run the three sorts of batches.
//!
//! One thread, no shared state, no names: a worker reads and writes descriptors, and computes.

mod compile;
mod convert;
mod execute;
mod files;
mod items;
mod join;
mod pack;
mod results;
mod rows;
mod startup;

use std::sync::atomic::{AtomicBool, Ordering};

/// The argument that makes this executable a worker. Nobody types it.
const WORKER_ARGUMENT: &str = "__worker";

/// Exit code of a worker that could not go on: it said why on its socket, if it could.
const FAILED: i32 = 70;

static CAN_BE_WORKER: AtomicBool = AtomicBool::new(false);

/// Becomes a worker and never returns, when this process was started as one. To be called first thing in `main`.
pub fn run_if_worker() {
    CAN_BE_WORKER.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == WORKER_ARGUMENT) {
        let code = if startup::run().is_ok() { 0 } else { FAILED };
        std::process::exit(code);
    }
}

/// Whether [`run_if_worker`] was called, so that this executable can be started as a worker.
#[must_use]
pub fn can_be_worker() -> bool {
    CAN_BE_WORKER.load(Ordering::Relaxed)
}
