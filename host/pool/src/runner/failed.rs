//! Telling of failed items: by name, with the core they ran on, and their bytes as long as these can be read.

use std::os::fd::AsFd as _;

use taskhost_protocol::ids::{JobId, WorkerId};
use taskhost_protocol::work::Done;

use super::{Observer, Pool};
use crate::event::FailedItem as Failed;
use crate::job::{CapturedItem, FailedItem};

impl Pool {
    /// Tells of an item that failed.
    pub(super) fn item_failed(&mut self, id: JobId, item: &Failed, observer: &mut dyn Observer) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let source = item.place.source;
        let open = || job.sources.get(&source).map_or_else(|| job.name.clone(), |source| source.name.clone());
        let name = job.failed_sources.get(&source).cloned().unwrap_or_else(open);
        if item.number.is_some() {
            // In order, so nothing before it is asked for again.
            job.failed_sources = job.failed_sources.split_off(&source);
        }
        // Of a few items that are run again, those before them are not counted.
        let before = job.splicing.as_ref().and_then(|splicing| splicing.numbers(item));
        let line = item.line.map(|line| line + 1 + u64::from(job.header));
        let (number, line) = before.map_or((item.number, line), |(number, line)| (Some(number), line));
        let told = FailedItem {
            job: job.name.clone(),
            source: name,
            offset: item.place.offset,
            len: item.len,
            item: number.filter(|_| job.picture.is_none()),
            line,
            is_row: job.picture.is_some(),
            verdict: item.verdict.clone(),
            attempts: item.attempts,
            worker: item.worker.map(|worker| worker.0),
            core: item.worker.and_then(|worker| self.core_of(worker)),
        };
        if let Some(describe) = self.describe
            && let Some(splicing) = self.jobs.get_mut(&id).and_then(|job| job.splicing.as_mut())
        {
            splicing.failed_again(item, describe(&told));
        }
        if let Some(table) = self.jobs.get_mut(&id).and_then(|job| job.table.as_mut()) {
            self.progress.failed_items += 1;
            return table.failed(item, told);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.failed(id, item, &told);
        }
        self.progress.failed_items += 1;
        observer.item_failed(&told);
    }

    /// The cpu that a worker is or was pinned to, as long as that is remembered.
    fn core_of(&self, id: WorkerId) -> Option<u32> {
        if let Some(worker) = self.workers.get(&id) {
            return worker.core().filter(|_| worker.is_pinned());
        }
        self.reports.iter().rev().find(|report| report.id == id.0).and_then(|report| report.core)
    }

    /// Notes the names of the inputs of failed items, which may be closed when the failure is told, and shows the
    /// items' bytes to whoever wants to keep them.
    pub(super) fn note_failures(&mut self, done: &Done, observer: &mut dyn Observer) {
        let Some(job) = self.jobs.get_mut(&done.job) else { return };
        for failure in &done.failures {
            let id = failure.place.source;
            let source = job.sources.get(&id);
            let name = source.map_or(&job.name, |source| &source.name);
            job.failed_sources.entry(id).or_insert_with(|| name.clone());
            if let Some(table) = &mut job.table {
                let pieces = self.batches.get(&done.batch).map_or(&[][..], |batch| &batch.pieces);
                if let Some(piece) = pieces.iter().find(|piece| piece.source == id) {
                    table.note(id, piece.base);
                }
            }
            if !self.config.capture {
                continue;
            }
            let pieces = self.batches.get(&done.batch).map_or(&[][..], |batch| &batch.pieces);
            let offset = failure.place.offset;
            let holds = |piece: &&taskhost_protocol::work::Piece| {
                let end = offset.checked_add(failure.len);
                piece.source == id && piece.from <= offset && end.is_some_and(|end| end <= piece.to)
            };
            if let (Some(piece), Some(source)) = (pieces.iter().find(holds), source) {
                observer.captured(&CapturedItem {
                    job: &job.name,
                    source: name,
                    offset,
                    len: failure.len,
                    position: piece.position(job.split, offset),
                    header: source.header.as_deref(),
                    file: source.file.as_fd(),
                    at: piece.at + (offset - piece.from),
                });
            }
        }
    }
}
