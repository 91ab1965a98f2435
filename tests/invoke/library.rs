//! A component that knows nothing of taskhost: interfaces and functions of many types.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = "
    package example:numbers@1.2.0;

    interface math {
        is-prime: func(n: u64) -> bool;
        add: func(a: s32, b: s32) -> s32;
        divide: func(dividend: s32, divisor: s32) -> result<s32, string>;
    }

    interface more-math {
        add: func(a: s32, b: s32) -> s32;
    }

    interface forms {
        record point { x: f64, y: f64 }
        variant form { circle(f64), polygon(list<point>), nothing }
        enum color { red, green, blue }
        flags permissions { read, write, execute }
        record everything {
            yes: bool, a: s8, b: u8, c: s16, d: u16, e: s32, f: u32, g: s64, h: u64, i: f32, j: f64, k: char,
            text: string, bytes: list<u8>, words: list<string>, pair: tuple<u8, string>, form: form, color: color,
            permissions: permissions, maybe: option<u32>, perhaps: option<option<u32>>, outcome: result<u32, string>,
            points: list<point>,
        }
        same: func(value: everything) -> everything;
        flip: func(p: point) -> point;
        paint: func(form: form) -> option<color>;
        fail: func(code: u32) -> result<_, form>;
        resource counter { next: func() -> u32; }
    }

    world library {
        export math;
        export more-math;
        export forms;
        export greet: func(name: string) -> string;
        export longest: func(words: list<string>) -> string;
        export nap: func();
        export trap: func(n: u32);
        export repeat: func(text: string, times: u32) -> list<u8>;
    }
";

const CODE: &str = r#"(module
    (memory (export "memory") 64)
    (global $free (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32) (param $len i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
        (global.set $free (i32.add (local.get $at) (local.get $len)))
        (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
            (then (if (i32.eq (i32.const -1) (memory.grow
                (i32.sub (i32.add (i32.div_u (global.get $free) (i32.const 65536)) (i32.const 1)) (memory.size))))
                (then unreachable))))
        (local.get $at))
    (func $reset (param i32) (global.set $free (i32.const 65536)))

    (func (export "example:numbers/math@1.2.0#is-prime") (param $n i64) (result i32)
        (local $d i64)
        (if (i64.lt_u (local.get $n) (i64.const 2)) (then (return (i32.const 0))))
        (local.set $d (i64.const 2))
        (loop $more
            (if (i64.gt_u (i64.mul (local.get $d) (local.get $d)) (local.get $n)) (then (return (i32.const 1))))
            (if (i64.eqz (i64.rem_u (local.get $n) (local.get $d))) (then (return (i32.const 0))))
            (local.set $d (i64.add (local.get $d) (i64.const 1)))
            (br $more))
        unreachable)
    (func $add (export "example:numbers/math@1.2.0#add") (param i32 i32) (result i32)
        (i32.add (local.get 0) (local.get 1)))
    (export "example:numbers/more-math@1.2.0#add" (func $add))
    (data (i32.const 1024) "division by zero")
    (func (export "example:numbers/math@1.2.0#divide") (param i32 i32) (result i32)
        (if (i32.eqz (local.get 1)) (then
            (i32.store (i32.const 16) (i32.const 1))
            (i32.store (i32.const 20) (i32.const 1024))
            (i32.store (i32.const 24) (i32.const 16))
            (return (i32.const 16))))
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (i32.div_s (local.get 0) (local.get 1)))
        (i32.const 16))

    ;; A value with so many parts comes in memory, and is returned where it is.
    (func (export "example:numbers/forms@1.2.0#same") (param i32) (result i32) (local.get 0))
    (export "cabi_post_example:numbers/forms@1.2.0#same" (func $reset))
    (func (export "example:numbers/forms@1.2.0#flip") (param f64 f64) (result i32)
        (f64.store (i32.const 16) (local.get 1))
        (f64.store (i32.const 24) (local.get 0))
        (i32.const 16))
    (func (export "example:numbers/forms@1.2.0#paint") (param $case i32) (param i64 i32) (result i32)
        (i32.store8 (i32.const 16) (i32.ne (local.get $case) (i32.const 2)))
        (i32.store8 (i32.const 17) (local.get $case))
        (i32.const 16))
    (func (export "example:numbers/forms@1.2.0#fail") (param $code i32) (result i32)
        (i32.store8 (i32.const 16) (i32.ne (local.get $code) (i32.const 0)))
        (i32.store8 (i32.const 24) (i32.const 0))
        (f64.store (i32.const 32) (f64.convert_i32_u (local.get $code)))
        (i32.const 16))
    (func (export "example:numbers/forms@1.2.0#[method]counter.next") (param i32) (result i32) (i32.const 1))

    (func $text (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (local.get $at))
        (i32.store (i32.const 20) (local.get $len))
        (i32.const 16))
    (func (export "greet") (param i32 i32) (result i32) (call $text (local.get 0) (local.get 1)))
    (export "cabi_post_greet" (func $reset))
    (func (export "longest") (param $at i32) (param $count i32) (result i32)
        (local $best i32)
        (local.set $best (i32.const 0))
        (i64.store (i32.const 0) (i64.const 0))
        (block $done (loop $next
            (br_if $done (i32.eqz (local.get $count)))
            (if (i32.gt_u (i32.load offset=4 (local.get $at)) (i32.load offset=4 (local.get $best)))
                (then (local.set $best (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (local.set $count (i32.sub (local.get $count) (i32.const 1)))
            (br $next)))
        (call $text (i32.load (local.get $best)) (i32.load offset=4 (local.get $best))))
    (export "cabi_post_longest" (func $reset))
    (func (export "nap"))
    (func (export "trap") (param i32) (if (local.get 0) (then unreachable)))
    ;; So many bytes, whatever they are.
    (func (export "repeat") (param i32 i32) (param $times i32) (result i32)
        (call $text (i32.const 65536) (local.get $times)))
)"#;

/// Needs WASI: random bytes from its first version, as compilers leave them.
const DICE_WIT: &str = "package example:dice; world dice { export roll: func() -> u64; }";

const DICE: &str = r#"(module
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "roll") (result i64)
        (drop (call $random (i32.const 16) (i32.const 8)))
        (i64.load (i32.const 16))))"#;

/// Takes its types from an interface that nobody has to provide.
const BORROWED_WIT: &str = "package example:borrowed;
    interface types { record point { x: s32, y: s32 } }
    world borrowed { use types.{point}; enum axis { x, y } export pick: func(of: point, axis: axis) -> s32; }";

const BORROWED: &str = r#"(module
    (func (export "pick") (param i32 i32 i32) (result i32)
        (select (local.get 1) (local.get 0) (local.get 2))))"#;

/// Wants a function that nobody offers.
const NEEDY_WIT: &str = "package example:needy;
    interface helper { help: func(n: u32) -> u32; }
    world needy { import helper; export run: func(n: u32) -> u32; }";

const NEEDY: &str = r#"(module
    (import "example:needy/helper" "help" (func $help (param i32) (result i32)))
    (func (export "run") (param i32) (result i32) (call $help (local.get 0))))"#;

/// A core module that says what component it wants to be.
fn module(code: &str, wit: &str) -> Vec<u8> {
    let mut module = wat::parse_str(code).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("library.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

/// The component.
pub(crate) fn library() -> Vec<u8> {
    ComponentEncoder::default().module(&module(CODE, WIT)).unwrap().encode().unwrap()
}

/// A core module with a component-type section that rolls dice with WASI.
pub(super) fn dice() -> Vec<u8> {
    module(DICE, DICE_WIT)
}

/// A component whose types are imported.
pub(super) fn borrowed() -> Vec<u8> {
    ComponentEncoder::default().module(&module(BORROWED, BORROWED_WIT)).unwrap().encode().unwrap()
}

/// A component that cannot be had.
pub(super) fn needy() -> Vec<u8> {
    ComponentEncoder::default().module(&module(NEEDY, NEEDY_WIT)).unwrap().encode().unwrap()
}
