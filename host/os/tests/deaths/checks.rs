//! Deaths, for real: what each looks like from outside, and what is said at those that can be foreseen.
//!
//! The children are this same program, told by their first argument what to do. It has no test harness, since the stack
//! that overflows has to be the first thread's.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use taskhost_os::allocator::{self, Reporting};
use taskhost_os::child::{Child, End};
use taskhost_os::fault_injection::by_name;
use taskhost_os::last_words::LastWords;
use taskhost_os::rlimits::Rlimits;
use taskhost_os::sandbox::{Grants, Insistence, Layer, Policy, Role, lock};
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_os::spawn::{Namespaces, Program, Spawn};
use taskhost_os::stack_overflow;

#[global_allocator]
static ALLOCATOR: Reporting = Reporting;

const NO_MEMORY: i32 = 71;
const STACK_OVERFLOW: i32 = 72;

/// Bytes a child may have beyond what it starts with.
const MORE_DATA: u64 = 256 << 20;

pub(crate) fn run() {
    if let Some(misdeed) = std::env::args().nth(1).and_then(|role| role.strip_prefix("do=").map(str::to_owned)) {
        return child(&misdeed);
    }
    each_death_looks_as_it_is();
    deaths_that_were_foreseen_are_said();
    a_crash_that_is_sent_from_outside_is_deadly();
    cpu_time_ends();
    memory_ends_before_the_machine_does();
}

fn start(misdeed: &str, namespaces: Namespaces) -> (Child, Socket) {
    let (own, other) = Socket::pair().expect("descriptors are left");
    let role = CString::new(format!("do={misdeed}")).expect("no zero byte");
    let args: [&CStr; 1] = [&role];
    let spawn = Spawn { args: &args, program: &Program::ProcSelfExe, namespaces, core: None, socket: other.as_fd() };
    (spawn.start().expect("a process more, and namespaces"), own)
}

/// What it said, and how it ended.
fn outcome(misdeed: &str, namespaces: Namespaces) -> (Option<String>, End) {
    let (mut child, socket) = start(misdeed, namespaces);
    let said = receive(&socket);
    (said, child.wait().expect("a child").end)
}

fn receive(socket: &Socket) -> Option<String> {
    let mut buffer = [0; 4096];
    let received = socket.recv(&mut buffer, Descriptors::Refuse).expect("open");
    (!received.closed).then(|| String::from_utf8(buffer[..received.len].to_vec()).expect("text"))
}

const BOTH: [Namespaces; 2] = [Namespaces::All, Namespaces::None];

fn each_death_looks_as_it_is() {
    for namespaces in BOTH {
        for (misdeed, end) in [
            ("segv", End::Signal(libc::SIGSEGV)),
            ("kill", End::Signal(libc::SIGKILL)),
            ("sys", End::Signal(libc::SIGSYS)),
            ("exit42", End::Code(42)),
            ("panic", End::Code(101)),
        ] {
            assert_eq!(outcome(misdeed, namespaces), (None, end), "{misdeed} {namespaces:?}");
        }
    }
    // The first process of a namespace ignores an abort's signal; the C library then executes what no program may.
    assert_eq!(outcome("abort", Namespaces::None), (None, End::Signal(libc::SIGABRT)));
    assert_eq!(outcome("abort", Namespaces::All), (None, End::Signal(libc::SIGSEGV)));
}

fn deaths_that_were_foreseen_are_said() {
    for namespaces in BOTH {
        let said = |text: &str, code| (Some(text.to_owned()), End::Code(code));
        assert_eq!(outcome("overflow-stack", namespaces), said("no stack", STACK_OVERFLOW));
        assert_eq!(outcome("exhaust-memory", namespaces), said("no memory", NO_MEMORY));
    }
}

fn a_crash_that_is_sent_from_outside_is_deadly() {
    for namespaces in BOTH {
        for signal in [rustix::process::Signal::SEGV, rustix::process::Signal::BUS] {
            let (mut child, socket) = start("wait", namespaces);
            assert_eq!(receive(&socket).as_deref(), Some("ready"));
            rustix::process::pidfd_send_signal(&child, signal).expect("a child");
            assert_eq!(child.wait().expect("a child").end, End::Signal(libc::SIGSEGV));
        }
    }
}

fn cpu_time_ends() {
    let (mut child, socket) = start("spin", Namespaces::All);
    assert_eq!(receive(&socket), None);
    let exit = child.wait().expect("a child");
    assert_eq!(exit.end, End::Signal(libc::SIGKILL));
    // It is told to end by a clock that counts whole ticks: on a busy machine that one runs ahead of the report's, by a
    // quarter as seen here.
    assert!((exit.user_time + exit.system_time).as_millis() > 500, "{exit:?}");
}

fn memory_ends_before_the_machine_does() {
    let (mut child, socket) = start("count", Namespaces::All);
    let megabytes: u64 = receive(&socket).expect("a number").parse().expect("a number");
    assert!((200..=256).contains(&megabytes), "{megabytes}");
    assert_eq!(child.wait().expect("a child").end, End::Code(0));
}

/// A child: prepared as a worker is, then it does what it was told.
fn child(misdeed: &str) {
    static SOCKET: OnceLock<Socket> = OnceLock::new();
    let socket = SOCKET.get_or_init(|| Socket::inherited().expect("the parent's socket"));
    let words = |text: &str, code| LastWords::new(socket.as_fd(), text.as_bytes().to_vec(), code);
    stack_overflow::report_on(words("no stack", STACK_OVERFLOW)).expect("the first thread");
    if misdeed != "count" {
        allocator::report_failure_on(words("no memory", NO_MEMORY));
    }
    let cpu = (misdeed == "spin").then_some(1);
    Rlimits { more_data: MORE_DATA, cpu }.set().expect("limits are lowered");
    // Without the filter, under which some of these deaths look otherwise (`walls.rs` has those).
    let policy = Policy { insistence: Insistence::Auto, without: vec![Layer::SystemCalls] };
    let grants = Grants { control: socket.as_fd(), slots: 1, file_bytes: None, threads: 1 };
    lock(Role::Execute, &policy, &grants).expect("any Linux allows that");
    match misdeed {
        "wait" => {
            socket.send(b"ready", &[]).expect("the parent listens");
            let _ = socket.recv(&mut [0; 8], Descriptors::Refuse);
        }
        "count" => {
            // Nothing was prepared for this, so the end of memory is no reason to end.
            let megabytes = megabytes_until_refused();
            socket.send(megabytes.to_string().as_bytes(), &[]).expect("the parent listens");
        }
        misdeed => by_name(misdeed).expect("there is such a misdeed")(),
    }
}

/// How many megabytes a caller gets that can cope with getting none.
fn megabytes_until_refused() -> usize {
    let mut all = Vec::with_capacity(1024);
    while all.len() < 1024 {
        let mut megabyte = Vec::<u8>::new();
        if megabyte.try_reserve_exact(1 << 20).is_err() {
            break;
        }
        all.push(std::hint::black_box(megabyte));
    }
    all.len()
}
