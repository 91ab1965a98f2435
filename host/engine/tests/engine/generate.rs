//! Modules that are large in one way, made on the spot.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, CustomSection, DataSection, Encode as _, ExportKind, ExportSection, Function,
    FunctionSection, Instruction, MemorySection, MemoryType, Module, ModuleSection, TypeSection, ValType,
};

pub(crate) use wasm_encoder::Instruction as I;

/// A function with so many locals of type i32 and these instructions.
pub(crate) fn function(locals: u32, write: impl FnOnce(&mut Body)) -> Function {
    let mut body = Body(Vec::new());
    write(&mut body);
    body.put(&[Instruction::End]);
    let mut function = Function::new([(locals, ValType::I32)]);
    function.raw(body.0);
    function
}

/// Instructions that are written.
pub(crate) struct Body(Vec<u8>);

impl Body {
    /// Writes these instructions.
    pub(crate) fn put(&mut self, instructions: &[Instruction<'_>]) {
        instructions.iter().for_each(|instruction| instruction.encode(&mut self.0));
    }

    /// Writes these instructions so many times.
    pub(crate) fn repeat(&mut self, times: u32, instructions: &[Instruction<'_>]) {
        (0..times).for_each(|_| self.put(instructions));
    }
}

/// A block, or a loop, or the like, without a value.
pub(crate) const NO_VALUE: BlockType = BlockType::Empty;

/// A module with so many of these functions and nothing that can be called.
pub(crate) fn module(count: u32, body: &Function) -> Vec<u8> {
    sections(count, body).finish()
}

/// A kernel with so many of these functions, none of which is called.
pub(crate) fn kernel(count: u32, body: &Function) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32], [ValType::I64]);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    functions.function(1).function(2);
    code.function(&function(0, |body| body.put(&[I::I32Const(1024)])));
    code.function(&function(0, |body| body.put(&[I::I64Const(0)])));
    for _ in 0..count {
        functions.function(0);
        code.function(body);
    }
    let mut memories = MemorySection::new();
    memories.memory(memory(1));
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    exports.export("taskhost_alloc", ExportKind::Func, 0);
    exports.export("taskhost_process", ExportKind::Func, 1);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports).section(&code);
    module.finish()
}

fn sections(count: u32, body: &Function) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    for _ in 0..count {
        functions.function(0);
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module
}

/// As [`module`], with a custom section in front.
pub(crate) fn with_custom_section(name: &str, data: &[u8], count: u32, body: &Function) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&CustomSection { name: name.into(), data: data.into() });
    let mut wasm = module.finish();
    wasm.extend_from_slice(&sections(count, body).finish()[8..]);
    wasm
}

/// A module with so many pages of memory and so many data segments.
pub(crate) fn data(pages: u64, segments: u32) -> Vec<u8> {
    let mut memories = MemorySection::new();
    memories.memory(memory(pages));
    let mut data = DataSection::new();
    for at in 0..segments {
        data.active(0, &ConstExpr::i32_const(at as i32 % 65536), [1]);
    }
    let mut module = Module::new();
    module.section(&memories).section(&data);
    module.finish()
}

fn memory(pages: u64) -> MemoryType {
    MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

/// Components within each other, so many levels below the outermost.
pub(crate) fn nested(levels: u32) -> Vec<u8> {
    let mut component = wasm_encoder::Component::new();
    for _ in 0..levels {
        let mut outer = wasm_encoder::Component::new();
        outer.section(&wasm_encoder::NestedComponentSection(&component));
        component = outer;
    }
    component.finish()
}

/// A component with so many modules in it.
pub(crate) fn modules(count: u32) -> Vec<u8> {
    let (mut component, module) = (wasm_encoder::Component::new(), Module::new());
    for _ in 0..count {
        component.section(&ModuleSection(&module));
    }
    component.finish()
}
