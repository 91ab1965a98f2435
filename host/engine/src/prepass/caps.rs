//! The caps of the pre-pass, each with its reason.

use taskhost_protocol::fault::Refusal;
use taskhost_protocol::limits::{COMPILE_CPU_SECONDS, COMPILE_MEMORY};

/// How much of everything a kernel may have. All modules and components in a file count together, unless it says
/// otherwise. A file is at most [`taskhost_protocol::limits::KERNEL_BYTES`] long, which is looked at before.
///
/// They are high on purpose. What real programs have many of is left to the estimates of memory and time, which weigh
/// it all together; a cap of its own has what costs something in other ways, or could not be compiled anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of memory that compiling may take, by the estimate. What a compiler process is given.
    pub memory: u64,
    /// Seconds of CPU time that compiling may take, by the estimate. What a compiler process is given.
    pub seconds: u64,
    /// Functions with a body. As many as one module may have; the memory they take is met earlier, at 800 000.
    pub functions: u64,
    /// Bytes of one function. What validators of all engines allow.
    pub body: u64,
    /// Locals of one function, without its parameters. What validators of all engines allow.
    pub locals: u64,
    /// Blocks within each other in one function. A `switch` is compiled to one for each case: large ones have
    /// thousands. The compiler was tried with a million; what comes before and behind it need not be as patient.
    pub nesting: u64,
    /// Targets of one `br_table`. The most that wasmtime compiles.
    pub targets: u64,
    /// Parameters, or results, of one type. What validators of all engines allow.
    pub parameters: u64,
    /// Types. A large program has some thousands, and one module may have a million; each is compared with others.
    pub types: u64,
    /// Imports. A dynamically linked Python has ten thousand between its modules.
    pub imports: u64,
    /// Exports. Shared libraries export all they have: a C library three thousand, Python ten thousand.
    pub exports: u64,
    /// Globals. Dynamic linking makes one for each address that a module takes of another.
    pub globals: u64,
    /// Tables. Modules have one, adapters between them a few.
    pub tables: u64,
    /// Elements: what tables start with and what segments list. One module may have 10 000 000 in a table, which
    /// takes 80 MB in every worker.
    pub elements: u64,
    /// Memories. A module has one, and a component about as many as modules.
    pub memories: u64,
    /// Data segments. Compilers make one for each section or symbol at the most; a module may have 100 000.
    pub data_segments: u64,
    /// Element segments. As data segments.
    pub element_segments: u64,
    /// Modules and components inside of others. A dynamically linked Python with its libraries has a hundred.
    pub nested: u64,
    /// Components within each other. Composition adds one level each time.
    pub depth: u64,
    /// Instances that components make. Some for each module and import.
    pub instances: u64,
    /// Aliases in components. One for each function that goes from one module to another.
    pub aliases: u64,
    /// Functions that cross the border of a component. For each, code is generated.
    pub adapters: u64,
    /// Custom sections. They are skipped; debuggers and toolchains write a dozen to each module.
    pub custom_sections: u64,
}

/// The caps in force.
pub const CAPS: Caps = Caps {
    memory: COMPILE_MEMORY,
    seconds: COMPILE_CPU_SECONDS,
    functions: 1_000_000,
    body: 7_654_321,
    locals: 50_000,
    nesting: 50_000,
    targets: 65_520,
    parameters: 1_000,
    types: 200_000,
    imports: 200_000,
    exports: 200_000,
    globals: 200_000,
    tables: 1_000,
    elements: 10_000_000,
    memories: 1_000,
    data_segments: 100_000,
    element_segments: 100_000,
    nested: 1_000,
    depth: 32,
    instances: 10_000,
    aliases: 200_000,
    adapters: 20_000,
    custom_sections: 10_000,
};

/// Refuses what is over its cap.
pub(super) fn within(what: &str, found: u64, cap: u64) -> Result<(), Refusal> {
    if found <= cap {
        return Ok(());
    }
    Err(Refusal::TooLarge(format!("the kernel has {found} {what}, more than the {cap} that a kernel may have")))
}
