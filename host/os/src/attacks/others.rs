//! Attempts on another process: to signal, read, write, trace and slow it.

use libc::c_long;

use super::raw::{address, call};
use super::scene::Scene;
use super::victim::SESSION_KEYS;
use super::{Aim, Attempt, attempt, steps};

/// `IOPRIO_WHO_PROCESS` of `ioprio_set(2)`.
const ONE_PROCESS: usize = 1;

pub(super) fn list(scene: &Scene) -> Vec<Attempt> {
    let Scene { victim, buffer, own, its, event, key, .. } = *scene;
    let outside = |name, about, number, arguments| attempt(Aim::Outside, name, about, number, arguments);
    let inside = |name, about, number, arguments| attempt(Aim::Inside, name, about, number, arguments);
    let steps = |name, about, function| steps(Aim::Outside, name, about, function);
    vec![
        // Signal 0 only asks whether it would be possible.
        outside("signal", "signals another process", libc::SYS_kill, [victim, 0, 0, 0, 0, 0]),
        outside("signal-thread", "signals a thread of another process", libc::SYS_tgkill, [victim, victim, 0, 0, 0, 0]),
        outside("signal-thread-1", "the same by an older call", libc::SYS_tkill, [victim, 0, 0, 0, 0, 0]),
        // Where anybody can be named at all, the kernel says yes whatever each of them came to.
        outside("signal-all", "signals every process", libc::SYS_kill, [usize::MAX, 0, 0, 0, 0, 0]),
        outside("handle-on-process", "takes hold of another process", libc::SYS_pidfd_open, [victim, 0, 0, 0, 0, 0]),
        steps("signal-by-handle", "signals a process that it has hold of", signal_by_handle),
        steps("steal-descriptor", "takes a descriptor of another process", steal_descriptor),
        outside("trace", "traces another process", libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, victim, 0, 0, 0, 0]),
        outside(
            "read-memory",
            "reads memory of another process",
            libc::SYS_process_vm_readv,
            [victim, own, 1, its, 1, 0],
        ),
        outside(
            "write-memory",
            "writes memory of another process",
            libc::SYS_process_vm_writev,
            [victim, own, 1, its, 1, 0],
        ),
        outside(
            "limit",
            "asks for a limit of another process",
            libc::SYS_prlimit64,
            [victim, libc::RLIMIT_CORE as usize, 0, buffer, 0, 0],
        ),
        outside(
            "renice",
            "changes the priority of another process",
            libc::SYS_setpriority,
            [libc::PRIO_PROCESS as usize, victim, 0, 0, 0, 0],
        ),
        outside(
            "renice-disk",
            "changes its priority at the disk",
            libc::SYS_ioprio_set,
            [ONE_PROCESS, victim, 0, 0, 0, 0],
        ),
        outside(
            "affinity",
            "asks on which cores another process runs",
            libc::SYS_sched_getaffinity,
            [victim, 1024, buffer, 0, 0, 0],
        ),
        outside(
            "scheduler",
            "asks how another process is scheduled",
            libc::SYS_sched_getscheduler,
            [victim, 0, 0, 0, 0, 0],
        ),
        outside("session", "asks for the session of another process", libc::SYS_getsid, [victim, 0, 0, 0, 0, 0]),
        outside(
            "locks-of",
            "asks for the locks of another process",
            libc::SYS_get_robust_list,
            [victim, buffer, buffer + 8, 0, 0, 0],
        ),
        outside("compare", "compares itself with another process", libc::SYS_kcmp, [victim, victim, 1, 0, 0, 0]),
        outside(
            "watch",
            "counts events of another process",
            libc::SYS_perf_event_open,
            [event, victim, usize::MAX, usize::MAX, 0, 0],
        ),
        outside(
            "find-key",
            "finds a key of its session",
            libc::SYS_keyctl,
            [libc::KEYCTL_SEARCH as usize, SESSION_KEYS, address(c"user"), key, 0, 0],
        ),
        inside(
            "clock-of-another",
            "reads the clock of another process",
            libc::SYS_clock_gettime,
            [!victim << 3 | 6, buffer, 0, 0, 0, 0],
        ),
        inside("signal-own-group", "signals its group", libc::SYS_kill, [0, 0, 0, 0, 0, 0]),
    ]
}

fn with_handle(scene: &Scene, then: impl FnOnce(usize) -> c_long) -> c_long {
    let handle = call(libc::SYS_pidfd_open, [scene.victim, 0, 0, 0, 0, 0]);
    if handle < 0 { handle } else { then(handle as usize) }
}

fn signal_by_handle(scene: &Scene) -> c_long {
    with_handle(scene, |handle| call(libc::SYS_pidfd_send_signal, [handle, 0, 0, 0, 0, 0]))
}

/// Its standard error, which every process has.
fn steal_descriptor(scene: &Scene) -> c_long {
    with_handle(scene, |handle| call(libc::SYS_pidfd_getfd, [handle, 2, 0, 0, 0, 0]))
}
