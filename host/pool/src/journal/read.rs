//! Reading a journal from its first record to the last valid one, and deciding what an invalid one means.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use super::entry::Assembler;
use super::error::JournalError;
use super::frame::{Frames, PREAMBLE};
use super::record::{Header, Record};

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// What the run is.
    pub header: Header,
    /// What happened, in order.
    pub records: Vec<Record>,
    /// Bytes at its end that were lost in the crash, and are cut off now.
    pub torn_bytes: u64,
    /// The exit code, when the last thing that happened is the end of the run.
    pub ended: Option<u8>,
}

/// Where a journal goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The number of the next frame.
    pub(super) next: u64,
    /// Where in the file it begins.
    pub(super) end: u64,
}

/// Reads a journal, handing out records as they come; those in the answer are none. Nothing that was handed out can
/// be relied on when this fails.
pub(super) fn read(
    file: &File,
    path: &Path,
    run: [u8; 16],
    mut visit: impl FnMut(&Header, Record),
) -> Result<(Contents, Tail), JournalError> {
    let size = file.metadata().map_err(JournalError::io(path, "read"))?.len();
    let frames = Frames { file: file.as_fd(), run, size };
    let corrupt = |offset, what: String| JournalError::Corrupt { path: path.to_owned(), offset, what };
    let mut assembler = Assembler::default();
    let mut ended = None;
    // Behind the last record that is whole, and behind the last valid frame.
    let mut whole = Tail { next: 0, end: PREAMBLE as u64 };
    let mut tail = whole;
    while tail.end < size {
        let Some(frame) = frames.at(tail.end).map_err(JournalError::exact(path, "read"))? else {
            if frames.confirm(tail.next, tail.end).map_err(JournalError::exact(path, "read"))? {
                let what = format!("record {} was on the disk and is not valid any more", tail.next);
                return Err(corrupt(tail.end, what));
            }
            break;
        };
        if frame.seq != tail.next || frame.durable > frame.seq {
            return Err(corrupt(tail.end, format!("record {} stands in the place of record {}", frame.seq, tail.next)));
        }
        let record = assembler.take(&frame.payload).map_err(|what| corrupt(tail.end, what))?;
        tail = Tail { next: tail.next + 1, end: frame.end };
        if assembler.is_whole() {
            whole = tail;
        }
        if let (Some(header), Some(record)) = (assembler.header(), record) {
            ended = if let Record::End { exit } = record { Some(exit) } else { None };
            visit(header, record);
        }
    }
    let header = assembler.into_header().ok_or_else(|| JournalError::NotBegun(path.to_owned()))?;
    if header.run != run {
        return Err(corrupt(PREAMBLE as u64, "the header is of another run".to_owned()));
    }
    Ok((Contents { header, records: Vec::new(), torn_bytes: size - whole.end, ended }, whole))
}
