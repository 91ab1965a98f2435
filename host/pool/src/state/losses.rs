//! What becomes of what a worker had when it is lost.

use taskhost_protocol::fault::ItemPlace;
use taskhost_protocol::ids::{BatchId, WorkerId};
use taskhost_protocol::progress::Progress;

use super::job::AnyJob;
use super::mark::Lost;
use super::{Batch, State};
use crate::death::Death;
use crate::event::{Action, FailedItem, JobFailure, Post, Task};
use crate::verdict::{Next, Verdict};

impl State {
    /// What the worker had goes back; what becomes of the batch it was at depends on how it went.
    pub(super) fn lost(&mut self, worker: WorkerId, post: Post, death: &Death) {
        let Some(queue) = self.crew(post).lost(worker, death) else { return };
        let mut is_explained = matches!(death.verdict, Verdict::Retired(_));
        if death.verdict.judgement().1 == Next::Quarantine {
            let head = queue.front().copied();
            self.quarantine(worker, head, death);
        }
        for (place, batch) in queue.into_iter().enumerate().rev() {
            self.actions.push(Action::ReleaseBatch { batch });
            let Some(Batch { job, pick, .. }) = self.batches.remove(&batch) else { continue };
            self.crew(post).jobs.ended(job);
            let Some(running) = self.jobs.get_mut(&job).map(AnyJob::get_mut) else { continue };
            // Workers run their batches in order, so only the first can have been at work.
            let again = if place == 0 {
                let lost = Lost { worker, batch, death, retries: self.rules.retries };
                running.lost(pick, &lost).map(|regained| {
                    is_explained |= regained.is_explained;
                    regained.again
                })
            } else {
                Ok(running.untouched(pick))
            };
            match again {
                Ok(None) => {}
                Ok(Some(pick)) => {
                    let post = pick.post();
                    let batch = self.new_batch(job, pick);
                    self.crew(post).again.push_front(batch);
                }
                Err(failure) => self.fail(job, failure),
            }
            self.touch(job);
        }
        if !is_explained {
            self.crew(post).strike(&death.text);
        }
    }

    /// A batch was taken back from a worker that had not begun it.
    pub(super) fn recalled(&mut self, worker: WorkerId, batch: BatchId) {
        let post = self.post_of(worker);
        if !self.crew(post).recalled(worker, batch) {
            return;
        }
        self.actions.push(Action::ReleaseBatch { batch });
        let Some(Batch { job, pick, charged }) = self.batches.remove(&batch) else { return };
        self.crew(post).jobs.gave_back(job, charged);
        self.crew(post).jobs.ended(job);
        let Some(running) = self.jobs.get_mut(&job).map(AnyJob::get_mut) else { return };
        if let Some(pick) = running.untouched(pick) {
            let batch = self.new_batch(job, pick);
            self.crew(post).again.push_front(batch);
        }
        self.touch(job);
    }

    /// The kernel is not run any more, whatever its worker was at: one kernel runs in all jobs.
    fn quarantine(&mut self, worker: WorkerId, head: Option<BatchId>, death: &Death) {
        let failure = JobFailure::Violation(death.verdict.to_string());
        // Whoever keeps the kernel will want the item, too.
        if let Some((batch, at)) = head.and_then(|id| Some((self.batches.get(&id)?, id)))
            && let Some(place) = Progress::decode(death.cell, at).and_then(|hint| place_of(&batch.pick.task, hint))
        {
            let job = batch.job;
            let item = FailedItem {
                place,
                len: 0,
                number: None,
                line: None,
                at: 0,
                filled: 0,
                verdict: death.verdict.clone(),
                attempts: 1,
                worker: Some(worker),
            };
            self.fail(job, JobFailure::Item(Box::new(item)));
        }
        for job in self.jobs.keys().copied().collect::<Vec<_>>() {
            self.fail(job, failure.clone());
        }
        self.quarantined = Some(failure);
    }
}

/// Where the item is that a worker was at.
fn place_of(task: &Task, hint: Progress) -> Option<ItemPlace> {
    match task {
        Task::Items(pieces) => {
            let piece = pieces.get(hint.piece as usize)?;
            Some(ItemPlace { source: piece.source, offset: piece.start.checked_add(hint.offset)? })
        }
        Task::Rows(rows) => Some(ItemPlace { source: rows.source, offset: u64::from(rows.first) + hint.offset }),
        Task::Prepare(_) | Task::Combine(_) | Task::Finish(_) | Task::Decode | Task::Encode(_) => None,
    }
}
