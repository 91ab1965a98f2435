//! Keeps a language's allocator from asking for the time while the host is not to be asked for anything.
//!
//! Between the calls of a component the host has its allocator make room, and tells it which results were read: `cabi_realloc` and
//! `cabi_post_…`. While they run a component may call nothing of the host's, or it traps. Go's allocator collects garbage when
//! it is due, and looks at the clock for that. So the clock stands still meanwhile: it shows what it showed the last time.

use std::ops::Range;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, GlobalType, MemArg, ValType,
};
use wasmparser::{ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef};

use crate::adapter_room::one_more;
use crate::wasi::PREVIEW1;

/// What shows the time.
const CLOCK: &str = "clock_time_get";

const FUNCTIONS: u8 = 3;
const GLOBALS: u8 = 6;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

/// What has to be known of a module.
#[derive(Default)]
struct Found<'a> {
    /// The clock's number among the functions, and its type.
    clock: Option<(u32, u32)>,
    imported: u32,
    globals: u32,
    /// How many parameters each type of a function has.
    params: Vec<u32>,
    /// The types of the functions that are not imported, and what they do.
    types: Vec<u32>,
    bodies: Vec<FunctionBody<'a>>,
    exports: Vec<(&'a str, ExportKind, u32)>,
    sections: Vec<(u8, Range<usize>)>,
}

/// The globals that are added: whether the clock stands still, and what it showed last.
struct Globals {
    is_still: u32,
    wall: u32,
    monotonic: u32,
}

/// The module with such a clock; `None` when it has none, or nothing that runs between calls.
pub(crate) fn with_still_clock(core: &[u8]) -> Option<Vec<u8>> {
    let found = find(core)?;
    let (clock, clock_type) = found.clock?;
    let globals = Globals { is_still: found.globals, wall: found.globals + 1, monotonic: found.globals + 2 };
    let shown = found.imported + u32::try_from(found.types.len()).ok()?;
    let (mut types, mut added) = (vec![clock_type], vec![watch(clock, &globals)]);
    let mut exports = ExportSection::new();
    for (name, kind, index) in &found.exports {
        let is_between = *kind == ExportKind::Func && (*name == "cabi_realloc" || name.starts_with("cabi_post_"));
        let mut index = *index;
        if let Some(defined) = index.checked_sub(found.imported).filter(|_| is_between) {
            let ty = *found.types.get(defined as usize)?;
            added.push(between(index, *found.params.get(ty as usize)?, &globals));
            types.push(ty);
            index = shown + u32::try_from(added.len()).ok()? - 1;
        }
        exports.export(name, *kind, index);
    }
    let mut code = CodeSection::new();
    for body in &found.bodies {
        code.raw(&redirected(core, body, (clock, shown))?);
    }
    added.iter().for_each(|function| {
        code.function(function);
    });
    let mut module = core.get(..8)?.to_vec();
    for (id, range) in found.sections {
        match id {
            EXPORTS => section(&mut module, &exports),
            CODE => section(&mut module, &code),
            FUNCTIONS | GLOBALS => {
                let entries: Vec<Vec<u8>> = if id == FUNCTIONS {
                    types.iter().map(encoded).collect()
                } else {
                    vec![global(ValType::I32), global(ValType::I64), global(ValType::I64)]
                };
                let mut changed = core.get(range)?.to_vec();
                for entry in entries {
                    changed = one_more(&changed, &entry)?;
                }
                module.push(id);
                module.extend(encoded(&changed.as_slice()));
            }
            _ => {
                module.push(id);
                module.extend(encoded(&core.get(range)?));
            }
        }
    }
    Some(module)
}

fn section(module: &mut Vec<u8>, section: &impl wasm_encoder::Section) {
    section.append_to(module);
}

fn encoded(entry: &impl wasm_encoder::Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    entry.encode(&mut bytes);
    bytes
}

fn find(core: &[u8]) -> Option<Found<'_>> {
    let mut found = Found::default();
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload.ok()?;
        found.sections.extend(payload.as_section());
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group.ok()?.types() {
                        let params = match &ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => u32::try_from(ty.params().len()).ok()?,
                            _ => 0,
                        };
                        found.params.push(params);
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.ok()?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            if import.module == PREVIEW1 && import.name == CLOCK {
                                found.clock = Some((found.imported, ty));
                            }
                            found.imported += 1;
                        }
                        TypeRef::Global(_) => found.globals += 1,
                        _ => {}
                    }
                }
            }
            Payload::FunctionSection(types) => found.types = types.into_iter().collect::<Result<_, _>>().ok()?,
            Payload::GlobalSection(globals) => found.globals = found.globals.checked_add(globals.count())?.min(1 << 30),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.ok()?;
                    let kind = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
                        ExternalKind::Table => ExportKind::Table,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Global => ExportKind::Global,
                        ExternalKind::Tag => ExportKind::Tag,
                    };
                    found.exports.push((export.name, kind, export.index));
                }
            }
            Payload::CodeSectionEntry(body) => found.bodies.push(body),
            _ => {}
        }
    }
    Some(found)
}

/// What a function does, with calls of one function made calls of another.
fn redirected(core: &[u8], body: &FunctionBody<'_>, (from, to): (u32, u32)) -> Option<Vec<u8>> {
    const CALL: u8 = 0x10;
    let range = body.range();
    let (mut bytes, mut copied) = (Vec::with_capacity(range.len()), range.start);
    let mut is_called = None;
    for operator in body.get_operators_reader().ok()?.into_iter_with_offsets() {
        let (operator, at) = operator.ok()?;
        if let Some(begin) = is_called.take() {
            bytes.extend_from_slice(core.get(copied..begin)?);
            bytes.push(CALL);
            bytes.extend(encoded(&to));
            copied = at;
        }
        is_called = matches!(operator, Operator::Call { function_index } if function_index == from).then_some(at);
    }
    bytes.extend_from_slice(core.get(copied..range.end)?);
    Some(bytes)
}

fn global(ty: ValType) -> Vec<u8> {
    let mut section = wasm_encoder::GlobalSection::new();
    let zero = if ty == ValType::I32 { ConstExpr::i32_const(0) } else { ConstExpr::i64_const(0) };
    section.global(GlobalType { val_type: ty, mutable: true, shared: false }, &zero);
    // Behind its length and the number of entries.
    encoded(&section).split_off(2)
}

/// The clock as the module sees it.
fn watch(clock: u32, globals: &Globals) -> Function {
    let mut function = Function::new([]);
    let (id, precision, at) = (0, 1, 2);
    let place = MemArg { offset: 0, align: 0, memory_index: 0 };
    let mut code = function.instructions();
    code.global_get(globals.is_still).if_(BlockType::Empty);
    code.local_get(at);
    code.local_get(id).i32_eqz().if_(BlockType::Result(ValType::I64));
    code.global_get(globals.wall).else_().global_get(globals.monotonic).end();
    code.i64_store(place).i32_const(0).return_().end();
    code.local_get(id).local_get(precision).local_get(at).call(clock);
    code.local_get(id).i32_eqz().if_(BlockType::Empty);
    code.local_get(at).i64_load(place).global_set(globals.wall).else_();
    code.local_get(at).i64_load(place).global_set(globals.monotonic).end();
    code.end();
    function
}

/// What runs between calls.
fn between(inner: u32, params: u32, globals: &Globals) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.i32_const(1).global_set(globals.is_still);
    for param in 0..params {
        code.local_get(param);
    }
    code.call(inner).i32_const(0).global_set(globals.is_still).end();
    function
}

#[cfg(test)]
mod tests {
    use wasmtime::{Caller, Engine, Extern, Instance, Module, Store};

    use super::*;

    const TEXT: &str = r#"(module
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (memory (export "memory") 1)
        (global (mut i32) (i32.const 7))
        (func $time (param $id i32) (result i64)
            (drop (call $clock (local.get $id) (i64.const 1) (i32.const 64))) (i64.load (i32.const 64)))
        (func (export "monotonic") (result i64) (call $time (i32.const 1)))
        (func (export "wall") (result i64) (call $time (i32.const 0)))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (i32.add (local.get 3) (i32.wrap_i64 (call $time (i32.const 1)))))
        (func (export "cabi_post_run") (param i32) (i64.store (i32.const 128) (call $time (i32.const 0)))))"#;

    #[test]
    fn between_calls_the_clock_stands_still() {
        let changed = with_still_clock(&wat::parse_str(TEXT).expect("it is a module")).expect("it is changed");
        let engine = Engine::default();
        let module = Module::new(&engine, changed).expect("it is still a module");
        let mut store = Store::new(&engine, 0_u64);
        let clock = wasmtime::Func::wrap(&mut store, |mut caller: Caller<'_, u64>, id: i32, _: i64, at: i32| {
            *caller.data_mut() += 1;
            let time = *caller.data() + if id == 0 { 1000 } else { 0 };
            let memory = caller.get_export("memory").and_then(Extern::into_memory).expect("it has one");
            memory.write(&mut caller, at as usize, &time.to_le_bytes()).expect("there is room");
            0_i32
        });
        let instance = Instance::new(&mut store, &module, &[clock.into()]).expect("it starts");
        let monotonic = instance.get_typed_func::<(), i64>(&mut store, "monotonic").expect("it is there");
        let wall = instance.get_typed_func::<(), i64>(&mut store, "wall").expect("it is there");
        assert_eq!((monotonic.call(&mut store, ()).ok(), wall.call(&mut store, ()).ok()), (Some(1), Some(1002)));
        let realloc =
            instance.get_typed_func::<(i32, i32, i32, i32), i32>(&mut store, "cabi_realloc").expect("it is there");
        assert_eq!(realloc.call(&mut store, (0, 0, 1, 500)).ok(), Some(501));
        let after = instance.get_typed_func::<i32, ()>(&mut store, "cabi_post_run").expect("it is there");
        after.call(&mut store, 0).expect("it works");
        let memory = instance.get_memory(&mut store, "memory").expect("it has one");
        assert_eq!(memory.data(&store)[128..136], 1002_u64.to_le_bytes());
        assert_eq!(*store.data(), 2, "the host was not asked");
        assert_eq!(monotonic.call(&mut store, ()).ok(), Some(3), "it goes on");
    }

    #[test]
    fn modules_without_a_clock_stay_as_they_are() {
        let text = r#"(module (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#;
        assert!(with_still_clock(&wat::parse_str(text).expect("it is a module")).is_none());
        assert!(with_still_clock(b"nonsense").is_none());
    }
}
