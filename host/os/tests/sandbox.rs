//! Locked-in processes, for real: seen from inside and from outside.
//!
//! The children are this same program, told by their first argument what to be. It has no test harness, since that
//! starts threads.

use std::ffi::CStr;
use std::fs;
use std::os::fd::AsFd as _;

use taskhost_os::child::Child;
use taskhost_os::sandbox::{
    Grants, Held, Insistence, Layer, Layers, Policy, Role, SandboxError, Specification, inspect,
};
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_os::spawn::{Namespaces, Program, Spawn};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("role=lock") => lock(),
        Some("role=wait") => wait(),
        Some("role=threads") => lock_with_two_threads(),
        _ => {
            a_locked_in_child_is_so_from_inside_and_outside();
            without_namespaces_the_layers_that_need_none_are_live();
            a_child_that_did_not_lock_itself_in_is_found_out();
            a_second_thread_forbids_locking_in();
        }
    }
}

fn a_locked_in_child_is_so_from_inside_and_outside() {
    let (mut child, socket) = start(c"role=lock", Namespaces::All);
    assert_eq!(receive(&socket), "missing: ");
    let seen = inspect(child.id(), &specification(Namespaces::All)).expect("it is locked in");
    assert!(seen.layers.missing().is_empty(), "{seen:?}");
    let wrong = Specification { threads: 2, ..specification(Namespaces::All) };
    assert!(inspect(child.id(), &wrong).is_err());
    socket.send(b"go", &[]).expect("the child listens");
    assert_eq!(receive(&socket), "possible: ");
    child.wait().expect("a child");
}

fn without_namespaces_the_layers_that_need_none_are_live() {
    let (child, socket) = start(c"role=lock", Namespaces::None);
    let missing = "missing: namespaces (it was started without them), empty root (it needs a mount namespace)";
    assert_eq!(receive(&socket), missing);
    let layers = inspect(child.id(), &specification(Namespaces::None)).expect("it is locked in").layers;
    assert!(!layers.is_live(Layer::Namespaces) && !layers.is_live(Layer::EmptyRoot));
    assert!(layers.is_live(Layer::NoCapabilities) && layers.is_live(Layer::NoNewPrivileges));
}

fn a_child_that_did_not_lock_itself_in_is_found_out() {
    for namespaces in [Namespaces::All, Namespaces::None] {
        let (child, socket) = start(c"role=wait", namespaces);
        assert_eq!(receive(&socket), "ready");
        let found = inspect(child.id(), &specification(namespaces));
        // Without namespaces and without privileges there is nothing to give up.
        let harmless = namespaces == Namespaces::None && !rustix::process::geteuid().is_root();
        assert_eq!(found.is_ok(), harmless, "{found:?}");
    }
}

fn a_second_thread_forbids_locking_in() {
    let (_child, socket) = start(c"role=threads", Namespaces::All);
    let refusal = "the process has 2 threads; it has to lock itself in before it starts a second one";
    assert_eq!(receive(&socket), refusal);
}

/// As it has to be, without the filter: what the children try is stopped by the other layers (`walls.rs` has the filter).
fn specification(namespaces: Namespaces) -> Specification {
    let namespaces = namespaces == Namespaces::All;
    Specification { namespaces, threads: 1, filtered: false, user: None, held: Held::MemoryFiles }
}

fn lock_in(control: &Socket) -> Result<Layers, SandboxError> {
    let policy = Policy { insistence: Insistence::Auto, without: vec![Layer::SystemCalls] };
    let grants = Grants { control: control.as_fd(), slots: 1, file_bytes: None, threads: 1 };
    taskhost_os::sandbox::lock(Role::Execute, &policy, &grants)
}

fn start(role: &CStr, namespaces: Namespaces) -> (Child, Socket) {
    let (own, other) = Socket::pair().expect("descriptors are left");
    let spawn = Spawn { args: &[role], program: &Program::ProcSelfExe, namespaces, core: None, socket: other.as_fd() };
    (spawn.start().expect("a process more, and namespaces"), own)
}

fn receive(socket: &Socket) -> String {
    let mut buffer = [0; 4096];
    let received = socket.recv(&mut buffer, Descriptors::Refuse).expect("a message");
    assert!(!received.closed, "the child ended without a word");
    String::from_utf8(buffer[..received.len].to_vec()).expect("text")
}

/// A child that locks itself in and, when told, tries to get out.
fn lock() {
    let socket = Socket::inherited().expect("the parent's socket");
    let layers = lock_in(&socket).expect("any Linux allows that");
    let missing: Vec<String> = layers
        .missing()
        .iter()
        .filter(|missing| missing.layer != Layer::SystemCalls)
        .map(ToString::to_string)
        .collect();
    socket.send(format!("missing: {}", missing.join(", ")).as_bytes(), &[]).expect("the parent listens");
    let _ = socket.recv(&mut [0; 8], Descriptors::Refuse);
    socket.send(format!("possible: {}", escapes().join(", ")).as_bytes(), &[]).expect("the parent listens");
}

/// A child that just waits, with whatever rights it was started with.
fn wait() {
    let socket = Socket::inherited().expect("the parent's socket");
    socket.send(b"ready", &[]).expect("the parent listens");
    let _ = socket.recv(&mut [0; 8], Descriptors::Refuse);
}

/// A child that starts a thread first.
fn lock_with_two_threads() {
    let socket = Socket::inherited().expect("the parent's socket");
    let (_keep, other) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || other.recv());
    let error = lock_in(&socket).expect_err("there are two threads");
    socket.send(error.to_string().as_bytes(), &[]).expect("the parent listens");
}

/// What a locked-in process could do that it must not.
fn escapes() -> Vec<&'static str> {
    let attempts = [
        ("read a file", fs::read("/etc/passwd").is_ok()),
        ("see a process", fs::exists("/proc/self").unwrap_or(false)),
        ("leave the root", fs::read_dir("/..").is_ok_and(|mut entries| entries.next().is_some())),
        ("write a file", fs::write("/file", "x").is_ok()),
        ("make a folder", fs::create_dir("/folder").is_ok()),
        ("mount", rustix::mount::mount("x", "/", "tmpfs", rustix::mount::MountFlags::empty(), None).is_ok()),
        ("rename the host", rustix::system::sethostname(b"x").is_ok()),
        ("see the parent", rustix::process::getppid().is_some()),
    ];
    attempts.into_iter().filter(|(_, possible)| *possible).map(|(name, _)| name).collect()
}
