//! Raw modules.

use taskhost_engine::compile;
use taskhost_protocol::kernel::{CompileOptions, Kind};

use crate::support::{instance, result};

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

const ECHO: &str = "(call $place (local.get $at) (local.get $len))";

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
