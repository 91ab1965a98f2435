//! Components from text: what every one of them has, and the section that says which world it is of.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A memory, an allocator that starts over after each call, and the results of `process` and the like at 16.
const PRELUDE: &str = r#"
    (memory (export "memory") 16)
    (global $free (mut i32) (i32.const 65536))
    (func $reset (global.set $free (i32.const 65536)))
    (func $realloc (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32)
        (result i32)
        (local $place i32)
        (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $place) (local.get $len)))
        (local.get $place))
    (func $ok (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (local.get $at))
        (i32.store (i32.const 24) (local.get $len))
        (i32.const 16))
"#;

/// A component of a world of the contract, or of a world that is written out; the text is what follows the prelude.
pub(crate) fn component(world: &str, text: &str) -> Vec<u8> {
    ComponentEncoder::default().module(&module(world, "", text)).unwrap().validate(true).encode().unwrap()
}

/// The module that such a component is made of, with imports in front. taskhost makes a component of it, too.
pub(crate) fn module(world: &str, imports: &str, text: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let mut package = resolve.push_str("kernel.wit", include_str!("../../wit/kernel.wit")).unwrap();
    let mut name = Some(world);
    if world.contains(' ') {
        package = resolve.push_str("world.wit", world).unwrap();
        name = None;
    }
    let world = resolve.select_world(&[package], name).unwrap();
    let mut module = wat::parse_str(format!("(module {imports} {PRELUDE} {text})")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}
