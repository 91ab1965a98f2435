//! What every process does first that a service has started.

use taskhost_os::process_id::ProcessId;
use taskhost_os::{parent, priority};
use taskhost_service::job::SERVER_VARIABLE;

/// How far processes of jobs step back, so that the server and calls have a core when they want it: a job that shares one with them
/// has a tenth of it (`sched_prio_to_weight` in kernel/sched/core.c: 110 to 1024).
const NICE: i32 = 10;

/// In a process that a server has started: ends with it, and lets it go first. Returns false when that server is gone.
pub(crate) fn belongs_to_server() -> bool {
    let Some(server) = std::env::var_os(SERVER_VARIABLE) else { return true };
    let server = server.to_str().and_then(|server| ProcessId::new(server.parse().ok()?));
    let is_there = server.is_some_and(|server| parent::end_with(server).unwrap_or(false));
    // Where that is not allowed, it goes without.
    let _ = priority::step_back(NICE);
    is_there
}
