//! What a call costs: nanoseconds for each tiny item, through a component, a raw module and a typed function, and what
//! it takes to compile, load and instantiate. `cargo run --release -p taskhost-engine --example call_cost`, with paths of more
//! kernels to be measured as arguments.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::io::Write;
use std::time::Instant;

use taskhost_engine::{HostContext, Input, Instance, ItemContext, LoadOptions, LoadedKernel, compile};
use taskhost_protocol::kernel::{CompileOptions, Invoke, Notation};
use taskhost_protocol::limits::WorkerLimits;
use wit_component::{StringEncoding, embed_component_metadata};

/// Gives each item back.
const RAW: &str = r#"(module
    (memory (export "memory") 2)
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;

/// The same, to be made into a component.
const TYPED: &str = r#"(module
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "taskhost:kernel/mapper@1.0.0#process") (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (local.get $at))
        (i32.store (i32.const 24) (local.get $len))
        (i32.const 16)))"#;

/// Functions that know nothing of taskhost: an integer to an integer, a text to itself, a record to itself.
const LIBRARY: &str = r#"(module
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "next") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
    (func (export "text") (param i32 i32) (result i32)
        (i32.store (i32.const 16) (local.get 0))
        (i32.store (i32.const 20) (local.get 1))
        (i32.const 16))
    (func (export "flip") (param f64 f64) (result i32)
        (f64.store (i32.const 16) (local.get 1))
        (f64.store (i32.const 24) (local.get 0))
        (i32.const 16)))"#;

const LIBRARY_WIT: &str = "package example:library; world library {
    record point { x: f64, y: f64 }
    export next: func(n: u64) -> u64;
    export text: func(text: string) -> string;
    export flip: func(point: point) -> point;
}";

/// Calls in one measurement.
const CALLS: u32 = 1_000_000;

fn typed() -> Vec<u8> {
    let mut module = wat::parse_str(TYPED).expect("it parses");
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("kernel.wit", include_str!("../../../wit/kernel.wit")).expect("it parses");
    let world = resolve.select_world(&[package], Some("minimal")).expect("the contract has this world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it embeds");
    module
}

fn library() -> Vec<u8> {
    let mut module = wat::parse_str(LIBRARY).expect("it parses");
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("library.wit", LIBRARY_WIT).expect("it parses");
    let world = resolve.select_world(&[package], None).expect("there is one world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it embeds");
    module
}

/// Measures a kernel, or a function of a component with the line that it is given.
fn measure(name: &str, wasm: &[u8], typed: Option<(&str, &str)>) {
    let begin = Instant::now();
    let invoke = typed.map(|(function, _)| Invoke { function: function.into(), notation: Notation::Json });
    let compiled = compile(wasm, CompileOptions::default()).expect("it compiles");
    let compile_time = begin.elapsed();
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&compiled.code).expect("room for the code");
    let info = &compiled.info;
    let limits = WorkerLimits::default();
    let options = LoadOptions {
        kind: info.kind,
        exports: info.exports,
        invoke: invoke.as_ref(),
        limits,
        needs: info.needs,
        sampled: false,
        folders: &[],
        code_path: file.path(),
    };
    let begin = Instant::now();
    let loaded = LoadedKernel::load(options).expect("it loads");
    let load_time = begin.elapsed();
    let begin = Instant::now();
    let mut instance = loaded.instantiate(HostContext::default()).expect("it starts");
    let first_time = begin.elapsed();
    let begin = Instant::now();
    for _ in 0..100 {
        // The one before goes first, as in a worker.
        drop(instance);
        instance = loaded.instantiate(HostContext::default()).expect("it starts");
    }
    let instantiate_time = begin.elapsed() / 100;
    println!(
        "{name}: compile {compile_time:?}, load {load_time:?}, instantiate {first_time:?}, again {instantiate_time:?}"
    );
    if let Some((_, line)) = typed {
        calls(&mut instance, line.as_bytes());
    }
    if info.exports.mapper || info.exports.flat_mapper {
        instance.start().expect("it starts");
        for item in [b"".as_slice(), b"12 15", &[b'1'; 100], &[b'1'; 4096]] {
            calls(&mut instance, item);
        }
    }
}

fn calls(instance: &mut Instance, item: &[u8]) {
    let source = "file".into();
    let context = ItemContext { source, ..ItemContext::default() };
    let mut bytes = 0;
    let begin = Instant::now();
    for position in 0..CALLS {
        instance.set_item(Some(ItemContext { position: position.into(), ..context.clone() }));
        let mut sink = |result: &[u8]| {
            bytes += result.len();
            Ok(())
        };
        if instance.process(Input::Bytes(item), &mut sink).is_err() && instance.is_poisoned() {
            return println!("    it trapped");
        }
        instance.commit_counters();
    }
    println!("    {:>5} bytes: {:>6.1} ns a call", item.len(), begin.elapsed().as_nanos() as f64 / f64::from(CALLS));
}

fn main() {
    measure("raw module", RAW.as_bytes(), None);
    measure("component", &typed(), None);
    measure("typed integer", &library(), Some(("next", "12345")));
    measure("typed text", &library(), Some(("text", "\"twelve\"")));
    measure("typed record", &library(), Some(("flip", "{\"x\":1.5,\"y\":-2.25}")));
    for path in std::env::args().skip(1) {
        measure(&path, &std::fs::read(&path).expect("the kernel can be read"), None);
    }
}
