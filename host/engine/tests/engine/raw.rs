//! Raw modules: the ABI in `raw.rs`, and modules that break it.

use taskhost_engine::{Input, Instance, compile};
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::{CompileOptions, Kind};
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::Level;

use crate::support::{host, instance, item, load, result};

/// A raw module with two pages, an allocator that always gives 1024, and this `process`.
pub(crate) fn module(imports: &str, process: &str, rest: &str) -> Vec<u8> {
    format!(
        r#"(module {imports}
            (memory (export "memory") 2)
            (func $place (param i32 i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
            (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64) {process})
            {rest})"#
    )
    .into_bytes()
}

pub(crate) const ECHO: &str = "(call $place (local.get $at) (local.get $len))";

#[test]
fn a_module_with_the_three_exports_is_raw() {
    let info = compile(&module("", ECHO, ""), CompileOptions::default()).expect("it compiles").info;
    assert_eq!(info.kind, Kind::RawModule);
    assert_eq!(info.why, "raw module: it exports memory, taskhost_alloc and taskhost_process");
    assert!(info.exports.mapper && !info.exports.describe);
    assert_eq!(
        info.export_names,
        ["memory: memory", "taskhost_alloc: (i32) -> i32", "taskhost_process: (i32, i32) -> i64"]
    );
}

#[test]
fn it_maps() {
    let mut instance = instance(&module("", ECHO, ""));
    for item in [b"".as_slice(), b"a", b"hello", &[7; 100_000]] {
        assert_eq!(result(&mut instance, item).as_deref(), Ok(item));
    }
}

#[test]
fn an_item_is_read_into_its_memory() {
    let mut instance = instance(&module("", ECHO, ""));
    let mut read = |buffer: &mut [u8]| {
        buffer.copy_from_slice(b"read");
        Ok(())
    };
    let mut got = Vec::new();
    let mut sink = |result: &[u8]| {
        got.extend_from_slice(result);
        Ok(())
    };
    assert_eq!(instance.process(Input::Read { len: 4, read: &mut read }, &mut sink), Ok(()));
    assert_eq!(got, b"read");
}

#[test]
fn a_sink_that_fails_fails_the_item_only() {
    let mut instance = instance(&module("", ECHO, ""));
    let fault = instance.process(Input::Bytes(b"x"), &mut |_| Err(Fault::Output("the disk is full".into())));
    assert_eq!(fault, Err(Fault::Output("the disk is full".into())));
    assert!(!instance.is_poisoned());
}

#[test]
fn errors_are_told_apart_with_and_without_a_text() {
    let fail = "(i64.sub (i64.const -1) (i64.extend_i32_u (local.get $len)))";
    let mut mute = instance(&module("", fail, ""));
    assert_eq!(result(&mut mute, b""), Err(Fault::InvalidInput("the kernel gave no reason".into())));
    let text = r#"(func (export "taskhost_error") (result i64) (call $place (i32.const 64) (i32.const 3)))
                  (data (i32.const 64) "why")"#;
    let mut speaking = instance(&module("", fail, text));
    assert_eq!(result(&mut speaking, b""), Err(Fault::InvalidInput("why".into())));
    assert_eq!(result(&mut speaking, b"x"), Err(Fault::Failed("why".into())));
    assert_eq!(result(&mut speaking, b"xx"), Err(Fault::Temporary("why".into())));
    assert!(!speaking.is_poisoned());
    let fault = result(&mut speaking, b"xxx").expect_err("-4 is nothing");
    assert_eq!(fault, Fault::Contract("it returned -4, which is no error and no place".into()));
    assert!(speaking.is_poisoned());
}

#[test]
fn the_optional_exports_mean_what_the_contract_says() {
    let rest = r#"
        (global $ready (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $ready (i32.const 1)))
        (func (export "taskhost_start") (result i64)
            (if (result i64) (global.get $ready) (then (i64.const 0)) (else (i64.const -2))))
        (func (export "taskhost_describe") (result i64) (call $place (i32.const 64) (i32.const 26)))
        (data (i32.const 64) "summary=adds\nsetting=by\n...")
        (func (export "taskhost_combine") (param i32 i32) (result i64) (call $place (local.get 0) (local.get 1)))
        (func (export "taskhost_finish") (param i32 i32) (result i64)
            (call $place (local.get 0) (i32.sub (local.get 1) (i32.const 1))))"#
        .replace("(i32.const 26)", "(i32.const 23)");
    let wasm = module("", ECHO, &rest);
    let exports = compile(&wasm, CompileOptions::default()).expect("it compiles").info.exports;
    assert!(exports.mapper && exports.describe && exports.lifecycle && exports.reducer);
    let mut instance = instance(&wasm);
    assert_eq!(instance.start(), Ok(()));
    let description = instance.describe().expect("it answers").expect("it describes");
    assert_eq!((description.summary.as_str(), description.settings.len()), ("adds", 1));
    let joined = instance.combine(&[b"ab", b"", b"c"]).expect("it combines");
    assert_eq!(joined, b"\x03\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0abc");
    assert_eq!(instance.combine(&[]).as_deref(), Ok([0; 4].as_slice()));
    assert_eq!(instance.finish(b"abc").as_deref(), Ok(b"ab".as_slice()));
}

#[test]
fn one_half_of_a_reducer_is_refused() {
    let half = r#"(func (export "taskhost_combine") (param i32 i32) (result i64) (i64.const 0))"#;
    let refusal = compile(&module("", ECHO, half), CompileOptions::default()).expect_err("finish is missing");
    assert!(matches!(refusal, Refusal::WrongShape(text) if text.contains("export both")));
}

const IMPORTS: &str = r#"
    (import "taskhost" "config_get" (func $config_get (param i32 i32 i32 i32) (result i32)))
    (import "taskhost" "log" (func $log (param i32 i32 i32)))
    (import "taskhost" "item_position" (func $position (result i64)))
    (import "taskhost" "item_offset" (func $offset (result i64)))
    (import "taskhost" "counter_add" (func $count (param i32 i32 i64)))"#;

#[test]
fn the_imports_answer() {
    // The result: length of the setting, position, offset, and five bytes of the setting of the item's name.
    let process = "
        (i32.store (i32.const 512) (call $config_get (local.get $at) (local.get $len) (i32.const 532) (i32.const 4)))
        (i64.store (i32.const 516) (call $position))
        (i64.store (i32.const 524) (call $offset))
        (call $log (i32.const 3) (local.get $at) (local.get $len))
        (call $count (local.get $at) (local.get $len) (i64.const 3))
        (call $place (i32.const 512) (i32.const 25))";
    let mut instance = instance(&module(IMPORTS, process, ""));
    instance.set_item(Some(item(12)));
    let answer = result(&mut instance, b"by").expect("it answers");
    assert_eq!(answer, b"\x05\0\0\0\x0c\0\0\0\0\0\0\0\x28\0\0\0\0\0\0\0seve\0");
    let answer = result(&mut instance, b"no").expect("it answers");
    assert_eq!(answer[..4], [0xff; 4]);
    instance.commit_counters();
    assert_eq!(instance.take_counters(), [("by".into(), 3), ("no".into(), 3)]);
    assert_eq!(instance.take_logs(), [(Level::Error, "by".into()), (Level::Error, "no".into())]);
}

#[test]
fn pointers_into_nowhere_break_the_contract() {
    let bodies = [
        "(i64.const 0x7fffffff_00000001)",
        "(i64.const 0x00000001_ffffffff)",
        "(i64.const 0xfffffffe_00000001)",
        "(call $log (i32.const 0) (i32.const -1) (i32.const -1)) (i64.const 0)",
        "(drop (call $config_get (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0))) (i64.const 0)",
        "(call $count (i32.const 131072) (i32.const 1) (i64.const 1)) (i64.const 0)",
    ];
    for body in bodies {
        let mut instance = instance(&module(IMPORTS, body, ""));
        let fault = result(&mut instance, b"").expect_err("it lies");
        assert!(matches!(fault, Fault::Contract(_)), "{body}: {fault:?}");
        assert!(instance.is_poisoned());
    }
}

fn allocating(place: &str) -> Instance {
    let text = String::from_utf8(module("", ECHO, "")).expect("it is text");
    instance(text.replace("(i32.const 1024)", place).as_bytes())
}

#[test]
fn an_allocator_without_room_fails_the_item_and_one_that_lies_the_instance() {
    let mut full = allocating("(i32.const 0)");
    let fault = result(&mut full, b"abc").expect_err("0 is no place");
    assert_eq!(fault, Fault::Failed("the kernel has no room for an item of 3 bytes".into()));
    assert_eq!(result(&mut full, b"").as_deref(), Ok(b"".as_slice()));
    assert!(!full.is_poisoned());
    let mut lying = allocating("(i32.const 131070)");
    assert_eq!(result(&mut lying, b"ab").as_deref(), Ok(b"ab".as_slice()));
    assert!(matches!(result(&mut lying, b"abc"), Err(Fault::Contract(_))));
    assert!(lying.is_poisoned());
}

#[test]
fn limits_hold_for_raw_modules_too() {
    let limits = WorkerLimits { memory: 1 << 20, output: 10, ..WorkerLimits::default() };
    let mut instance = load(&module("", ECHO, ""), limits).expect("it loads").instantiate(host()).expect("it starts");
    assert_eq!(result(&mut instance, &[0; 11]), Err(Fault::OutputLimit { len: 11, limit: 10 }));
    assert!(!instance.is_poisoned());
    let grow = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                (i32.store (i32.const 512) (memory.size)) (call $place (i32.const 512) (i32.const 4))";
    let mut instance = load(&module("", grow, ""), limits).expect("it loads").instantiate(host()).expect("it starts");
    assert_eq!(result(&mut instance, b"").as_deref(), Ok(16_u32.to_le_bytes().as_slice()));
    let small = WorkerLimits { memory: 65536, output: 10, ..WorkerLimits::default() };
    assert!(matches!(load(&module("", ECHO, ""), small).err(), Some(Refusal::TooLarge(_))));
}

#[test]
fn traps_are_faults() {
    let cases = [
        ("unreachable", "wasm `unreachable` instruction executed"),
        ("(i64.load (i32.const -8))", "out of bounds memory access"),
        ("(i64.div_u (i64.const 1) (i64.const 0))", "integer divide by zero"),
    ];
    for (body, wanted) in cases {
        let mut instance = instance(&module("", body, ""));
        let fault = result(&mut instance, b"").expect_err("it traps");
        assert!(matches!(&fault, Fault::Trap { reason, .. } if reason == wanted), "{fault:?}");
        assert!(instance.is_poisoned());
    }
}
