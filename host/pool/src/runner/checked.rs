//! Results that a worker takes item by item: what was handed to it, and what it says of each batch, in order.

use taskhost_protocol::ids::{BatchId, JobId, SourceId, WorkerId};
use taskhost_protocol::limits::cap_text;
use taskhost_protocol::stream::{Misfit, StreamWork, Taken};
use taskhost_protocol::work::{Done, Merge};

use super::Pool;
use super::jobs::{JobOutput, RunningJob};
use crate::event::{Checked, Event, ItemsPlan, JobPlan, Placement};

/// Inputs, by name: when something is said of them their files may be closed.
pub(crate) type Names = Vec<(SourceId, String)>;

/// A batch whose results were handed over.
#[derive(Debug)]
pub(crate) struct Handed {
    names: Names,
    /// Items that were run.
    items: u64,
    /// What was said so far.
    misfits: Vec<Misfit>,
}

/// Whether whoever makes the output takes results item by item: then the plan says so from here on.
pub(super) fn is_taken_by_item(plan: &mut JobPlan, output: &mut JobOutput) -> bool {
    let JobOutput::Converted { work: StreamWork::WriteTable { by_item }, .. } = output else { return false };
    *by_item = match plan {
        JobPlan::Items(ItemsPlan { placement: placement @ Placement::Append, merge, .. })
            if *merge != Merge::Reduce =>
        {
            *placement = Placement::Checked;
            true
        }
        // What is joined is one result, of no item in particular.
        JobPlan::Items(_) | JobPlan::Picture(_) => false,
    };
    *by_item
}

impl RunningJob {
    /// The results of a batch are on their way to whoever takes them.
    pub(super) fn hand(&mut self, names: Names, items: u64) {
        self.handed.push_back(Handed { names, items, misfits: Vec::new() });
    }

    /// What was said of a batch, when that is all. `Err` is what is wrong with it.
    fn taken(&mut self, taken: Taken) -> Result<Option<Checked>, String> {
        let handed = self.handed.front_mut().ok_or("took results that it was not given")?;
        for misfit in taken.misfits {
            let is_next = handed.misfits.last().is_none_or(|last| last.ordinal < misfit.ordinal);
            let is_own = handed.names.iter().any(|(source, _)| *source == misfit.place.source);
            if !is_next || !is_own || u64::from(misfit.ordinal) >= handed.items {
                return Err("refused results that it was not given".into());
            }
            handed.misfits.push(Misfit { what: cap_text(misfit.what), ..misfit });
        }
        let Some(bytes) = taken.bytes else { return Ok(None) };
        let Some(Handed { names, misfits, .. }) = self.handed.pop_front() else { return Ok(None) };
        for misfit in &misfits {
            let source = misfit.place.source;
            if let Some((_, name)) = names.iter().find(|(known, _)| *known == source) {
                self.failed_sources.entry(source).or_insert_with(|| name.clone());
            }
        }
        Ok(Some(Checked { misfits, bytes }))
    }
}

impl Pool {
    /// Notes the names of the inputs of a batch whose results somebody has yet to take.
    pub(super) fn note_names(&mut self, done: &Done) {
        let Some(job) = self.jobs.get(&done.job).filter(|job| job.is_checked) else { return };
        let Some(batch) = self.batches.get_mut(&done.batch) else { return };
        let name = |source| job.sources.get(&source).map_or_else(|| job.name.clone(), |open| open.name.clone());
        batch.names = batch.pieces.iter().map(|piece| (piece.source, name(piece.source))).collect();
    }

    /// The results of a batch are written next. Says whether they are taken item by item.
    pub(super) fn hand(&mut self, job: JobId, batch: BatchId) -> bool {
        let Some(job) = self.jobs.get_mut(&job).filter(|job| job.is_checked) else { return false };
        if let Some(batch) = self.batches.get_mut(&batch) {
            job.hand(std::mem::take(&mut batch.names), batch.items);
        }
        true
    }

    /// Whoever takes the results of a job says what became of them.
    pub(super) fn taken(&mut self, id: WorkerId, job: JobId, taken: Taken) {
        match self.jobs.get_mut(&job).map(|job| job.taken(taken)) {
            // Nobody wants to know any more.
            None | Some(Ok(None)) => {}
            Some(Ok(Some(checked))) => self.tell_state(Event::Checked { job, checked }),
            Some(Err(what)) => self.converters.violated(id, what),
        }
    }
}
