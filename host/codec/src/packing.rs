//! Compressed streams: from one end to the other in constant memory, whatever the stream says of itself.

mod counted;
mod gzip;
mod zstandard;

use std::io::{self, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use taskhost_protocol::fault::Fault;
use taskhost_protocol::stream::{Conversion, Packing};

pub(crate) use counted::Counted;

/// Bytes read at a time: what a pipe holds by default.
pub(crate) const BUFFER: usize = 64 << 10;

/// Why a stream could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// What was made of it cannot be written.
    #[error("cannot be written: {0}")]
    Write(io::Error),
    /// It ends too early.
    #[error("is cut short: its {} data ends at byte {at}, in the middle", .packing.name())]
    Truncated {
        /// As what it was read.
        packing: Packing,
        /// Bytes of it.
        at: u64,
    },
    /// Something in it is no row of a table.
    #[error("cannot take result {number}: {what}")]
    Row {
        /// Which, from 1.
        number: u64,
        /// Why not.
        what: String,
    },
    /// The database it is to be put into is none, or there is too much of it; or no file can be made of it.
    #[error("cannot be written: {0}")]
    Database(String),
    /// It is no Parquet file, or a damaged one.
    #[error("cannot be read as Parquet: {0}")]
    Table(String),
    /// Nothing that was built in reads or writes Parquet.
    #[error(
        "is Parquet, and this taskhost was built without that: build it with `cargo install --features parquet`, or take the \
         bytes of the file as they are with --no-compression"
    )]
    NotBuilt,
    /// It is not what it says it is.
    #[error("is damaged: its {} data cannot be decompressed at byte {at}: {what}", .packing.name())]
    Damaged {
        /// As what it was read.
        packing: Packing,
        /// Where, in bytes from the beginning.
        at: u64,
        /// What the decoder says.
        what: String,
    },
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        let text = error.to_string();
        match error {
            StreamError::Write(_) | StreamError::Row { .. } | StreamError::Database(_) => Self::Output(text),
            StreamError::Read(_)
            | StreamError::Truncated { .. }
            | StreamError::Damaged { .. }
            | StreamError::Table(_)
            | StreamError::NotBuilt => Self::Input(text),
        }
        .capped()
    }
}

/// Converts all of `from`. What is written before an error is found stays written.
///
/// # Errors
/// See [`StreamError`].
pub fn convert(conversion: Conversion, from: impl Read, to: impl Write) -> Result<(), StreamError> {
    let mut from = Counted::new(BufReader::with_capacity(BUFFER, from));
    let mut to = Kept::new(to);
    // The libraries are meant to return errors for everything; should one panic, that stream alone has failed.
    let result = catch_unwind(AssertUnwindSafe(|| match conversion {
        Conversion::Unpack(Packing::Gzip) => gzip::unpack(&mut from, &mut to),
        Conversion::Unpack(Packing::Zstandard) => zstandard::unpack(&mut from, &mut to),
        Conversion::Pack(Packing::Gzip) => gzip::pack(&mut from, &mut to),
        Conversion::Pack(Packing::Zstandard) => zstandard::pack(&mut from, &mut to),
    }));
    // What the decoders make of such an error says less.
    if let Some(error) = to.take_error() {
        return Err(StreamError::Write(error));
    }
    if let Some(error) = from.take_error() {
        return Err(StreamError::Read(error));
    }
    let (Conversion::Unpack(packing) | Conversion::Pack(packing)) = conversion;
    let at = from.position();
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(StreamError::Truncated { packing, at }),
        Ok(Err(error)) => Err(StreamError::Damaged { packing, at, what: error.to_string() }),
        Err(_) => Err(StreamError::Damaged { packing, at, what: "the decoder gave up".into() }),
    }
}

/// Keeps the first error apart from those of whoever writes.
pub(crate) struct Kept<W> {
    inner: W,
    error: Option<io::Error>,
}

impl<W> Kept<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, error: None }
    }

    /// The first error.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }
}

impl<W: Write> Write for Kept<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.inner.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.error = Some(error);
                Err(io::ErrorKind::BrokenPipe.into())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
