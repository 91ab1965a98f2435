//! Where the item in hand comes from.

use super::backend;

/// Where an item comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Place of the item in the run, the same in every run. It grows from item to item.
    pub position: u64,
    /// Name of the input file as the user gave it; `-` for a pipe.
    pub source: String,
    /// Offset of the item's first byte in that input; for a tile its first row.
    pub offset: u64,
}

/// The item in hand. Outside `process`, `filter` and the like: position 0 and an empty source.
#[must_use]
pub fn current() -> Origin {
    let backend::item::Origin { position, source, offset } = backend::item::current();
    Origin { position, source, offset }
}

/// With `--header`: the first line of this item's input, without its line end.
#[must_use]
pub fn header() -> Option<Vec<u8>> {
    backend::item::header()
}
