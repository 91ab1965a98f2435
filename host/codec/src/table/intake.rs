//! Marked results, batch by batch: each item is taken or refused as a whole.

use std::io::{self, Read, Write};

use taskhost_protocol::mark::{LENGTH_BYTES, MARK_BYTES, Mark};

use super::TableNews;
use super::write::{Refused, Table};
use crate::packing::StreamError;

/// Takes all batches, and tells what became of each.
pub(super) fn take_all<W: Write + Send>(
    from: &mut impl Read,
    to: W,
    tell: &mut impl FnMut(TableNews) -> io::Result<()>,
) -> Result<(), StreamError> {
    let mut intake = Intake { table: Table::new(to), mark: None, result: Vec::new(), taken: 0 };
    let mut length = [0; LENGTH_BYTES];
    while read_start(from, &mut length).map_err(StreamError::Read)? {
        let mut left = u64::from_le_bytes(length);
        while left > 0 {
            let mut bytes = [0; MARK_BYTES];
            from.read_exact(&mut bytes).map_err(StreamError::Read)?;
            let mark = Mark::decode(&bytes);
            let after = left.checked_sub(MARK_BYTES as u64).and_then(|left| left.checked_sub(mark.result));
            left =
                after.ok_or_else(|| StreamError::Database("a worker has written results that do not add up".into()))?;
            if intake.mark.is_some_and(|before| before.ordinal != mark.ordinal) {
                intake.judge(tell)?;
            }
            intake.mark = Some(mark);
            // What is claimed is not believed: memory is taken as bytes come.
            let read = from.take(mark.result).read_to_end(&mut intake.result).map_err(StreamError::Read)?;
            if read as u64 != mark.result {
                return Err(StreamError::Read(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        intake.judge(tell)?;
        let bytes = std::mem::take(&mut intake.taken);
        tell(TableNews::Batch { bytes }).map_err(StreamError::Write)?;
    }
    intake.table.end().map_err(StreamError::Database)
}

/// Reads what a batch begins with, if there is one more.
fn read_start(from: &mut impl Read, length: &mut [u8; LENGTH_BYTES]) -> io::Result<bool> {
    let read = from.take(LENGTH_BYTES as u64).read(length)?;
    if read == 0 {
        return Ok(false);
    }
    from.read_exact(&mut length[read..]).map(|()| true)
}

/// What of a batch was read.
struct Intake<W: Write + Send> {
    table: Table<W>,
    /// The item whose results are being read.
    mark: Option<Mark>,
    /// Its results so far.
    result: Vec<u8>,
    /// Bytes of the results of the batch that were taken.
    taken: u64,
}

impl<W: Write + Send> Intake<W> {
    /// All results of an item are there.
    fn judge(&mut self, tell: &mut impl FnMut(TableNews) -> io::Result<()>) -> Result<(), StreamError> {
        /// Memory that is kept for the next result.
        const KEPT: usize = 1 << 20;
        let Some(mark) = self.mark.take() else { return Ok(()) };
        let told = match self.table.take(&self.result) {
            Ok(()) => {
                self.taken += self.result.len() as u64;
                Ok(())
            }
            Err(Refused::Misfit(what)) => tell(TableNews::Misfit { mark, what }).map_err(StreamError::Write),
            Err(Refused::Broken(what)) => Err(StreamError::Database(what)),
        };
        self.result.clear();
        self.result.shrink_to(KEPT);
        told
    }
}
