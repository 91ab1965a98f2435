//! What the new process does between `clone` and `execve`, while it still uses the parent's memory; and, with memory of its own,
//! one that is to go on without executing anything.
//!
//! Rules for this file: nothing allocates, locks or panics; every call is a plain system call (async-signal-safe);
//! every string was prepared before. A failure is written into the shared [`Outcome`] and the process ends.
//!
//! The order matters. The parent-death signal comes first so that no child outlives its parent; descriptors are closed
//! before the program runs; signals are unblocked only after every handler of the parent was reset.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use super::{NAMESPACE_FLAGS, SOCKET_FD, WorkerUser};
use crate::cores::affinity::Mask;

/// The steps of starting a process, for error messages: "failed to …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// Make the process and its namespaces.
    Clone = 1,
    /// Ask to be killed when the parent thread ends.
    ParentDeathSignal,
    /// Leave the parent's session and process group.
    Session,
    /// Become a user of its own.
    User,
    /// Make the rest of its namespaces.
    Namespaces,
    /// Give up `setgroups` in its user namespace.
    Groups,
    /// Map its group.
    GroupMap,
    /// Map its user.
    UserMap,
    /// Put its socket in place.
    Socket,
    /// Put /dev/null in place of the standard streams.
    StandardStreams,
    /// Close all other descriptors.
    CloseDescriptors,
    /// Give up new privileges.
    NoNewPrivileges,
    /// Execute the program.
    Execute,
}

impl Step {
    /// The step of this number.
    pub(crate) fn numbered(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u32 == number)
    }

    const ALL: [Self; 13] = [
        Self::Clone,
        Self::ParentDeathSignal,
        Self::Session,
        Self::User,
        Self::Namespaces,
        Self::Groups,
        Self::GroupMap,
        Self::UserMap,
        Self::Socket,
        Self::StandardStreams,
        Self::CloseDescriptors,
        Self::NoNewPrivileges,
        Self::Execute,
    ];

    /// Whether it belongs to setting up the user namespace.
    pub(super) fn maps_ids(self) -> bool {
        matches!(self, Self::User | Self::Namespaces | Self::Groups | Self::GroupMap | Self::UserMap)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clone => "make the process",
            Self::ParentDeathSignal => "set the parent-death signal",
            Self::Session => "start a session",
            Self::User => "become a user of its own",
            Self::Namespaces => "make its namespaces",
            Self::Groups => "deny setgroups",
            Self::GroupMap => "map the group",
            Self::UserMap => "map the user",
            Self::Socket => "place its socket",
            Self::StandardStreams => "open /dev/null",
            Self::CloseDescriptors => "close other descriptors",
            Self::NoNewPrivileges => "give up new privileges",
            Self::Execute => "execute the program",
        })
    }
}

/// Where the child reports to the parent, in the memory they share.
#[derive(Default)]
pub(crate) struct Outcome {
    failed_step: AtomicU32,
    errno: AtomicI32,
    pinned: AtomicBool,
}

impl Outcome {
    /// What failed, if anything did.
    pub(crate) fn failure(&self) -> Option<(Step, io::Error)> {
        let number = self.failed_step.load(Ordering::Acquire);
        let step = Step::numbered(number)?;
        Some((step, io::Error::from_raw_os_error(self.errno.load(Ordering::Relaxed))))
    }

    /// Whether the child runs on the cpu that was asked for.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Acquire)
    }
}

/// One line for `uid_map` or `gid_map`, in a buffer that needs no allocation.
pub(super) struct IdMap {
    text: [u8; 24],
    len: usize,
}

impl IdMap {
    /// Inside it is user (or group) 0, outside it is `id`, and there is no other.
    fn root_is(id: u32) -> Self {
        let mut text = [0; 24];
        let mut rest = &mut text[..];
        write!(rest, "0 {id} 1").expect("fits: the number has at most ten digits");
        let len = 24 - rest.len();
        Self { text, len }
    }
}

/// The maps of a new user namespace.
pub(crate) struct IdMaps {
    group: IdMap,
    user: IdMap,
}

impl IdMaps {
    /// Maps a user and the group of the same number, to be used by a process that is them; or else the effective user and
    /// group of this process, the only ones that need no privilege to map.
    pub(crate) fn of(user: Option<WorkerUser>) -> Self {
        match user {
            Some(user) => Self { group: IdMap::root_is(user.number()), user: IdMap::root_is(user.number()) },
            None => Self {
                group: IdMap::root_is(rustix::process::getegid().as_raw()),
                user: IdMap::root_is(rustix::process::geteuid().as_raw()),
            },
        }
    }
}

/// A change of user, after which the namespaces are made.
pub(crate) struct Change {
    user: WorkerUser,
    namespaces: c_int,
}

impl Change {
    /// All namespaces but that of processes, in which the child is already.
    pub(crate) fn to(user: WorkerUser) -> Self {
        Self { user, namespaces: NAMESPACE_FLAGS & !libc::CLONE_NEWPID }
    }

    /// Makes it. By system calls: the C library's functions would change the parent's threads, too, as they take this
    /// process for one of them.
    fn make(&self) -> Result<(), Failure> {
        let id = self.user.number();
        // SAFETY: the list of groups is empty and not looked at.
        check_long(Step::User, unsafe { libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()) })?;
        // SAFETY: takes no memory.
        check_long(Step::User, unsafe { libc::syscall(libc::SYS_setresgid, id, id, id) })?;
        // SAFETY: takes no memory.
        check_long(Step::User, unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) })?;
        // That made the memory, which is the parent's as well, one that is not to be dumped, and files in /proc root's.
        // SAFETY: takes no memory. The parent is dumpable, as the module asks for.
        check(Step::User, unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) })?;
        // SAFETY: takes no memory; what is made is this process's own.
        check(Step::Namespaces, unsafe { libc::unshare(self.namespaces) })?;
        Ok(())
    }
}

/// How a new process is set apart from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// Whether it gets namespaces of its own.
    pub(crate) unshared: bool,
    /// Who it is, if it is to be somebody of its own.
    pub(crate) user: Option<WorkerUser>,
    /// The logical cpu that it is pinned to.
    pub(crate) core: Option<u32>,
}

/// What becomes of a new process before it is a worker. The one who makes it keeps alive what is pointed to.
pub(crate) struct Request<'a> {
    /// The socket that becomes [`SOCKET_FD`].
    pub(crate) socket: c_int,
    /// With a user namespace: how its ids are mapped.
    pub(crate) maps: Option<IdMaps>,
    /// With a user of its own: how it becomes that.
    pub(crate) user: Option<Change>,
    /// The cpu to run on.
    pub(crate) affinity: Option<Mask>,
    /// The parent as the child sees it, where it can: in a process namespace of its own it sees none.
    pub(crate) parent: Option<i32>,
    /// Where to report.
    pub(crate) outcome: &'a Outcome,
}

impl<'a> Request<'a> {
    /// For a process with this socket and parent.
    pub(crate) fn new(apart: Apart, socket: BorrowedFd<'_>, parent: i32, outcome: &'a Outcome) -> Self {
        Self {
            socket: socket.as_raw_fd(),
            maps: apart.unshared.then(|| IdMaps::of(apart.user)),
            user: apart.user.map(Change::to),
            affinity: apart.core.map(crate::cores::affinity::mask_of),
            parent: (!apart.unshared).then_some(parent),
            outcome,
        }
    }
}

/// The same for a process that is to execute a program.
pub(super) struct Execution<'a> {
    /// Path of the program.
    pub(super) program: *const c_char,
    /// Arguments, ending with a null pointer.
    pub(super) argv: *const *const c_char,
    /// What comes before.
    pub(super) request: Request<'a>,
}

/// Runs in the child, and never returns to the parent's code.
pub(super) extern "C" fn child_main(execution: *mut c_void) -> c_int {
    // SAFETY: the parent passed a pointer to an `Execution` that it keeps alive, and only reads while this runs.
    let execution = unsafe { &*execution.cast::<Execution<'_>>() };
    let request = &execution.request;
    // A vforked process says this of itself alone, though its memory is the parent's (`__set_oom_adj` in fs/proc/base.c). Where it
    // cannot be said, workers are ended by their size, as others are.
    let _ = write_file(Step::Execute, crate::out_of_memory::OWN, crate::out_of_memory::WORKER);
    let Err((step, errno)) =
        prepare(request).and_then(|()| place_descriptors(request.socket)).and_then(|()| execute(execution));
    request.outcome.errno.store(errno, Ordering::Relaxed);
    request.outcome.failed_step.store(step as u32, Ordering::Release);
    // SAFETY: ends this process only, without running exit handlers of the memory it shares.
    unsafe { libc::_exit(127) }
}

/// What failed and with which errno.
pub(crate) type Failure = (Step, i32);

/// Turns the result of a call into a failure of `step` when it is negative.
fn check(step: Step, result: c_int) -> Result<c_int, Failure> {
    if result >= 0 { Ok(result) } else { Err((step, last_errno())) }
}

/// The same for a result as wide as a register.
fn check_long(step: Step, result: c_long) -> Result<(), Failure> {
    if result >= 0 { Ok(()) } else { Err((step, last_errno())) }
}

fn last_errno() -> i32 {
    // SAFETY: always points to this thread's errno; the parent's thread, whose it is, is stopped.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: valid for reads, as above.
    unsafe { *location }
}

/// Makes this process what the request asks for, but for its descriptors.
pub(crate) fn prepare(request: &Request<'_>) -> Result<(), Failure> {
    die_with_parent(request.parent)?;
    // SAFETY: takes no memory. Leaves the parent's process group, through which signals could pass either way.
    check(Step::Session, unsafe { libc::setsid() })?;
    if let Some(nice) = crate::priority::stepped_back() {
        // The coordinator asks again where this is refused.
        let _ = write_file(Step::Session, c"/proc/self/autogroup", nice.text());
    }
    if let Some(mask) = &request.affinity {
        request.outcome.pinned.store(mask.apply().is_ok(), Ordering::Release);
    }
    if let Some(change) = &request.user {
        change.make()?;
        // Whoever becomes another user forgets about its parent.
        die_with_parent(request.parent)?;
    }
    if let Some(maps) = &request.maps {
        write_file(Step::Groups, c"/proc/self/setgroups", b"deny")?;
        write_file(Step::GroupMap, c"/proc/self/gid_map", maps.group.text.get(..maps.group.len).unwrap_or(&[]))?;
        write_file(Step::UserMap, c"/proc/self/uid_map", maps.user.text.get(..maps.user.len).unwrap_or(&[]))?;
    }
    // SAFETY: a flag of this process; takes no memory.
    check(Step::NoNewPrivileges, unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    crate::signals::reset_all();
    crate::signals::unblock_all();
    Ok(())
}

fn die_with_parent(parent: Option<i32>) -> Result<(), Failure> {
    // SAFETY: an attribute of this process; takes no memory.
    check(Step::ParentDeathSignal, unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
    // A parent that was killed before that call sends no signal. In a process namespace it cannot be seen; there the
    // end of the control socket tells.
    // SAFETY: takes no memory.
    if parent.is_some_and(|parent| unsafe { libc::getppid() } != parent) {
        return Err((Step::ParentDeathSignal, libc::ESRCH));
    }
    Ok(())
}

fn write_file(step: Step, path: &CStr, text: &[u8]) -> Result<(), Failure> {
    // SAFETY: `path` ends with a zero byte.
    let fd = check(step, unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) })?;
    // SAFETY: `text` is valid for reads of its length.
    let written = unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
    let result = if written < 0 { Err((step, last_errno())) } else { Ok(()) };
    // SAFETY: the descriptor was opened above, in this process's own table.
    unsafe { libc::close(fd) };
    result
}

/// Socket to 3, /dev/null to 0, 1 and 2, nothing else. The table is this process's own copy.
pub(crate) fn place_descriptors(socket: c_int) -> Result<(), Failure> {
    if socket == SOCKET_FD {
        // SAFETY: clears close-on-exec of a descriptor that the parent holds open.
        check(Step::Socket, unsafe { libc::fcntl(SOCKET_FD, libc::F_SETFD, 0) })?;
    } else {
        // SAFETY: changes this process's own table of descriptors.
        check(Step::Socket, unsafe { libc::dup3(socket, SOCKET_FD, 0) })?;
    }
    // SAFETY: the path ends with a zero byte.
    let null = check(Step::StandardStreams, unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) })?;
    for stream in 0..=2 {
        if null != stream {
            // SAFETY: changes this process's own table of descriptors.
            check(Step::StandardStreams, unsafe { libc::dup3(null, stream, 0) })?;
        }
    }
    // SAFETY: closes descriptors of this process's own table; nothing below uses one above the socket.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, SOCKET_FD + 1, c_int::MAX, 0) };
    if closed < 0 { Err((Step::CloseDescriptors, last_errno())) } else { Ok(()) }
}

fn execute(execution: &Execution<'_>) -> Result<std::convert::Infallible, Failure> {
    let environment: [*const c_char; 1] = [ptr::null()];
    // SAFETY: the parent made `program` and `argv` of strings that end with a zero byte and of a list that ends with a
    // null pointer, and keeps them alive; `environment` is such a list, too.
    unsafe { libc::execve(execution.program, execution.argv, environment.as_ptr()) };
    Err((Step::Execute, last_errno()))
}
