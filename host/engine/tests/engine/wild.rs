//! Kernels at random: valid modules of every shape, the same for the same number, with what the contract asks for added.

use arbitrary::{Arbitrary as _, Unstructured};
use wasm_encoder::{
    CodeSection, Encode as _, ExportKind, ExportSection, Function, FunctionSection, HeapType, Instruction as I, Module,
    RawSection, TypeSection, ValType,
};
use wasm_smith::Config;
use wasmparser::{CompositeInnerType, FuncType, Parser, Payload};

/// Bytes from which a module is made: where they end, all choices are the smallest.
const CHOICES: usize = 3000;

/// Calls, turns of loops and the like that a module may make in its whole life, unless it is endless.
const STEPS: u32 = 10_000;

/// Numbers of the sections that are made anew.
const TYPES: u8 = 1;
const FUNCTIONS: u8 = 3;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

/// What a module may be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wild {
    /// It may use proposals that are not supported, import what there is not, and be invalid.
    pub(crate) anything: bool,
    /// Its loops may have no end.
    pub(crate) endless: bool,
}

/// Bytes that look random and are the same for the same number (xorshift64).
fn choices(number: u64) -> Vec<u8> {
    let mut state = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..CHOICES).map(|_| next()).collect()
}

/// The module of that number. An item of `n` bytes calls its function `n`, if it has that many.
pub(crate) fn module(number: u64, wild: Wild) -> Vec<u8> {
    // Some choices make none: then others are taken.
    (0..).find_map(|more: u64| made(&choices(number + (more << 32)), number, wild).ok()).expect("some choices make one")
}

fn made(bytes: &[u8], number: u64, wild: Wild) -> arbitrary::Result<Vec<u8>> {
    let mut choices = Unstructured::new(bytes);
    let mut config = Config::arbitrary(&mut choices)?;
    config.min_types = 1;
    config.max_types = config.max_types.clamp(1, 20);
    config.min_funcs = 1;
    config.max_funcs = config.max_funcs.clamp(1, 12);
    config.max_memories = config.max_memories.min(3);
    config.max_instructions = config.max_instructions.clamp(10, 200);
    config.max_memory32_bytes = config.max_memory32_bytes.min(64 << 20);
    config.max_table_elements = config.max_table_elements.min(10_000);
    config.generate_custom_sections = number.is_multiple_of(3);
    if wild.anything {
        config.allow_invalid_funcs = number.is_multiple_of(2);
    } else {
        config.max_imports = 0;
        config.min_memories = 1;
        config.max_memories = config.max_memories.max(1);
        // Without the types of garbage collection there are no references to what is outside, either.
        config.reference_types_enabled = false;
        config.gc_enabled = false;
        config.exceptions_enabled = false;
        config.max_tags = 0;
        config.memory64_enabled = false;
        config.threads_enabled = false;
    }
    let mut module = wasm_smith::Module::new(config, &mut choices)?;
    if !wild.endless {
        // Of a function whose body is arbitrary bytes nothing can be known.
        let _ = module.ensure_termination(STEPS);
    }
    let wasm = module.to_bytes();
    Ok(if wild.anything { wasm } else { kernel(&wasm) })
}

/// A module, changed to export what a kernel has to.
fn kernel(wasm: &[u8]) -> Vec<u8> {
    let (mut types, mut functions) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("it is well-formed") {
            Payload::TypeSection(section) => {
                let groups = section.into_iter().map(|group| group.expect("it is well-formed"));
                types.extend(groups.flat_map(|group| group.into_types()));
            }
            Payload::FunctionSection(section) => {
                functions.extend(section.into_iter().map(|ty| ty.expect("it is well-formed")));
            }
            _ => {}
        }
    }
    let signatures: Vec<Option<&FuncType>> = functions
        .iter()
        .map(|ty| match &types[*ty as usize].composite_type.inner {
            CompositeInnerType::Func(ty) => Some(ty),
            _ => None,
        })
        .collect();
    let new_type = types.len() as u32;
    let mut module = Module::new();
    let mut is_exported = false;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.expect("it is well-formed");
        let Some((id, range)) = payload.as_section() else { continue };
        // Behind the functions and in front of the code, where exports belong.
        if id != 0 && id != EXPORTS && !is_exported && after_exports(id) {
            is_exported = true;
            module.section(&exports(functions.len() as u32));
        }
        let data = &wasm[range];
        match id {
            TYPES => grown(&mut module, id, data, &new_types()),
            FUNCTIONS => {
                let mut more = FunctionSection::new();
                more.function(new_type).function(new_type + 1);
                grown(&mut module, id, data, &encoded(&more));
            }
            EXPORTS => {}
            CODE => grown(&mut module, id, data, &new_code(&signatures)),
            _ => {
                module.section(&RawSection { id, data });
            }
        }
    }
    module.finish()
}

/// Whether this section comes behind the exports: start, elements, data count, code, data.
fn after_exports(id: u8) -> bool {
    (8..=12).contains(&id)
}

fn exports(count: u32) -> ExportSection {
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    exports.export("taskhost_alloc", ExportKind::Func, count);
    exports.export("taskhost_process", ExportKind::Func, count + 1);
    exports
}

fn new_types() -> Vec<u8> {
    let mut more = TypeSection::new();
    more.ty().function([ValType::I32], [ValType::I32]);
    more.ty().function([ValType::I32, ValType::I32], [ValType::I64]);
    encoded(&more)
}

/// An allocator that always gives 64, and a function that calls the one whose number is the length of its item.
fn new_code(signatures: &[Option<&FuncType>]) -> Vec<u8> {
    let mut alloc = Function::new([]);
    alloc.instruction(&I::I32Const(64)).instruction(&I::End);
    let mut process = Function::new([]);
    for (index, signature) in (0_u32..).zip(signatures) {
        let Some(arguments) = signature.and_then(arguments) else { continue };
        process.instruction(&I::LocalGet(1)).instruction(&I::I32Const(index.cast_signed())).instruction(&I::I32Eq);
        process.instruction(&I::If(wasm_encoder::BlockType::Empty));
        for argument in &arguments {
            process.instruction(argument);
        }
        process.instruction(&I::Call(index));
        let results = signature.map_or(0, |ty| ty.results().len());
        for _ in 0..results {
            process.instruction(&I::Drop);
        }
        process.instruction(&I::End);
    }
    process.instruction(&I::I64Const(0)).instruction(&I::End);
    let mut code = CodeSection::new();
    code.function(&alloc).function(&process);
    encoded(&code)
}

/// Something for each parameter; `None` where there is nothing that simple.
fn arguments(ty: &FuncType) -> Option<Vec<I<'static>>> {
    let mut arguments = Vec::new();
    for param in ty.params() {
        arguments.push(match param {
            wasmparser::ValType::I32 => I::I32Const(65_530),
            wasmparser::ValType::I64 => I::I64Const(-2),
            wasmparser::ValType::F32 => I::F32Const(f32::NAN.into()),
            wasmparser::ValType::F64 => I::F64Const(1e300.into()),
            wasmparser::ValType::V128 => I::V128Const(-1),
            wasmparser::ValType::Ref(ty) if *ty == wasmparser::RefType::FUNCREF => I::RefNull(HeapType::FUNC),
            wasmparser::ValType::Ref(ty) if *ty == wasmparser::RefType::EXTERNREF => I::RefNull(HeapType::EXTERN),
            wasmparser::ValType::Ref(_) => return None,
        });
    }
    Some(arguments)
}

/// The content of a section with two entries, without their number.
fn encoded(section: &impl wasm_encoder::Section) -> Vec<u8> {
    let mut bytes = Vec::new();
    section.encode(&mut bytes);
    // The length of the section, and the number of its entries.
    let (_, rest) = leb(&bytes);
    leb(rest).1.to_vec()
}

/// Writes a section with two more entries than it had.
fn grown(module: &mut Module, id: u8, data: &[u8], more: &[u8]) {
    let (count, rest) = leb(data);
    let mut bytes = Vec::new();
    (count + 2).encode(&mut bytes);
    bytes.extend_from_slice(rest);
    bytes.extend_from_slice(more);
    module.section(&RawSection { id, data: &bytes });
}

/// A number in front of bytes.
fn leb(bytes: &[u8]) -> (u32, &[u8]) {
    let length = 1 + bytes.iter().position(|byte| byte & 0x80 == 0).expect("it is well-formed");
    let number = bytes[..length].iter().rev().fold(0, |number, byte| number << 7 | u32::from(byte & 0x7f));
    (number, &bytes[length..])
}
