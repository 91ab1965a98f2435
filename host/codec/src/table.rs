//! Tables in columns: Parquet files, what is made of them, and what they are made of. Only with the feature `parquet`; without
//! it both functions say so.

#[cfg(feature = "parquet")]
mod cells;
#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
mod intake;
#[cfg(feature = "parquet")]
mod parts;
#[cfg(feature = "parquet")]
mod read;
#[cfg(feature = "parquet")]
mod write;

use std::io::{self, Read, Write};

use taskhost_protocol::mark::Mark;
use taskhost_protocol::stream::TableForm;

use crate::packing::StreamError;

/// A file that can be read anywhere.
pub trait ReadAt: Send + Sync + 'static {
    /// Fills `buffer` with what stands at `offset`.
    ///
    /// # Errors
    /// When it cannot be read, or ends before that.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Makes something of the rows of a Parquet file of `len` bytes. What is written before an error is found stays written.
///
/// # Errors
/// When the file is none, is damaged, holds what cannot be shown in this form, or cannot be read; or what was made of it cannot
/// be written.
#[cfg(feature = "parquet")]
pub fn read_table(form: TableForm, file: impl ReadAt, len: u64, to: impl Write) -> Result<(), StreamError> {
    let mut to = crate::packing::Kept::new(to);
    // The libraries are meant to return errors for everything; should one panic, that file alone has failed.
    let result = caught(|| read::read(form, file, len, &mut to));
    if let Some(error) = to.take_error() {
        return Err(StreamError::Write(error));
    }
    result
        .unwrap_or_else(|| Err(read::Unreadable("the decoder gave up".into())))
        .map_err(|what| StreamError::Table(what.0))
}

/// What became of marked results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableNews {
    /// Those of this item were not taken.
    Misfit {
        /// What is said of the first of them.
        mark: Mark,
        /// Why not.
        what: String,
    },
    /// All of a batch were looked at.
    Batch {
        /// Bytes of those that were taken.
        bytes: u64,
    },
}

/// Makes a Parquet file of one result: JSON objects that follow each other, of which each is a row, or Arrow IPC streams. The first
/// says which columns there are.
///
/// # Errors
/// When it is neither, or has other columns further on; when it cannot be read, or the file not be written.
#[cfg(feature = "parquet")]
pub fn write_table(mut result: impl Read, to: impl Write + Send) -> Result<(), StreamError> {
    write_caught(to, |to| {
        let mut bytes = Vec::new();
        result.read_to_end(&mut bytes).map_err(StreamError::Read)?;
        let mut table = write::Table::new(to);
        match table.take(&bytes) {
            Ok(()) => table.end().map_err(StreamError::Database),
            Err(write::Refused::Misfit(what)) => Err(StreamError::Row { number: 1, what }),
            Err(write::Refused::Broken(what)) => Err(StreamError::Database(what)),
        }
    })
}

/// Makes a Parquet file of results that are marked, batch by batch (see [`taskhost_protocol::mark`]). Those of an item are taken whole
/// or, when they are not like the first that were, not at all; `tell` hears of that, and of the end of each batch.
///
/// # Errors
/// When the results cannot be read, the file not be written, or nothing be told.
#[cfg(feature = "parquet")]
pub fn take_table(
    results: impl Read,
    to: impl Write + Send,
    mut tell: impl FnMut(TableNews) -> io::Result<()>,
) -> Result<(), StreamError> {
    let mut from = io::BufReader::with_capacity(crate::packing::BUFFER, results);
    write_caught(to, |to| intake::take_all(&mut from, to, &mut tell))
}

/// Writes, and says of an error of whoever is written to that it is one.
#[cfg(feature = "parquet")]
fn write_caught<W: Write + Send>(
    to: W,
    write: impl FnOnce(&mut crate::packing::Kept<W>) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let mut to = crate::packing::Kept::new(to);
    let result = caught(|| write(&mut to));
    if let Some(error) = to.take_error() {
        return Err(StreamError::Write(error));
    }
    result.unwrap_or_else(|| Err(StreamError::Database("the encoder gave up".into())))
}

/// What comes of this, if it does not panic.
#[cfg(feature = "parquet")]
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).ok()
}

/// Says that nothing that was built in reads Parquet.
///
/// # Errors
/// [`StreamError::NotBuilt`], always.
#[cfg(not(feature = "parquet"))]
pub fn read_table(_: TableForm, _: impl ReadAt, _: u64, _: impl Write) -> Result<(), StreamError> {
    Err(StreamError::NotBuilt)
}

/// Says that nothing that was built in writes Parquet.
///
/// # Errors
/// [`StreamError::NotBuilt`], always.
#[cfg(not(feature = "parquet"))]
pub fn write_table(_: impl Read, _: impl Write + Send) -> Result<(), StreamError> {
    Err(StreamError::NotBuilt)
}

/// Says that nothing that was built in writes Parquet.
///
/// # Errors
/// [`StreamError::NotBuilt`], always.
#[cfg(not(feature = "parquet"))]
pub fn take_table(
    _: impl Read,
    _: impl Write + Send,
    _: impl FnMut(TableNews) -> io::Result<()>,
) -> Result<(), StreamError> {
    Err(StreamError::NotBuilt)
}

#[cfg(all(test, feature = "parquet"))]
mod tests;
