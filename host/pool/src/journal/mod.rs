//! The journal of a run: what is needed to go on after a crash, in one file that is only ever appended to.
//!
//! It is a format with a writer and a reader, and knows nothing of how a run works. All numbers are little-endian:
//!
//! | what | bytes |
//! | --- | --- |
//! | preamble | magic `[u8; 8]`, version `u32`, process id of the writer `u32`, run `[u8; 16]`, CRC-32C of the run `u32` |
//! | record, any number of times | `len: u32`, `crc: u32`, `seq: u64`, `durable: u64`, then `len` bytes of payload |
//!
//! `crc` is the CRC-32C of the run, `len`, `seq`, `durable` and the payload, so that no record of another run, nor one
//! in the wrong place, is taken for one of this file. `seq` counts the records from 0. Every record below `durable` was
//! known to be on the disk when this one was written.
//!
//! That number tells a lost tail from corruption. A crash of the machine may lose any part of what was not yet on the
//! disk, not only its end. So an invalid record is the begin of a lost tail when no later record knew it to be on the
//! disk; it is cut off, which only means that some work is done again. Otherwise the disk changed what it had
//! confirmed, and the journal is refused.
//!
//! The payload is an entry (see `entry`) in postcard, and behind some kinds of entries raw bytes.

mod entry;
mod error;
mod frame;
mod print;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use error::JournalError;
pub use print::{Changed, InputKind, InputPrint, fingerprint};
pub use read::Contents;
pub use record::{Commit, FailedRecord, Header, JobOver, OutputRecord, PartsRecord, Record};
pub use verify::{Mismatch, verify_output};
pub use writer::Journal;
