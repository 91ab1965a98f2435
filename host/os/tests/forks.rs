//! Workers that are forked, for real: they are what a worker is that was started by itself, and nobody else notices the server.
//!
//! Server and workers are this same program, told by their first argument what to be. It has no test harness, since that starts
//! threads.

#![expect(
    unsafe_code,
    reason = "becoming another user, and killing a process at a certain place, is the business of these tests alone"
)]
#![expect(clippy::print_stdout, reason = "what was looked at is for whoever runs the tests")]

#[path = "walls/raw.rs"]
mod raw;
#[path = "forks/tracer.rs"]
mod tracer;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd as _;

use taskhost_os::child::{Child, End};
use taskhost_os::fork_server::{self, ForkError, ForkServer, Ordered, SERVER_ARGUMENT, WORKER_ARGUMENT};
use taskhost_os::process_id::ProcessId;
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_os::spawn::{Namespaces, Program, Spawn, SpawnError, Step, WorkerUser, can_give_users};

/// Longest message of these tests.
const MESSAGE: usize = 64 * 1024;

/// What a worker ends with.
const CODE: i32 = 7;

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument.as_bytes() == WORKER_ARGUMENT.to_bytes() {
        std::process::exit(live(Socket::inherited().expect("a worker has a socket")));
    }
    if argument.as_bytes() == SERVER_ARGUMENT.to_bytes() {
        fork_server::serve(live).expect("a server can serve");
        return;
    }
    check("this user");
    if rustix::process::geteuid().is_root() {
        let ended = raw::in_fork(|| {
            raw::become_nobody();
            check("nobody");
            0
        });
        assert_eq!(ended, End::Code(0), "the checks failed for an unprivileged user");
    }
}

fn check(user: &str) {
    for (name, scenario) in SCENARIOS {
        scenario();
        println!("test forks::{name}, as {user} ... ok");
    }
}

const SCENARIOS: [(&str, fn()); 10] = [
    ("a_forked_worker_is_what_a_spawned_one_is", a_forked_worker_is_what_a_spawned_one_is),
    ("its_end_is_told", its_end_is_told),
    ("workers_of_a_server_share_their_addresses_and_those_of_two_do_not", addresses_are_the_servers),
    ("what_is_refused_is_named_and_leaves_nothing", what_is_refused_is_named_and_leaves_nothing),
    ("workers_outlive_their_server", workers_outlive_their_server),
    ("a_server_that_is_gone_is_an_error", a_server_that_is_gone_is_an_error),
    ("what_a_server_made_that_was_killed_over_it_ends_with_it", what_a_server_made_that_was_killed_over_it),
    ("several_are_made_at_a_time", several_are_made_at_a_time),
    ("what_another_server_was_asked_for_is_an_error", what_another_server_was_asked_for_is_an_error),
    ("a_server_ends_with_its_token", a_server_ends_with_its_token),
];

/// The life of a worker: it tells what it is, and ends when it may.
fn live(socket: Socket) -> i32 {
    socket.send(describe_self().as_bytes(), &[]).expect("the parent listens");
    let closed = socket.recv(&mut [0; 8], Descriptors::Refuse).expect("the parent says something").closed;
    // A pipe that nobody reads is an error, not the end.
    let (ours, theirs) = rustix::pipe::pipe().expect("a pipe");
    drop(ours);
    assert!(rustix::io::write(&theirs, b"x").is_err());
    if closed { 0 } else { CODE }
}

/// Everything that the kernel tells a process of itself, but for times and memory.
fn describe_self() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_else(|error| error.to_string());
    let stat = read("/proc/self/stat");
    let behind = stat.rsplit_once(')').map(|(_, behind)| behind).unwrap_or_default();
    let mut lines: Vec<String> = read("/proc/self/status")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| COMPARED.contains(name))
        .map(|(name, value)| format!("{name}={}", value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let mut open: Vec<String> = fs::read_dir("/proc/self/fd")
        .expect("/proc")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    open.sort();
    // Its group, its session and its terminal, as its number is outside of its namespace.
    let [group, session, terminal] = [2, 3, 4].map(|place| behind.split_whitespace().nth(place).unwrap_or_default());
    let own = stat.split(' ').next().unwrap_or_default();
    lines.extend([
        format!("pid={}", std::process::id()),
        format!("arguments={:?}", std::env::args().collect::<Vec<_>>()),
        format!("command={:?}", read("/proc/self/cmdline")),
        format!("environment={:?}", std::env::vars_os().collect::<Vec<_>>()),
        format!("open={}", open.join(" ")),
        format!("leads its group and session={}", [group, session, terminal] == [own, own, "0"]),
        format!("users={:?}", read("/proc/self/uid_map")),
        format!("groups={:?}", read("/proc/self/gid_map")),
        format!("limits={:?}", read("/proc/self/limits")),
        format!("folder={:?}", std::env::current_dir()),
        format!("dies with={:?}", rustix::process::parent_process_death_signal()),
        format!("can be looked into={:?}", rustix::process::dumpable_behavior()),
        format!("code={:#x}", main as fn() as usize),
    ]);
    lines.join("\n")
}

/// Of `/proc/self/status`. Not the signals that are caught: Rust's runtime catches two, to tell of a stack that overflowed, until a
/// worker does that itself.
const COMPARED: [&str; 16] = [
    "Name",
    "Umask",
    "TracerPid",
    "Uid",
    "Gid",
    "Groups",
    "Threads",
    "SigBlk",
    "SigIgn",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
];

/// What a worker said, by name.
type Report = BTreeMap<String, String>;

fn report_on(socket: &Socket) -> Report {
    let mut buffer = vec![0; MESSAGE];
    let received = socket.recv(&mut buffer, Descriptors::Refuse).expect("a message");
    assert!(!received.closed, "the worker ended without a word");
    let text = String::from_utf8_lossy(&buffer[..received.len]).into_owned();
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

fn server() -> ForkServer {
    ForkServer::start().expect("a process more")
}

fn fork(server: &ForkServer, namespaces: Namespaces, user: Option<WorkerUser>) -> (Child, Socket, Report) {
    let (own, other) = Socket::pair().expect("descriptors are left");
    let child = server.fork(namespaces, user, Some(0), other.as_fd()).expect("a process more");
    drop(other);
    let report = report_on(&own);
    (child, own, report)
}

fn spawn(namespaces: Namespaces, user: Option<WorkerUser>) -> (Child, Socket, Report) {
    let (own, other) = Socket::pair().expect("descriptors are left");
    let program = &Program::ProcSelfExe;
    let spawn = Spawn { args: &[WORKER_ARGUMENT], program, namespaces, core: Some(0), socket: other.as_fd() };
    let child = match user {
        Some(user) => spawn.start_as(user),
        None => spawn.start(),
    }
    .expect("a process more");
    drop(other);
    let report = report_on(&own);
    (child, own, report)
}

fn a_forked_worker_is_what_a_spawned_one_is() {
    let server = server();
    // One who is a user of its own cannot execute a program that only its owner may read: these tests' may be such.
    let user = WorkerUser::for_slot(60_000).filter(|_| can_give_users());
    for (namespaces, user) in [(Namespaces::All, None), (Namespaces::None, None), (Namespaces::All, user)] {
        let (forked, _its, mut one) = fork(&server, namespaces, user);
        let (spawned, _other, mut two) = spawn(namespaces, user);
        assert_eq!(forked.is_pinned(), spawned.is_pinned());
        for report in [&mut one, &mut two] {
            assert!(report.remove("code").is_some());
            assert_eq!(report.remove("leads its group and session").as_deref(), Some("true"));
            // Outside of a namespace of its own it is any.
            if namespaces == Namespaces::None {
                report.remove("pid");
            }
        }
        assert_eq!(one.get("open").map(String::as_str), Some("0 1 2 3 4"), "and the folder that is being read");
        assert_eq!(one.get("arguments").map(String::as_str), Some(r#"["taskhost", "__worker"]"#));
        assert_eq!(one, two, "{namespaces:?} {user:?}");
    }
}

fn its_end_is_told() {
    let server = server();
    let (mut child, socket, _) = fork(&server, Namespaces::All, None);
    socket.send(b"go", &[]).expect("the worker listens");
    assert_eq!(child.wait().expect("it is this process's child").end, End::Code(CODE));
    let (mut child, _socket, _) = fork(&server, Namespaces::All, None);
    child.kill().expect("it is there");
    assert_eq!(child.wait().expect("it is this process's child").end, End::Signal(9));
}

fn addresses_are_the_servers() {
    let (one, two) = (server(), server());
    let address = |server: &ForkServer| fork(server, Namespaces::All, None).2.remove("code");
    assert_eq!(address(&one), address(&one));
    assert_ne!(address(&one), address(&two));
}

fn what_is_refused_is_named_and_leaves_nothing() {
    let server = server();
    // A user is more than somebody without privileges may give.
    if can_give_users() {
        return;
    }
    let (_own, other) = Socket::pair().expect("descriptors are left");
    let refused = server.fork(Namespaces::All, WorkerUser::for_slot(60_001), None, other.as_fd());
    let Err(ForkError::Spawn(SpawnError::NamespacesRefused { step, .. })) = refused else { panic!("{refused:?}") };
    assert!(matches!(step, Step::User | Step::Clone), "{step}");
    assert_eq!(children(), 1, "the server");
    // It goes on.
    drop(fork(&server, Namespaces::None, None));
}

fn workers_outlive_their_server() {
    let server = server();
    let (mut child, socket, _) = fork(&server, Namespaces::All, None);
    drop(server);
    socket.send(b"go", &[]).expect("the worker listens");
    assert_eq!(child.wait().expect("it is this process's child").end, End::Code(CODE));
}

fn a_server_that_is_gone_is_an_error() {
    let server = server();
    let id = children_of(ProcessId::current()).into_iter().next().expect("the server is a child");
    let id = rustix::process::Pid::from_raw(id).expect("a process");
    rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it is there");
    let (_own, other) = Socket::pair().expect("descriptors are left");
    let refused = server.fork(Namespaces::None, None, None, other.as_fd());
    assert!(matches!(refused, Err(ForkError::Gone(_))), "{refused:?}");
}

/// The coordinator has another worker made then, with the same socket: that one is to be alone with it.
fn what_a_server_made_that_was_killed_over_it() {
    for namespaces in [Namespaces::All, Namespaces::None] {
        let server = server();
        // It serves.
        drop(fork(&server, namespaces, None));
        let id = children_of(ProcessId::current()).into_iter().next().expect("the server is a child");
        let Some(killed) = tracer::kill_when_it_forks(id) else {
            println!("nobody is traced here");
            return;
        };
        let (own, other) = Socket::pair().expect("descriptors are left");
        let refused = server.fork(namespaces, None, Some(0), other.as_fd());
        assert!(matches!(refused, Err(ForkError::Gone(_))), "{namespaces:?}: {refused:?}");
        killed.join().expect("it was killed where it should be");
        assert_eq!(children(), 1, "{namespaces:?}: what is left of the server");
        drop(other);
        // Whatever the worker has said until then, nobody says any more.
        while !own.recv(&mut [0; MESSAGE], Descriptors::Refuse).expect("an open socket").closed {}
        drop(server);
        assert_eq!(children(), 0, "{namespaces:?}");
    }
}

fn several_are_made_at_a_time() {
    let server = server();
    let sockets: Vec<(Socket, Socket)> = (0..3).map(|_| Socket::pair().expect("descriptors are left")).collect();
    let order = |(_, theirs): &(Socket, Socket)| server.order(Namespaces::All, None, Some(0), theirs.as_fd());
    let mut ordered: Vec<Ordered> = sockets.iter().map(|pair| order(pair).expect("the server serves")).collect();
    // In whatever order they are collected, each has its socket.
    let third = server.collect(ordered.pop().expect("three were ordered")).expect("a process more");
    let first = server.collect(ordered.remove(0)).expect("a process more");
    for (mut child, place) in [(third, 2), (first, 0)] {
        let (own, _) = &sockets[place];
        assert_eq!(report_on(own)["pid"], "1");
        own.send(b"go", &[]).expect("the worker listens");
        assert_eq!(child.wait().expect("it is this process's child").end, End::Code(CODE));
    }
    // What nobody collects goes with the server, whether it is made by now or not.
    drop((ordered, server));
    assert_eq!(children(), 0);
}

fn what_another_server_was_asked_for_is_an_error() {
    let (one, other) = (server(), server());
    let (_own, theirs) = Socket::pair().expect("descriptors are left");
    let ordered = one.order(Namespaces::None, None, None, theirs.as_fd()).expect("the server serves");
    let refused = other.collect(ordered);
    assert!(matches!(refused, Err(ForkError::Gone(_))), "{refused:?}");
    drop((one, other));
    assert_eq!(children(), 0);
}

fn a_server_ends_with_its_token() {
    drop(server());
    assert_eq!(children(), 0);
}

/// Processes whose parent is this one, zombies included.
fn children() -> usize {
    children_of(ProcessId::current()).len()
}

fn children_of(parent: ProcessId) -> Vec<i32> {
    let list = format!("/proc/{parent}/task/{parent}/children");
    fs::read_to_string(list).expect("/proc").split_whitespace().filter_map(|id| id.parse().ok()).collect()
}
