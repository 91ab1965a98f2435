//! Crashes on demand: offered in debug builds, and done only in a process that says how.

use taskhost_engine::{Input, compile};
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::CompileOptions;

use crate::raw::{ECHO, module};
use crate::support::{instance, result};

const MISBEHAVE: &str = include_str!("../../../../tests/kernels/misbehave.wat");

fn importing(name: &str, ty: &str) -> Vec<u8> {
    module(&format!(r#"(import "taskhost-fault" "{name}" (func {ty}))"#), ECHO, "")
}

#[test]
fn functions_that_are_unknown_or_of_another_type_are_refused() {
    assert!(compile(&importing("abort", ""), CompileOptions::default()).is_ok());
    for (name, ty) in [("abort", "(param i32)"), ("burn", "")] {
        let refusal = compile(&importing(name, ty), CompileOptions::default()).expect_err("there is none");
        assert!(matches!(&refusal, Refusal::ImportNotOffered(text) if text.contains(name)), "{refusal:?}");
    }
}

#[test]
fn the_kernel_that_misbehaves_does_so_when_asked() {
    let mut good = instance(MISBEHAVE.as_bytes());
    for item in ["", "x", "a good item"] {
        assert_eq!(result(&mut good, item.as_bytes()).as_deref(), Ok(item.as_bytes()));
    }
    let said = "as the item asked for".to_owned();
    assert_eq!(result(&mut good, b"error 1"), Err(Fault::InvalidInput(said.clone())));
    assert_eq!(result(&mut good, b"temporary"), Err(Fault::Temporary(said)));
    assert!(!good.is_poisoned());
    let fault = good.process(Input::Bytes(b"huge"), &mut |_| Ok(())).expect_err("over the limit");
    assert!(matches!(fault, Fault::OutputLimit { .. }), "{fault:?}");
    let fault = result(&mut good, b"trap").expect_err("it traps");
    assert!(matches!(fault, Fault::Trap { .. }), "{fault:?}");
    let fault = result(&mut instance(MISBEHAVE.as_bytes()), b"grow").expect_err("it traps");
    assert!(matches!(fault, Fault::MemoryLimit { .. }), "{fault:?}");
}

#[test]
fn a_process_that_does_not_say_how_does_nothing() {
    let names = ["abort", "segv", "kill", "sys", "exit", "panic", "memory", "stack", "block", "spin"];
    for name in names {
        let fault = result(&mut instance(MISBEHAVE.as_bytes()), name.as_bytes()).expect_err("nothing is installed");
        let Fault::Contract(text) = fault else { panic!("{fault:?}") };
        assert!(text.starts_with("this process does not do `"), "{text}");
    }
}
