//! One function: what there is in its body that makes compiling it expensive.

use wasmparser::{FunctionBody, Operator, OperatorsReader, OperatorsReaderAllocations};

use super::Stop;
use super::caps::{self, Caps};

/// The numbers of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    /// Bytes of its body.
    pub(super) bytes: u64,
    /// Calls.
    pub(super) calls: u64,
    /// Places where control flow splits or joins.
    pub(super) blocks: u64,
    /// For each local the number of blocks in front of its last use, summed up: the compiler keeps a table of what each
    /// local is at the end of each block.
    pub(super) cells: u64,
    /// For each local the number of loops around its innermost change, summed up: it becomes a parameter of each.
    pub(super) loop_parameters: u64,
}

/// A local of the function that is read.
#[derive(Clone, Copy, Debug, Default)]
struct Local {
    /// Blocks in front of its last use.
    blocks: u32,
    /// Loops around its innermost change.
    loops: u32,
}

/// Reads functions, one after another.
#[derive(Default)]
pub(super) struct Function {
    locals: Vec<Local>,
    /// The blocks that are open: whether each is a loop.
    open: Vec<bool>,
    frames: OperatorsReaderAllocations,
}

impl Function {
    /// Counts what is in `body`.
    pub(super) fn read(&mut self, body: &FunctionBody<'_>, caps: &Caps) -> Result<Body, Stop> {
        let mut counted = Body { bytes: body.as_bytes().len() as u64, ..Body::default() };
        caps::within("bytes in one function", counted.bytes, caps.body)?;
        let mut declared = 0_u64;
        let mut declarations = body.get_locals_reader()?;
        for _ in 0..declarations.get_count() {
            declared += u64::from(declarations.read()?.0);
            caps::within("locals in one function", declared, caps.locals)?;
        }
        self.locals.clear();
        self.open.clear();
        let frames = std::mem::take(&mut self.frames);
        let mut operators = OperatorsReader::new_with_allocs(declarations.get_binary_reader(), frames);
        let read = self.operators(&mut operators, &mut counted, caps);
        self.frames = operators.into_allocations();
        read?;
        for local in &self.locals {
            counted.cells += u64::from(local.blocks);
            counted.loop_parameters += u64::from(local.loops);
        }
        Ok(counted)
    }

    fn operators(&mut self, reader: &mut OperatorsReader<'_>, body: &mut Body, caps: &Caps) -> Result<(), Stop> {
        let mut loops = 0_u32;
        while !reader.eof() {
            match reader.read()? {
                Operator::Block { .. } | Operator::If { .. } => {
                    body.blocks += 1;
                    self.open(false, caps)?;
                }
                Operator::Loop { .. } => {
                    body.blocks += 1;
                    loops += 1;
                    self.open(true, caps)?;
                }
                Operator::End => loops -= u32::from(self.open.pop() == Some(true)),
                Operator::BrIf { .. } | Operator::Else => body.blocks += 1,
                Operator::BrTable { targets } => {
                    caps::within("targets in one br_table", u64::from(targets.len()), caps.targets)?;
                    body.blocks += 1;
                }
                Operator::Call { .. } | Operator::CallIndirect { .. } => body.calls += 1,
                Operator::LocalGet { local_index } => self.touch(local_index, body.blocks, 0, caps)?,
                Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                    self.touch(local_index, body.blocks, loops, caps)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, is_loop: bool, caps: &Caps) -> Result<(), Stop> {
        self.open.push(is_loop);
        Ok(caps::within("blocks within each other", self.open.len() as u64, caps.nesting)?)
    }

    /// Takes note of a use of a local.
    fn touch(&mut self, index: u32, blocks: u64, loops: u32, caps: &Caps) -> Result<(), Stop> {
        // The file may name any number: one that cannot be is the validator's business.
        if u64::from(index) >= caps.locals + caps.parameters {
            return Err(Stop::Malformed);
        }
        let index = index as usize;
        if index >= self.locals.len() {
            self.locals.resize(index + 1, Local::default());
        }
        let local = &mut self.locals[index];
        local.blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        local.loops = local.loops.max(loops);
        Ok(())
    }
}
