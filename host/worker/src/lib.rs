//! The child process: what a worker does from its first instruction to its last.
//!
//! * [`startup`] shakes hands and takes the descriptors, whatever the role.
//! * [`compile`], [`execute`] and [`convert`] are the roles, [`stream`] is what else converts; each locks itself in before it
//!   touches anything that a stranger wrote.
//! * [`begin`] starts the kernel, [`kernel`] keeps it and starts it again, [`logs`] bounds what it says.
//! * [`grants`] are folders of the user.
//! * [`files`] are the descriptors it was given, [`results`] is where results go, [`tally`] is what a batch came to.
//! * [`items`], [`rows`] and [`join`] run the three sorts of batches. Items are found by [`lines`], [`fixed`] or [`table`], run by
//!   [`one`] or [`pack`], their results go to an [`outlet`] and are joined by [`reduce`]. Before an instance filters
//!   rows, it is asked to [`prepare`]. [`call_clock`] measures what calls take.
//!
//! One thread, no shared state, no names: a worker reads and writes descriptors, and computes.

mod begin;
mod call_clock;
mod compile;
mod convert;
mod execute;
mod files;
mod fixed;
mod grants;
mod items;
mod join;
mod kernel;
mod lines;
mod logs;
mod one;
mod outlet;
mod pack;
mod prepare;
mod profile;
mod reduce;
mod results;
mod rows;
mod startup;
mod stream;
mod table;
mod tally;

use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use taskhost_os::attacks;
use taskhost_os::fork_server::{self, SERVER_ARGUMENT, WORKER_ARGUMENT};
use taskhost_os::socket::Socket;
use taskhost_protocol::exit;

pub use taskhost_engine::WASMTIME_VERSION;

static CAN_BE_WORKER: AtomicBool = AtomicBool::new(false);

/// Becomes a worker and never returns, when this process was started as one. To be called first thing in `main`.
pub fn run_if_worker() {
    CAN_BE_WORKER.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    let Some(first) = arguments.next() else { return };
    if first.as_bytes() == WORKER_ARGUMENT.to_bytes() {
        std::process::exit(Socket::inherited().map_or(exit::FAILED, live));
    }
    // One that workers are forked from. Without it they are started as above.
    if first.as_bytes() == SERVER_ARGUMENT.to_bytes() {
        std::process::exit(fork_server::serve(live).map_or(exit::FAILED, |()| 0));
    }
    // One that tries out the walls (`taskhost doctor --attack`).
    if first.as_bytes() == attacks::ARGUMENT.to_bytes() {
        attacks::live(&arguments.next().unwrap_or_default().to_string_lossy());
    }
}

/// The life of a worker, with its exit code. It said on its socket why it ended, if it could.
fn live(socket: Socket) -> i32 {
    if startup::run(socket).is_ok() { 0 } else { exit::FAILED }
}

/// Ends a process that was started as a worker and has gone on as something else, because its program does not call
/// [`run_if_worker`]: it would start workers of its own, and these too, without end.
pub fn exit_if_stray() {
    let workers = [WORKER_ARGUMENT.to_bytes(), SERVER_ARGUMENT.to_bytes()];
    if std::env::args_os().nth(1).is_some_and(|first| workers.contains(&first.as_bytes())) {
        std::process::exit(exit::FAILED);
    }
}

/// Whether [`run_if_worker`] was called, so that this executable can be started as a worker.
#[must_use]
pub fn can_be_worker() -> bool {
    CAN_BE_WORKER.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
