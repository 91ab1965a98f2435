//! Traps beside the handlers and limits that a worker has: what is the kernel's stays a trap, what is the host's does not.
//!
//! Each check runs in a process of its own: this same program, told by its first argument what to check.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::OnceLock;

use taskhost_engine::{HostContext, Input, Instance, LoadOptions, LoadedKernel, compile, faults, most_memory};
use taskhost_os::allocator::{self, Reporting};
use taskhost_os::last_words::LastWords;
use taskhost_os::rlimits::Rlimits;
use taskhost_os::socket::Socket;
use taskhost_os::usage::resident;
use taskhost_os::{fault_injection, process_id::ProcessId, stack_overflow};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::WorkerLimits;

#[global_allocator]
static ALLOCATOR: Reporting = Reporting;

const CHECKS: [(&str, fn(), i32); 5] = [
    ("traps", traps_are_traps, 0),
    ("growth", growth_beyond_the_process_limit_is_refused, 0),
    ("bomb", a_memory_bomb_stays_near_the_limit, 0),
    ("stack", the_hosts_own_stack_overflow_is_no_trap, 72),
    ("memory", the_hosts_own_want_of_memory_is_no_trap, 71),
];

pub(crate) fn run() {
    let asked = std::env::args().nth(1);
    if let Some((_, check, _)) = CHECKS.iter().find(|check| asked.as_deref() == Some(check.0)) {
        prepare();
        return check();
    }
    for (name, _, code) in CHECKS {
        let own = std::env::current_exe().expect("this program");
        let status = Command::new(own).arg(name).status().expect("it can be started");
        assert_eq!(status.code(), Some(code), "{name}: {status}");
    }
}

/// As a worker does it, before there is an engine.
fn prepare() {
    static SOCKETS: OnceLock<(Socket, Socket)> = OnceLock::new();
    let (socket, _kept) = SOCKETS.get_or_init(|| Socket::pair().expect("descriptors are left"));
    let words = |code| LastWords::new(socket.as_fd(), b"words".to_vec(), code);
    stack_overflow::report_on(words(72)).expect("the first thread");
    allocator::report_failure_on(words(71));
    faults::install(fault_injection::by_name);
}

fn loaded(wasm: &str, limits: WorkerLimits) -> LoadedKernel {
    let compiled = compile(wasm.as_bytes(), CompileOptions::default()).expect("it compiles");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&compiled.code).expect("room for the code");
    let (kind, exports, needs) = (compiled.info.kind, compiled.info.exports, compiled.info.needs);
    let options = LoadOptions {
        kind,
        exports,
        invoke: None,
        limits,
        needs,
        sampled: false,
        folders: &[],
        code_path: file.path(),
    };
    LoadedKernel::load(options).expect("it loads")
}

fn started(kernel: &LoadedKernel) -> Instance {
    kernel.instantiate(HostContext::default()).expect("it starts")
}

fn process(instance: &mut Instance, item: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut results = Vec::new();
    instance.process(Input::Bytes(item), &mut |result| {
        results.extend_from_slice(result);
        Ok(())
    })?;
    Ok(results)
}

/// Reads beyond its memory, divides by zero, recurses without end, or executes `unreachable`, as the item says.
const TRAPS: &str = r#"(module
    (memory (export "memory") 2)
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
    (func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))
    (func (export "taskhost_process") (param $at i32) (param i32) (result i64)
        (local $what i32)
        (local.set $what (i32.load8_u (local.get $at)))
        (if (i32.eq (local.get $what) (i32.const 0)) (then (drop (i32.load (i32.const -4)))))
        (if (i32.eq (local.get $what) (i32.const 1))
            (then (drop (i32.div_u (i32.const 1) (i32.load (i32.const 0))))))
        (if (i32.eq (local.get $what) (i32.const 2)) (then (drop (call $deeper (i32.const 0)))))
        unreachable))"#;

fn traps_are_traps() {
    let kernel = loaded(TRAPS, WorkerLimits::default());
    for _ in 0..100 {
        for (item, wanted) in [
            (0, "out of bounds memory access"),
            (1, "integer divide by zero"),
            (2, "call stack exhausted"),
            (3, "wasm `unreachable` instruction executed"),
        ] {
            let fault = process(&mut started(&kernel), &[item]).expect_err("it traps");
            assert!(matches!(&fault, Fault::Trap { reason, .. } if reason == wanted), "{fault:?}");
        }
    }
}

const MISBEHAVE: &str = include_str!("../../../../tests/kernels/misbehave.wat");

fn growth_beyond_the_process_limit_is_refused() {
    // The kernel may have much more than the process.
    let kernel = loaded(MISBEHAVE, WorkerLimits { memory: 4 << 30, ..WorkerLimits::default() });
    Rlimits { more_data: 64 << 20, cpu: None }.set().expect("limits are lowered");
    for _ in 0..3 {
        let mut instance = started(&kernel);
        assert_eq!(process(&mut instance, b"good").as_deref(), Ok(b"good".as_slice()));
        let fault = process(&mut instance, b"grow").expect_err("it traps");
        assert!(matches!(fault, Fault::MemoryLimit { .. }), "{fault:?}");
    }
}

fn a_memory_bomb_stays_near_the_limit() {
    const LIMIT: u64 = 64 << 20;
    let limits = WorkerLimits { memory: LIMIT, ..WorkerLimits::default() };
    let kernel = loaded(include_str!("../../../../tests/kernels/memory-bomb.wat"), limits);
    Rlimits { more_data: most_memory(&limits), cpu: None }.set().expect("limits are lowered");
    let before = resident(ProcessId::current()).expect("it runs").private();
    for _ in 0..3 {
        let mut instance = started(&kernel);
        assert!(process(&mut instance, b"x").is_err());
        // The bomb has used all that it got, and still has it.
        let used = resident(ProcessId::current()).expect("it runs").private() - before;
        assert!((LIMIT / 2..LIMIT + (8 << 20)).contains(&used), "{used}");
    }
}

fn the_hosts_own_stack_overflow_is_no_trap() {
    let kernel = loaded(MISBEHAVE, WorkerLimits::default());
    panic!("it came back: {:?}", process(&mut started(&kernel), b"stack"));
}

fn the_hosts_own_want_of_memory_is_no_trap() {
    let limits = WorkerLimits::default();
    let kernel = loaded(MISBEHAVE, limits);
    Rlimits { more_data: most_memory(&limits), cpu: None }.set().expect("limits are lowered");
    panic!("it came back: {:?}", process(&mut started(&kernel), b"memory"));
}
