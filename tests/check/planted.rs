//! Kernels with one fault each.

use crate::invoke::library::module;
use crate::recorded::component;

/// Where a kernel comes from.
pub(super) enum Kernel {
    /// Of `tests/kernels`.
    Named(&'static str),
    Text(fn() -> String),
    Bytes(fn() -> Vec<u8>),
}

/// A kernel, how it is checked, and the finding it has to lead to.
pub(super) struct Planted {
    pub(super) code: &'static str,
    pub(super) kernel: Kernel,
    pub(super) flags: &'static str,
    /// What is in the file `sample`.
    pub(super) sample: &'static str,
}

const fn planted(code: &'static str, kernel: Kernel, flags: &'static str) -> Planted {
    Planted { code, kernel, flags, sample: "1\n2\n3\n4\n5\n6\n7\n8\n" }
}

const LINES: &str = "--split lines --input sample";

pub(super) const PLANTED: &[Planted] = &[
    planted("TH001", Kernel::Bytes(|| b"some text".to_vec()), ""),
    planted("TH002", Kernel::Named("exports-nothing"), ""),
    planted("TH003", Kernel::Named("imports-the-unknown"), ""),
    planted("TH004", Kernel::Named("start-refuses"), ""),
    planted("TH005", Kernel::Named("describes-nonsense"), ""),
    planted("TH006", Kernel::Named("much-memory"), "--memory 16MiB"),
    planted("TH010", Kernel::Text(waits), ""),
    planted("TH011", Kernel::Text(tells_the_time), ""),
    planted("TH012", Kernel::Text(counts), ""),
    planted("TH010", Kernel::Text(waits_as_a_program), LINES),
    planted("TH010", Kernel::Bytes(waits_as_a_function), "--invoke wait"),
    planted("TH011", Kernel::Named("program"), "--split lines --input sample -- c"),
    planted("TH012", Kernel::Bytes(counts_as_a_function), "--invoke counter.next"),
    planted("TH013", Kernel::Bytes(packs_badly), LINES),
    planted("TH014", Kernel::Text(wants_all_items), ""),
    planted("TH015", Kernel::Bytes(counts_rows), ""),
    planted("TH016", Kernel::Text(counts_blocks), ""),
    planted("TH020", Kernel::Text(|| counts_joins("lines")), ""),
    planted("TH020", Kernel::Text(|| counts_joins("blocks:20")), "--input sample"),
    planted("TH020", Kernel::Text(|| counts_joins("records:4")), ""),
    planted("TH020", Kernel::Text(|| counts_joins("chunks:6")), ""),
    planted("TH020", Kernel::Text(|| counts_joins("whole")), ""),
    planted("TH021", Kernel::Text(rounds), ""),
    planted("TH022", Kernel::Text(wants_a_part), ""),
    planted("TH030", Kernel::Named("result-outside-memory"), LINES),
    planted("TH031", Kernel::Named("longer-than-described"), ""),
    planted("TH040", Kernel::Named("trap-on-7"), LINES),
    planted("TH041", Kernel::Named("error-on-7"), LINES),
    planted("TH042", Kernel::Named("unknown-error"), LINES),
    planted("TH043", Kernel::Named("huge-result"), "--split lines --input sample --max-output 100K"),
    Planted { sample: "abort\n", ..planted("TH044", Kernel::Named("misbehave"), LINES) },
    planted("TH045", Kernel::Text(wants_a_byte), ""),
    planted("TH046", Kernel::Text(leaks), ""),
    planted("TH046", Kernel::Text(leaks), "--memory 4MiB"),
    planted("TH050", Kernel::Named("echo"), LINES),
    Planted { sample: "one\n", ..planted("TH051", Kernel::Named("echo"), LINES) },
    planted("TH052", Kernel::Named("program"), "--split lines --input sample -- s"),
];

/// A raw module. `$place` makes a place of address and length; items lie at 4096.
fn raw(split: &str, merge: &str, rest: &str) -> String {
    let description = format!("split={split}\nmerge={merge}\n");
    let (text, length) = (description.replace('\n', "\\0a"), description.len());
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "taskhost" "item_position" (func $position (result i64)))
  (memory (export "memory") 16)
  (data (i32.const 16) "{text}")
  (global $count (mut i32) (i32.const 0))
  (global $next (mut i64) (i64.const -1))
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 4096))
  (func (export "taskhost_describe") (result i64) (call $place (i32.const 16) (i32.const {length})))
  (func $place (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))
  {rest})"#
    )
}

fn maps(body: &str) -> String {
    raw(
        "lines",
        "lines",
        &format!(r#"(func (export "taskhost_process") (param $at i32) (param $len i32) (result i64) {body})"#),
    )
}

/// What `combine` does, with the number of parts at 4096.
fn reduces(split: &str, process: &str, combine: &str) -> String {
    raw(
        split,
        "reduce",
        &format!(
            r#"(data (i32.const 1024) "0.3") (data (i32.const 1040) "0.300000000000000040")
            (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64) {process})
            (func (export "taskhost_combine") (param $at i32) (param $len i32) (result i64) {combine})
            (func (export "taskhost_finish") (param $at i32) (param $len i32) (result i64)
              (call $place (local.get $at) (local.get $len)))"#
        ),
    )
}

/// How many rounds it makes until the clock moves on.
fn waits() -> String {
    maps(&format!("{ROUNDS} (call $place (i32.const 80) (i32.const 4))"))
}

fn tells_the_time() -> String {
    maps("(drop (call $clock (i32.const 0) (i64.const 1) (i32.const 64))) (call $place (i32.const 64) (i32.const 8))")
}

/// Numbers the items that its instance has seen.
pub(super) fn counts() -> String {
    maps(
        "(global.set $count (i32.add (global.get $count) (i32.const 1)))
         (i32.store (i32.const 64) (i32.add (i32.const 48) (global.get $count)))
         (call $place (i32.const 64) (i32.const 1))",
    )
}

/// Notices when it was given items, and the first of the input was not among them; slow enough for two workers to get some
/// each.
fn wants_all_items() -> String {
    maps(
        "(local $rounds i32)
         (local.set $rounds (i32.const 10000000))
         (loop $again
           (i64.store (i32.const 96) (i64.extend_i32_u (local.get $rounds)))
           (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
           (br_if $again (local.get $rounds)))
         (if (i64.eqz (call $position)) (then (global.set $next (i64.const 1))))
         (i32.store (i32.const 64) (i32.const 48))
         (if (i32.and (i32.ne (global.get $count) (i32.const 0)) (i64.lt_s (global.get $next) (i64.const 0)))
           (then (i32.store (i32.const 64) (i32.const 49))))
         (global.set $count (i32.add (global.get $count) (i32.const 1)))
         (call $place (i32.const 64) (i32.const 1))",
    )
}

/// Adds one for each joining to what it joins.
fn counts_joins(split: &str) -> String {
    let combine = "
        (local $i i32) (local $parts i32)
        (local.set $parts (i32.load (i32.const 4096)))
        (i32.store (i32.const 64) (i32.const 1))
        (block $done
          (loop $more
            (br_if $done (i32.eq (local.get $i) (local.get $parts)))
            (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64))
              (i32.load offset=4100 (i32.shl (i32.add (local.get $parts) (local.get $i)) (i32.const 2)))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $more)))
        (call $place (i32.const 64) (i32.const 4))";
    reduces(split, "(call $place (i32.const 128) (i32.const 4))", combine)
}

/// One of two ways to write what is nearly the same number, by the lengths of the parts.
fn rounds() -> String {
    let combine = "(if (result i64) (i32.and (i32.add (local.get $len) (i32.load (i32.const 4096))) (i32.const 1))
        (then (call $place (i32.const 1024) (i32.const 3)))
        (else (call $place (i32.const 1040) (i32.const 20))))";
    reduces("lines", "(call $place (i32.const 1024) (i32.const 3))", combine)
}

fn wants_a_part() -> String {
    let combine =
        "(if (i32.eqz (i32.load (i32.const 4096))) (then unreachable)) (call $place (i32.const 1024) (i32.const 3))";
    reduces("lines", "(call $place (i32.const 1024) (i32.const 3))", combine)
}

/// Takes 1000 bytes for each item and gives nothing back.
fn leaks() -> String {
    maps(
        "(global.set $count (i32.add (global.get $count) (i32.const 1000)))
         (if (i32.gt_u (i32.add (global.get $count) (i32.const 1048576)) (i32.shl (memory.size) (i32.const 16)))
           (then (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))))
         (call $place (local.get $at) (local.get $len))",
    )
}

fn counts_blocks() -> String {
    let process = r#"(func (export "taskhost_process") (param i32 i32) (result i64)
        (call $place (i32.const 16) (i32.const 1)))"#;
    raw("blocks", "concat", process)
}

/// Looks at the first byte of an item, and is sure that there is one.
fn wants_a_byte() -> String {
    maps("(if (i32.eqz (local.get $len)) (then unreachable)) (call $place (local.get $at) (i32.const 1))")
}

/// The rounds until the clock moves on, at 80.
const ROUNDS: &str = "
    (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 64)))
    (i32.store (i32.const 80) (i32.const 0))
    (loop $again
      (i32.store (i32.const 80) (i32.add (i32.load (i32.const 80)) (i32.const 1)))
      (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 72)))
      (br_if $again (i64.eq (i64.load (i32.const 64)) (i64.load (i32.const 72)))))";

const CLOCK: &str =
    r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))"#;

fn waits_as_a_program() -> String {
    format!(
        r#"(module {CLOCK}
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\50\00\00\00\04\00\00\00")
          (func (export "_start") {ROUNDS}
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

fn waits_as_a_function() -> Vec<u8> {
    let code = format!(
        r#"(module {CLOCK}
          (memory (export "memory") 1)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
          (func (export "wait") (result i32) {ROUNDS} (i32.load (i32.const 80))))"#
    );
    module(&code, "package planted:waits; world waits { export wait: func() -> u32; }")
}

/// Numbers the calls that its instance has seen.
fn counts_as_a_function() -> Vec<u8> {
    let code = r#"(module (global $count (mut i32) (i32.const 0))
        (func (export "planted:counts/counter#next") (param i32) (result i32)
          (global.set $count (i32.add (global.get $count) (i32.const 1)))
          (global.get $count)))"#;
    let contract =
        "package planted:counts; interface counter { next: func(of: u32) -> u32; } world counts { export counter; }";
    module(code, contract)
}

/// Gives items back one by one, and empty results for those of a packed call.
fn packs_badly() -> Vec<u8> {
    let world = "package taskhost:planted; world planted { include taskhost:kernel/host@1.0.0;
        export taskhost:kernel/mapper@1.0.0; export taskhost:kernel/packed-mapper@1.0.0; }";
    component(
        world,
        r#"(func (export "taskhost:kernel/mapper@1.0.0#process") (param i32 i32) (result i32)
             (call $ok (local.get 0) (local.get 1)))
           (func (export "cabi_post_taskhost:kernel/mapper@1.0.0#process") (param i32) (call $reset))
           (func (export "taskhost:kernel/packed-mapper@1.0.0#process") (param i32 i32 i32 i32) (result i32)
             (memory.fill (local.get 2) (i32.const 0) (i32.shl (local.get 3) (i32.const 2)))
             (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (i32.const 0))
             (i32.store (i32.const 24) (local.get 2)) (i32.store (i32.const 28) (local.get 3))
             (i32.store (i32.const 32) (i32.const 1024)) (i32.store (i32.const 36) (i32.const 0))
             (i32.store (i32.const 40) (i32.const 2048)) (i32.store (i32.const 44) (i32.const 0))
             (i32.const 16))
           (func (export "cabi_post_taskhost:kernel/packed-mapper@1.0.0#process") (param i32) (call $reset))"#,
    )
}

/// Every sample is how many rows its strip has.
fn counts_rows() -> Vec<u8> {
    component(
        "package taskhost:planted; world planted { include taskhost:kernel/host@1.0.0; export taskhost:kernel/image-filter@1.0.0; }",
        r#"(func (export "taskhost:kernel/image-filter@1.0.0#prepare") (param i32 i32 i32 i32) (result i32)
             (i32.store (i32.const 16) (i32.const 0))
             (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 0))
             (i32.store (i32.const 28) (local.get 0)) (i32.store (i32.const 32) (local.get 1))
             (i32.store (i32.const 36) (local.get 2)) (i32.store (i32.const 40) (local.get 3))
             (i32.const 16))
           (func (export "taskhost:kernel/image-filter@1.0.0#filter")
             (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
             (memory.fill (local.get 8) (local.get 5) (local.get 9))
             (call $ok (local.get 8) (local.get 9)))
           (func (export "cabi_post_taskhost:kernel/image-filter@1.0.0#filter") (param i32) (call $reset))"#,
    )
}
