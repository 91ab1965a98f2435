//! Child processes, for real: what a child inherits (nothing), what it can see, how its end is told.
//!
//! The children are this same test program, which is told by a filter such as `role=report` what to be.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::AsFd as _;

use taskhost_os::child::{Child, End};
use taskhost_os::cores::current_affinity;
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_os::spawn::{Namespaces, Program, Spawn, SpawnError};

/// Longest message of these tests.
const MESSAGE: usize = 64 * 1024;

fn start(role: &CStr, namespaces: Namespaces, core: Option<u32>) -> (Child, Socket) {
    let (own, other) = Socket::pair().expect("descriptors are left");
    let args = [c"child", c"--exact", c"--nocapture", c"--test-threads=1", role];
    let spawn = Spawn { args: &args, program: &Program::ProcSelfExe, namespaces, core, socket: other.as_fd() };
    let child = match spawn.start() {
        Err(SpawnError::NamespacesRefused { step, error }) => panic!("namespaces are refused here: {step}: {error}"),
        result => result.expect("a process more"),
    };
    (child, own)
}

fn receive(socket: &Socket) -> String {
    let mut buffer = vec![0; MESSAGE];
    let received = socket.recv(&mut buffer, Descriptors::Refuse).expect("a message");
    assert!(!received.closed, "the child ended without a word");
    String::from_utf8(buffer[..received.len].to_vec()).expect("text")
}

/// What a child says of itself, as lines of `name=value`.
fn report(namespaces: Namespaces, core: Option<u32>) -> Vec<String> {
    let (mut child, socket) = start(c"role=report", namespaces, core);
    let text = receive(&socket);
    assert_eq!(child.wait().expect("a child").end, End::Code(0));
    text.lines().map(str::to_owned).collect()
}

fn value<'a>(report: &'a [String], name: &str) -> &'a str {
    let line = report.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("{name} is not in {report:?}"))
}

/// The child's side of all these tests. Run as a test of its own it does nothing.
#[test]
fn child() {
    let Some(role) = std::env::args().find_map(|arg| arg.strip_prefix("role=").map(str::to_owned)) else { return };
    let socket = Socket::inherited().expect("the parent's socket");
    match role.as_str() {
        "report" => socket.send(describe_self().as_bytes(), &[]).expect("the parent listens"),
        "wait" => {
            socket.send(b"ready", &[]).expect("the parent listens");
            let _ = socket.recv(&mut [0; 8], Descriptors::Refuse);
        }
        "sleep" => {
            socket.send(b"ready", &[]).expect("the parent listens");
            loop {
                std::thread::park();
            }
        }
        "parent" => {
            // A worker of a worker: tells its number and does nothing more. The test kills this process.
            let (grandchild, its) = start(c"role=sleep", Namespaces::All, None);
            assert_eq!(receive(&its), "ready");
            socket.send(grandchild.id().to_string().as_bytes(), &[]).expect("the parent listens");
            let _ = socket.recv(&mut [0; 8], Descriptors::Refuse);
        }
        "spin" => {
            socket.send(b"ready", &[]).expect("the parent listens");
            loop {
                std::hint::spin_loop();
            }
        }
        "stop" => {
            taskhost_os::signals::stop_self();
            socket.send(b"gone on", &[]).expect("the parent listens");
            let _ = socket.recv(&mut [0; 8], Descriptors::Refuse);
        }
        "exit" => std::process::exit(77),
        "abort" => std::process::abort(),
        role => panic!("no such role: {role}"),
    }
}

fn describe_self() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").expect("/proc");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut open: Vec<String> = fs::read_dir("/proc/self/fd")
        .expect("/proc")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = fs::read_link(entry.path()).ok()?.display().to_string();
            let target = target.split(':').next().unwrap_or_default().to_owned();
            Some(format!("{}>{target}", entry.file_name().display()))
        })
        // The folder that is being read here, and what the test harness opens for itself.
        .filter(|entry| !entry.contains("/proc/") && !entry.contains("pipe"))
        .collect();
    open.sort();
    let cpus: Vec<String> = current_affinity().iter().map(|cpu| cpu.to_string()).collect();
    let ids = fs::read_to_string("/proc/self/uid_map").expect("/proc");
    let lines = [
        format!("pid={}", std::process::id()),
        format!("environment={:?}", std::env::vars_os().collect::<Vec<_>>()),
        format!("name={}", std::env::args().next().unwrap_or_default()),
        format!("open={}", open.join(" ")),
        format!("cpus={}", cpus.join(",")),
        format!("session={}", field("NSsid")),
        format!("blocked={}", field("SigBlk")),
        format!("ignored={}", field("SigIgn")),
        format!("privileges={}", field("NoNewPrivs")),
        format!("ids={}", ids.split_whitespace().collect::<Vec<_>>().join(" ")),
        format!("network={}", fs::read_to_string("/proc/self/net/dev").unwrap_or_default().lines().count() - 2),
    ];
    lines.join("\n")
}

#[test]
fn a_child_inherits_nothing_but_its_socket() {
    let file = fs::File::open("/dev/zero").expect("every Linux has it");
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).expect("open");
    for namespaces in [Namespaces::All, Namespaces::None] {
        let report = report(namespaces, None);
        assert_eq!(value(&report, "environment"), "[]");
        assert_eq!(value(&report, "name"), "taskhost");
        assert_eq!(value(&report, "open"), "0>/dev/null 1>/dev/null 2>/dev/null 3>socket");
        assert_eq!(value(&report, "blocked"), "0000000000000000");
        assert_eq!(value(&report, "privileges"), "1");
        // The Rust runtime ignores SIGPIPE (13) by itself.
        assert_eq!(value(&report, "ignored"), "0000000000001000");
    }
}

#[test]
fn namespaces_leave_it_alone_in_its_world() {
    let report = report(Namespaces::All, None);
    assert_eq!(value(&report, "pid"), "1");
    assert!(value(&report, "session").ends_with(" 1"), "a session of its own");
    assert_eq!(value(&report, "ids"), format!("0 {} 1", rustix::process::geteuid().as_raw()));
    assert_eq!(value(&report, "network"), "1", "only a loopback device");
}

#[test]
fn without_namespaces_it_has_a_session_of_its_own() {
    let report = report(Namespaces::None, None);
    assert_eq!(value(&report, "pid"), value(&report, "session").split(' ').next_back().expect("a number"));
}

#[test]
fn it_is_pinned_before_it_runs() {
    for cpu in current_affinity().iter() {
        assert_eq!(value(&report(Namespaces::All, Some(cpu)), "cpus"), cpu.to_string());
    }
}

#[test]
fn a_cpu_that_is_gone_leaves_it_unpinned() {
    let (child, _socket) = start(c"role=wait", Namespaces::None, Some(8000));
    assert!(!child.is_pinned());
    let cpu = current_affinity().iter().next().expect("a thread runs somewhere");
    let (child, _socket) = start(c"role=wait", Namespaces::None, Some(cpu));
    assert!(child.is_pinned());
}

#[test]
fn its_end_is_told() {
    for (role, end) in [(c"role=exit", End::Code(77)), (c"role=abort", End::Signal(6))] {
        let (mut child, socket) = start(role, Namespaces::None, None);
        let exit = child.wait().expect("a child");
        assert_eq!(exit.end, end);
        assert!(exit.max_resident > 100_000 && exit.max_resident < 1 << 30, "{exit:?}");
        assert!(!(exit.user_time + exit.system_time).is_zero());
        assert_eq!(child.try_wait().expect("a child"), Some(exit));
        assert!(socket.recv(&mut [0; 8], Descriptors::Refuse).expect("open").closed);
    }
}

#[test]
fn process_one_of_a_namespace_dies_of_a_kill_too() {
    let (mut child, socket) = start(c"role=sleep", Namespaces::All, None);
    assert_eq!(receive(&socket), "ready");
    assert_eq!(child.try_wait().expect("a child"), None);
    child.kill().expect("a child");
    assert_eq!(child.wait().expect("a child").end, End::Signal(9));
    child.kill().expect("killing the dead is no error");
}

/// Waits until `condition` holds.
fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

#[test]
fn a_stopped_child_uses_no_time_and_goes_on_later() {
    for namespaces in [Namespaces::All, Namespaces::None] {
        let (mut child, socket) = start(c"role=spin", namespaces, None);
        assert_eq!(receive(&socket), "ready");
        assert!(!child.is_stopped());
        child.stop().expect("a child");
        until(|| child.is_stopped());
        assert!(child.is_stopped(), "the answer is not used up");
        // It is told to have stopped a moment before it has left its cpu.
        let mut stopped_at = child.cpu_time().expect("it was not waited for");
        until(|| {
            let before = std::mem::replace(&mut stopped_at, child.cpu_time().expect("it was not waited for"));
            before == stopped_at
        });
        assert!(!stopped_at.is_zero());
        assert_eq!(child.try_wait().expect("a child"), None, "it is stopped, not ended");
        assert_eq!(child.cpu_time().expect("it was not waited for"), stopped_at);
        child.cont().expect("a child");
        until(|| child.cpu_time().expect("it was not waited for") > stopped_at);
        assert!(!child.is_stopped());
        child.stop().expect("a child");
        child.kill().expect("a child");
        assert_eq!(child.wait().expect("a child").end, End::Signal(9), "a stopped child can be killed");
        assert!(!child.is_stopped());
        assert!(child.cpu_time().is_err(), "its number may be another's");
    }
}

#[test]
fn asking_whether_it_is_stopped_does_not_use_up_its_end() {
    let (mut child, _socket) = start(c"role=exit", Namespaces::None, None);
    let mut watched = [rustix::event::PollFd::new(&child, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut watched, None).expect("a descriptor"), 1);
    assert!(!child.is_stopped());
    assert!(child.cpu_time().is_ok());
    assert_eq!(child.wait().expect("a child").end, End::Code(77));
}

#[test]
fn a_process_can_stop_itself() {
    let (child, socket) = start(c"role=stop", Namespaces::None, None);
    until(|| child.is_stopped());
    assert!(socket.try_recv(&mut [0; 8], Descriptors::Refuse).expect("open").is_none());
    child.cont().expect("a child");
    assert_eq!(receive(&socket), "gone on");
}

#[test]
fn dropping_it_leaves_neither_process_nor_zombie() {
    let (child, socket) = start(c"role=sleep", Namespaces::All, None);
    assert_eq!(receive(&socket), "ready");
    let folder = format!("/proc/{}", child.id());
    assert!(fs::exists(&folder).expect("/proc"));
    drop(child);
    assert!(!fs::exists(&folder).expect("/proc"));
    // Waits, since a child of another test holds copies of all descriptors until it closes them.
    assert!(socket.recv(&mut [0; 8], Descriptors::Refuse).expect("open").closed);
}

#[test]
fn no_child_outlives_its_parent() {
    let (mut parent, socket) = start(c"role=parent", Namespaces::None, None);
    let id: i32 = receive(&socket).parse().expect("a process id");
    let id = rustix::process::Pid::from_raw(id).expect("positive");
    let grandchild = rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty()).expect("it runs");
    parent.kill().expect("a child");
    assert_eq!(parent.wait().expect("a child").end, End::Signal(9));
    // The descriptor becomes readable when the process has ended.
    let mut watched = [rustix::event::PollFd::new(&grandchild, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut watched, Some(&limit)).expect("a descriptor"), 1);
}

#[test]
fn a_program_that_is_missing_is_named() {
    let (_own, other) = Socket::pair().expect("descriptors are left");
    let program = Program::Path(CString::from(c"/nonexistent/taskhost"));
    for namespaces in [Namespaces::All, Namespaces::None] {
        let spawn = Spawn { args: &[], program: &program, namespaces, core: None, socket: other.as_fd() };
        let error = spawn.start().expect_err("there is no such program");
        assert_eq!(
            error.to_string(),
            "the new process failed to execute the program: No such file or directory (os error 2)"
        );
    }
}

#[test]
fn spawning_again_and_again_leaks_nothing() {
    let descriptors = || fs::read_dir("/proc/thread-self/fd").expect("/proc").count();
    // Tests run side by side, so others may have some open: a leak of one each would show among fifty.
    let before = descriptors();
    for _ in 0..50 {
        drop(start(c"role=wait", Namespaces::All, None));
    }
    assert!(descriptors() < before + 40);
}
