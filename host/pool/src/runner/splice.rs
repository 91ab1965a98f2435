//! Making an output anew from the one that lacks the results of failed items: what is there is copied, and the results
//! of items that succeed now are put in their places.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use taskhost_protocol::ids::{BatchId, JobId, SourceId};

use super::Pool;
use super::sink::{Content, Purpose, Write};
use crate::event::FailedItem;
use crate::job::Splice;
use crate::journal::FailedRecord;

/// An output that is being made anew.
#[derive(Debug)]
pub(crate) struct Splicing {
    old: Arc<OwnedFd>,
    len: u64,
    places: BTreeMap<(SourceId, u64), FailedRecord>,
    /// Up to here the old output is copied.
    copied: u64,
    /// Bytes by which the new output is longer up to here, or shorter.
    shift: i64,
    /// Writes of which nothing was heard.
    pub(super) open: usize,
    /// Items that failed again, with their places in the new output.
    pub(super) failed: Vec<FailedRecord>,
}

impl Splicing {
    pub(crate) fn new(splice: Splice) -> Self {
        let Splice { old, len, places } = splice;
        let places = places.into_iter().map(|record| ((record.source, record.offset), record)).collect();
        Self { old: Arc::new(old), len, places, copied: 0, shift: 0, open: 0, failed: Vec::new() }
    }

    /// The place of the first item in this range.
    fn place(&self, source: SourceId, start: u64, end: u64) -> Option<&FailedRecord> {
        // An empty file is an item too.
        self.places.range((source, start)..(source, end.max(start + 1))).next().map(|(_, record)| record)
    }

    /// What is known of an item that failed again.
    pub(super) fn failed_again(&mut self, item: &FailedItem, json: String) {
        if let Some(before) = self.places.get(&(item.place.source, item.place.offset)) {
            let at = before.at.saturating_add_signed(self.shift);
            self.failed.push(FailedRecord { at, json, ..before.clone() });
        }
    }

    /// Its number and line, as the run before told them.
    pub(super) fn numbers(&self, item: &FailedItem) -> Option<(u64, Option<u64>)> {
        self.places.get(&(item.place.source, item.place.offset)).map(|record| (record.item, record.line))
    }
}

impl Pool {
    /// Copies what stands in front of the results of a batch, which has `bytes` of them.
    pub(super) fn splice(&mut self, id: JobId, batch: BatchId, bytes: u64) {
        let piece = self.batches.get(&batch).and_then(|batch| batch.pieces.first().copied());
        let Some(splicing) = self.jobs.get_mut(&id).and_then(|job| job.splicing.as_mut()) else { return };
        let Some((at, filled)) = piece
            .and_then(|piece| splicing.place(piece.source, piece.start, piece.end))
            .map(|record| (record.at, record.filled))
        else {
            return;
        };
        splicing.shift += i64::try_from(bytes).unwrap_or(0) - i64::try_from(filled).unwrap_or(0);
        self.copy_old(id, at);
        if let Some(splicing) = self.jobs.get_mut(&id).and_then(|job| job.splicing.as_mut()) {
            splicing.copied += filled;
        }
    }

    /// Copies the rest. Says whether something is on its way.
    pub(super) fn splice_rest(&mut self, id: JobId) -> bool {
        let Some(splicing) = self.jobs.get(&id).and_then(|job| job.splicing.as_ref()) else { return false };
        self.copy_old(id, splicing.len);
        self.jobs.get(&id).and_then(|job| job.splicing.as_ref()).is_some_and(|splicing| splicing.open > 0)
    }

    /// Copies the old output up to here.
    fn copy_old(&mut self, id: JobId, end: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(target) = job.target() else { return };
        let Some(splicing) = job.splicing.as_mut().filter(|splicing| splicing.copied < end) else { return };
        let content =
            Content::File { file: Arc::clone(&splicing.old), offset: splicing.copied, len: end - splicing.copied };
        splicing.copied = end;
        splicing.open += 1;
        self.sink.write(Write { job: id, purpose: Purpose::Splice, target, content });
    }
}
