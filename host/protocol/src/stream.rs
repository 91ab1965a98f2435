//! What a convert worker does to a stream of bytes: from one descriptor to another, in constant memory.

use serde::{Deserialize, Serialize};

use crate::limits::{DATABASE_BYTES, STREAM_MEMORY};

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

/// Where the results of a stream are put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The table: rows are appended to it, and it is made when it is not there.
    pub table: String,
    /// Bytes of the database that is there, with which what is written to begins.
    pub before: u64,
}

/// What is made of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamWork {
    /// Another stream.
    Convert(Conversion),
    /// Rows of a SQLite database, of JSON objects.
    Load(Load),
}

impl StreamWork {
    /// Private memory that it needs, in bytes.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        match self {
            Self::Convert(_) => STREAM_MEMORY,
            // As it was and as it is.
            Self::Load(_) => 2 * DATABASE_BYTES + STREAM_MEMORY,
        }
    }
}

/// One stream. The descriptors to read and to write come with the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOrder {
    /// What to do.
    pub work: StreamWork,
    /// What comes before the first byte that is read: at most [`crate::limits::PREFIX_BYTES`].
    pub prefix: Vec<u8>,
    /// Whether to read from offset 0 of a regular file, whose position belongs to somebody else.
    pub from_start: bool,
}
