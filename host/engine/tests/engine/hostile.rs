//! Components that misbehave: each gets a fault of its own, and takes nothing with it but its instance.

use taskhost_engine::Instance;
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::limits::WorkerLimits;

use crate::support::{LIST, core, export, host, instance, load, mapper, result, world};

fn with_limits(wasm: &[u8], memory: u64, output: u64) -> Instance {
    load(wasm, WorkerLimits { memory, output, ..WorkerLimits::default() })
        .expect("it loads")
        .instantiate(host())
        .expect("it starts")
}

#[test]
fn a_trap_names_its_reason_and_the_functions_on_the_stack() {
    let body = "(call $outer) (call $ok (i32.const 0) (i32.const 0))";
    let kernel = mapper(
        "(func $outer (call $_ZN4demo5inner17h0123456789abcdefE)) (func $_ZN4demo5inner17h0123456789abcdefE unreachable)",
        body,
    );
    let mut instance = instance(&kernel);
    let fault = result(&mut instance, b"x").expect_err("it traps");
    let Fault::Trap { reason, backtrace } = fault else { panic!("{fault:?}") };
    assert_eq!(reason, "wasm `unreachable` instruction executed");
    assert_eq!(backtrace[..2], ["demo::inner", "outer"]);
    assert!(instance.is_poisoned());
    let fault = result(&mut instance, b"x").expect_err("it must be replaced");
    assert_eq!(fault, Fault::Failed("this instance trapped before and was not replaced".into()));
}

#[test]
fn a_loaded_kernel_gives_a_new_instance_after_a_trap() {
    let body = "(if (local.get $len) (then unreachable)) (call $ok (i32.const 0) (i32.const 0))";
    let loaded = load(&mapper("", body), WorkerLimits::default()).expect("it loads");
    for _ in 0..100 {
        let mut instance = loaded.instantiate(host()).expect("it starts");
        assert_eq!(result(&mut instance, b"").as_deref(), Ok(b"".as_slice()));
        assert!(result(&mut instance, b"x").is_err());
    }
}

#[test]
fn recursion_without_end_is_a_trap() {
    let mut instance = instance(&mapper("(func $deep (result i32) (call $deep))", "(call $deep)"));
    let fault = result(&mut instance, b"").expect_err("the stack ends");
    let Fault::Trap { reason, backtrace } = fault else { panic!("{fault:?}") };
    assert_eq!(reason, "call stack exhausted");
    assert!(backtrace.len() <= taskhost_protocol::limits::BACKTRACE_FRAMES);
}

#[test]
fn an_answer_outside_the_memory_breaks_the_contract() {
    let bodies = [
        "(call $ok (i32.const 0x7fffffff) (i32.const 10))",
        "(call $ok (i32.const -1) (i32.const -1))",
        "(i32.const 0x7ffffff0)",
        "(call $err (i32.const 7) (i32.const 0) (i32.const 0))",
        "(i32.store8 (i32.const 100) (i32.const 255)) (call $err (i32.const 1) (i32.const 100) (i32.const 1))",
    ];
    for body in bodies {
        let mut instance = instance(&mapper("", body));
        let fault = result(&mut instance, b"").expect_err("it lies");
        assert!(matches!(fault, Fault::Contract(_) | Fault::OutputLimit { .. }), "{body}: {fault:?}");
        assert!(instance.is_poisoned());
    }
}

#[test]
fn an_allocator_that_lies_breaks_the_contract() {
    let process = export("mapper", "process", LIST, "(call $ok (i32.const 0) (i32.const 0))");
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func $reset) (func $ok (param i32 i32) (result i32) (i32.const 16))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0x7fffffff)) {process})"#
    );
    let kernel = crate::support::core_of(include_str!("../../../../wit/kernel.wit"), &text);
    let fault = result(&mut instance(&kernel), b"item").expect_err("there is no such place");
    assert!(matches!(fault, Fault::Contract(_)), "{fault:?}");
}

#[test]
fn a_result_over_the_limit_is_refused() {
    let kernel = mapper(
        "",
        "(drop (memory.grow (i32.const 100))) (call $ok (i32.const 0) (i32.mul (local.get $len) (i32.const 1000)))",
    );
    let mut instance = with_limits(&kernel, 64 << 20, 2500);
    assert_eq!(result(&mut instance, b"xx").map(|bytes| bytes.len()), Ok(2000));
    let fault = result(&mut instance, b"xxx").expect_err("3000 bytes");
    assert_eq!(fault, Fault::OutputLimit { len: 3000, limit: 2500 });
    assert!(!instance.is_poisoned());
    // So long that it is not even copied.
    let fault = result(&mut instance, &[0; 5000]).expect_err("5 MB");
    assert!(matches!(fault, Fault::OutputLimit { limit: 2500, .. }), "{fault:?}");
    assert!(instance.is_poisoned());
}

#[test]
fn memory_grows_up_to_the_limit() {
    let body = "
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (i32.store (i32.const 512) (memory.size))
        (call $ok (i32.const 512) (i32.const 4))";
    let mut instance = with_limits(&mapper("", body), 1 << 20, 1000);
    assert_eq!(result(&mut instance, b"").as_deref(), Ok(16_u32.to_le_bytes().as_slice()));
}

#[test]
fn a_memory_that_starts_over_the_limit_is_refused_with_the_flag_to_change() {
    let kernel = mapper("", "(call $ok (i32.const 0) (i32.const 0))");
    let limits = WorkerLimits { memory: 65536, output: 1000, ..WorkerLimits::default() };
    let refusal = load(&kernel, limits).err().expect("two pages are over it");
    assert_eq!(
        refusal,
        Refusal::TooLarge(
            "the kernel starts with 131072 bytes of memory, more than the 65536 that --memory allows".into()
        )
    );
}

#[test]
fn a_start_function_that_traps_is_a_fault() {
    let kernel = mapper("(func $boom unreachable) (start $boom)", "(call $ok (i32.const 0) (i32.const 0))");
    let loaded = load(&kernel, WorkerLimits::default()).expect("loading runs nothing");
    let fault = loaded.instantiate(host()).err().expect("it traps");
    assert!(matches!(fault, Fault::Trap { .. }), "{fault:?}");
}

#[test]
fn a_describe_that_traps_is_a_fault() {
    let functions = [
        export("describe", "describe", "", "unreachable"),
        export("mapper", "process", LIST, "(call $ok (i32.const 0) (i32.const 0))"),
    ];
    let mut instance = instance(&core("map-kernel", "", &functions.concat()));
    assert!(matches!(instance.describe(), Err(Fault::Trap { .. })));
}

#[test]
fn errors_of_the_kernel_are_told_apart_and_leave_the_instance_good() {
    let body = "
        (call $err (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)) (i32.add (local.get $at) (i32.const 1))
            (i32.sub (local.get $len) (i32.const 1)))";
    let mut instance = instance(&mapper("", body));
    assert_eq!(result(&mut instance, b"0why"), Err(Fault::InvalidInput("why".into())));
    assert_eq!(result(&mut instance, b"1why"), Err(Fault::Failed("why".into())));
    assert_eq!(result(&mut instance, b"2why"), Err(Fault::Temporary("why".into())));
    assert!(!instance.is_poisoned());
}

#[test]
fn what_is_not_exported_is_not_called() {
    let mut instance = instance(&core(
        &world(&["mapper"]),
        "",
        &export("mapper", "process", LIST, "(call $ok (i32.const 0) (i32.const 0))"),
    ));
    assert_eq!(instance.finish(b""), Err(Fault::Failed("the kernel does not export reducer".into())));
    assert!(!instance.is_poisoned());
}
