//! CPU time of a process together with that of all whom it has started.

use std::fs;
use std::time::Duration;

use crate::process_id::ProcessId;

/// CPU time of a process, of the children of its first thread, and of all that it has waited for: those that have ended to the
/// hundredth of a second. As far as it can be seen: nothing of what is gone.
#[must_use]
pub fn family_cpu_time(process: ProcessId) -> Duration {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let running = children.split_whitespace().filter_map(|child| ProcessId::new(child.parse().ok()?));
    let living: Duration = std::iter::once(process).chain(running).filter_map(|id| super::cpu_time(id).ok()).sum();
    living.saturating_add(of_ended(process).unwrap_or_default())
}

/// CPU time of children that were waited for.
fn of_ended(process: ProcessId) -> Option<Duration> {
    /// Of the fields behind the name, which may hold anything in parentheses.
    const CHILDREN_USER: usize = 13;
    /// In which Linux tells times to programs, whatever it counts in.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(CHILDREN_USER).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.saturating_add(times.next()?.ok()?);
    Some(Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND)))
}
