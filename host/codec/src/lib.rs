//! Decoders and encoders of file formats, for the convert role only: what comes in is untrusted, and a decoder is
//! the likeliest place for it to do harm, so nothing but a sandboxed worker may call this.
//!
//! Samples are little-endian, row by row, the channels of a pixel together: see [`taskhost_protocol::picture`].

#[cfg(not(target_endian = "little"))]
compile_error!("pictures are handed to kernels as they lie in memory, so taskhost needs a little-endian machine");

mod database;
mod decode;
mod encode;
mod error;
mod jpeg;
mod packing;
mod table;

pub use database::load;
pub use decode::decode;
pub use encode::encode;
pub use error::CodecError;
pub use packing::{StreamError, convert};
pub use table::{ReadAt, TableNews, read_table, take_table, write_table};
