//! What an item costs, in allocations: a count that is the same on every machine, so that a path which has become longer is
//! seen without a clock. A program of its own, since counting them takes another allocator.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use taskhost_engine::{HostContext, Input, Instance, ItemContext, LoadOptions, LoadedKernel, compile};
use taskhost_protocol::kernel::{CompileOptions, Invoke, Kind, Notation};
use taskhost_protocol::limits::WorkerLimits;

/// Items of one measurement.
const ITEMS: u64 = 1000;

fn instance(wasm: &[u8], function: Option<&str>) -> Instance {
    let kind = function.map(|_| Kind::Typed);
    let compiled = compile(wasm, CompileOptions { kind, ..CompileOptions::default() }).expect("it compiles");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&compiled.code).expect("room for the code");
    let invoke = function.map(|name| Invoke { function: name.into(), notation: Notation::Json });
    let loaded = LoadedKernel::load(LoadOptions {
        kind: compiled.info.kind,
        exports: compiled.info.exports,
        invoke: invoke.as_ref(),
        needs: compiled.info.needs,
        sampled: false,
        folders: &[],
        limits: WorkerLimits::default(),
        code_path: file.path(),
    });
    loaded.expect("it loads").instantiate(HostContext::default()).expect("it starts")
}

/// Allocations of each item, of these bytes.
fn of_items(instance: &mut Instance, item: &[u8]) -> f64 {
    let source: Arc<str> = "input".into();
    let mut bytes = 0;
    let mut run = |count: u64| {
        for position in 0..count {
            let item_context = ItemContext { source: Arc::clone(&source), position, offset: 0, header: None };
            instance.set_item(Some(item_context));
            let taken = instance.process(Input::Bytes(item), &mut |result| {
                bytes += result.len();
                Ok(())
            });
            taken.expect("it works");
        }
    };
    // What is kept from item to item is there afterwards.
    run(10);
    let counted = allocation_counter::measure(|| run(ITEMS));
    assert!(bytes > 0, "there are results");
    counted.count_total as f64 / ITEMS as f64
}

fn repository(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).expect("it is there")
}

#[track_caller]
fn at_most(most: f64, counted: f64) {
    assert!(counted <= most, "{counted} allocations for an item, more than {most}");
}

const TYPED: &str = r#"(component
    (core module $module
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "twice") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
        (func (export "same") (param i32 i32) (result i32)
            (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
    (core instance $instance (instantiate $module))
    (func (export "twice") (param "n" s32) (result s32) (canon lift (core func $instance "twice")))
    (func (export "same") (param "bytes" (list u8)) (result (list u8))
        (canon lift (core func $instance "same") (memory (core memory $instance "memory")) (realloc (core func $instance "realloc")))))"#;

#[test]
fn a_mapper() {
    // The result, which the canonical ABI copies.
    at_most(1.0, of_items(&mut instance(&repository("tests/recorded/1.0.0/minimal.wasm"), None), b"12345678"));
}

#[test]
fn a_packed_mapper() {
    let mut instance = instance(&repository("plugins/dist/echo.wasm"), None);
    let ends: Vec<u32> = (1..=1000).map(|item| item * 8).collect();
    let bytes = vec![b'x'; 8000];
    instance.process_packed(&bytes, &ends).expect("it works");
    let counted = allocation_counter::measure(|| {
        let results = instance.process_packed(&bytes, &ends).expect("it works");
        assert_eq!(results.ends.len(), 1000);
    });
    // The results and where they end, for all items together.
    at_most(0.01, counted.count_total as f64 / 1000.0);
}

#[test]
fn a_function_of_an_integer() {
    // Within wasmtime, for values whose types it learns as it goes.
    at_most(1.0, of_items(&mut instance(TYPED.as_bytes(), Some("twice")), b"21"));
}

#[test]
fn a_function_of_many_bytes() {
    // The result, as the bytes that it is.
    let text = format!("\"{}\"", "AQID".repeat(1000));
    at_most(1.0, of_items(&mut instance(TYPED.as_bytes(), Some("same")), text.as_bytes()));
    let numbers = format!("[[{}]]", vec!["200"; 3000].join(","));
    // And what the parser notes of lists within lists.
    at_most(2.0, of_items(&mut instance(TYPED.as_bytes(), Some("same")), numbers.as_bytes()));
    let mut instance = instance(TYPED.as_bytes(), Some("same"));
    let counted = allocation_counter::measure(|| {
        instance.process(Input::Bytes(text.as_bytes()), &mut |_| Ok(())).expect("it works");
    });
    // Argument, result, and its text, each with the room that growing leaves.
    assert!(counted.bytes_max < 24 * 1024, "{} bytes in the host for 3000 bytes", counted.bytes_max);
}

#[test]
fn a_raw_module() {
    at_most(0.0, of_items(&mut instance(&repository("tests/kernels/echo.wat"), None), b"12345678"));
}

#[test]
fn a_program() {
    // A store, an instance, and what the program is given.
    at_most(28.0, of_items(&mut instance(&repository("tests/kernels/program.wat"), None), b"12345678"));
}

#[test]
fn a_program_that_is_a_component() {
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let core = wat::parse_bytes(&repository("tests/kernels/program.wat")).expect("the text parses").into_owned();
    let mut encoder = wit_component::ComponentEncoder::default()
        .module(&core)
        .expect("it is a module")
        .adapter("wasi_snapshot_preview1", adapter)
        .expect("it is an adapter");
    let wasm = encoder.encode().expect("it encodes");
    // The same for four modules, and a resource for each stream.
    at_most(90.0, of_items(&mut instance(&wasm, None), b"12345678"));
}
