//! What code that has broken out would try, and what a worker does that behaves.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::AtomicU64;

use libc::c_long;
use taskhost_os::exact::{pread_exact, pwrite_all};
use taskhost_os::socket::{Descriptors, Socket};

use crate::raw::call;

/// Something in every process, at the same address in those that are forks.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// Where it is in this process.
fn secret() -> usize {
    ptr::from_ref(&SECRET).expose_provenance()
}

/// What it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Reads, talks to, or changes something outside. More than one layer has to stop it.
    Outside,
    /// Makes the process itself more of a nuisance. The filter stops it; what it leads to is stopped by others.
    Inside,
}

/// One attempt: a system call, or the one by the gate for 32-bit programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) aim: Aim,
    number: c_long,
    arguments: [usize; 6],
}

/// Stands for the old gate.
#[cfg(target_arch = "x86_64")]
const OLD_GATE: c_long = -1;

impl Attack {
    pub(crate) fn run(&self) -> c_long {
        #[cfg(target_arch = "x86_64")]
        if self.number == OLD_GATE {
            return crate::raw::call_by_the_old_gate();
        }
        call(self.number, self.arguments)
    }
}

/// A process outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victim {
    pub(crate) process: u32,
    /// Where its secret is.
    pub(crate) secret: usize,
}

impl Victim {
    /// This process.
    pub(crate) fn own() -> Self {
        Self { process: std::process::id(), secret: secret() }
    }
}

/// What attempts need to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    victim: usize,
    arena: usize,
    page: usize,
    buffer: usize,
    own: usize,
    its: usize,
    socket: usize,
}

const PAGE: usize = 4096;
/// What two of the attempts make.
pub(crate) const FILE: &CStr = c"/tmp/taskhost-attack-file";
pub(crate) const FOLDER: &CStr = c"/tmp/taskhost-attack-folder";

const CWD: usize = libc::AT_FDCWD as usize;

fn address(text: &'static CStr) -> usize {
    text.as_ptr().addr()
}

impl Scene {
    /// To be called as long as everything is allowed.
    pub(crate) fn prepare(victim: Victim, arena: i32) -> Self {
        let (read, write) = (libc::PROT_READ as usize, libc::PROT_WRITE as usize);
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        let page = call(libc::SYS_mmap, [0, PAGE, read | write, flags, usize::MAX, 0]);
        let socket = call(libc::SYS_socket, [libc::AF_UNIX as usize, libc::SOCK_DGRAM as usize, 0, 0, 0, 0]);
        // Zeros: an empty answer, path, or record of any call.
        let buffer: &'static mut [u8] = Box::leak(vec![0_u8; PAGE].into_boxed_slice());
        let buffer = buffer.as_mut_ptr();
        let vector = |at| Box::leak(Box::new(libc::iovec { iov_base: at, iov_len: 8 }));
        let (own, its) = (vector(buffer.cast()), vector(ptr::with_exposed_provenance_mut(victim.secret)));
        Self {
            victim: victim.process as usize,
            arena: arena as usize,
            page: page as usize,
            buffer: buffer.expose_provenance(),
            own: ptr::from_mut(own).expose_provenance(),
            its: ptr::from_mut(its).expose_provenance(),
            socket: socket as usize,
        }
    }
}

pub(crate) fn by_name(scene: &Scene, name: &str) -> Option<Attack> {
    all(scene).into_iter().find(|attack| attack.name == name)
}

/// All attempts.
pub(crate) fn all(scene: &Scene) -> Vec<Attack> {
    let Scene { victim, arena, page, buffer, own, its, socket } = *scene;
    let outside = |name, number, arguments| Attack { name, aim: Aim::Outside, number, arguments };
    let inside = |name, number, arguments| Attack { name, aim: Aim::Inside, number, arguments };
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as usize;
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let read_write = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let create = (libc::O_CREAT | libc::O_WRONLY) as usize;
    let socket_of = |family: i32, kind: i32| [family as usize, kind as usize, 0, 0, 0, 0];
    let mut all = vec![
        outside("openat-passwd", libc::SYS_openat, [CWD, address(c"/etc/passwd"), 0, 0, 0, 0]),
        outside("openat-own-memory", libc::SYS_openat, [CWD, address(c"/proc/self/mem"), 2, 0, 0, 0]),
        outside("openat-parent", libc::SYS_openat, [CWD, address(c"/../etc/passwd"), 0, 0, 0, 0]),
        outside("openat2", libc::SYS_openat2, [CWD, address(c"/etc/passwd"), buffer, 24, 0, 0]),
        outside("create-file", libc::SYS_openat, [CWD, address(FILE), create, 0o600, 0, 0]),
        outside("create-folder", libc::SYS_mkdirat, [CWD, address(FOLDER), 0o700, 0, 0, 0]),
        outside("read-link", libc::SYS_readlinkat, [CWD, address(c"/proc/self/exe"), buffer, PAGE, 0, 0]),
        outside("execve", libc::SYS_execve, [address(c"/bin/true"), 0, 0, 0, 0, 0]),
        outside("execveat", libc::SYS_execveat, [CWD, address(c"/bin/true"), 0, 0, 0, 0]),
        outside("kill-victim", libc::SYS_kill, [victim, 0, 0, 0, 0, 0]),
        outside("kill-thread-of-victim", libc::SYS_tgkill, [victim, victim, 0, 0, 0, 0]),
        outside("pidfd-of-victim", libc::SYS_pidfd_open, [victim, 0, 0, 0, 0, 0]),
        outside("trace-victim", libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, victim, 0, 0, 0, 0]),
        outside("read-victim", libc::SYS_process_vm_readv, [victim, own, 1, its, 1, 0]),
        outside("write-victim", libc::SYS_process_vm_writev, [victim, own, 1, its, 1, 0]),
        outside("limit-victim", libc::SYS_prlimit64, [victim, libc::RLIMIT_CORE as usize, 0, buffer, 0, 0]),
        outside("renice-victim", libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, victim, 0, 0, 0, 0]),
        outside("mount", libc::SYS_mount, [address(c"x"), address(c"/"), address(c"tmpfs"), 0, 0, 0]),
        outside("unmount", libc::SYS_umount2, [address(c"/proc"), libc::MNT_DETACH as usize, 0, 0, 0, 0]),
        outside("chroot", libc::SYS_chroot, [address(c"/"), 0, 0, 0, 0, 0]),
        outside("host-name", libc::SYS_sethostname, [address(c"x"), 1, 0, 0, 0, 0]),
        inside("reboot", libc::SYS_reboot, [0; 6]),
        inside("clock", libc::SYS_clock_settime, [0, buffer, 0, 0, 0, 0]),
        inside("load-module", libc::SYS_init_module, [buffer, 0, address(c""), 0, 0, 0]),
        inside("swap", libc::SYS_swapon, [address(c"/swap"), 0, 0, 0, 0, 0]),
        outside("kernel-log", libc::SYS_syslog, [3, buffer, PAGE, 0, 0, 0]),
        inside("namespace", libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0]),
        inside("join-namespace", libc::SYS_setns, [arena, 0, 0, 0, 0, 0]),
        inside("socket-inet", libc::SYS_socket, socket_of(libc::AF_INET, libc::SOCK_STREAM)),
        inside("socket-inet-datagram", libc::SYS_socket, socket_of(libc::AF_INET, libc::SOCK_DGRAM)),
        inside("socket-inet6", libc::SYS_socket, socket_of(libc::AF_INET6, libc::SOCK_STREAM)),
        inside("socket-unix", libc::SYS_socket, socket_of(libc::AF_UNIX, libc::SOCK_STREAM)),
        inside("socket-netlink", libc::SYS_socket, socket_of(libc::AF_NETLINK, libc::SOCK_RAW)),
        inside("connect", libc::SYS_connect, [socket, buffer, 2, 0, 0, 0]),
        inside("bind", libc::SYS_bind, [socket, buffer, 2, 0, 0, 0]),
        inside("send-elsewhere", libc::SYS_sendmsg, [socket, buffer, libc::MSG_NOSIGNAL as usize, 0, 0, 0]),
        inside("receive-elsewhere", libc::SYS_recvmsg, [socket, buffer, libc::MSG_CMSG_CLOEXEC as usize, 0, 0, 0]),
        inside("send-strangely", libc::SYS_sendmsg, [3, buffer, libc::MSG_OOB as usize, 0, 0, 0]),
        inside("fork", libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]),
        inside("clone3", libc::SYS_clone3, [buffer, 64, 0, 0, 0, 0]),
        inside("thread", libc::SYS_clone, [0x3d_0f00, 0, 0, 0, 0, 0]),
        inside("map-code", libc::SYS_mmap, [0, PAGE, executable, anonymous, usize::MAX, 0]),
        inside("map-shared", libc::SYS_mmap, [0, PAGE, read_write, libc::MAP_SHARED as usize, arena, 0]),
        inside("map-huge", libc::SYS_mmap, [0, 2 << 20, 3, anonymous | libc::MAP_HUGETLB as usize, usize::MAX, 0]),
        inside("make-code", libc::SYS_mprotect, [page, PAGE, executable, 0, 0, 0]),
        inside("make-code-by-key", libc::SYS_pkey_mprotect, [page, PAGE, executable, usize::MAX, 0, 0]),
        inside("move-memory", libc::SYS_mremap, [page, PAGE, PAGE, 3, page, 0]),
        inside("advise-free", libc::SYS_madvise, [page, PAGE, libc::MADV_FREE as usize, 0, 0, 0]),
        inside("advise-remove", libc::SYS_madvise, [page, PAGE, libc::MADV_REMOVE as usize, 0, 0, 0]),
        inside("lock-memory", libc::SYS_mlock, [page, PAGE, 0, 0, 0, 0]),
        inside("file-in-memory", libc::SYS_memfd_create, [address(c"x"), 0, 0, 0, 0, 0]),
        inside("secret-memory", libc::SYS_memfd_secret, [0; 6]),
        inside("truncate", libc::SYS_ftruncate, [arena, 0, 0, 0, 0, 0]),
        inside("punch-hole", libc::SYS_fallocate, [arena, 3, 0, PAGE, 0, 0]),
        inside("seal", libc::SYS_fcntl, [arena, libc::F_ADD_SEALS as usize, 8, 0, 0, 0]),
        inside("owner-of-signals", libc::SYS_fcntl, [arena, libc::F_SETOWN as usize, victim, 0, 0, 0]),
        inside("read-far-descriptor", libc::SYS_pread64, [1000, buffer, 1, 0, 0, 0]),
        inside("write-far-descriptor", libc::SYS_pwrite64, [usize::MAX, buffer, 1, 0, 0, 0]),
        inside("write-socket", libc::SYS_write, [3, buffer, 1, 0, 0, 0]),
        inside("duplicate", libc::SYS_dup3, [arena, 30, 0, 0, 0, 0]),
        inside("pipe", libc::SYS_pipe2, [buffer, 0, 0, 0, 0, 0]),
        inside("ioctl", libc::SYS_ioctl, [0, 0x5412, buffer, 0, 0, 0]),
        inside("ring", libc::SYS_io_uring_setup, [1, buffer, 0, 0, 0, 0]),
        inside("user-faults", libc::SYS_userfaultfd, [0; 6]),
        inside("bpf", libc::SYS_bpf, [0, buffer, 48, 0, 0, 0]),
        inside("performance", libc::SYS_perf_event_open, [buffer, 0, usize::MAX, usize::MAX, 0, 0]),
        inside("key", libc::SYS_keyctl, [0, 0xffff_fffd, 0, 0, 0, 0]),
        inside("add-key", libc::SYS_add_key, [address(c"user"), address(c"x"), buffer, 1, 0xffff_fffd, 0]),
        inside("be-dumpable", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0, 0, 0]),
        inside("outlive", libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, 0, 0, 0, 0, 0]),
        inside("personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
        inside("filter", libc::SYS_seccomp, [2, 0, buffer, 0, 0, 0]),
        inside("be-root", libc::SYS_setresuid, [0; 6]),
        inside("raise-limit", libc::SYS_setrlimit, [libc::RLIMIT_CORE as usize, buffer, 0, 0, 0, 0]),
        inside("kill-own-group", libc::SYS_kill, [0, 0, 0, 0, 0, 0]),
        inside("handle-violations", libc::SYS_rt_sigaction, [libc::SIGSYS as usize, 0, 0, 8, 0, 0]),
        inside("timer", libc::SYS_setitimer, [0, buffer, 0, 0, 0, 0]),
        inside("sleep", libc::SYS_nanosleep, [buffer, 0, 0, 0, 0, 0]),
        inside("clock-of-another", libc::SYS_clock_gettime, [!victim << 3 | 6, buffer, 0, 0, 0, 0]),
        inside("shared-memory", libc::SYS_shmget, [0, PAGE, 0o1600, 0, 0, 0]),
        inside("message-queue", libc::SYS_msgget, [0, 0o1600, 0, 0, 0, 0]),
        inside("futex-inheritance", libc::SYS_futex, [buffer, libc::FUTEX_LOCK_PI as usize, 0, 0, 0, 0]),
        inside("futex-requeue", libc::SYS_futex, [buffer, libc::FUTEX_REQUEUE as usize, 0, 0, buffer, 0]),
        inside("watch-files", libc::SYS_inotify_init1, [0; 6]),
        inside("privileges", libc::SYS_capset, [buffer, 0, 0, 0, 0, 0]),
    ];
    #[cfg(target_arch = "x86_64")]
    all.extend([
        outside("open", libc::SYS_open, [address(c"/etc/passwd"), 0, 0, 0, 0, 0]),
        outside("stat", libc::SYS_stat, [address(c"/etc/passwd"), buffer, 0, 0, 0, 0]),
        inside("fork-itself", libc::SYS_fork, [0; 6]),
        inside("number-of-x32", libc::SYS_getpid | 0x4000_0000, [0; 6]),
        inside("number-of-32-bits", OLD_GATE, [0; 6]),
        inside("port", libc::SYS_ioperm, [0x80, 1, 1, 0, 0, 0]),
        inside("segments", libc::SYS_modify_ldt, [0, buffer, 8, 0, 0, 0]),
    ]);
    all
}

/// Everything that a worker does in its batches. Panics where it cannot.
pub(crate) fn work(socket: &Socket, arena: &OwnedFd) {
    // A message with a descriptor, which is one more than it has.
    let received = socket.recv(&mut [0; 64], Descriptors::Accept).expect("a message");
    assert_eq!(received.fds.len(), 1);
    let second = File::from(received.fds.into_iter().next().expect("one")).try_clone().expect("a descriptor");
    pwrite_all(arena.as_fd(), b"result", 8).expect("it is writable");
    pread_exact(arena.as_fd(), &mut [0; 6], 8).expect("it was written");
    pread_exact(second.as_fd(), &mut [0; 6], 0).expect("it was sent");
    drop(second);
    // Memory comes, moves and goes.
    let mut bytes = vec![1_u8; 300 << 10];
    for _ in 0..8 {
        bytes.extend_from_within(..);
    }
    assert_eq!(std::hint::black_box(&bytes).len(), (300 << 10) << 8);
    drop(bytes);
    let map = std::collections::HashMap::from([(1, 2)]);
    assert_eq!(map.get(&1), Some(&2));
    assert!(std::time::Instant::now().elapsed().as_secs() < 60);
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let clock = libc::CLOCK_MONOTONIC as usize;
    assert_eq!(call(libc::SYS_clock_gettime, [clock, ptr::from_mut(&mut now).addr(), 0, 0, 0, 0]), 0);
    // What the pool asks for is refused, and nothing dies.
    assert_eq!(call(libc::SYS_process_madvise, [arena.as_raw_fd() as usize, 0, 0, 4, 0, 0]), -1);
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EPERM));
    assert_eq!(call(libc::SYS_futex, [ptr::from_mut(&mut now).addr(), 1 | 128, 1, 0, 0, 0]), 0);
    assert_eq!(call(libc::SYS_write, [2, 0, 0, 0, 0, 0]), 0);
}
