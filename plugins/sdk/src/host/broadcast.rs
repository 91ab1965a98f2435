//! Read-only data that all workers share: `--broadcast name=path`.

use super::backend;
use crate::{Error, Result};

/// Size in bytes; `None` when the user gave nothing of that name.
#[must_use]
pub fn size(name: &str) -> Option<u64> {
    backend::broadcast::size(name)
}

/// Up to `length` bytes from `offset`; fewer only at the end.
///
/// # Errors
///
/// [`Error::Failed`] when there is nothing of that name or it cannot be read.
pub fn read(name: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
    backend::broadcast::read(name, offset, length)
        .map_err(|error| Error::failed(format!("cannot read the broadcast `{name}`: {error}")))
}
