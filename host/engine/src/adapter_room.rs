//! Gives the adapter for WASI the memory that a module has set aside for it.
//!
//! The adapter that makes preview 2 of preview 1 keeps its state and its stack in the module's memory, in pages that it gets from
//! `memory.grow` at its first call. Go's allocator takes every page behind its own for its own, whoever made the memory grow,
//! and whether that was before or after it counted: it would write over the adapter's state. So a module may set memory
//! aside, a variable that begins with [`MARK`], its length in decimal digits, and `;`. It then gets a function more, by which the
//! adapter takes its memory from there.

use wasm_encoder::{Encode as _, Function};
use wasmparser::{ConstExpr, DataKind, ExternalKind, Operator, Parser, Payload, TypeRef};

use crate::wasi::PREVIEW1;

/// What the memory set aside begins with.
const MARK: &[u8] = b"taskhost:adapter-room=";

/// As the encoder of components looks for it.
const REALLOC: &str = "cabi_realloc_adapter";

const TYPES: u8 = 1;
const FUNCTIONS: u8 = 3;
const GLOBALS: u8 = 6;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

const I32: u8 = 0x7f;

/// What has to be known of a module in order to add a function.
#[derive(Default)]
struct Found {
    types: u32,
    functions: u32,
    globals: u32,
    imports_wasi: bool,
    has_realloc: bool,
    /// Where the memory set aside begins, and where it ends.
    room: Option<(u32, u32)>,
    /// Where the sections lie, by their number.
    sections: Vec<(u8, std::ops::Range<usize>)>,
}

/// The module with such a function; `None` when nothing was set aside, or there is no use for it.
pub(crate) fn given(core: &[u8]) -> Option<Vec<u8>> {
    let found = find(core)?;
    let (first, end) = found.room?;
    if !found.imports_wasi || found.has_realloc {
        return None;
    }
    let mut module = core.get(..8)?.to_vec();
    for (id, range) in found.sections {
        let section = core.get(range)?;
        let changed = match id {
            TYPES => one_more(section, &[0x60, 4, I32, I32, I32, I32, 1, I32])?,
            FUNCTIONS => one_more(section, &encoded(|entry| found.types.encode(entry)))?,
            GLOBALS => one_more(section, &encoded(|entry| global(first, entry)))?,
            EXPORTS => one_more(section, &encoded(|entry| export(found.functions, entry)))?,
            CODE => one_more(section, &encoded(|entry| realloc(found.globals, end).encode(entry)))?,
            _ => section.to_vec(),
        };
        module.push(id);
        u32::try_from(changed.len()).ok()?.encode(&mut module);
        module.extend(changed);
    }
    Some(module)
}

fn find(core: &[u8]) -> Option<Found> {
    let mut found = Found::default();
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload.ok()?;
        found.sections.extend(payload.as_section());
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    found.types += u32::try_from(group.ok()?.types().len()).ok()?;
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.ok()?;
                    found.imports_wasi |= import.module == PREVIEW1;
                    match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => found.functions += 1,
                        TypeRef::Global(_) => found.globals += 1,
                        _ => {}
                    }
                }
            }
            // As they say; how many there are, nobody has counted yet.
            Payload::FunctionSection(functions) => found.functions = found.functions.saturating_add(functions.count()),
            Payload::GlobalSection(globals) => found.globals = found.globals.saturating_add(globals.count()),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.ok()?;
                    found.has_realloc |= export.name == REALLOC && export.kind == ExternalKind::Func;
                }
            }
            Payload::DataSection(segments) if found.imports_wasi => {
                for segment in segments {
                    let segment = segment.ok()?;
                    if let DataKind::Active { memory_index: 0, offset_expr } = segment.kind {
                        found.room = found.room.or_else(|| room(address(&offset_expr)?, segment.data));
                    }
                }
            }
            _ => {}
        }
    }
    Some(found)
}

/// Where a segment goes.
fn address(offset: &ConstExpr<'_>) -> Option<u32> {
    match offset.get_operators_reader().read().ok()? {
        Operator::I32Const { value } => Some(value.cast_unsigned()),
        _ => None,
    }
}

/// Begin and end of the memory set aside, when it begins in this segment. Zeros behind the text may lie in no segment.
fn room(segment: u32, data: &[u8]) -> Option<(u32, u32)> {
    let at = data.windows(MARK.len()).position(|text| text == MARK)?;
    let digits = data.get(at + MARK.len()..)?;
    let digits = digits.get(..digits.iter().position(|byte| *byte == b';')?)?;
    let length: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let begin = segment.checked_add(u32::try_from(at).ok()?)?;
    Some((begin, begin.checked_add(length)?))
}

/// A section, which begins with how many entries there are, with one more at its end.
pub(crate) fn one_more(section: &[u8], entry: &[u8]) -> Option<Vec<u8>> {
    let (mut count, mut digits) = (0_u32, 0);
    loop {
        let byte = *section.get(digits)?;
        count |= u32::from(byte & 0x7f).checked_shl(7 * u32::try_from(digits).ok()?)?;
        digits += 1;
        if byte < 0x80 {
            break;
        }
    }
    let count = encoded(|bytes| count.saturating_add(1).encode(bytes));
    Some([&count, section.get(digits..)?, entry].concat())
}

fn encoded(entry: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    entry(&mut bytes);
    bytes
}

/// A variable: what was given away ends there.
fn global(first: u32, entry: &mut Vec<u8>) {
    const VARIABLE: u8 = 1;
    const I32_CONST: u8 = 0x41;
    const END: u8 = 0x0b;
    entry.extend([I32, VARIABLE, I32_CONST]);
    first.cast_signed().encode(entry);
    entry.push(END);
}

fn export(function: u32, entry: &mut Vec<u8>) {
    const FUNCTION: u8 = 0;
    REALLOC.encode(entry);
    entry.push(FUNCTION);
    function.encode(entry);
}

/// `realloc(old, old length, alignment, length)`, which gives memory, traps when there is none left, and takes none back.
fn realloc(given: u32, end: u32) -> Function {
    let mut function = Function::new([]);
    let (old, alignment, length) = (0, 2, 3);
    let mut code = function.instructions();
    code.local_get(old).if_(wasm_encoder::BlockType::Empty).unreachable().end();
    // The next place that is aligned.
    code.global_get(given).local_get(alignment).i32_add().i32_const(1).i32_sub();
    code.i32_const(0).local_get(alignment).i32_sub().i32_and().local_tee(old);
    code.local_get(length).i32_add().global_set(given);
    code.global_get(given).i32_const(end.cast_signed()).i32_gt_u();
    code.if_(wasm_encoder::BlockType::Empty).unreachable().end();
    code.local_get(old).end();
    function
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    fn module(data: &str, export: &str) -> Vec<u8> {
        let text = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
                (memory (export "memory") 4)
                (global (mut i32) (i32.const 1))
                (func (export "{export}") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (data (i32.const 70000) "before{data}"))"#
        );
        wat::parse_str(text).expect("it is a module")
    }

    #[test]
    fn memory_is_given_from_what_was_set_aside_and_from_nowhere_else() {
        let changed = given(&module("taskhost:adapter-room=131072;", "run")).expect("it is changed");
        let engine = Engine::default();
        let module = Module::new(&engine, changed).expect("it is still a module");
        let mut store = Store::new(&engine, ());
        let random = wasmtime::Func::wrap(&mut store, |_: i32, _: i32| 0_i32);
        let instance = Instance::new(&mut store, &module, &[random.into()]).expect("it starts");
        let realloc = instance.get_typed_func::<(i32, i32, i32, i32), i32>(&mut store, REALLOC).expect("it is there");
        let begin = 70_000 + 6;
        assert_eq!(realloc.call(&mut store, (0, 0, 8, 65_536)).expect("there is room"), 70_008);
        assert_eq!(realloc.call(&mut store, (0, 0, 1, 3)).expect("there is room"), 70_008 + 65_536);
        assert_eq!(realloc.call(&mut store, (0, 0, 4, 4)).expect("there is room"), 70_008 + 65_536 + 4);
        realloc.call(&mut store, (70_008, 3, 1, 4)).expect_err("nothing is taken back");
        let left = begin + 131_072 - (70_008 + 65_536 + 8);
        assert_eq!(realloc.call(&mut store, (0, 0, 1, left)).expect("to the last byte"), begin + 131_072 - left);
        realloc.call(&mut store, (0, 0, 1, 1)).expect_err("nothing is left");
    }

    #[test]
    fn modules_without_such_memory_stay_as_they_are() {
        assert_eq!(given(&module("nothing", "run")), None);
        assert_eq!(given(&module("taskhost:adapter-room=", "run")), None, "without a length");
        assert_eq!(given(&module("taskhost:adapter-room=-1;", "run")), None, "a length that is none");
        assert_eq!(given(&module("taskhost:adapter-room=131072;", REALLOC)), None, "it has one of its own");
        assert_eq!(given(b"nonsense"), None);
    }
}
