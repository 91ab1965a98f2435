//! Commands that are components, and what the engine alone shows of commands.

use std::io::Write as _;
use std::sync::Arc;

use taskhost_engine::{BroadcastData, HostContext, compile};
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::given::{Broadcast, Given, Program};
use taskhost_protocol::kernel::{CompileOptions, Kind, Needs};
use taskhost_protocol::limits::WorkerLimits;

use crate::support::{host, instance, item, load, mapper, result};

/// A preview 1 program; `$write` puts bytes to a descriptor.
fn program(body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "path_open"
                (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_filestat_get"
                (func $stat (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func $write (param $fd i32) (param $at i32) (param $len i32)
                (i32.store (i32.const 0) (local.get $at))
                (i32.store (i32.const 4) (local.get $len))
                (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
            (func (export "_start") {body}))"#
    )
}

/// The same as a component, by way of the adapter that everybody uses.
fn component(core: &str) -> Vec<u8> {
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let mut encoder = wit_component::ComponentEncoder::default()
        .module(&wat::parse_str(core).expect("the text parses"))
        .expect("it is a module")
        .adapter("wasi_snapshot_preview1", adapter)
        .expect("it is an adapter");
    encoder.encode().expect("it encodes")
}

const ECHO: &str = "
    (local $len i32)
    (block $end
        (loop $more
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 4096))
            (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
            (br_if $end (i32.eqz (local.tee $len (i32.load (i32.const 8)))))
            (call $write (i32.const 1) (i32.const 1024) (local.get $len))
            (br $more)))";

/// A program that is a module, and one that is a component.
fn both(body: &str) -> [Vec<u8>; 2] {
    let core = program(body);
    [core.clone().into_bytes(), component(&core)]
}

#[test]
fn both_kinds_of_programs_read_and_write() {
    for wasm in both(ECHO) {
        let compiled = compile(&wasm, CompileOptions::default()).expect("it compiles");
        assert_eq!(compiled.info.kind, Kind::Command);
        let mut instance = instance(&wasm);
        let long = b"0123456789".repeat(5000);
        for bytes in [&b"hello"[..], b"", &long] {
            instance.set_item(None);
            assert_eq!(result(&mut instance, bytes).expect("it copies"), bytes);
        }
        instance.set_item(Some(item(7)));
        assert_eq!(result(&mut instance, b"1,2").expect("it copies"), b"x,y\n1,2", "the header comes first");
    }
}

#[test]
fn an_exit_is_no_trap_and_the_next_item_is_none_the_worse() {
    for wasm in both(r#"(call $write (i32.const 2) (i32.const 1024) (i32.const 3)) (call $exit (i32.const 1))"#) {
        let mut instance = instance(&wasm);
        for _ in 0..2 {
            let fault = result(&mut instance, b"").expect_err("it exits");
            assert!(
                matches!(&fault, Fault::Failed(text) if text.starts_with("the program ended with exit code 1")),
                "{fault:?}"
            );
            assert!(!instance.is_poisoned());
            assert_eq!(instance.take_logs(), []);
        }
    }
    for wasm in both("unreachable") {
        let mut instance = instance(&wasm);
        for _ in 0..2 {
            assert!(matches!(result(&mut instance, b""), Err(Fault::Trap { .. })));
            assert!(!instance.is_poisoned(), "each item has an instance of its own");
        }
    }
}

#[test]
fn output_beyond_the_limit_ends_the_program() {
    let body = "(loop $ever (call $write (i32.const 1) (i32.const 1024) (i32.const 4096)) (br $ever))";
    let limits = WorkerLimits { output: 10_000, ..WorkerLimits::default() };
    for wasm in both(body) {
        let mut instance = load(&wasm, limits).expect("it loads").instantiate(host()).expect("it starts");
        let fault = result(&mut instance, b"").expect_err("too much");
        assert_eq!(fault, Fault::OutputLimit { len: 12_288, limit: 10_000 });
    }
}

#[test]
fn an_item_is_no_larger_than_the_memory_that_the_kernel_may_have() {
    let limits = WorkerLimits { memory: 128 << 10, ..WorkerLimits::default() };
    let loaded = load(program(ECHO).as_bytes(), limits).expect("it loads");
    let mut instance = loaded.instantiate(host()).expect("it starts");
    let fault = result(&mut instance, &vec![0; 200 << 10]).expect_err("the host has no room either");
    assert!(matches!(fault, Fault::MemoryLimit { limit, .. } if limit == 128 << 10), "{fault:?}");
    assert_eq!(result(&mut instance, b"x").expect("it copies"), b"x");
}

#[test]
fn a_component_has_words_too() {
    let body = r#"
        (drop (call $args_sizes (i32.const 16) (i32.const 20)))
        (drop (call $args (i32.const 512) (i32.const 4096)))
        (call $write (i32.const 1) (i32.const 4096) (i32.load (i32.const 20)))"#;
    let import = r#"(import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))"#;
    let core = program(body).replacen("(module", &format!("(module {import}"), 1);
    let program = Program { name: "p".into(), arguments: vec!["ä b".into()], environment: Vec::new() };
    let host = HostContext { given: Arc::new(Given { program, ..Given::default() }), ..host() };
    for wasm in [core.clone().into_bytes(), component(&core)] {
        let loaded = load(&wasm, WorkerLimits::default()).expect("it loads");
        let mut instance = loaded.instantiate(host.clone()).expect("it starts");
        assert_eq!(result(&mut instance, b"").expect("it prints"), "p\0ä b\0".as_bytes());
    }
}

#[test]
fn components_read_broadcast_data_in_slices() {
    let imports = r#"
        (import "taskhost:kernel/broadcast@1.0.0" "size" (func $size (param i32 i32 i32)))
        (import "taskhost:kernel/broadcast@1.0.0" "read" (func $slice (param i32 i32 i64 i32 i32)))"#;
    // The item is a name; gives the size and bytes 2 to 6, or the error.
    let body = "
        (call $size (local.get $at) (local.get $len) (i32.const 512))
        (call $slice (local.get $at) (local.get $len) (i64.const 2) (i32.const 4) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (call $ok (i32.load (i32.const 1028)) (i32.load (i32.const 1032))))))
        (i64.store (i32.const 2048) (i64.load (i32.const 520)))
        (memory.copy (i32.const 2056) (i32.load (i32.const 1028)) (i32.load (i32.const 1032)))
        (call $ok (i32.const 2048) (i32.add (i32.const 8) (i32.load (i32.const 1032))))";
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"0123456789").expect("room");
    let entry = |name: &str, at, len| Broadcast { name: name.into(), at, len };
    let entries = vec![entry("long", 0, 7), entry("short", 7, 3), entry("empty", 10, 0)];
    let host = HostContext { broadcast: Arc::new(BroadcastData::new(entries, Some(file))), ..host() };
    let loaded = load(&mapper(imports, body), WorkerLimits::default()).expect("it loads");
    let mut instance = loaded.instantiate(host).expect("it starts");
    assert_eq!(result(&mut instance, b"long").expect("read"), b"\x07\0\0\0\0\0\0\x002345");
    assert_eq!(result(&mut instance, b"short").expect("read"), b"\x03\0\0\0\0\0\0\x009");
    assert_eq!(result(&mut instance, b"empty").expect("read"), b"\0\0\0\0\0\0\0\0");
    assert_eq!(result(&mut instance, b"x").expect("read"), b"there is no broadcast data named `x`");
}

/// Opens, changes and reads `long`, with the path at 0x600. What comes of each is one byte at 2048.
const FOLDER: &str = r#"
    ;; As it is, as a folder, to be made, to be written, one that is not there, one above, the folder itself.
    (call $put (i32.const 2048) (call $open (i32.const 0x600) (i32.const 4) (i32.const 0) (i64.const 2)))
    (call $put (i32.const 2049) (call $open (i32.const 0x600) (i32.const 4) (i32.const 2) (i64.const 2)))
    (call $put (i32.const 2050) (call $open (i32.const 0x600) (i32.const 4) (i32.const 1) (i64.const 2)))
    (call $put (i32.const 2051) (call $open (i32.const 0x600) (i32.const 4) (i32.const 0) (i64.const 66)))
    (call $put (i32.const 2052) (call $open (i32.const 0x600) (i32.const 3) (i32.const 0) (i64.const 2)))
    (call $put (i32.const 2053) (call $open (i32.const 0x610) (i32.const 7) (i32.const 0) (i64.const 2)))
    (call $put (i32.const 2054) (call $open (i32.const 0x610) (i32.const 1) (i32.const 2) (i64.const 2)))
    (call $put (i32.const 2055) (call $unlink (i32.const 3) (i32.const 0x600) (i32.const 4)))
    ;; Type and size.
    (call $put (i32.const 2056) (call $stat (i32.const 3) (i32.const 0) (i32.const 0x600) (i32.const 4) (i32.const 3072)))
    (call $put (i32.const 2057) (i32.load8_u (i32.const 3088)))
    (call $put (i32.const 2058) (i32.load8_u (i32.const 3104)))
    ;; The second half of it.
    (drop (call $open (i32.const 0x600) (i32.const 4) (i32.const 0) (i64.const 6)))
    (drop (call $seek (i32.load (i32.const 1024)) (i64.const -3) (i32.const 2) (i32.const 3072)))
    (i32.store (i32.const 0) (i32.const 2059))
    (i32.store (i32.const 4) (i32.const 100))
    (if (call $fd_read (i32.load (i32.const 1024)) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
    (call $write (i32.const 1) (i32.const 2048) (i32.add (i32.const 11) (i32.load (i32.const 8)))))
  (data (i32.const 0x600) "long") (data (i32.const 0x610) "./../up")
  (func $put (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func $open (param $path i32) (param $len i32) (param $how i32) (param $rights i64) (result i32)
    (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (local.get $len) (local.get $how) (local.get $rights)
        (i64.const 0) (i32.const 0) (i32.const 1024)))
  (func (drop (i32.const 0))"#;

#[test]
fn broadcast_data_are_files_that_nobody_can_change() {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"0123456789").expect("room");
    let entry = |name: &str, at, len| Broadcast { name: name.into(), at, len };
    let data = Arc::new(BroadcastData::new(vec![entry("other", 0, 2), entry("long", 3, 7)], Some(file)));
    // What leads out of the folder has another number in each.
    for (wasm, above) in both(FOLDER).into_iter().zip([76, 63]) {
        let loaded = load(&wasm, WorkerLimits::default()).expect("it loads");
        let mut instance =
            loaded.instantiate(HostContext { broadcast: Arc::clone(&data), ..host() }).expect("it starts");
        let mut wanted = vec![0, 54, 69, 69, 44, above, 0, 69, 0, 4, 7];
        wanted.extend(b"789");
        for _ in 0..2 {
            assert_eq!(result(&mut instance, b"").expect("it runs"), wanted);
        }
    }
}

#[test]
fn only_what_is_needed_is_turned_on() {
    let needs = |wasm: &str| compile(wasm.as_bytes(), CompileOptions::default()).expect("it compiles").info.needs;
    assert_eq!(needs(&program(ECHO)), Needs::default());
    let throws = program(
        "(block $caught (result i32) (try_table (catch $oops $caught) (throw $oops (i32.const 5))) (return))
        (if (i32.ne (i32.const 5)) (then unreachable)))
        (tag $oops (param i32)) (func",
    );
    assert_eq!(needs(&throws), Needs { exceptions: true, debug_info: false });
    let mut instance = instance(throws.as_bytes());
    assert_eq!(result(&mut instance, b"").expect("it catches"), b"");
    let uncaught = program("(throw $oops)) (tag $oops) (func");
    let mut instance = crate::support::instance(uncaught.as_bytes());
    let Err(Fault::Trap { reason, .. }) = result(&mut instance, b"") else { panic!("nobody catches it") };
    assert_eq!(reason, "an exception was thrown and not caught");
    // The rest of what comes with exceptions stays off.
    let structure =
        r#"(module (tag) (type $pair (struct (field i32))) (memory (export "memory") 1) (func (export "_start")))"#;
    assert!(matches!(compile(structure.as_bytes(), CompileOptions::default()), Err(Refusal::NotWasm(_))));
}

#[test]
fn a_backtrace_has_lines_where_the_kernel_knows_them() {
    let wasm = include_bytes!("../../../../tests/kernels/crash.wasm");
    assert!(compile(wasm, CompileOptions::default()).expect("it compiles").info.needs.debug_info);
    let mut instance = instance(wasm);
    assert_eq!(result(&mut instance, b"6").expect("it copies"), b"6");
    let Err(Fault::Trap { backtrace, .. }) = result(&mut instance, b"7") else { panic!("it traps") };
    let found: Vec<&str> = backtrace.iter().map(String::as_str).collect();
    assert_eq!(found, ["refuse (./crash.c:11:15)", "look (./crash.c:17:9)", "process (./crash.c:21:5)"]);
}
