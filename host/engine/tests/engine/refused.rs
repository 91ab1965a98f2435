//! Files that are no kernels, and what the user reads.

use taskhost_engine::compile;
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::{CompileOptions, Kind};
use taskhost_protocol::limits::TEXT_BYTES;

use crate::raw;
use crate::support::{core, core_of, instance, mapper, result};

const CONTRACT: &str = include_str!("../../../../wit/kernel.wit");
const ECHO: &str = "(call $ok (local.get $at) (local.get $len))";

fn refusal(bytes: &[u8]) -> Refusal {
    compile(bytes, CompileOptions::default()).expect_err("it is no kernel")
}

#[test]
fn what_is_not_webassembly_is_said_to_be_none() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "it is empty"),
        (b"\x89PNG\r\n", "it begins with the bytes 89 50 4e 47"),
        (b"#!/bin/sh\n", "it begins with the bytes 23 21 2f 62"),
        (b"(module (func", "its text has an error"),
        (b"\0asm", "unexpected end"),
    ];
    for (bytes, text) in cases {
        let refusal = refusal(bytes);
        assert!(matches!(&refusal, Refusal::NotWasm(reason) if reason.contains(text)), "{refusal}");
    }
}

#[test]
fn a_truncated_kernel_is_refused_wherever_it_ends() {
    let whole = mapper("", ECHO);
    for len in (0..whole.len() - 1).step_by(7) {
        // A module cut between two sections is a module, with other exports.
        let refusal = refusal(&whole[..len]);
        assert!(matches!(refusal, Refusal::NotWasm(_) | Refusal::WrongShape(_)), "{len}: {refusal}");
    }
}

#[test]
fn a_module_with_nothing_to_call_is_told_what_is_needed() {
    let Refusal::WrongShape(text) = refusal(br#"(module (func (export "add")) (func (export "mul")))"#) else {
        panic!("another refusal")
    };
    assert_eq!(
        text,
        "it exports add, mul; a kernel is a component (or carries a component-type section), or a core module that \
         exports memory, taskhost_alloc and taskhost_process, or a WASI program, which exports memory and _start"
    );
    let Refusal::WrongShape(text) = refusal(b"(component)") else { panic!("another refusal") };
    assert_eq!(
        text,
        "it exports nothing; a kernel exports mapper, flat-mapper or image-filter of taskhost:kernel@1.0.0, or \
         wasi:cli/run@0.2 (a program), or any functions to be called with --invoke"
    );
}

#[test]
fn a_program_without_a_memory_or_with_another_start_is_none() {
    for text in [
        r#"(module (func (export "_start")))"#,
        r#"(module (memory (export "memory") 1) (func (export "_start") (param i32)))"#,
    ] {
        let refusal = refusal(text.as_bytes());
        assert!(matches!(&refusal, Refusal::WrongShape(text) if text.contains("but a WASI program has ")), "{refusal}");
    }
}

#[test]
fn proposals_that_are_off_are_refused() {
    for text in ["(module (memory i64 1))", "(module (memory 1 1 shared))", "(module (type (struct)))"] {
        let refusal = refusal(text.as_bytes());
        assert!(matches!(refusal, Refusal::NotWasm(_)), "{text}: {refusal}");
    }
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    let world = "package acme:test; interface api { call: func(); } \
                 world test { import api; export taskhost:kernel/mapper@1.0.0; }";
    let imports = r#"(import "acme:test/api" "call" (func))"#;
    let process = crate::support::export("mapper", "process", crate::support::LIST, ECHO);
    let Refusal::ImportNotOffered(text) = refusal(&core(world, imports, &process)) else { panic!("another refusal") };
    assert!(text.starts_with("the kernel imports acme:test/api, which is not offered; offered are config,"), "{text}");

    let imports = r#"(import "env" "sin" (func (param f64) (result f64)))"#;
    let Refusal::ImportNotOffered(text) = refusal(&raw::module(imports, raw::ECHO, "")) else {
        panic!("another refusal")
    };
    assert!(text.starts_with("the kernel imports env.sin, which is not offered; offered are config_get,"), "{text}");
    let imports = r#"(import "wasi_snapshot_preview1" "fd_teleport" (func))"#;
    assert!(matches!(refusal(&raw::module(imports, raw::ECHO, "")), Refusal::ImportNotOffered(_)));
}

#[test]
fn an_import_of_another_type_is_refused() {
    let imports = r#"(import "taskhost" "log" (func (param i64)))"#;
    let Refusal::WrongShape(text) = refusal(&raw::module(imports, raw::ECHO, "")) else { panic!("another refusal") };
    assert_eq!(text, "it imports taskhost.log as (i64) -> (), but that is (i32, i32, i32) -> ()");
    let other = CONTRACT.replace("log: func(level: level, message: string)", "log: func(message: string)");
    let text = format!(
        r#"(module (import "taskhost:kernel/log@1.0.0" "log" (func (param i32 i32))) {} {})"#,
        crate::support::PRELUDE,
        crate::support::export("mapper", "process", crate::support::LIST, ECHO)
    );
    let Refusal::WrongShape(text) = refusal(&core_of(&other, &text)) else { panic!("another refusal") };
    assert!(text.contains("as func(message: string), but the contract says func(level: enum"), "{text}");
}

#[test]
fn an_export_of_another_type_is_refused() {
    let other = CONTRACT.replace(
        "process: func(item: list<u8>) -> result<list<u8>, error>;",
        "process: func(item: string) -> result<list<u8>, error>;",
    );
    let text = format!(
        "(module {} {})",
        crate::support::PRELUDE,
        crate::support::export("mapper", "process", crate::support::LIST, ECHO)
    );
    let Refusal::WrongShape(text) = refusal(&core_of(&other, &text)) else { panic!("another refusal") };
    assert!(
        text.starts_with("`process` of its export taskhost:kernel/mapper@1.0.0 is func(item: string) -> "),
        "{text}"
    );
    let Refusal::WrongShape(text) = refusal(&raw::module("", raw::ECHO, r#"(func (export "taskhost_start"))"#)) else {
        panic!("another refusal")
    };
    assert_eq!(text, "its export taskhost_start is () -> (), but a raw module has taskhost_start: () -> i64");
}

/// The contract and a mapper for it in another version.
fn of_version(version: &str) -> Vec<u8> {
    let process = crate::support::export("mapper", "process", crate::support::LIST, ECHO);
    let text = format!("(module {} {process})", crate::support::PRELUDE).replace("@1.0.0", version);
    core_of(&CONTRACT.replace("@1.0.0", version), &text)
}

#[test]
fn a_kernel_of_a_compatible_version_runs_and_of_another_does_not() {
    assert_eq!(result(&mut instance(&of_version("@1.1.7")), b"x").as_deref(), Ok(b"x".as_slice()));
    let Refusal::WrongShape(text) = refusal(&of_version("@2.0.0")) else { panic!("another refusal") };
    assert!(text.starts_with("it exports taskhost:kernel/mapper@2.0.0; a kernel exports mapper"), "{text}");
}

#[test]
fn a_kind_that_was_asked_for_is_taken_or_refused() {
    let as_kind = |wasm: &[u8], kind| compile(wasm, CompileOptions { kind: Some(kind), ..CompileOptions::default() });
    assert!(as_kind(&mapper("", ECHO), Kind::Component).is_ok());
    assert!(matches!(as_kind(&mapper("", ECHO), Kind::RawModule), Err(Refusal::WrongShape(_))));
    let raw = raw::module("", raw::ECHO, "");
    assert!(as_kind(&raw, Kind::RawModule).is_ok());
    assert!(matches!(as_kind(&raw, Kind::Component), Err(Refusal::WrongShape(_))));
    assert!(matches!(as_kind(b"(component)", Kind::RawModule), Err(Refusal::WrongShape(_))));
}

#[test]
fn a_module_with_both_faces_is_a_component_unless_it_is_asked_for() {
    let exports = r#"
        (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "taskhost_process") (param i32 i32) (result i64) (i64.const 0))"#;
    let process = crate::support::export("mapper", "process", crate::support::LIST, ECHO);
    let both = core("minimal", "", &format!("{exports} {process}"));
    assert_eq!(compile(&both, CompileOptions::default()).expect("it compiles").info.kind, Kind::Component);
    let options = CompileOptions { kind: Some(Kind::RawModule), ..CompileOptions::default() };
    assert_eq!(compile(&both, options).expect("it compiles").info.kind, Kind::RawModule);
}

#[test]
fn what_a_kernel_says_in_a_refusal_is_capped() {
    let name = "x".repeat(90_000);
    let Refusal::WrongShape(text) = refusal(format!(r#"(module (func (export "{name}")))"#).as_bytes()) else {
        panic!("another refusal")
    };
    assert!(text.len() <= TEXT_BYTES);

    // Each type has two of the one before: the last would have half a million numbers when written out.
    let mut component = String::from("(component (type $t0 (tuple u8 u8))");
    for level in 1..18 {
        component += &format!("(type $t{level} (tuple $t{} $t{}))", level - 1, level - 1);
    }
    component += r#"(type $f (func (param "x" $t17))) (import "f" (func (type $f))))"#;
    let Refusal::WrongShape(text) = refusal(component.as_bytes()) else { panic!("another refusal") };
    assert!(text.starts_with("it exports nothing"), "{text}");
}
