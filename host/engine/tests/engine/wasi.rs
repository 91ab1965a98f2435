//! Kernels that import WASI: everything answers, nothing is granted, nothing differs from run to run, no thread.

use taskhost_engine::Instance;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::message::Level;

use crate::raw::module;
use crate::support::{instance, item, mapper, result};

const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

/// The same kernel as a raw module and as a component. `$done` ends `process` with a result.
fn both(body: &str) -> [Instance; 2] {
    let raw = module(IMPORTS, &body.replace("$done", "$place"), "");
    let component = mapper(IMPORTS, &body.replace("$done", "$ok"));
    [instance(&raw), instance(&component)]
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

#[test]
fn random_numbers_depend_on_the_item_alone() {
    let body = "(drop (call $random (i32.const 512) (i32.const 32))) (call $done (i32.const 512) (i32.const 32))";
    for mut instance in both(body) {
        let mut draw = |position| {
            instance.set_item(Some(item(position)));
            result(&mut instance, b"").expect("it draws")
        };
        let first = draw(1);
        assert_ne!(first, draw(2));
        assert_eq!(first, draw(1));
    }
}

#[test]
fn the_wall_clock_stands_and_a_sleep_takes_no_time() {
    // Sleeps for an hour when the item is not empty, and gives the wall clock. Subscription at 600, event at 700.
    let body = "
        (i32.store8 (i32.const 608) (i32.const 0)) (i32.store (i32.const 616) (i32.const 1))
        (i64.store (i32.const 624) (i64.const 3600_000_000_000))
        (if (local.get $len)
            (then (if (call $poll (i32.const 600) (i32.const 700) (i32.const 1) (i32.const 740)) (then unreachable))))
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 512)))
        (call $done (i32.const 512) (i32.const 8))";
    for mut instance in both(body) {
        let mut now = |item| number(&result(&mut instance, item).expect("it answers"));
        assert_eq!(now(b""), 1_700_000_000_123_456_789);
        assert_eq!(now(b""), 1_700_000_000_123_456_789);
        assert_eq!(now(b"x"), 1_700_003_600_123_456_789);
    }
}

#[test]
fn the_monotonic_clock_advances_in_milliseconds() {
    let body =
        "(drop (call $clock (i32.const 1) (i64.const 1) (i32.const 512))) (call $done (i32.const 512) (i32.const 8))";
    for mut instance in both(body) {
        let mut now = || number(&result(&mut instance, b"").expect("it answers"));
        let first = now();
        while now() == first {}
        assert_eq!((now() - first) % 1_000_000, 0);
    }
}

#[test]
fn what_is_printed_becomes_log_lines() {
    let body = "
        (i32.store (i32.const 512) (local.get $at)) (i32.store (i32.const 516) (local.get $len))
        (if (call $write (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 520)) (then unreachable))
        (if (call $write (i32.const 2) (i32.const 512) (i32.const 1) (i32.const 520)) (then unreachable))
        (call $done (i32.const 0) (i32.const 0))";
    for mut instance in both(body) {
        result(&mut instance, b"hello\nyou\n").expect("it prints");
        let lines = instance.take_logs();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], (Level::Info, "hello".into()));
        assert_eq!(lines[3], (Level::Info, "you".into()));
    }
}

#[test]
fn nothing_is_granted() {
    // Gives: bytes read from standard input, number of variables, and the error of opening a path below descriptor 3.
    let body = r"
        (i32.store (i32.const 512) (i32.const 1024)) (i32.store (i32.const 516) (i32.const 16))
        (i32.store (i32.const 520) (i32.const 99))
        (drop (call $read (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 520)))
        (drop (call $environ (i32.const 524) (i32.const 600)))
        (i32.store (i32.const 528)
            (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i64.const 0)
                (i64.const 0) (i32.const 0) (i32.const 604)))
        (call $done (i32.const 520) (i32.const 12))";
    for mut instance in both(body) {
        // 8 is EBADF.
        assert_eq!(result(&mut instance, b"").as_deref(), Ok(b"\0\0\0\0\0\0\0\0\x08\0\0\0".as_slice()));
    }
}

#[test]
fn an_exit_is_a_trap() {
    for mut instance in both("(call $exit (i32.const 3)) unreachable") {
        let fault = result(&mut instance, b"").expect_err("it exits");
        assert!(matches!(&fault, Fault::Trap { reason, .. } if reason.starts_with("it called exit(")), "{fault:?}");
        assert!(instance.is_poisoned());
    }
}

#[test]
fn no_thread_is_made() {
    let body = "
        (i32.store (i32.const 512) (local.get $at)) (i32.store (i32.const 516) (local.get $len))
        (drop (call $write (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 520)))
        (call $done (i32.const 0) (i32.const 0))";
    for mut instance in both(body) {
        result(&mut instance, b"hello\n").expect("it prints");
    }
    for task in std::fs::read_dir("/proc/self/task").expect("Linux") {
        let name = task.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        assert!(!name.expect("it can be listed").starts_with("tokio"));
    }
}
