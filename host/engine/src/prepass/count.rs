//! The numbers of everything in a kernel, summed up over all that is nested in it.

use taskhost_protocol::fault::Refusal;

use super::caps::{self, Caps};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Functions,
    Types,
    Imports,
    Exports,
    Globals,
    Tables,
    Elements,
    Memories,
    DataSegments,
    ElementSegments,
    Nested,
    Instances,
    Aliases,
    Adapters,
    CustomSections,
}

/// How many sorts there are.
const SORTS: usize = Count::CustomSections as usize + 1;

impl Count {
    /// Its name in a refusal, and its cap.
    fn cap(self, caps: &Caps) -> (&'static str, u64) {
        match self {
            Self::Functions => ("functions", caps.functions),
            Self::Types => ("types", caps.types),
            Self::Imports => ("imports", caps.imports),
            Self::Exports => ("exports", caps.exports),
            Self::Globals => ("globals", caps.globals),
            Self::Tables => ("tables", caps.tables),
            Self::Elements => ("elements of tables", caps.elements),
            Self::Memories => ("memories", caps.memories),
            Self::DataSegments => ("data segments", caps.data_segments),
            Self::ElementSegments => ("element segments", caps.element_segments),
            Self::Nested => ("modules and components in it", caps.nested),
            Self::Instances => ("instances", caps.instances),
            Self::Aliases => ("aliases", caps.aliases),
            Self::Adapters => ("functions across the borders of components", caps.adapters),
            Self::CustomSections => ("custom sections", caps.custom_sections),
        }
    }
}

/// How many there are so far.
#[derive(Debug, Default)]
pub(super) struct Counts([u64; SORTS]);

impl Counts {
    /// Adds to one of them, and refuses when it is over its cap.
    pub(super) fn add(&mut self, what: Count, more: u64, caps: &Caps) -> Result<(), Refusal> {
        let count = &mut self.0[what as usize];
        *count = count.saturating_add(more);
        let (name, cap) = what.cap(caps);
        caps::within(name, *count, cap)
    }
}
