//! Attempts of a process on itself: to become more, to get other rights or other parts of the kernel, to stay.

use libc::c_long;

#[cfg(target_arch = "x86_64")]
use super::raw::call_by_the_old_gate;
use super::raw::{address, call};
use super::scene::{LIMIT, Scene};
use super::{Aim, Attempt, attempt, steps};

/// The keys of this process.
const PROCESS_KEYS: usize = libc::KEY_SPEC_PROCESS_KEYRING as usize;

pub(super) fn list(scene: &Scene) -> Vec<Attempt> {
    let Scene { arena, buffer, event, .. } = *scene;
    let inside = |name, about, number, arguments| attempt(Aim::Inside, name, about, number, arguments);
    let control =
        |name, about, what: i32, value| inside(name, about, libc::SYS_prctl, [what as usize, value, 0, 0, 0, 0]);
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "the older calls are of x86-64"))]
    let mut list = vec![
        inside("fork", "makes another process", libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]),
        inside("clone3", "the same by a newer call", libc::SYS_clone3, [buffer, 64, 0, 0, 0, 0]),
        steps(Aim::Inside, "thread", "starts a thread", thread),
        inside("namespace", "makes a user namespace", libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0]),
        inside("join-namespace", "joins a namespace", libc::SYS_setns, [arena, 0, 0, 0, 0, 0]),
        inside("ring", "makes a ring for calls without calls", libc::SYS_io_uring_setup, [1, buffer, 0, 0, 0, 0]),
        inside("user-faults", "handles its own page faults", libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        inside("bpf", "loads a program into the kernel", libc::SYS_bpf, [0, buffer, 48, 0, 0, 0]),
        inside(
            "performance",
            "counts its own events",
            libc::SYS_perf_event_open,
            [event, 0, usize::MAX, usize::MAX, 0, 0],
        ),
        inside(
            "add-key",
            "adds a key",
            libc::SYS_add_key,
            [address(c"user"), address(c"x"), buffer, 1, PROCESS_KEYS, 0],
        ),
        inside("request-key", "asks for a key", libc::SYS_request_key, [address(c"user"), address(c"x"), 0, 0, 0, 0]),
        control("be-dumpable", "lets others read its memory", libc::PR_SET_DUMPABLE, 1),
        control("outlive", "stays when its coordinator ends", libc::PR_SET_PDEATHSIG, 0),
        control("adopt", "becomes the parent of orphans", libc::PR_SET_CHILD_SUBREAPER, 1),
        control("be-traced", "lets anybody trace it", libc::PR_SET_PTRACER, usize::MAX),
        control("keep-capabilities", "keeps capabilities over a change of user", libc::PR_SET_KEEPCAPS, 1),
        control("rename", "gives itself another name", libc::PR_SET_NAME, address(c"x")),
        control("loosen-filter", "asks for another filter", libc::PR_SET_SECCOMP, 0),
        control("new-privileges", "takes back that it has no new privileges", libc::PR_SET_NO_NEW_PRIVS, 0),
        inside("personality", "asks for another personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
        inside("filter", "asks what filters can do", libc::SYS_seccomp, [2, 0, buffer, 0, 0, 0]),
        inside("landlock", "asks for Landlock", libc::SYS_landlock_create_ruleset, [0, 0, 1, 0, 0, 0]),
        inside("be-root", "becomes root", libc::SYS_setresuid, [0; 6]),
        inside("groups", "changes its groups", libc::SYS_setgroups, [0; 6]),
        inside("capabilities", "gives itself capabilities", libc::SYS_capset, [buffer, 0, 0, 0, 0, 0]),
        inside(
            "raise-limit",
            "raises a limit",
            libc::SYS_setrlimit,
            [libc::RLIMIT_NOFILE as usize, LIMIT.as_ptr().expose_provenance(), 0, 0, 0, 0],
        ),
        inside("new-session", "starts a session", libc::SYS_setsid, [0; 6]),
        inside(
            "handle-violations",
            "handles the filter's signal",
            libc::SYS_rt_sigaction,
            [libc::SIGSYS as usize, 0, 0, 8, 0, 0],
        ),
        inside("timer", "sets a timer", libc::SYS_setitimer, [0, buffer, 0, 0, 0, 0]),
        inside("sleep", "sleeps", libc::SYS_nanosleep, [buffer, 0, 0, 0, 0, 0]),
        steps(Aim::Inside, "shared-memory", "makes memory that others can share", shared_memory),
        steps(Aim::Inside, "message-queue", "makes a message queue", message_queue),
        steps(Aim::Inside, "semaphore", "makes a semaphore", semaphore),
        steps(Aim::Inside, "named-queue", "makes a named message queue", named_queue),
        inside("machine-name", "asks for the name of the machine", libc::SYS_uname, [buffer, 0, 0, 0, 0, 0]),
        inside("machine-load", "asks for load and memory of the machine", libc::SYS_sysinfo, [buffer, 0, 0, 0, 0, 0]),
        inside(
            "futex-inheritance",
            "locks with inheritance of priority",
            libc::SYS_futex,
            [buffer, libc::FUTEX_TRYLOCK_PI as usize, 0, 0, 0, 0],
        ),
        inside(
            "futex-requeue",
            "moves waiters to another lock",
            libc::SYS_futex,
            [buffer, libc::FUTEX_REQUEUE as usize, 0, 0, buffer, 0],
        ),
    ];
    #[cfg(target_arch = "x86_64")]
    list.extend([
        inside("fork-1", "makes another process by the oldest call", libc::SYS_fork, [0; 6]),
        inside("x32", "makes a call by the numbers of x32", libc::SYS_getpid | 0x4000_0000, [0; 6]),
        steps(Aim::Inside, "32-bits", "makes a call as a 32-bit program", |_| call_by_the_old_gate()),
        inside("port", "talks to a port of the hardware", libc::SYS_ioperm, [0x80, 1, 1, 0, 0, 0]),
        inside("segments", "changes its segments", libc::SYS_modify_ldt, [0, buffer, 8, 0, 0, 0]),
        inside(
            "thread-area",
            "changes where its threads keep things",
            libc::SYS_arch_prctl,
            [0x1003, buffer, 0, 0, 0, 0],
        ),
    ]);
    list
}

fn thread(_: &Scene) -> c_long {
    match std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => 0,
        _ => -1,
    }
}

/// Makes something that would outlive this process, and removes it.
fn made(result: c_long, remove: impl FnOnce(usize) -> c_long) -> c_long {
    if result < 0 { result } else { remove(result as usize) }
}

const OWN: usize = (libc::IPC_CREAT | 0o600) as usize;
const REMOVE: usize = libc::IPC_RMID as usize;

fn shared_memory(_: &Scene) -> c_long {
    made(call(libc::SYS_shmget, [0, 4096, OWN, 0, 0, 0]), |id| call(libc::SYS_shmctl, [id, REMOVE, 0, 0, 0, 0]))
}

fn message_queue(_: &Scene) -> c_long {
    made(call(libc::SYS_msgget, [0, OWN, 0, 0, 0, 0]), |id| call(libc::SYS_msgctl, [id, REMOVE, 0, 0, 0, 0]))
}

fn semaphore(_: &Scene) -> c_long {
    made(call(libc::SYS_semget, [0, 1, OWN, 0, 0, 0]), |id| call(libc::SYS_semctl, [id, 0, REMOVE, 0, 0, 0]))
}

fn named_queue(_: &Scene) -> c_long {
    const NAME: &std::ffi::CStr = c"taskhost-attack";
    let create = (libc::O_CREAT | libc::O_RDWR) as usize;
    let queue = call(libc::SYS_mq_open, [address(NAME), create, 0o600, 0, 0, 0]);
    made(queue, |_| call(libc::SYS_mq_unlink, [address(NAME), 0, 0, 0, 0, 0]))
}
