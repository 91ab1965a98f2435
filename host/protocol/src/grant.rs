//! Folders that a user grants to a kernel (`--dir`).

use serde::{Deserialize, Serialize};

/// One folder. Its descriptor comes with the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What the kernel calls it, at most [`crate::limits::SOURCE_NAME_BYTES`].
    pub guest: String,
    /// Whether files in it may be written, made and deleted.
    pub writable: bool,
}
