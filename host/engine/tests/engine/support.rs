//! What the tests share: kernels built from text, compiled, loaded and instantiated as the worker does it.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use taskhost_engine::{Compiled, HostContext, Input, Instance, ItemContext, LoadOptions, LoadedKernel, compile};
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::{CompileOptions, Kind, Profile};
use taskhost_protocol::limits::WorkerLimits;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve, WorldId};

static CONTRACT: LazyLock<(Resolve, PackageId)> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    let package =
        resolve.push_str("kernel.wit", include_str!("../../../../wit/kernel.wit")).expect("the contract parses");
    (resolve, package)
});

/// What every component kernel below has: a memory of two pages and an allocator that starts over after each call.
pub(crate) const PRELUDE: &str = r#"
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 4096))
    (func $reset (global.set $free (i32.const 4096)))
    (func $realloc (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32)
        (result i32)
        (local $place i32)
        (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $place) (local.get $len)))
        (block $done
            (loop $more
                (br_if $done (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
                (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
                (br $more)))
        (local.get $place))
    ;; The results at 16: ok with a list, or one of the errors with a text.
    (func $ok (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (local.get $at))
        (i32.store (i32.const 24) (local.get $len))
        (i32.const 16))
    (func $err (param $kind i32) (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (i32.const 1))
        (i32.store (i32.const 20) (local.get $kind))
        (i32.store (i32.const 24) (local.get $at))
        (i32.store (i32.const 28) (local.get $len))
        (i32.const 16))
"#;

/// A core module for a world of the contract (its name, or its text): `imports`, the prelude, `body`.
pub(crate) fn core(world: &str, imports: &str, body: &str) -> Vec<u8> {
    let (resolve, package) = &*CONTRACT;
    let mut resolve = resolve.clone();
    let world = if world.contains("world ") {
        let package = resolve.push_str("world.wit", world).expect("the world parses");
        resolve.select_world(&[package], None).expect("there is one world")
    } else {
        resolve.select_world(&[*package], Some(world)).expect("the contract has this world")
    };
    embedded(&resolve, world, &format!("(module {imports} {PRELUDE} {body})"))
}

/// A core module for the world `minimal` of another contract.
pub(crate) fn core_of(contract: &str, text: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("other.wit", contract).expect("the other contract parses");
    let world = resolve.select_world(&[package], Some("minimal")).expect("it has this world");
    embedded(&resolve, world, text)
}

fn embedded(resolve: &Resolve, world: WorldId, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the kernel's text parses");
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).expect("it embeds");
    module
}

/// A world with everything that the host offers and these exports.
pub(crate) fn world(exports: &[&str]) -> String {
    let exports: Vec<String> = exports.iter().map(|export| format!("export taskhost:kernel/{export}@1.0.0;")).collect();
    format!("package taskhost:test; world test {{ include taskhost:kernel/host@1.0.0; {} }}", exports.concat())
}

/// A function that a component kernel exports from an interface of the contract.
pub(crate) fn export(interface: &str, name: &str, params: &str, body: &str) -> String {
    let full = format!("taskhost:kernel/{interface}@1.0.0#{name}");
    format!(
        r#"(func (export "{full}") {params} (result i32) {body})
           (func (export "cabi_post_{full}") (param i32) (call $reset))"#
    )
}

/// Parameters of a function that takes one list.
pub(crate) const LIST: &str = "(param $at i32) (param $len i32)";

/// A mapper whose `process` has this body, with `$at` and `$len` the item; it leaves the result of `$ok` or `$err`.
pub(crate) fn mapper(imports: &str, body: &str) -> Vec<u8> {
    core("minimal", imports, &export("mapper", "process", LIST, body))
}

pub(crate) fn load(wasm: &[u8], limits: WorkerLimits) -> Result<LoadedKernel, Refusal> {
    load_as(wasm, limits, None)
}

pub(crate) fn load_as(wasm: &[u8], limits: WorkerLimits, kind: Option<Kind>) -> Result<LoadedKernel, Refusal> {
    let profile = if limits.fuel.is_some() { Profile::Fuel } else { Profile::Plain };
    load_compiled(&compile(wasm, CompileOptions { kind, profile })?, limits)
}

pub(crate) fn load_compiled(compiled: &Compiled, limits: WorkerLimits) -> Result<LoadedKernel, Refusal> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&compiled.code).expect("room for the code");
    LoadedKernel::load(LoadOptions {
        kind: compiled.info.kind,
        exports: compiled.info.exports,
        invoke: None,
        needs: compiled.info.needs,
        sampled: false,
        folders: &[],
        limits,
        code_path: file.path(),
    })
}

pub(crate) fn host() -> HostContext {
    HostContext {
        settings: Arc::new(vec![("by".into(), "seven".into()), ("empty".into(), String::new())]),
        clock: 1_700_000_000_123_456_789,
        seed: *b"0123456789abcdef",
        ..HostContext::default()
    }
}

pub(crate) fn item(position: u64) -> ItemContext {
    ItemContext { source: "a.txt".into(), position, offset: 40, header: Some(b"x,y".as_slice().into()) }
}

/// Compiles, loads and instantiates with default limits. The file of the code is gone by then.
pub(crate) fn instance(wasm: &[u8]) -> Instance {
    load(wasm, WorkerLimits::default()).expect("it loads").instantiate(host()).expect("it starts")
}

/// The results of one item.
pub(crate) fn results(instance: &mut Instance, item: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut results = Vec::new();
    instance.process(Input::Bytes(item), &mut |result| {
        results.push(result.to_vec());
        Ok(())
    })?;
    Ok(results)
}

/// The one result of one item.
pub(crate) fn result(instance: &mut Instance, item: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut results = results(instance, item)?;
    assert_eq!(results.len(), 1);
    Ok(results.remove(0))
}
