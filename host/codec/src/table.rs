//! Tables in columns: Parquet files, what is made of them, and what they are made of. Only with the feature `parquet`; without
//! it both functions say so.

#[cfg(feature = "parquet")]
mod cells;
#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
mod parts;
#[cfg(feature = "parquet")]
mod read;
#[cfg(feature = "parquet")]
mod write;

use std::io::{self, Read, Write};

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

/// Makes a Parquet file of results that follow each other: JSON objects, of which each is a row, or Arrow IPC streams. The
/// first says which columns there are.
///
/// # Errors
/// When a result is neither, or has other columns than the first; when the results cannot be read, or the file not be written.
#[cfg(feature = "parquet")]
pub fn write_table(results: impl Read, to: impl Write + Send) -> Result<(), StreamError> {
    use crate::packing::{BUFFER, Counted, Kept};
    let mut from = Counted::new(io::BufReader::with_capacity(BUFFER, results));
    let mut to = Kept::new(to);
    let result = caught(|| write::write(&mut from, &mut to));
    if let Some(error) = to.take_error() {
        return Err(StreamError::Write(error));
    }
    if let Some(error) = from.take_error() {
        return Err(StreamError::Read(error));
    }
    match result {
        Some(Ok(())) => Ok(()),
        Some(Err(write::Unfit { number, what })) => Err(StreamError::Row { number, what }),
        None => Err(StreamError::Database("the encoder gave up".into())),
    }
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

#[cfg(all(test, feature = "parquet"))]
mod tests;
