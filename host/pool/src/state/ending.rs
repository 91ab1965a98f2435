//! How jobs end before they are done, and what is forgotten of them.

use taskhost_protocol::ids::{BatchId, JobId};

use super::State;
use crate::event::{Action, JobFailure};

impl State {
    /// Nobody wants the job any more: workers that are at it are stopped, however long their items would take.
    pub(super) fn cancel(&mut self, job: JobId) {
        for crew in [&self.execute, &self.isolation] {
            let is_of_job = |id: &BatchId| self.batches.get(id).is_some_and(|batch| batch.job == job);
            let at_work = crew.heads().filter(|(_, batch)| is_of_job(batch));
            self.actions.extend(at_work.map(|(worker, batch)| Action::Stop { worker, batch }));
        }
        self.fail(job, JobFailure::ReaderGone);
    }

    /// The job is given up.
    pub(super) fn fail(&mut self, job: JobId, failure: JobFailure) {
        let Some(mut gone) = self.jobs.remove(&job) else { return };
        gone.get_mut().abandon(&mut self.actions);
        let totals = std::mem::take(gone.get_mut().totals_mut());
        self.forget(job);
        self.actions.push(Action::FailJob { job, failure, totals });
    }

    /// The job is over. What is still out of it is released when its worker replies or is lost.
    pub(super) fn forget(&mut self, job: JobId) {
        for crew in [&mut self.execute, &mut self.isolation, &mut self.convert] {
            crew.jobs.forget(job);
            crew.again.retain(|id| {
                let is_other = self.batches.get(id).is_some_and(|batch| batch.job != job);
                if !is_other {
                    self.batches.remove(id);
                }
                is_other
            });
        }
    }
}
