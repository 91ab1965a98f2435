//! Running the items of a piece that lie in a table: see [`taskhost_protocol::table`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use taskhost_engine::Input;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::table::{NUMBER_BYTES, number, numbers_bytes};
use taskhost_protocol::work::Piece;

use crate::execute::{Executor, nanos_since};
use crate::items::PieceContext;
use crate::outlet::Outlet;
use crate::pack::{self, Pack};
use crate::startup::Fatal;

/// Items at least this long are read one by one, straight to where the kernel takes them.
const DIRECT: u32 = 64 << 10;

/// Numbers and shorter items are read so many bytes at a time.
const READ: usize = 256 << 10;

/// Where the items of a table are, as far as they were read.
struct Window<'a> {
    file: &'a File,
    piece: &'a Piece,
    /// The numbers from that of item `first` on.
    numbers: Vec<u8>,
    first: u64,
    /// Bytes of items, from this one of the table on.
    bytes: Vec<u8>,
    from: u64,
    nanos: u64,
}

impl<'a> Window<'a> {
    fn new(file: &'a File, piece: &'a Piece) -> Self {
        Self { file, piece, numbers: Vec::new(), first: 0, bytes: Vec::new(), from: 0, nanos: 0 }
    }

    /// Where the item begins and ends, counted from the first item of the table.
    fn extent(&mut self, item: u64) -> Result<(u32, u32), Fault> {
        if self.numbers.is_empty() || item < self.first || item - self.first + 1 >= self.held() {
            let many = (self.piece.end - item + 1).min((READ / NUMBER_BYTES) as u64);
            self.numbers.resize(usize::try_from(many).unwrap_or(0) * NUMBER_BYTES, 0);
            let at = self.piece.at + (item - self.piece.from) * NUMBER_BYTES as u64;
            read(self.file, &mut self.numbers, at, &mut self.nanos)?;
            self.first = item;
        }
        let index = usize::try_from(item - self.first).unwrap_or(usize::MAX);
        let ends = number(&self.numbers, index).zip(number(&self.numbers, index.saturating_add(1)));
        ends.filter(|(begin, end)| begin <= end).ok_or_else(|| Fault::Input("the table of items is damaged".into()))
    }

    fn held(&self) -> u64 {
        (self.numbers.len() / NUMBER_BYTES) as u64
    }

    /// Where a byte of the items stands in the file.
    fn place(&self, byte: u64) -> u64 {
        self.piece.at + numbers_bytes(self.piece.to - self.piece.from) + byte
    }

    /// The bytes of a short item; reads on from it, to the last item whose end is known, when they are not there.
    fn get(&mut self, begin: u32, end: u32) -> Result<&[u8], Fault> {
        let (begin, end) = (u64::from(begin), u64::from(end));
        if begin < self.from || end > self.from + self.bytes.len() as u64 {
            let last = number(&self.numbers, (self.numbers.len() / NUMBER_BYTES).saturating_sub(1));
            let known = last.map_or(end, u64::from).max(end);
            let many = (known - begin).min(READ as u64).max(end - begin);
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.resize(usize::try_from(many).unwrap_or(0), 0);
            read(self.file, &mut bytes, self.place(begin), &mut self.nanos)?;
            (self.bytes, self.from) = (bytes, begin);
        }
        let at = usize::try_from(begin - self.from).unwrap_or(usize::MAX);
        Ok(&self.bytes[at..at + usize::try_from(end - begin).unwrap_or(0)])
    }
}

fn read(file: &File, bytes: &mut [u8], at: u64, nanos: &mut u64) -> Result<(), Fault> {
    let began = Instant::now();
    let result = file.read_exact_at(bytes, at);
    *nanos += nanos_since(began);
    result.map_err(|error| Fault::Input(format!("reading failed: {error}")))
}

impl Executor<'_> {
    /// Items of a table. Returns where it stopped, if that was early.
    pub(crate) fn run_table(
        &mut self,
        context: &PieceContext,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<Option<u64>, Fatal> {
        let piece = &context.piece;
        let mut window = Window::new(&context.file, piece);
        let mut pack = Pack::new(self.packs(context.split, outlet), self.item_nanos);
        for item in piece.start..piece.end {
            let extent = window.extent(item);
            let len = extent.as_ref().map_or(0, |(begin, end)| end - begin);
            let place = context.extent(item, len.into());
            // Long items are not packed, and come behind what was gathered before them.
            let is_packed = pack.is_on() && u64::from(len) <= pack::ITEM_BYTES && extent.is_ok() && !outlet.leaves_out;
            if !is_packed && let Some(stop) = self.flush(context, &mut pack, outlet)? {
                return Ok(Some(stop));
            }
            match extent {
                _ if outlet.leaves_out => outlet.leave_out(place),
                Err(fault) => outlet.fail_unread(place, fault),
                Ok(_) if u64::from(len) > ITEM_BYTES => {
                    outlet.fail_unread(place, Fault::ItemTooLarge { len: len.into(), limit: ITEM_BYTES });
                }
                Ok((begin, _)) if len >= DIRECT => {
                    let (file, at, nanos) = (window.file, window.place(begin.into()), &mut window.nanos);
                    let mut take = |bytes: &mut [u8]| read(file, bytes, at, nanos).map_err(io::Error::other);
                    let input = Input::Read { len: len as usize, read: &mut take };
                    self.one(context, item, input, outlet)?;
                }
                Ok((begin, end)) => match window.get(begin, end) {
                    Err(fault) => outlet.fail_unread(place, fault),
                    Ok(bytes) if is_packed => {
                        pack.push(item, bytes);
                        if !pack.is_full(outlet.items_left()) {
                            continue;
                        }
                        if let Some(stop) = self.flush(context, &mut pack, outlet)? {
                            return Ok(Some(stop));
                        }
                    }
                    Ok(bytes) => self.one(context, item, Input::Bytes(bytes), outlet)?,
                },
            }
            outlet.tally.read_nanos += std::mem::take(&mut window.nanos);
            if outlet.is_over() {
                return Ok(Some(item + 1));
            }
        }
        self.flush(context, &mut pack, outlet)
    }
}
