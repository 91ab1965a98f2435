//! Where the results of a batch go: end to end from one place in one file, small ones gathered.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::Instant;

use taskhost_os::exact;
use taskhost_protocol::fault::Fault;

/// Results gathered before they are written: one system call for thousands of short ones, and small enough for the
/// second-level cache.
const GATHER: usize = 128 << 10;

/// Results at least this long are written as they are, without a copy.
const STRAIGHT: usize = 32 << 10;

/// What is written in place of results, as often as needed.
static ZEROS: [u8; STRAIGHT] = [0; STRAIGHT];

/// The results of one batch.
pub(crate) struct Results<'a> {
    /// Where they go, and the offset of the first; `None` counts only.
    to: Option<(&'a File, u64)>,
    /// Bytes written so far.
    written: u64,
    gathered: Vec<u8>,
    /// Nanoseconds spent in writing.
    pub(crate) nanos: u64,
}

/// A place to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl<'a> Results<'a> {
    /// `buffer` is used for gathering; [`Results::finish`] gives it back.
    pub(crate) fn new(to: Option<(&'a File, u64)>, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { to, written: 0, gathered: buffer, nanos: 0 }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.gathered.len() as u64
    }

    /// Where the next result begins.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.len())
    }

    /// Forgets everything behind the mark: the item failed after all.
    pub(crate) fn roll_back(&mut self, Mark(len): Mark) {
        if len >= self.written {
            self.gathered.truncate(usize::try_from(len - self.written).unwrap_or(usize::MAX));
        } else {
            self.written = len;
            self.gathered.clear();
        }
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.to.is_none() {
            self.written += bytes.len() as u64;
            return Ok(());
        }
        if bytes.len() >= STRAIGHT {
            self.flush()?;
            return self.put(bytes);
        }
        if self.gathered.len() + bytes.len() > GATHER {
            self.flush()?;
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds so many zeros: in the place of a result that there is none of.
    pub(crate) fn write_zeros(&mut self, len: u64) -> Result<(), Fault> {
        let mut left = len;
        while left > 0 {
            let step = ZEROS.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.write(&ZEROS[..step])?;
            left -= step as u64;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some((file, at)) = self.to else { return Ok(()) };
        let began = Instant::now();
        let result = exact::pwrite_all(file.as_fd(), bytes, at + self.written);
        self.nanos += u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        result.map_err(|error| Fault::Output(format!("the result cannot be written: {error}")))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let gathered = std::mem::take(&mut self.gathered);
        let result = if gathered.is_empty() { Ok(()) } else { self.put(&gathered) };
        self.gathered = gathered;
        self.gathered.clear();
        result
    }

    /// Writes what is gathered. Returns the number of bytes, the nanoseconds of all writing, and the buffer.
    pub(crate) fn finish(mut self) -> (Result<u64, Fault>, u64, Vec<u8>) {
        let result = self.flush();
        (result.map(|()| self.written), self.nanos, self.gathered)
    }
}
