//! The layer below the entries: the preamble, and frames with a checksum.

use std::os::fd::BorrowedFd;

use taskhost_os::exact::{ExactError, pread_exact, pread_full};

/// First bytes of every journal. The first is no text, so that nothing takes it for a text file.
const MAGIC: [u8; 8] = *b"\x89THJRNL\n";

/// Raised when older readers cannot read what is written.
pub(super) const VERSION: u32 = 1;

/// Bytes in front of the first record.
pub(super) const PREAMBLE: usize = 36;

/// Where in the preamble the process id stands.
pub(super) const HOLDER_AT: u64 = 12;

/// Bytes of a frame in front of its payload.
const HEAD: usize = 24;

/// Most bytes of a payload: an entry of [`super::entry::ENTRY_BYTES`] with raw bytes of [`super::entry::RAW_BYTES`].
pub(super) const PAYLOAD_BYTES: usize = 16 << 20;

/// Most bytes that are summed while looking for records behind an invalid one. Only bytes made to look like the heads
/// of frames need more than a fraction of it, and giving up means to refuse the journal.
const SEARCH_BYTES: u64 = 1 << 30;

/// Bytes read at a time while looking.
const SEARCH_STEP: usize = 1 << 20;

/// What stands in front of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preamble {
    /// It was never written.
    Missing,
    /// This is some other file.
    Foreign,
    /// It was a journal, but its numbers are not what they were.
    Damaged,
    /// A journal of this format version.
    Journal { version: u32, holder: u32, run: [u8; 16] },
}

impl Preamble {
    /// The preamble of a new journal.
    pub(super) fn encode(holder: u32, run: &[u8; 16]) -> Vec<u8> {
        let sum = crc32c::crc32c(run).to_le_bytes();
        [&MAGIC[..], &VERSION.to_le_bytes(), &holder.to_le_bytes(), run, &sum].concat()
    }

    /// Reads the preamble.
    pub(super) fn read(file: BorrowedFd<'_>) -> Result<Self, ExactError> {
        let mut bytes = [0; PREAMBLE];
        let got = pread_full(file, &mut bytes, 0)?;
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else { return Ok(Self::Foreign) };
        if *magic != MAGIC {
            // A machine that crashed may have kept the length of the file, but none of its bytes.
            let begin = bytes.get(..got).unwrap_or_default();
            let is_missing = bytes == [0; PREAMBLE] || MAGIC.starts_with(begin);
            return Ok(if is_missing { Self::Missing } else { Self::Foreign });
        }
        if got < PREAMBLE {
            return Ok(Self::Missing);
        }
        let (version, holder) = (u32_at(rest, 0), u32_at(rest, 4));
        let run = rest.get(8..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        // Only of this version is it known where the rest stands.
        let is_damaged = version == VERSION && u32_at(rest, 24) != crc32c::crc32c(&run);
        Ok(if is_damaged { Self::Damaged } else { Self::Journal { version, holder, run } })
    }
}

/// A valid frame.
pub(super) struct Frame {
    /// Its number.
    pub(super) seq: u64,
    /// How many frames were known to be on the disk when it was written.
    pub(super) durable: u64,
    /// What it says.
    pub(super) payload: Vec<u8>,
    /// Where in the file it ends.
    pub(super) end: u64,
}

/// The numbers in front of a payload.
struct Head {
    len: u32,
    crc: u32,
    seq: u64,
    durable: u64,
}

impl Head {
    fn decode(bytes: &[u8]) -> Self {
        Self { len: u32_at(bytes, 0), crc: u32_at(bytes, 4), seq: u64_at(bytes, 8), durable: u64_at(bytes, 16) }
    }

    /// The checksum it should have.
    fn sum(&self, run: &[u8; 16], payload: &[&[u8]]) -> u32 {
        let mut crc = crc32c::crc32c(run);
        for bytes in [&self.len.to_le_bytes()[..], &self.seq.to_le_bytes(), &self.durable.to_le_bytes()] {
            crc = crc32c::crc32c_append(crc, bytes);
        }
        payload.iter().fold(crc, |crc, bytes| crc32c::crc32c_append(crc, bytes))
    }
}

/// A frame, ready to be written.
pub(super) fn encode(run: &[u8; 16], seq: u64, durable: u64, payload: [&[u8]; 2]) -> Vec<u8> {
    let len = payload.iter().map(|bytes| bytes.len()).sum::<usize>();
    let mut head = Head { len: u32::try_from(len).expect("entries are capped"), crc: 0, seq, durable };
    head.crc = head.sum(run, &payload);
    let mut bytes = Vec::with_capacity(HEAD + len);
    bytes.extend(head.len.to_le_bytes());
    bytes.extend(head.crc.to_le_bytes());
    bytes.extend(head.seq.to_le_bytes());
    bytes.extend(head.durable.to_le_bytes());
    for part in payload {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Bytes that a frame with such a payload has.
pub(super) fn frame_bytes(payload: [&[u8]; 2]) -> u64 {
    (HEAD + payload.iter().map(|bytes| bytes.len()).sum::<usize>()) as u64
}

/// The frames of one file.
pub(super) struct Frames<'a> {
    /// The file.
    pub(super) file: BorrowedFd<'a>,
    /// The run whose frames they are.
    pub(super) run: [u8; 16],
    /// Bytes of the file.
    pub(super) size: u64,
}

impl Frames<'_> {
    /// The frame that begins at `offset`, if a valid one does.
    pub(super) fn at(&self, offset: u64) -> Result<Option<Frame>, ExactError> {
        let mut head = [0; HEAD];
        if pread_full(self.file, &mut head, offset)? < HEAD {
            return Ok(None);
        }
        let head = Head::decode(&head);
        let begin = offset + HEAD as u64;
        if !self.fits(&head, begin) {
            return Ok(None);
        }
        let mut payload = vec![0; head.len as usize];
        match pread_exact(self.file, &mut payload, begin) {
            // It was just seen to be long enough, but nobody keeps others from cutting it.
            Err(ExactError::ShortRead { .. }) => return Ok(None),
            result => result?,
        }
        let is_valid = head.crc == head.sum(&self.run, &[&payload]);
        let end = begin + u64::from(head.len);
        Ok(is_valid.then_some(Frame { seq: head.seq, durable: head.durable, payload, end }))
    }

    /// Whether some valid frame behind `offset` knows the frame `seq` to have been on the disk.
    pub(super) fn confirm(&self, seq: u64, offset: u64) -> Result<bool, ExactError> {
        // A frame has more bytes than its head, so there cannot be more of them.
        let most = seq.saturating_add((self.size - offset) / HEAD as u64);
        let mut left = SEARCH_BYTES;
        let mut buffer = vec![0; SEARCH_STEP];
        let mut from = offset + 1;
        loop {
            let got = pread_full(self.file, &mut buffer, from)?;
            for (index, head) in buffer.get(..got).unwrap_or_default().windows(HEAD).enumerate() {
                let (at, head) = (from + index as u64, Head::decode(head));
                let is_later = head.seq > seq && head.seq <= most && head.durable > seq && head.durable <= head.seq;
                if !is_later || !self.fits(&head, at + HEAD as u64) {
                    continue;
                }
                let Some(rest) = left.checked_sub(u64::from(head.len)) else { return Ok(true) };
                left = rest;
                if self.at(at)?.is_some() {
                    return Ok(true);
                }
            }
            if got < buffer.len() {
                return Ok(false);
            }
            // The last heads of this step may reach into the next.
            from += (got - HEAD + 1) as u64;
        }
    }

    fn fits(&self, head: &Head, begin: u64) -> bool {
        let len = head.len as usize;
        (1..=PAYLOAD_BYTES).contains(&len) && u64::from(head.len) <= self.size.saturating_sub(begin)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
