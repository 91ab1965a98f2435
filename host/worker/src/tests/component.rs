//! Component kernels from text, for the interfaces that raw modules do not have.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Memory, an allocator that starts over after each call, and results at 16: `$ok` with a list, `$err` without a text.
const PRELUDE: &str = r#"
    (memory (export "memory") 40)
    (global $free (mut i32) (i32.const 4096))
    (func $reset (global.set $free (i32.const 4096)))
    (func $realloc (export "cabi_realloc") (param i32 i32 i32) (param $len i32) (result i32)
        (local $place i32)
        (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $place) (local.get $len)))
        (local.get $place))
    (func $ok (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (local.get $at))
        (i32.store (i32.const 24) (local.get $len))
        (i32.const 16))
    (func $err (param $kind i32) (result i32)
        (i32.store (i32.const 16) (i32.const 1))
        (i32.store (i32.const 20) (local.get $kind))
        (i32.store (i32.const 24) (i32.const 0))
        (i32.store (i32.const 28) (i32.const 0))
        (i32.const 16))
"#;

/// A core module, with a component-type section, that exports these interfaces.
pub(crate) fn component(interfaces: &[&str], functions: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_str("kernel.wit", include_str!("../../../../wit/kernel.wit")).expect("the contract parses");
    let exports: String = interfaces.iter().map(|name| format!("export taskhost:kernel/{name}@1.0.0;")).collect();
    let world = format!("package taskhost:test; world test {{ include taskhost:kernel/host@1.0.0; {exports} }}");
    let package = resolve.push_str("world.wit", &world).expect("the world parses");
    let world = resolve.select_world(&[package], None).expect("there is one world");
    let mut module = wat::parse_str(format!("(module {PRELUDE} {functions})")).expect("the kernel's text parses");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it embeds");
    module
}

/// A function of an interface.
pub(crate) fn export(interface: &str, name: &str, params: &str, body: &str) -> String {
    let full = format!("taskhost:kernel/{interface}@1.0.0#{name}");
    format!(
        r#"(func (export "{full}") {params} (result i32) {body})
           (func (export "cabi_post_{full}") (param i32) (call $reset))"#
    )
}
