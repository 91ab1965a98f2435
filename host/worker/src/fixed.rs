//! Running the items of a piece that are arithmetic: whole files, records and chunks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use taskhost_data::fixed::{FixedItem, fixed_items};
use taskhost_engine::Input;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::work::{Piece, Split};

use crate::execute::{Executor, nanos_since};
use crate::items::PieceContext;
use crate::outlet::Outlet;
use crate::pack::Pack;
use crate::startup::Fatal;

/// Items at least this long are read one by one, straight to where the kernel takes them.
const DIRECT: u64 = 64 << 10;

/// Shorter ones are read so many bytes at a time.
const READ: u64 = 512 << 10;

/// Bytes of short records, read many at a time.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// The bytes of an item; reads on from it when they are not there.
    fn get(&mut self, file: &File, piece: &Piece, item: FixedItem, nanos: &mut u64) -> Result<&[u8], Fault> {
        let end = item.offset + item.len;
        if item.offset < self.start || end > self.start + self.bytes.len() as u64 || self.bytes.is_empty() {
            let many = READ.max(item.len).min(piece.to.min(piece.end.max(end)) - item.offset);
            // When that fails, this item may be readable all the same.
            let read = self.read(file, piece, item, many, nanos);
            read.or_else(|_| self.read(file, piece, item, item.len, nanos))
                .map_err(|error| read_fault(&error, piece))?;
        }
        let at = usize::try_from(item.offset - self.start).unwrap_or(usize::MAX);
        Ok(&self.bytes[at..at + usize::try_from(item.len).unwrap_or(0)])
    }

    /// Reads `len` bytes, beginning with those of the item. After an error it holds none.
    fn read(&mut self, file: &File, piece: &Piece, item: FixedItem, len: u64, nanos: &mut u64) -> io::Result<()> {
        self.bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        self.start = item.offset;
        let result = read_exact(file, &mut self.bytes, file_offset(piece, item), nanos);
        if result.is_err() {
            self.bytes.clear();
        }
        result
    }
}

/// Where an item stands in the file of its slot.
fn file_offset(piece: &Piece, item: FixedItem) -> u64 {
    piece.at + (item.offset - piece.from)
}

fn read_exact(file: &File, bytes: &mut [u8], at: u64, nanos: &mut u64) -> io::Result<()> {
    let began = Instant::now();
    let result = file.read_exact_at(bytes, at);
    *nanos += nanos_since(began);
    result
}

/// Why an item could not be read.
fn read_fault(error: &io::Error, piece: &Piece) -> Fault {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Fault::Input(format!(
            "the input is shorter than the {} bytes it had when the run began: it was changed during the run",
            piece.to
        ));
    }
    Fault::Input(format!("reading failed: {error}"))
}

/// Why an item cannot be run at all.
fn refused(split: Split, piece: &Piece, item: FixedItem) -> Option<Fault> {
    if item.len > ITEM_BYTES {
        return Some(Fault::ItemTooLarge { len: item.len, limit: ITEM_BYTES });
    }
    match split {
        Split::Records(size) if item.len < size => Some(Fault::Input(format!(
            "the input has {} bytes, which is no whole number of records of {size}: {} are left over; check --split \
             records:{size}, or use --split chunks:{size} to take a shorter last item",
            piece.to, item.len
        ))),
        _ => None,
    }
}

impl Executor<'_> {
    /// Whole files, records and chunks. Returns where it stopped, if that was early.
    pub(crate) fn run_fixed(
        &mut self,
        context: &PieceContext,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<Option<u64>, Fatal> {
        let piece = &context.piece;
        let mut window = Window::default();
        let mut pack = Pack::new(self.packs(context.split, outlet), self.item_nanos);
        for item in fixed_items(context.split, piece) {
            let extent = context.extent(item.offset, item.len);
            if outlet.leaves_out {
                outlet.leave_out(extent);
            } else if let Some(fault) = refused(context.split, piece, item) {
                if let Some(stop) = self.flush(context, &mut pack, outlet)? {
                    return Ok(Some(stop));
                }
                outlet.fail_unread(extent, fault);
            } else if item.len >= DIRECT {
                self.one_read(context, item, outlet)?;
            } else {
                let mut nanos = 0;
                let bytes = window.get(&context.file, piece, item, &mut nanos);
                outlet.tally.read_nanos += nanos;
                match bytes {
                    Err(fault) => {
                        if let Some(stop) = self.flush(context, &mut pack, outlet)? {
                            return Ok(Some(stop));
                        }
                        outlet.fail_unread(extent, fault);
                    }
                    Ok(bytes) if pack.is_on() => {
                        pack.push(item.offset, bytes);
                        if !pack.is_full(outlet.items_left()) {
                            continue;
                        }
                        if let Some(stop) = self.flush(context, &mut pack, outlet)? {
                            return Ok(Some(stop));
                        }
                    }
                    Ok(bytes) => self.one(context, item.offset, Input::Bytes(bytes), outlet)?,
                }
            }
            if outlet.is_over() {
                return Ok(Some(item.offset + item.len));
            }
        }
        self.flush(context, &mut pack, outlet)
    }

    /// Runs one item that is read where the kernel takes it.
    fn one_read(&mut self, context: &PieceContext, item: FixedItem, outlet: &mut Outlet<'_, '_>) -> Result<(), Fatal> {
        let piece = &context.piece;
        let mut nanos = 0;
        let mut read = |bytes: &mut [u8]| {
            let result = read_exact(&context.file, bytes, file_offset(piece, item), &mut nanos);
            // The text is what becomes the item's fault.
            result.map_err(|error| io::Error::other(read_fault(&error, piece)))
        };
        let input = Input::Read { len: usize::try_from(item.len).unwrap_or(usize::MAX), read: &mut read };
        self.one(context, item.offset, input, outlet)?;
        outlet.tally.read_nanos += nanos;
        Ok(())
    }
}
