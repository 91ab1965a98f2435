//! When the journal is kept: what is due while a run goes on, and all that can be saved when it ends early.

use std::time::{Duration, Instant};

use std::os::fd::AsFd as _;

use taskhost_os::exact;
use taskhost_protocol::ids::{BatchId, JobId, SourceId};

use super::jobs::JobOutput;
use super::sink::Purpose;
use super::{Finishing, Observer, Pool};
use crate::event::{DoneRange, Event, JobFailure, PartId};

/// How long the end of a run may wait for the disk: what is not saved by then is done again.
const PATIENCE: Duration = Duration::from_secs(10);

impl Pool {
    /// Saves what is due.
    pub(super) fn save_due(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        if let Err(failure) = keeper.save(&self.jobs, &self.sink) {
            for job in self.jobs.keys().copied().collect::<Vec<_>>() {
                self.tell_state(Event::JobBroken { job, failure: failure.clone() });
            }
        }
    }

    /// Writes down the partial results of a batch.
    pub(super) fn keep_parts(&mut self, job: JobId, batch: BatchId, ranges: Vec<DoneRange>) {
        let Some(keeper) = &mut self.keeper else { return };
        let Some((regions, region)) = self.batches.get(&batch).and_then(|batch| batch.regions.as_ref()) else { return };
        let arena = regions.arena();
        let mut at = region.offset();
        for range in ranges {
            let len: u64 = range.parts.iter().map(|part| part.len).sum();
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            let read = exact::pread_exact(arena.as_fd(), &mut bytes, at);
            at += len;
            let kept = match read {
                Ok(()) => keeper.reduced(job, range, bytes),
                Err(error) => Err(JobFailure::Output(format!("partial results cannot be saved: {error}"))),
            };
            if let Err(failure) = kept {
                return self.tell_state(Event::JobBroken { job, failure });
            }
        }
    }

    /// Takes in the partial results that another run has made of a stretch.
    pub(super) fn restore_parts(&mut self, job: JobId, place: (SourceId, u64), parts: &[(PartId, u64)]) {
        let Some(bytes) = self.jobs.get_mut(&job).and_then(|job| job.parts.remove(&place)) else { return };
        let mut rest = bytes.as_slice();
        for (part, len) in parts {
            let len = usize::try_from(*len).unwrap_or(usize::MAX).min(rest.len());
            let (own, others) = rest.split_at(len);
            self.parts.restore(*part, own);
            rest = others;
        }
    }

    /// Saves all that is merged, and waits for it, but not for ever.
    pub(super) fn save_all(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(keeper) = &mut self.keeper else { return };
            for (id, job) in &self.jobs {
                keeper.save_job(*id, job, &self.sink);
            }
            if self.sink.is_idle() {
                return;
            }
            let Some(written) = self.sink.wait(until.saturating_duration_since(Instant::now())) else { return };
            match written.purpose {
                Purpose::Commit => keeper.saved(written.job, written.result.is_ok()),
                Purpose::Batch(batch) => self.release_batch(batch),
                Purpose::Encoded | Purpose::Header | Purpose::Splice => {}
            }
            let job = written.job;
            match written.result {
                Ok(()) => self.tell_state(Event::Written { job, bytes: written.bytes }),
                Err(failure) => self.tell_state(Event::JobBroken { job, failure }),
            }
        }
    }

    /// Removes what was written when nothing of it was saved: there is no journal then to go on with it.
    pub(super) fn discard_unsaved(&mut self) {
        if self.keeper.as_ref().is_none_or(|keeper| !keeper.is_empty()) {
            return;
        }
        for (_, job) in self.jobs.drain() {
            if let JobOutput::File { atomic, .. } = job.output {
                atomic.discard();
            }
        }
    }

    /// A commit was made of a job that may be finished.
    pub(super) fn finish_saved(&mut self, id: JobId, observer: &mut dyn Observer) {
        let Some(Finishing { job, totals }) = self.finishing.remove(&id) else { return };
        if let Some(keeper) = &mut self.keeper
            && keeper.save_job(id, &job, &self.sink)
        {
            self.finishing.insert(id, Finishing { job, totals });
            return;
        }
        self.over(id, job, totals, None, observer);
    }

    /// A stretch of an old output is copied.
    pub(super) fn spliced(&mut self, id: JobId, observer: &mut dyn Observer) {
        if let Some(splicing) = self.jobs.get_mut(&id).and_then(|job| job.splicing.as_mut()) {
            splicing.open -= 1;
        }
        let Some(Finishing { mut job, totals }) = self.finishing.remove(&id) else { return };
        let open = job.splicing.as_mut().map_or(0, |splicing| {
            splicing.open -= 1;
            splicing.open
        });
        if open > 0 {
            self.finishing.insert(id, Finishing { job, totals });
        } else {
            self.over(id, job, totals, None, observer);
        }
    }

    /// What is written of a job could not be committed.
    pub(super) fn finish_failed(&mut self, id: JobId, failure: JobFailure, observer: &mut dyn Observer) {
        if let Some(Finishing { job, totals }) = self.finishing.remove(&id) {
            self.over(id, job, totals, Some(failure), observer);
        }
    }
}
