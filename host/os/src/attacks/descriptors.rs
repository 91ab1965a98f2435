//! Attempts on the descriptors that a worker was given: to change what is not to be changed, to make more, to pass on.

use super::scene::{PAGE, Scene};
use super::{Aim, Attempt, attempt};

/// Asks a terminal for its settings.
const TERMINAL: usize = 0x5401;

pub(super) fn list(scene: &Scene) -> Vec<Attempt> {
    let Scene { victim, control, arena, input, buffer, message, .. } = *scene;
    let inside = |name, about, number, arguments| attempt(Aim::Inside, name, about, number, arguments);
    let granted = |name, about, number, arguments| attempt(Aim::Granted, name, about, number, arguments);
    vec![
        granted("write-input", "writes the input", libc::SYS_pwrite64, [input, buffer, 1, 0, 0, 0]),
        granted(
            "grow-arena",
            "writes beyond the end of the results",
            libc::SYS_pwrite64,
            [arena, buffer, 1, PAGE, 0, 0],
        ),
        granted(
            "pass-descriptor",
            "sends a descriptor to its coordinator",
            libc::SYS_sendmsg,
            [control, message, libc::MSG_NOSIGNAL as usize, 0, 0, 0],
        ),
        inside("truncate", "shortens the results", libc::SYS_ftruncate, [arena, 0, 0, 0, 0, 0]),
        inside("punch-hole", "makes a hole in the results", libc::SYS_fallocate, [arena, 3, 0, PAGE, 0, 0]),
        inside("seal", "seals the results", libc::SYS_fcntl, [arena, libc::F_ADD_SEALS as usize, 8, 0, 0, 0]),
        inside(
            "owner-of-signals",
            "has signals sent to another process",
            libc::SYS_fcntl,
            [arena, libc::F_SETOWN as usize, victim, 0, 0, 0],
        ),
        inside("lock-file", "locks the results", libc::SYS_flock, [arena, 6, 0, 0, 0, 0]),
        inside("read-far", "reads a descriptor beyond the limit", libc::SYS_pread64, [1000, buffer, 1, 0, 0, 0]),
        inside(
            "write-far",
            "writes a descriptor beyond the limit",
            libc::SYS_pwrite64,
            [usize::MAX, buffer, 1, 0, 0, 0],
        ),
        inside(
            "duplicate",
            "makes a second descriptor with a number of its choice",
            libc::SYS_dup3,
            [arena, 12, 0, 0, 0, 0],
        ),
        inside("pipe", "makes a pipe", libc::SYS_pipe2, [buffer, 0, 0, 0, 0, 0]),
        inside("event", "makes a counter", libc::SYS_eventfd2, [0; 6]),
        inside("terminal", "talks to a terminal", libc::SYS_ioctl, [0, TERMINAL, buffer, 0, 0, 0]),
        inside(
            "splice",
            "copies between descriptors inside the kernel",
            libc::SYS_sendfile,
            [arena, input, 0, 1, 0, 0],
        ),
    ]
}
