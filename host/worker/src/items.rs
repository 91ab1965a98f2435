//! Running the items of a batch: piece by piece, and what is handed back where it stops.

use std::fs::File;
use std::sync::Arc;

use taskhost_data::tree::LocalTree;
use taskhost_engine::ItemContext;
use taskhost_protocol::fault::ItemPlace;
use taskhost_protocol::ids::{BatchId, JobId, SourceId};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Assignment, Merge, Piece, Rest, Split};

use crate::execute::Executor;
use crate::outlet::Outlet;
use crate::results::Results;
use crate::startup::Fatal;
use crate::tally::Tally;

/// What is the same for all items of a piece.
pub(crate) struct PieceContext {
    pub(crate) job: JobId,
    pub(crate) batch: BatchId,
    /// Index into the pieces of the batch.
    pub(crate) index: u32,
    pub(crate) piece: Piece,
    pub(crate) split: Split,
    pub(crate) file: Arc<File>,
    source: Arc<str>,
    header: Option<Arc<[u8]>>,
    id: SourceId,
}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) place: ItemPlace,
    /// Its bytes.
    pub(crate) len: u64,
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

    pub(crate) fn place(&self, offset: u64) -> ItemPlace {
        ItemPlace { source: self.id, offset }
    }

    pub(crate) fn extent(&self, offset: u64, len: u64) -> Extent {
        Extent { place: self.place(offset), len }
    }

    /// What the progress cell says while the item at `offset` is run; with `packed`, perhaps one behind it.
    #[inline]
    pub(crate) fn progress(&self, offset: u64, packed: bool) -> u64 {
        let offset = offset.saturating_sub(self.piece.start);
        Progress { batch: self.batch, piece: self.index, offset, packed }.encode()
    }
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
        let mut outlet = Outlet::new(assignment, results, tally);
        for (index, piece) in pieces.iter().enumerate() {
            let reduces = assignment.merge == Merge::Reduce;
            outlet.tree = reduces.then(|| LocalTree::new(piece.position(assignment.split, piece.start)));
            let context = self.piece_context(assignment, index as u32, piece)?;
            let stopped = match assignment.split {
                Split::Lines | Split::Blocks(_) => self.run_lines(&context, &mut outlet)?,
                Split::Whole | Split::Records(_) | Split::Chunks(_) => self.run_fixed(&context, &mut outlet)?,
                Split::Table => self.run_table(&context, &mut outlet)?,
            };
            // Only an item of the first piece can be the first.
            outlet.leaves_out = false;
            let end = stopped.unwrap_or(piece.end).min(piece.end);
            outlet.tally.input += end - piece.start;
            // What a batch made in front of an item that fails the run is of no use.
            if outlet.tally.joining.is_none() && (outlet.care.skip_failed || !outlet.tally.has_failed()) {
                self.close_tree(&context, end, stopped.is_none(), &mut outlet)?;
            }
            // The end of one piece is the beginning of the next.
            let next_piece = pieces.get(index + 1).map(|next| Rest { piece: index as u32 + 1, start: next.start });
            let rest = match stopped {
                Some(start) if start < piece.end => Some(Rest { piece: index as u32, start }),
                Some(_) => next_piece,
                None if outlet.is_over() => next_piece,
                None => continue,
            };
            outlet.tally.rest = rest;
            return Ok(());
        }
        Ok(())
    }

    fn piece_context(&self, assignment: &Assignment, index: u32, piece: &Piece) -> Result<PieceContext, Fatal> {
        let input = self.files.input(piece.slot)?;
        Ok(PieceContext {
            job: assignment.job,
            batch: assignment.batch,
            index,
            piece: *piece,
            split: assignment.split,
            // So that the table of files is free while items run.
            file: Arc::clone(&input.file),
            source: Arc::clone(&input.name),
            header: input.header.clone(),
            // One file in memory may hold tables of many jobs.
            id: piece.source,
        })
    }

    /// Whether items of this split are worth gathering into packed calls, and the kernel takes them.
    pub(crate) fn packs(&self, split: Split, outlet: &Outlet<'_, '_>) -> bool {
        let small = match split {
            Split::Lines | Split::Table => true,
            Split::Records(size) | Split::Chunks(size) => size <= crate::pack::ITEM_BYTES,
            Split::Whole | Split::Blocks(_) => false,
        };
        small && self.kernel.packs() && !outlet.care.one_by_one
    }
}
