//! What `ps` shows of a worker that was forked: its argument list is the server's, in memory of its own, where the one argument is
//! written over.

use std::ptr;

use super::{SERVER_ARGUMENT, WORKER_ARGUMENT};

/// The address of the server's argument, in the server and in all that it forks. `None` where it cannot be found: it is for
/// people, so it is left then.
pub(super) struct Title(Option<usize>);

impl Title {
    /// Looks where it is.
    pub(super) fn find() -> Self {
        Self(find())
    }

    /// Makes this process one that was started with the worker's argument, as far as `ps` tells.
    pub(super) fn become_worker(&self) {
        const { assert!(SERVER_ARGUMENT.count_bytes() == WORKER_ARGUMENT.count_bytes(), "one takes the place of the other") };
        let Some(at) = self.0 else { return };
        let to = ptr::with_exposed_provenance_mut::<u8>(at);
        let worker = WORKER_ARGUMENT.to_bytes();
        // SAFETY: the kernel said that the argument list is there, and that what is replaced is ([`find`]), of the process whose
        // memory this is a copy of; it is on the stack above everything else, where it is written once, by the only thread, and
        // read by nobody meanwhile. The lengths are the same.
        unsafe { ptr::copy_nonoverlapping(worker.as_ptr(), to, worker.len()) };
    }
}

fn find() -> Option<usize> {
    let server = SERVER_ARGUMENT.to_bytes();
    let (start, end) = arguments_in(&std::fs::read_to_string("/proc/self/stat").ok()?)?;
    let list = std::fs::read("/proc/self/cmdline").ok()?;
    let place = list.windows(server.len()).position(|bytes| bytes == server)?;
    (place + server.len() <= end.saturating_sub(start)).then_some(start + place)
}

/// Where the argument list begins and ends: fields 48 and 49 (proc_pid_stat(5)), counted behind the name, which may hold anything.
fn arguments_in(stat: &str) -> Option<(usize, usize)> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut fields = behind.split_ascii_whitespace().skip(48 - 3);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_found_behind_any_name() {
        let fields: Vec<String> = (4..=52).map(|number| number.to_string()).collect();
        let stat = format!("1 (a) b) S {}", fields.join(" "));
        assert_eq!(arguments_in(&stat), Some((48, 49)));
        assert_eq!(arguments_in("1 (a) S 4 5"), None);
    }
}
