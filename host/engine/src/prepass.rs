//! A look at a kernel before anything expensive is done with it: one pass over its bytes that counts, refuses what is
//! over a cap, and estimates what compiling would take (`cost`).
//!
//! The compiler takes far more memory and time for some kernels than their size tells: 0.8 MB of empty functions take
//! 1 GB, 8 kB of loops within each other 12 s. It runs in a process that is limited and may be lost, so nothing here is
//! needed for safety; but a refusal in milliseconds that names the number is better than one after minutes.
//!
//! The pass itself takes memory for one function's locals and blocks at most, never recurses, and allocates nothing of
//! a size that the file claims but does not have.

mod body;
mod caps;
mod cost;
mod count;

use taskhost_protocol::fault::Refusal;
use wasmparser::{BinaryReaderError, ElementItems, Parser, Payload};

pub use caps::{CAPS, Caps};

use body::Function;
use cost::Cost;
use count::{Count, Counts};

/// Looks at a whole binary, with everything nested in it. What is malformed is left to the validator, which says it
/// better; it comes next and stops at the same place.
pub(crate) fn look(wasm: &[u8], caps: &Caps) -> Result<(), Refusal> {
    let mut pass = Pass { caps, counts: Counts::default(), cost: Cost::default(), function: Function::default() };
    match pass.component_or_module(wasm, false) {
        Ok(()) | Err(Stop::Malformed) => pass.cost.check(caps),
        Err(Stop::Refused(refusal)) => Err(refusal),
    }
}

/// Why the pass ends early.
enum Stop {
    Malformed,
    Refused(Refusal),
}

impl From<BinaryReaderError> for Stop {
    fn from(_: BinaryReaderError) -> Self {
        Self::Malformed
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

struct Pass<'a> {
    caps: &'a Caps,
    counts: Counts,
    cost: Cost,
    /// Kept from function to function for its allocations.
    function: Function,
}

impl Pass<'_> {
    /// A kernel; with `described`, the component in a custom section of a core module, which is not looked into further.
    fn component_or_module(&mut self, wasm: &[u8], described: bool) -> Result<(), Stop> {
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    self.count(Count::Nested, 1_u64)?;
                    depth += 1;
                    caps::within("levels of components within each other", depth, self.caps.depth)?;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CodeSectionEntry(body) => {
                    self.count(Count::Functions, 1_u64)?;
                    let cost = self.function.read(body, self.caps)?;
                    self.cost.add_function(&cost);
                }
                Payload::CustomSection(section) => {
                    self.count(Count::CustomSections, 1_u64)?;
                    // A component inside, which describes the one that is to be made of this module.
                    if section.name().starts_with("component-type") && depth == 0 && !described {
                        match self.component_or_module(section.data(), true) {
                            // Nothing says that a custom section is well-formed: what follows is looked at all the same.
                            Ok(()) | Err(Stop::Malformed) => {}
                            refused => return refused,
                        }
                    }
                }
                _ => self.section(&payload)?,
            }
        }
        Ok(())
    }

    /// A section that is judged by the number of things in it, and some by their sizes.
    fn section(&mut self, payload: &Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::TypeSection(section) => {
                self.count(Count::Types, section.count())?;
                for group in section.clone() {
                    for ty in group?.types() {
                        if let wasmparser::CompositeInnerType::Func(ty) = &ty.composite_type.inner {
                            let len = ty.params().len().max(ty.results().len());
                            caps::within("parameters or results in one type", len as u64, self.caps.parameters)?;
                        }
                    }
                }
            }
            Payload::ImportSection(section) => self.count(Count::Imports, section.count())?,
            Payload::ExportSection(section) => self.count(Count::Exports, section.count())?,
            Payload::GlobalSection(section) => self.count(Count::Globals, section.count())?,
            Payload::MemorySection(section) => self.count(Count::Memories, section.count())?,
            Payload::DataSection(section) => self.count(Count::DataSegments, section.count())?,
            Payload::TableSection(section) => {
                self.count(Count::Tables, section.count())?;
                for table in section.clone() {
                    self.count(Count::Elements, table?.ty.initial)?;
                }
            }
            Payload::ElementSection(section) => {
                self.count(Count::ElementSegments, section.count())?;
                for segment in section.clone() {
                    let items = match segment?.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    };
                    self.count(Count::Elements, items)?;
                }
            }
            Payload::InstanceSection(section) => self.count(Count::Instances, section.count())?,
            Payload::ComponentInstanceSection(section) => self.count(Count::Instances, section.count())?,
            Payload::ComponentAliasSection(section) => self.count(Count::Aliases, section.count())?,
            Payload::CoreTypeSection(section) => self.count(Count::Types, section.count())?,
            Payload::ComponentTypeSection(section) => self.count(Count::Types, section.count())?,
            Payload::ComponentImportSection(section) => self.count(Count::Imports, section.count())?,
            Payload::ComponentExportSection(section) => self.count(Count::Exports, section.count())?,
            Payload::ComponentCanonicalSection(section) => {
                self.count(Count::Adapters, section.count())?;
                self.cost.add_adapters(section.count());
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, what: Count, more: impl Into<u64>) -> Result<(), Stop> {
        Ok(self.counts.add(what, more.into(), self.caps)?)
    }
}
