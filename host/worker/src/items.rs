//! Running the items of a batch: from bytes to results, one by one or packed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;

use taskhost_data::fixed::{FixedItem, fixed_items};
use taskhost_data::tree::LocalTree;
use taskhost_engine::{Input, ItemContext};
use taskhost_protocol::fault::{Fault, ItemPlace};
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::work::{Assignment, Merge, Partial, Piece, Rest, Split};

use crate::execute::{Executor, Tally, nanos_since};
use crate::pack::Pack;
use crate::results::Results;
use crate::startup::Fatal;

/// Items at least this long are read one by one, straight to where the kernel takes them.
const DIRECT: u64 = 64 << 10;

/// Shorter ones are read so many bytes at a time.
const READ: u64 = 512 << 10;

/// What is the same for all items of a piece.
pub(crate) struct PieceContext {
    source: Arc<str>,
    header: Option<Arc<[u8]>>,
    id: SourceId,
    piece: Piece,
    split: Split,
}

impl PieceContext {
    pub(crate) fn item(&self, offset: u64) -> ItemContext {
        ItemContext {
            source: Arc::clone(&self.source),
            position: self.piece.position(self.split, offset),
            offset,
            header: self.header.clone(),
        }
    }

    /// Where the piece ends.
    pub(crate) fn end(&self) -> u64 {
        self.piece.end
    }

    pub(crate) fn place(&self, offset: u64) -> ItemPlace {
        ItemPlace { source: self.id, offset }
    }
}

/// Where the results of items go.
pub(crate) struct Outlet<'r, 'f> {
    pub(crate) results: &'r mut Results<'f>,
    pub(crate) tally: &'r mut Tally,
    tree: Option<LocalTree>,
    merge: Merge,
    length: ResultLength,
    began: Instant,
    /// Items between two looks at the clock, less one.
    clock_mask: u64,
    /// The partial results of one item of a reduction.
    scratch: Vec<u8>,
    ends: Vec<usize>,
}

impl Outlet<'_, '_> {
    /// Takes one result of an item of `len` bytes.
    pub(crate) fn put(&mut self, result: &[u8], len: u64) -> Result<(), Fault> {
        if self.tree.is_some() {
            self.scratch.extend_from_slice(result);
            self.ends.push(self.scratch.len());
            return Ok(());
        }
        let expected = match self.length {
            ResultLength::Unknown => None,
            ResultLength::Same => Some(len),
            ResultLength::Exactly(len) => Some(u64::from(len)),
        };
        if let Some(expected) = expected
            && expected != result.len() as u64
        {
            return Err(Fault::Contract(format!(
                "it describes results of {expected} bytes, but this one has {}",
                result.len()
            )));
        }
        self.results.write(result)?;
        if self.merge == Merge::Lines { self.results.write(b"\n") } else { Ok(()) }
    }

    /// Whether the batch has to stop here.
    fn is_over(&mut self, assignment: &Assignment) -> bool {
        let budget = &assignment.budget;
        if self.tally.items >= budget.items || self.results.len() >= budget.output {
            return true;
        }
        if self.tally.failures.len() >= budget.failures as usize {
            return true;
        }
        if self.tally.items & self.clock_mask != 0 {
            return false;
        }
        let spent = nanos_since(self.began);
        // Looking at the clock costs as much as a tiny item, so for those it is done rarely.
        self.clock_mask = if spent / self.tally.items.max(1) < 4_000 { 63 } else { 0 };
        spent / 1_000 >= budget.micros
    }
}

/// Bytes of short records, read many at a time.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// The bytes of an item; reads on from it when they are not there.
    fn get(&mut self, file: &File, piece: &Piece, item: FixedItem, nanos: &mut u64) -> io::Result<&[u8]> {
        let end = item.offset + item.len;
        if item.offset < self.start || end > self.start + self.bytes.len() as u64 || self.bytes.is_empty() {
            let len = READ.max(item.len).min(piece.to.min(piece.end.max(end)) - item.offset);
            self.bytes.resize(usize::try_from(len).unwrap_or(0), 0);
            self.start = item.offset;
            read_exact(file, &mut self.bytes, piece.at + (item.offset - piece.from), nanos)?;
        }
        let at = usize::try_from(item.offset - self.start).unwrap_or(usize::MAX);
        Ok(&self.bytes[at..at + usize::try_from(item.len).unwrap_or(0)])
    }
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

impl Executor<'_> {
    /// Runs the items that begin in these pieces.
    pub(crate) fn run_items(
        &mut self,
        assignment: &Assignment,
        pieces: &[Piece],
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        let mut outlet = Outlet {
            results,
            tally,
            tree: None,
            merge: assignment.merge,
            length: assignment.length,
            began: Instant::now(),
            clock_mask: 0,
            scratch: Vec::new(),
            ends: Vec::new(),
        };
        for (index, piece) in pieces.iter().enumerate() {
            let reduces = assignment.merge == Merge::Reduce;
            outlet.tree = reduces.then(|| LocalTree::new(piece.position(assignment.split, piece.start)));
            let input = self.files.input(piece.slot)?;
            let context = PieceContext {
                source: Arc::clone(&input.name),
                header: input.header.clone(),
                id: input.id,
                piece: *piece,
                split: assignment.split,
            };
            // A handle of its own, so that the table of files is free while items run.
            let file = input.file.try_clone().map_err(|error| Fatal::failed("duplicating a descriptor")(&error))?;
            let stopped = match assignment.split {
                Split::Lines | Split::Blocks(_) => self.run_lines(assignment, &context, &file, &mut outlet)?,
                Split::Whole | Split::Records(_) | Split::Chunks(_) => {
                    self.run_fixed(assignment, &context, &file, &mut outlet)?
                }
            };
            let end = stopped.unwrap_or(piece.end).min(piece.end);
            outlet.tally.input += end - piece.start;
            if reduces && outlet.tally.failures.is_empty() {
                self.close_tree(&context, end, stopped.is_none(), &mut outlet)?;
            }
            let is_last = index + 1 == pieces.len();
            // The end of one piece is the beginning of the next.
            let rest = match stopped {
                Some(start) if start < piece.end => Some(Rest { piece: index as u32, start }),
                Some(_) if !is_last => Some(Rest { piece: index as u32 + 1, start: pieces[index + 1].start }),
                Some(_) => None,
                None if !is_last && outlet.is_over(assignment) => {
                    Some(Rest { piece: index as u32 + 1, start: pieces[index + 1].start })
                }
                None => None,
            };
            if rest.is_some() || !outlet.tally.failures.is_empty() {
                outlet.tally.rest = rest;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lines and blocks. Returns where it stopped, if that was early.
    fn run_lines(
        &mut self,
        assignment: &Assignment,
        context: &PieceContext,
        file: &File,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<Option<u64>, Fatal> {
        // The cursor is lent out, so that the kernel can be called with bytes of its buffer.
        let mut cursor = std::mem::take(&mut self.cursor);
        let result = self.walk_lines(assignment, context, file, outlet, &mut cursor);
        self.cursor = cursor;
        result
    }

    fn walk_lines(
        &mut self,
        assignment: &Assignment,
        context: &PieceContext,
        file: &File,
        outlet: &mut Outlet<'_, '_>,
        cursor: &mut taskhost_data::lines::ItemCursor,
    ) -> Result<Option<u64>, Fatal> {
        let piece = &context.piece;
        let mut source = file;
        let fail = |outlet: &mut Outlet<'_, '_>, error: &taskhost_data::lines::CursorError| {
            outlet.tally.items += 1;
            outlet.tally.fail(context.place(error.offset()), error.fault());
        };
        let began = Instant::now();
        let opened = cursor.open(piece, assignment.split, &mut source);
        outlet.tally.read_nanos += nanos_since(began);
        if let Err(error) = opened {
            fail(outlet, &error);
            return Ok(Some(piece.end));
        }
        let mut pack = Pack::new(self.packs(assignment.split), self.item_nanos);
        loop {
            let item = match cursor.next_item(&mut source) {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => {
                    // What was gathered comes first: failures are in order.
                    if let Some(stop) = self.flush(assignment, context, &mut pack, outlet)? {
                        return Ok(Some(stop));
                    }
                    fail(outlet, &error);
                    if outlet.is_over(assignment) {
                        return Ok(Some(cursor.resume_at()));
                    }
                    continue;
                }
            };
            if pack.is_on() {
                pack.push(item.offset, cursor.bytes(&item));
                if !pack.is_full(assignment.budget.items.saturating_sub(outlet.tally.items)) {
                    continue;
                }
                if let Some(stop) = self.flush(assignment, context, &mut pack, outlet)? {
                    return Ok(Some(stop));
                }
            } else {
                let len = item.range.len() as u64;
                self.one(assignment, context, item.offset, len, Input::Bytes(cursor.bytes(&item)), outlet)?;
            }
            if outlet.is_over(assignment) {
                return Ok(Some(cursor.resume_at()));
            }
        }
        self.flush(assignment, context, &mut pack, outlet)
    }

    /// Whole files, records and chunks. Returns where it stopped, if that was early.
    fn run_fixed(
        &mut self,
        assignment: &Assignment,
        context: &PieceContext,
        file: &File,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<Option<u64>, Fatal> {
        let piece = &context.piece;
        let mut window = Window::default();
        let mut pack = Pack::new(self.packs(assignment.split), self.item_nanos);
        for item in fixed_items(assignment.split, piece) {
            let end = item.offset + item.len;
            if let Some(fault) = refused(assignment.split, piece, item) {
                if let Some(stop) = self.flush(assignment, context, &mut pack, outlet)? {
                    return Ok(Some(stop));
                }
                outlet.tally.items += 1;
                outlet.tally.fail(context.place(item.offset), fault);
            } else if item.len >= DIRECT {
                let mut nanos = 0;
                let mut failed = None;
                let at = piece.at + (item.offset - piece.from);
                let mut read = |bytes: &mut [u8]| {
                    let result = read_exact(file, bytes, at, &mut nanos);
                    if let Err(error) = &result {
                        failed = Some(read_fault(error, piece));
                    }
                    result
                };
                let input = Input::Read { len: usize::try_from(item.len).unwrap_or(usize::MAX), read: &mut read };
                self.one(assignment, context, item.offset, item.len, input, outlet)?;
                outlet.tally.read_nanos += nanos;
                if let (Some(fault), Some(failure)) = (failed, outlet.tally.failures.last_mut()) {
                    failure.fault = fault;
                }
            } else {
                let mut nanos = 0;
                let bytes = window.get(file, piece, item, &mut nanos);
                outlet.tally.read_nanos += nanos;
                match bytes {
                    Err(error) => {
                        if let Some(stop) = self.flush(assignment, context, &mut pack, outlet)? {
                            return Ok(Some(stop));
                        }
                        outlet.tally.items += 1;
                        outlet.tally.fail(context.place(item.offset), read_fault(&error, piece));
                    }
                    Ok(bytes) if pack.is_on() => {
                        pack.push(item.offset, bytes);
                        if !pack.is_full(assignment.budget.items.saturating_sub(outlet.tally.items)) {
                            continue;
                        }
                        if let Some(stop) = self.flush(assignment, context, &mut pack, outlet)? {
                            return Ok(Some(stop));
                        }
                    }
                    Ok(bytes) => self.one(assignment, context, item.offset, item.len, Input::Bytes(bytes), outlet)?,
                }
            }
            if outlet.is_over(assignment) {
                return Ok(Some(end));
            }
        }
        self.flush(assignment, context, &mut pack, outlet)
    }

    /// Whether items of this split are worth gathering into packed calls, and the kernel takes them.
    fn packs(&self, split: Split) -> bool {
        let small = match split {
            Split::Lines => true,
            Split::Records(size) | Split::Chunks(size) => size <= crate::pack::ITEM_BYTES,
            Split::Whole | Split::Blocks(_) => false,
        };
        small && self.kernel.exports.packed_mapper
    }

    /// Runs one item.
    pub(crate) fn one(
        &mut self,
        assignment: &Assignment,
        context: &PieceContext,
        offset: u64,
        len: u64,
        input: Input<'_>,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fatal> {
        self.at_item(assignment.batch, outlet.tally.items);
        let mark = outlet.results.mark();
        let instance = self.kernel.instance()?;
        instance.set_item(Some(context.item(offset)));
        let outcome = instance.process(input, &mut |result| outlet.put(result, len));
        outlet.tally.items += 1;
        if outcome.is_ok() {
            instance.commit_counters();
        } else {
            instance.drop_counters();
        }
        self.pass_logs(assignment.job, Some(context.place(offset)))?;
        let outcome = outcome.and_then(|()| self.reduce(context, offset, outlet));
        if let Err(fault) = outcome {
            outlet.results.roll_back(mark);
            outlet.scratch.clear();
            outlet.ends.clear();
            outlet.tally.fail(context.place(offset), fault);
        }
        Ok(())
    }

    /// Puts the partial results of one item into the tree.
    pub(crate) fn reduce(
        &mut self,
        context: &PieceContext,
        offset: u64,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fault> {
        let Some(tree) = &mut outlet.tree else { return Ok(()) };
        let instance = self.kernel.instance().map_err(|error| Fault::Failed(error.to_string()))?;
        let position = context.piece.position(context.split, offset);
        let mut combine = |parts: &[&[u8]]| instance.combine(parts).map_err(in_combine);
        let pushed = match outlet.ends.as_slice() {
            [] => Ok(()),
            [_] => tree.push(position, &outlet.scratch, &mut combine),
            ends => {
                // Several results of one item are joined before the item is joined with others.
                let mut begin = 0;
                let parts: Vec<&[u8]> =
                    ends.iter().map(|end| &outlet.scratch[std::mem::replace(&mut begin, *end)..*end]).collect();
                combine(&parts).and_then(|joined| tree.push(position, &joined, &mut combine))
            }
        };
        outlet.scratch.clear();
        outlet.ends.clear();
        pushed
    }

    /// Ends the tree of a piece and writes what it holds.
    fn close_tree(
        &mut self,
        context: &PieceContext,
        end: u64,
        complete: bool,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fatal> {
        let Some(tree) = outlet.tree.take() else { return Ok(()) };
        let piece = &context.piece;
        let end = match context.split {
            Split::Whole => piece.base + u64::from(complete || end >= piece.end),
            Split::Lines | Split::Blocks(_) => piece.base + end,
            Split::Records(size) | Split::Chunks(size) => piece.base + end.div_ceil(size),
        };
        let instance = self.kernel.instance()?;
        let closed =
            tree.finish(end, &mut |parts: &[&[u8]]| instance.combine(parts).map_err(in_combine)).and_then(|partials| {
                for partial in partials {
                    outlet.results.write(&partial.bytes)?;
                    let (level, index) = (partial.node.level, partial.node.index);
                    outlet.tally.partials.push(Partial { level, index, len: partial.bytes.len() as u64 });
                }
                Ok(())
            });
        if let Err(fault) = closed {
            outlet.tally.fail(context.place(piece.start), fault);
        }
        Ok(())
    }
}

/// A fault of `combine`: not of the item at which it happened to be called.
fn in_combine(fault: Fault) -> Fault {
    let named = |text: String| format!("in the kernel's `combine`: {text}");
    match fault {
        Fault::InvalidInput(text) => Fault::InvalidInput(named(text)),
        Fault::Failed(text) => Fault::Failed(named(text)),
        Fault::Temporary(text) => Fault::Temporary(named(text)),
        Fault::Contract(text) => Fault::Contract(named(text)),
        Fault::Trap { reason, backtrace } => Fault::Trap { reason: format!("{reason} (in its `combine`)"), backtrace },
        same @ (Fault::OutputLimit { .. }
        | Fault::ItemTooLarge { .. }
        | Fault::MemoryLimit { .. }
        | Fault::OutOfFuel { .. }
        | Fault::LeftOut
        | Fault::Input(_)
        | Fault::Output(_)) => same,
    }
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
