//! Running the items of a piece that only a look at its bytes can find: lines and blocks.

use std::fs::File;
use std::io;
use std::time::Instant;

use taskhost_data::lines::{CursorError, ItemCursor, ReadAt};
use taskhost_engine::Input;

use crate::execute::{Executor, nanos_since};
use crate::items::{Extent, PieceContext};
use crate::outlet::Outlet;
use crate::pack::Pack;
use crate::startup::Fatal;

impl Executor<'_> {
    /// Lines and blocks. Returns where it stopped, if that was early.
    pub(crate) fn run_lines(
        &mut self,
        context: &PieceContext,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<Option<u64>, Fatal> {
        // The cursor is lent out, so that the kernel can be called with bytes of its buffer.
        let mut cursor = std::mem::take(&mut self.cursor);
        let result = self.walk_lines(context, outlet, &mut cursor);
        self.cursor = cursor;
        result
    }

    fn walk_lines(
        &mut self,
        context: &PieceContext,
        outlet: &mut Outlet<'_, '_>,
        cursor: &mut ItemCursor,
    ) -> Result<Option<u64>, Fatal> {
        let mut source = Timed { file: &context.file, nanos: 0 };
        let walked = self.walk(context, outlet, cursor, &mut source);
        outlet.tally.read_nanos += source.nanos;
        walked
    }

    fn walk(
        &mut self,
        context: &PieceContext,
        outlet: &mut Outlet<'_, '_>,
        cursor: &mut ItemCursor,
        source: &mut Timed<'_>,
    ) -> Result<Option<u64>, Fatal> {
        let opened = cursor.open(&context.piece, context.split, source);
        if let Err(error) = opened {
            outlet.fail_unread(lost(context, &error), error.fault());
            return Ok(Some(context.piece.end));
        }
        let mut pack = Pack::new(self.packs(context.split, outlet), self.item_nanos);
        loop {
            let item = match cursor.next_item(source) {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => {
                    // What was gathered comes first: failures are in order.
                    if let Some(stop) = self.flush(context, &mut pack, outlet)? {
                        return Ok(Some(stop));
                    }
                    let extent = lost(context, &error);
                    if outlet.leaves_out && matches!(error, CursorError::TooLarge { .. }) {
                        outlet.leave_out(extent);
                    } else {
                        outlet.fail_unread(extent, error.fault());
                    }
                    if outlet.is_over() {
                        return Ok(Some(cursor.resume_at()));
                    }
                    continue;
                }
            };
            let bytes = cursor.bytes(&item);
            if outlet.leaves_out {
                outlet.leave_out(context.extent(item.offset, bytes.len() as u64));
            } else if pack.is_on() {
                pack.push(item.offset, bytes);
                if !pack.is_full(outlet.items_left()) {
                    continue;
                }
                if let Some(stop) = self.flush(context, &mut pack, outlet)? {
                    return Ok(Some(stop));
                }
            } else {
                self.one(context, item.offset, Input::Bytes(bytes), outlet)?;
            }
            if outlet.is_over() {
                return Ok(Some(cursor.resume_at()));
            }
        }
        self.flush(context, &mut pack, outlet)
    }
}

/// A file of which each read is measured.
struct Timed<'f> {
    file: &'f File,
    nanos: u64,
}

impl ReadAt for Timed<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        let result = ReadAt::read_at(&mut self.file, offset, buffer);
        self.nanos += nanos_since(began);
        result
    }
}

/// What cannot be run for an error of the cursor: one item that is too large, or all that was not read yet.
fn lost(context: &PieceContext, error: &CursorError) -> Extent {
    let len = match error {
        CursorError::TooLarge { len, .. } => *len,
        CursorError::Read { offset, .. } | CursorError::Shrunk { offset, .. } => {
            context.piece.end.saturating_sub(*offset)
        }
    };
    context.extent(error.offset(), len)
}
