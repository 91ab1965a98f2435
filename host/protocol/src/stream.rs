//! What a convert worker does to a stream of bytes: from one descriptor to another, in bounded memory.

use serde::{Deserialize, Serialize};

use crate::fault::ItemPlace;
use crate::limits::{COLUMN_MEMORY, DATABASE_BYTES, STREAM_MEMORY};

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

/// What the rows of a Parquet file are made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableForm {
    /// Each group of rows an Arrow IPC stream. It comes in parts, each behind its length in [`PART_LENGTH_BYTES`] bytes,
    /// little-endian, and a length of 0 ends it.
    Groups,
    /// Each row a JSON object, on a line of its own.
    Rows,
}

/// Bytes of the length of a part.
pub const PART_LENGTH_BYTES: usize = 4;

/// What is made of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamWork {
    /// Another stream.
    Convert(Conversion),
    /// Rows of a SQLite database, of JSON objects.
    Load(Load),
    /// What a Parquet file of so many bytes holds. Read from wherever it says that something is.
    ReadTable {
        /// In this form.
        form: TableForm,
        /// Bytes of the file.
        len: u64,
    },
    /// A Parquet file, of JSON objects or of Arrow IPC streams, which follow each other.
    WriteTable {
        /// Whether they are marked (see [`crate::mark`]), and taken item by item: of each batch it is told what was not taken.
        /// Otherwise they are one result.
        by_item: bool,
    },
}

impl StreamWork {
    /// Private memory that it needs, in bytes.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        match self {
            Self::Convert(_) => STREAM_MEMORY,
            // As it was and as it is.
            Self::Load(_) => 2 * DATABASE_BYTES + STREAM_MEMORY,
            Self::ReadTable { .. } | Self::WriteTable { .. } => COLUMN_MEMORY,
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

/// An item whose results were not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// Which item.
    pub place: ItemPlace,
    /// Its number within the batch, from 0.
    pub ordinal: u32,
    /// Bytes of the item.
    pub len: u64,
    /// Why not.
    pub what: String,
}

/// What became of the next batch of marked results, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Items whose results were not taken, in order.
    pub misfits: Vec<Misfit>,
    /// Set with the last part: bytes of the results of the batch that were taken.
    pub bytes: Option<u64>,
}
