//! Who is ended first when the machine is out of memory: `oom_score_adj`, which anybody may raise for themselves. What is raised
//! is inherited.

use std::ffi::CStr;
use std::fs;
use std::io;

const FILE: &str = "/proc/self/oom_score_adj";

/// The same for who may not allocate.
pub(crate) const OWN: &CStr = c"/proc/self/oom_score_adj";

/// What a worker says: the most there is. It holds one batch, which is run again, and another takes its place.
pub(crate) const WORKER: &[u8] = b"1000";

/// What a process says that can be started again, and loses more than a worker when it has to be: half as much.
const REPLACEABLE: i32 = 500;

/// Has this process, and all that it starts from now on, ended before those that cannot be replaced. One that goes before others
/// already stays so.
///
/// # Errors
/// Where /proc cannot be written.
pub fn go_before_others() -> io::Result<()> {
    let now = fs::read_to_string(FILE)?;
    if now.trim().parse().is_ok_and(|now: i32| now >= REPLACEABLE) {
        return Ok(());
    }
    fs::write(FILE, REPLACEABLE.to_string())
}
