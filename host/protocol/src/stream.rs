//! What a convert worker does to a stream of bytes: from one descriptor to another, in constant memory.

use serde::{Deserialize, Serialize};

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Packing {
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstandard,
}

impl Packing {
    /// What messages call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstandard => "Zstandard",
        }
    }
}

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conversion {
    /// They are decompressed.
    Unpack(Packing),
    /// They are compressed.
    Pack(Packing),
}

/// One stream. The descriptors to read and to write come with the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOrder {
    /// What to do.
    pub conversion: Conversion,
    /// What comes before the first byte that is read: at most [`crate::limits::PREFIX_BYTES`].
    pub prefix: Vec<u8>,
    /// Whether to read from offset 0 of a regular file, whose position belongs to somebody else.
    pub from_start: bool,
}
