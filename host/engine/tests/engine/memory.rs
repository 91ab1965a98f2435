//! The limit on memory: all memories and tables together, and failures that come of it.

use taskhost_engine::{Input, Instance};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::WorkerLimits;

use crate::raw::{ECHO, module};
use crate::support::{host, item, load, mapper, result};

const MEGABYTE: u64 = 1 << 20;

fn started(kernel: &[u8], memory: u64) -> Instance {
    let limits = WorkerLimits { memory, ..WorkerLimits::default() };
    load(kernel, limits).expect("it loads").instantiate(host()).expect("it starts")
}

/// Takes pages until there are no more.
const TAKE_ALL: &str = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";

#[test]
fn a_trap_after_a_refusal_is_for_want_of_memory() {
    let body = format!("{TAKE_ALL} unreachable");
    for kernel in [module("", &body, ""), mapper("", &body)] {
        let mut instance = started(&kernel, MEGABYTE);
        let fault = result(&mut instance, b"x").expect_err("it traps");
        let reason = "wasm `unreachable` instruction executed".to_owned();
        assert_eq!(fault, Fault::MemoryLimit { limit: MEGABYTE, reason });
        assert!(instance.is_poisoned());
    }
}

#[test]
fn a_refusal_is_forgotten_with_its_item() {
    let body = format!("(if (local.get $len) (then {TAKE_ALL}) (else unreachable)) {ECHO}");
    let mut instance = started(&module("", &body, ""), MEGABYTE);
    instance.set_item(Some(item(0)));
    assert_eq!(result(&mut instance, b"x").as_deref(), Ok(b"x".as_slice()), "it copes");
    instance.set_item(Some(item(1)));
    let fault = result(&mut instance, b"").expect_err("it traps");
    assert!(matches!(fault, Fault::Trap { .. }), "{fault:?}");
}

#[test]
fn a_maximum_of_the_kernels_own_is_not_our_limit() {
    let text = String::from_utf8(module("", "(drop (memory.grow (i32.const 9))) unreachable", "")).expect("text");
    let kernel = text.replace(r#"(memory (export "memory") 2)"#, r#"(memory (export "memory") 2 3)"#);
    let fault = result(&mut started(kernel.as_bytes(), MEGABYTE), b"").expect_err("it traps");
    assert!(matches!(fault, Fault::Trap { .. }), "{fault:?}");
}

#[test]
fn an_allocator_that_was_refused_is_for_want_of_memory() {
    let text = String::from_utf8(module("", ECHO, "")).expect("text");
    let alloc = r#""taskhost_alloc") (param i32) (result i32) "#;
    let kernel = text.replace(&format!("{alloc}(i32.const 1024)"), &format!("{alloc}{TAKE_ALL} (i32.const 0)"));
    let fault = result(&mut started(kernel.as_bytes(), MEGABYTE), b"x").expect_err("no room");
    let reason = "it has no room for an item of 1 bytes".to_owned();
    assert_eq!(fault, Fault::MemoryLimit { limit: MEGABYTE, reason });
}

#[test]
fn an_item_larger_than_all_memory_is_not_even_read() {
    let mut instance = started(&mapper("", "(call $ok (i32.const 0) (i32.const 0))"), MEGABYTE);
    let mut read = |_: &mut [u8]| panic!("nobody has room for it");
    let len = MEGABYTE as usize + 1;
    let fault = instance.process(Input::Read { len, read: &mut read }, &mut |_| Ok(())).expect_err("too large");
    let reason = "it has no room for an item of 1048577 bytes".to_owned();
    assert_eq!(fault, Fault::MemoryLimit { limit: MEGABYTE, reason });
    assert!(!instance.is_poisoned());
}

/// Gives how many pages the second memory has when there are no more, or how many elements the table.
#[test]
fn all_memories_and_tables_count_together() {
    let text = |rest: &str| String::from_utf8(module("", "", rest)).expect("text");
    let grown = |pages: u64, declared: &str, grow: &str, size: &str| {
        let body = format!(
            "(loop $more (br_if $more (i32.ne {grow} (i32.const -1))))
            (i32.store (i32.const 512) {size}) (call $place (i32.const 512) (i32.const 4))"
        );
        let kernel = text(declared).replace("(result i64) )", &format!("(result i64) {body})"));
        let size = result(&mut started(kernel.as_bytes(), pages << 16), b"").expect("it copes");
        u32::from_le_bytes(size.try_into().expect("4 bytes"))
    };
    // Of which the first memory has two.
    assert_eq!(grown(16, "(memory $other 1)", "(memory.grow $other (i32.const 1))", "(memory.size $other)"), 14);
    // Elements have 8 bytes each.
    let grow = "(table.grow $table (ref.null func) (i32.const 1024))";
    assert_eq!(grown(3, "(table $table 0 funcref)", grow, "(table.size $table)"), 65536 / 8);
}

#[test]
fn what_it_starts_with_counts_together() {
    let kernel = module("", ECHO, "(memory 15)");
    let limits = WorkerLimits { memory: MEGABYTE, ..WorkerLimits::default() };
    let fault = load(&kernel, limits).expect("each fits").instantiate(host()).err().expect("both do not");
    let text = "the kernel starts with 1114112 bytes of memory, more than the 1048576 that --memory allows";
    assert_eq!(fault, Fault::Failed(text.into()));
}
