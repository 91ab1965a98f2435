//! Fuel: the same budget for each item, in code that was compiled for it.

use taskhost_engine::{Instance, compile};
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::{CompileOptions, Profile};
use taskhost_protocol::limits::WorkerLimits;

use crate::raw::module;
use crate::support::{LIST, core, export, host, load, load_compiled, mapper, result, world};

fn with_fuel(fuel: u64) -> WorkerLimits {
    WorkerLimits { fuel: Some(fuel), ..WorkerLimits::default() }
}

/// A raw module and a component that go around as often as the first byte of the item says.
fn kernels() -> [Vec<u8>; 2] {
    let body = |done: &str| {
        format!(
            "(local $left i32) (local.set $left (i32.load8_u (local.get $at)))
            (loop $more
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (i32.gt_s (local.get $left) (i32.const 0))))
            ({done} (local.get $at) (local.get $len))"
        )
    };
    [module("", &body("call $place"), ""), mapper("", &body("call $ok"))]
}

fn started(kernel: &[u8], fuel: u64) -> Instance {
    load(kernel, with_fuel(fuel)).expect("it loads").instantiate(host()).expect("it starts")
}

#[test]
fn each_item_has_the_whole_budget() {
    for kernel in kernels() {
        let mut instance = started(&kernel, 1000);
        for _ in 0..100 {
            assert_eq!(result(&mut instance, &[50]).as_deref(), Ok([50].as_slice()));
        }
        let fault = result(&mut instance, &[250]).expect_err("too far");
        assert_eq!(fault, Fault::OutOfFuel { limit: 1000 });
        assert!(instance.is_poisoned());
    }
}

#[test]
fn the_same_item_always_ends_in_the_same_place() {
    for kernel in kernels() {
        let enough = |fuel| result(&mut started(&kernel, fuel), &[100]).is_ok();
        // The least that is enough, by halving.
        let (mut too_little, mut sufficient) = (1, 1 << 20);
        while sufficient - too_little > 1 {
            let middle = u64::midpoint(too_little, sufficient);
            if enough(middle) { sufficient = middle } else { too_little = middle }
        }
        assert!((500..2000).contains(&sufficient), "{sufficient}");
        let mut instance = started(&kernel, sufficient);
        for _ in 0..10 {
            assert!(result(&mut instance, &[100]).is_ok());
        }
        let fault = result(&mut started(&kernel, sufficient - 1), &[100]).expect_err("one too few");
        assert_eq!(fault, Fault::OutOfFuel { limit: sufficient - 1 });
    }
}

#[test]
fn what_belongs_to_no_item_has_plenty() {
    let long = "(local $left i32) (local.set $left (i32.const 1000000))
        (loop $more
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $more (i32.gt_s (local.get $left) (i32.const 0))))";
    let kernel = module(
        "",
        "(call $place (i32.const 1024) (i32.const 1))",
        &format!(
            r#"(func (export "_initialize") {long})
            (func (export "taskhost_start") (result i64) {long} (i64.const 0))
            (func (export "taskhost_combine") (param i32 i32) (result i64) {long} (i64.const 0))
            (func (export "taskhost_finish") (param i32 i32) (result i64) {long} (i64.const 0))"#
        ),
    );
    let mut instance = started(&kernel, 100);
    instance.start().expect("it has plenty");
    result(&mut instance, b"x").expect("it is short");
    instance.combine(&[b"a"]).expect("it has plenty");
    instance.finish(b"a").expect("it has plenty");
    result(&mut instance, b"x").expect("it has its own again");
}

#[test]
fn with_fuel_there_are_no_packed_calls() {
    let functions = [
        export("mapper", "process", LIST, "(call $ok (local.get $at) (local.get $len))"),
        export("packed-mapper", "process", "(param i32 i32 i32 i32)", "(i32.const 2048)"),
    ];
    let kernel = core(&world(&["mapper", "packed-mapper"]), "", &functions.concat());
    let mut without = load(&kernel, WorkerLimits::default()).expect("it loads").instantiate(host()).expect("it starts");
    assert!(without.process_packed(b"", &[]).is_ok());
    let mut with = started(&kernel, 10_000);
    let fault = with.process_packed(b"", &[]).expect_err("each item has its own fuel");
    assert_eq!(fault, Fault::Failed("the kernel does not export packed-mapper".into()));
    assert!(!with.is_poisoned());
    assert_eq!(result(&mut with, b"x").as_deref(), Ok(b"x".as_slice()));
}

#[test]
fn code_of_the_other_profile_does_not_load() {
    let kernel = &kernels()[0];
    for (profile, limits) in [(Profile::Plain, with_fuel(100)), (Profile::Fuel, WorkerLimits::default())] {
        let compiled = compile(kernel, CompileOptions { profile, ..CompileOptions::default() }).expect("it compiles");
        let refusal = load_compiled(&compiled, limits).err().expect("it counts other things");
        assert!(matches!(refusal, Refusal::Start(_)), "{refusal:?}");
    }
}
