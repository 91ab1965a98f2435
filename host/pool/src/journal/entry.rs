//! How records are laid into frames: most in one, long lists of inputs and large results in several.
//!
//! A journal begins with the header and its inputs. A record whose raw bytes are many is preceded by pieces; it counts
//! as a whole or not at all.

use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::frame::PAYLOAD_BYTES;
use super::print::InputPrint;
use super::record::{Header, Record};

/// Most bytes of an entry without its raw bytes: more than the arguments of a process, which Linux caps at 6 MiB.
pub(super) const ENTRY_BYTES: usize = 8 << 20;

/// Most raw bytes of one frame.
pub(super) const RAW_BYTES: usize = 8 << 20;

const _: () = assert!(ENTRY_BYTES + RAW_BYTES <= PAYLOAD_BYTES, "every entry fits into a frame");

/// Most raw bytes of a record: what a kernel can be given.
pub(super) const BYTES: u64 = taskhost_protocol::limits::ITEM_BYTES;

/// Inputs in one entry: with the longest names this stays far below [`ENTRY_BYTES`].
const INPUTS: usize = 1000;

const _: () = assert!(INPUTS * (taskhost_protocol::limits::SOURCE_NAME_BYTES + 64) <= ENTRY_BYTES);

/// What a frame says.
#[derive(Serialize, Deserialize)]
enum Entry<H, I, R> {
    /// The first entry.
    Header(H),
    /// Inputs of the run, in order.
    Inputs {
        inputs: I,
        /// Whether this is not the last of the entries with inputs.
        more: bool,
    },
    /// Raw bytes that belong in front of those of the next record.
    Piece,
    /// Something that happened.
    Record(R),
}

type Borrowed<'a> = Entry<&'a Header, &'a [InputPrint], &'a Record>;
type Owned = Entry<Header, Vec<InputPrint>, Record>;

/// An entry, and the raw bytes behind it.
pub(super) type Payload<'a> = (Vec<u8>, &'a [u8]);

fn payload<'a>(entry: &Borrowed<'_>, raw: &'a [u8]) -> Result<Payload<'a>, JournalError> {
    // Only memory could be missing.
    let bytes = postcard::to_stdvec(entry).expect("these types can be written");
    if bytes.len() > ENTRY_BYTES {
        return Err(JournalError::TooLarge { bytes: bytes.len() as u64, limit: ENTRY_BYTES as u64 });
    }
    Ok((bytes, raw))
}

/// The entries that a journal begins with.
pub(super) fn of_header(header: &Header) -> Result<Vec<Payload<'static>>, JournalError> {
    let mut payloads = vec![payload(&Entry::Header(header), &[])?];
    let mut rest = &header.inputs[..];
    loop {
        let (inputs, behind) = rest.split_at(rest.len().min(INPUTS));
        rest = behind;
        payloads.push(payload(&Entry::Inputs { inputs, more: !rest.is_empty() }, &[])?);
        if rest.is_empty() {
            return Ok(payloads);
        }
    }
}

/// The entries of a record.
pub(super) fn of_record(record: &Record) -> Result<Vec<Payload<'_>>, JournalError> {
    let raw = match record {
        Record::Parts(parts) => &parts.bytes[..],
        _ => &[],
    };
    if raw.len() as u64 > BYTES {
        return Err(JournalError::TooLarge { bytes: raw.len() as u64, limit: BYTES });
    }
    let mut pieces: Vec<&[u8]> = raw.chunks(RAW_BYTES).collect();
    let last = pieces.pop().unwrap_or_default();
    let mut payloads = Vec::with_capacity(pieces.len() + 1);
    for piece in pieces {
        payloads.push(payload(&Entry::Piece, piece)?);
    }
    payloads.push(payload(&Entry::Record(record), last)?);
    Ok(payloads)
}

/// Puts entries together again.
#[derive(Default)]
pub(super) struct Assembler {
    header: Option<Header>,
    /// Whether all inputs are there, so that records follow.
    begun: bool,
    pieces: Vec<u8>,
}

impl Assembler {
    /// The header, when it is complete.
    pub(super) fn header(&self) -> Option<&Header> {
        self.header.as_ref().filter(|_| self.begun)
    }

    /// The header, when it is complete.
    pub(super) fn into_header(self) -> Option<Header> {
        self.header.filter(|_| self.begun)
    }

    /// Whether what was taken so far can stand alone.
    pub(super) fn is_whole(&self) -> bool {
        self.begun && self.pieces.is_empty()
    }

    /// Takes the next entry, and gives the record that it completes. The error says what is wrong with it.
    pub(super) fn take(&mut self, payload: &[u8]) -> Result<Option<Record>, String> {
        let (entry, raw) = postcard::take_from_bytes::<Owned>(payload).map_err(|error| format!("no entry: {error}"))?;
        if payload.len() - raw.len() > ENTRY_BYTES {
            return Err("an entry that is too long".to_owned());
        }
        match entry {
            Entry::Piece if self.begun && !raw.is_empty() => self.extend(raw)?,
            Entry::Record(Record::Parts(mut parts)) if self.begun => {
                self.extend(raw)?;
                parts.bytes = std::mem::take(&mut self.pieces);
                return Ok(Some(Record::Parts(parts)));
            }
            Entry::Record(record) if self.is_whole() && raw.is_empty() => return Ok(Some(record)),
            Entry::Header(header) if self.header.is_none() && raw.is_empty() => self.header = Some(header),
            Entry::Inputs { inputs, more } if !self.begun && raw.is_empty() => {
                let header = self.header.as_mut().ok_or("inputs without a header")?;
                header.inputs.extend(inputs);
                self.begun = !more;
            }
            _ => return Err("an entry that does not belong here".to_owned()),
        }
        Ok(None)
    }

    fn extend(&mut self, raw: &[u8]) -> Result<(), String> {
        if (self.pieces.len() + raw.len()) as u64 > BYTES {
            return Err("more bytes than a record can have".to_owned());
        }
        self.pieces.extend_from_slice(raw);
        Ok(())
    }
}
