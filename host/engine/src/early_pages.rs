//! Has the adapter for WASI take its pages before a language's runtime counts how many there are.
//!
//! The adapter that makes preview 2 of preview 1 keeps its state in the module's memory, in pages that it gets from `memory.grow`
//! at its first call. Go's allocator notes the memory's size when the runtime starts, and takes whatever comes next for its own:
//! it would write over the adapter's state. So the first thing that `_initialize` does is a call of the adapter.

use std::ops::Range;

use wasmparser::{Export, ExternalKind, Parser, Payload, TypeRef};

use crate::wasi::PREVIEW1;

/// What is called: it needs the adapter's state, and with no bytes it does nothing else.
const CALLED: &str = "random_get";
/// What calls it.
const CALLER: &str = "_initialize";

const FUNCTIONS: u8 = 3;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

/// Where everything lies that has to be changed.
#[derive(Default)]
struct Found {
    imported: u32,
    called: Option<u32>,
    types: Vec<u32>,
    /// The index that is exported, and where the export stands in the module.
    caller: Option<(u32, Range<usize>)>,
    sections: Vec<(u8, Range<usize>)>,
}

/// The module with such an `_initialize`; `None` when it has none, or needs no change, or cannot be read.
pub(crate) fn taken_early(core: &[u8]) -> Option<Vec<u8>> {
    let found = find(core)?;
    let (initialize, export) = found.caller?;
    let called = found.called?;
    let defined = initialize.checked_sub(found.imported)?;
    let ty = *found.types.get(defined as usize)?;
    let added = found.imported.checked_add(u32::try_from(found.types.len()).ok()?)?;
    let mut module = core.get(..8)?.to_vec();
    for (id, range) in found.sections {
        let section = core.get(range.clone())?;
        let changed = match id {
            FUNCTIONS => one_more(section, &number(ty))?,
            CODE => one_more(section, &body(called, initialize))?,
            EXPORTS => {
                let before = core.get(range.start..export.start)?;
                let name = [&number(u32::try_from(CALLER.len()).ok()?), CALLER.as_bytes(), &[0]].concat();
                [before, &name, &number(added), core.get(export.end..range.end)?].concat()
            }
            _ => section.to_vec(),
        };
        module.push(id);
        module.extend(number(u32::try_from(changed.len()).ok()?));
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
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.ok()?;
                    if matches!(import.ty, TypeRef::Func(_)) {
                        let is_called = import.module == PREVIEW1 && import.name == CALLED;
                        found.called = found.called.or(is_called.then_some(found.imported));
                        found.imported += 1;
                    }
                }
            }
            Payload::FunctionSection(types) => found.types = types.into_iter().collect::<Result<_, _>>().ok()?,
            Payload::ExportSection(exports) => {
                let end = exports.range().end;
                let exports: Vec<(usize, Export<'_>)> = exports.into_iter_with_offsets().collect::<Result<_, _>>().ok()?;
                let at = exports.iter().position(|(_, export)| {
                    export.name == CALLER && matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact)
                });
                found.caller = at.map(|at| {
                    let behind = exports.get(at + 1).map_or(end, |(offset, _)| *offset);
                    (exports[at].1.index, exports[at].0..behind)
                });
            }
            _ => {}
        }
    }
    Some(found)
}

/// A section, which begins with how many there are, with one more at its end.
fn one_more(section: &[u8], added: &[u8]) -> Option<Vec<u8>> {
    let (mut count, mut digits) = (0_u32, 0);
    loop {
        let byte = *section.get(digits)?;
        count |= u32::from(byte & 0x7f).checked_shl(7 * u32::try_from(digits).ok()?)?;
        digits += 1;
        if byte < 0x80 {
            break;
        }
    }
    Some([&number(count.checked_add(1)?), section.get(digits..)?, added].concat())
}

/// `random_get(0, 0)`, then what `_initialize` was.
fn body(called: u32, initialize: u32) -> Vec<u8> {
    const NO_LOCALS: u8 = 0;
    const I32_CONST_0: [u8; 2] = [0x41, 0];
    const CALL: u8 = 0x10;
    const DROP: u8 = 0x1a;
    const END: u8 = 0x0b;
    let calls = [&[CALL], &number(called)[..], &[DROP, CALL], &number(initialize)].concat();
    let code = [&[NO_LOCALS][..], &I32_CONST_0, &I32_CONST_0, &calls, &[END]].concat();
    [number(u32::try_from(code.len()).unwrap_or(u32::MAX)), code].concat()
}

/// A number as it stands in a module, LEB128.
fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5);
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_calls_the_adapter_first() {
        let text = r#"(module
            (import "env" "other" (func))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "before") (param i32))
            (func $start (export "_initialize") nop)
            (func (export "behind") (call $start)))"#;
        let changed = taken_early(&wat::parse_str(text).expect("it is a module")).expect("it is changed");
        wasmparser::validate(&changed).expect("it is still one");
        let printed = find(&changed).expect("it can be read");
        assert_eq!(printed.caller.map(|(index, _)| index), Some(5), "two imports, three functions, and the new one");
        assert_eq!(printed.types.len(), 4);
        let code = printed.sections.iter().find(|(id, _)| *id == CODE).expect("it has code");
        assert!(changed[code.1.clone()].ends_with(&[0, 0x41, 0, 0x41, 0, 0x10, 1, 0x1a, 0x10, 3, 0x0b]));
    }

    #[test]
    fn modules_without_need_stay_as_they_are() {
        for text in [
            r#"(module (func (export "_initialize")))"#,
            r#"(module (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32))))"#,
        ] {
            assert!(taken_early(&wat::parse_str(text).expect("it is a module")).is_none());
        }
        assert!(taken_early(b"nonsense").is_none());
    }
}
