//! Files that are small to send and large to compile. Each is refused in the first look at it, or compiles.

use taskhost_engine::{compile, prepass::CAPS};
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::CompileOptions;

use crate::generate::{self, I, NO_VALUE, function, kernel, module};

/// The text of a refusal for being too large.
fn too_large(wasm: &[u8]) -> String {
    match compile(wasm, CompileOptions::default()) {
        Err(Refusal::TooLarge(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// A file that has nothing to call is told so only when all looks at its size were passed.
fn passes(wasm: &[u8]) {
    let refusal = compile(wasm, CompileOptions::default()).expect_err("it exports nothing");
    assert!(matches!(refusal, Refusal::WrongShape(_)), "{refusal}");
}

/// Compiles within the limits, though it is of a kind that might not.
fn compiles(wasm: &[u8]) {
    compile(wasm, CompileOptions::default()).expect("it is small enough");
}

#[test]
fn functions_are_counted_by_the_memory_they_take() {
    let empty = function(0, |_| {});
    passes(&module(200_000, &empty));
    let text = too_large(&module(1_000_000, &empty));
    assert!(text.starts_with("compiling the kernel would take about 4673 MiB of memory, more than the 4096"), "{text}");
    compiles(&kernel(5_000, &empty));
}

#[test]
fn one_function_may_take_as_much_as_many() {
    // Each call takes more than a kilobyte.
    let calls = |count, callee| function(0, |body| body.repeat(count, &[I::Call(callee)]));
    passes(&module(1, &calls(1_000_000, 0)));
    let text = too_large(&module(1, &calls(3_500_000, 0)));
    assert!(text.contains("MiB of memory") && text.contains("1 functions"), "{text}");
    compiles(&kernel(1, &calls(5_000, 2)));
    let text = too_large(&module(1, &function(0, |body| body.repeat(8_000_000, &[I::Nop]))));
    assert_eq!(text, "the kernel has 8000004 bytes in one function, more than the 7654321 that a kernel may have");
    passes(&module(1, &function(0, |body| body.repeat(7_000_000, &[I::Nop]))));
}

#[test]
fn locals_are_bounded() {
    compiles(&kernel(1, &function(CAPS.locals as u32, |_| {})));
    let text = too_large(&module(1, &function(CAPS.locals as u32 + 1, |_| {})));
    assert_eq!(text, "the kernel has 50001 locals in one function, more than the 50000 that a kernel may have");
    too_large(&module(1, &function(u32::MAX, |_| {})));
}

#[test]
fn locals_and_branches_are_weighed_together() {
    let used_behind = |locals: u32, branches| {
        function(locals, |body| {
            body.repeat(branches, &[I::LocalGet(0), I::If(NO_VALUE), I::End]);
            (0..locals).for_each(|local| body.put(&[I::LocalGet(local), I::Drop]));
        })
    };
    compiles(&kernel(1, &used_behind(1_000, 100)));
    passes(&module(1, &used_behind(50_000, 1_000)));
    too_large(&module(1, &used_behind(50_000, 10_000)));
}

#[test]
fn locals_and_loops_are_weighed_together() {
    let changed_in = |locals: u32, loops| {
        function(locals, |body| {
            body.repeat(loops, &[I::Loop(NO_VALUE)]);
            for local in 0..locals {
                body.put(&[I::LocalGet(local), I::I32Const(1), I::I32Add, I::LocalSet(local)]);
            }
            body.repeat(loops, &[I::LocalGet(0), I::BrIf(0), I::End]);
        })
    };
    compiles(&kernel(1, &changed_in(100, 10)));
    let wasm = module(1, &changed_in(1_000, 600));
    assert!(wasm.len() < 13_000);
    let text = too_large(&wasm);
    assert!(text.starts_with("compiling the kernel would take about 43"), "{text}");
}

#[test]
fn blocks_are_counted_and_so_is_their_depth() {
    let nest = |depth| {
        function(0, |body| {
            body.repeat(depth, &[I::Block(NO_VALUE)]);
            body.repeat(depth, &[I::End]);
        })
    };
    compiles(&kernel(1, &nest(3_000)));
    passes(&module(1, &nest(CAPS.nesting as u32)));
    let text = too_large(&module(1, &nest(100_000)));
    assert_eq!(text, "the kernel has 50001 blocks within each other, more than the 50000 that a kernel may have");
    // One after another they may be many.
    passes(&module(1, &function(0, |body| body.repeat(1_000_000, &[I::Block(NO_VALUE), I::End]))));
}

#[test]
fn a_branch_table_is_bounded() {
    let table = |targets: usize| {
        let targets = vec![0; targets];
        function(0, |body| body.put(&[I::I32Const(0), I::BrTable(targets.into(), 0)]))
    };
    compiles(&kernel(1, &table(CAPS.targets as usize)));
    let text = too_large(&module(1, &table(100_000)));
    assert_eq!(text, "the kernel has 100000 targets in one br_table, more than the 65520 that a kernel may have");
}

#[test]
fn types_are_bounded() {
    let with_parameters = |count| format!("(module (type (func (param{}))))", " i32".repeat(count));
    passes(with_parameters(1_000).as_bytes());
    for count in [1_001, 5_000] {
        let refusal =
            compile(with_parameters(count).as_bytes(), CompileOptions::default()).expect_err("no engine takes that");
        assert!(matches!(refusal, Refusal::NotWasm(_) | Refusal::TooLarge(_)), "{refusal}");
    }
}

#[test]
fn declared_memory_costs_nothing_to_compile() {
    passes(&generate::data(16_384, 1));
    passes(&generate::data(65_536, 1));
    passes(&generate::data(1, 100_000));
    let text = too_large(&generate::data(1, 100_001));
    assert_eq!(text, "the kernel has 100001 data segments, more than the 100000 that a kernel may have");
}

#[test]
fn elements_of_all_tables_count_together() {
    passes(b"(module (table 10000000 funcref))");
    let text = too_large(b"(module (table 10000000 funcref) (table 1 funcref))");
    assert_eq!(text, "the kernel has 10000001 elements of tables, more than the 10000000 that a kernel may have");
    too_large(b"(module (table 0xffffffff funcref))");
}

#[test]
fn what_is_nested_is_bounded() {
    passes(&generate::nested(CAPS.depth as u32));
    let text = too_large(&generate::nested(CAPS.depth as u32 + 1));
    assert_eq!(
        text,
        "the kernel has 33 levels of components within each other, more than the 32 that a kernel may have"
    );
    too_large(&generate::nested(2_000));
    passes(&generate::modules(1_000));
    too_large(&generate::modules(1_001));
}

#[test]
fn custom_sections_hide_nothing() {
    let bomb = function(CAPS.locals as u32 + 1, |_| {});
    too_large(&generate::with_custom_section("name", &[0xff; 100], 1, &bomb));
    too_large(&generate::with_custom_section("component-type", &[0xff; 100], 1, &bomb));
    too_large(&generate::with_custom_section("component-type", &generate::nested(40), 1, &function(0, |_| {})));
}
