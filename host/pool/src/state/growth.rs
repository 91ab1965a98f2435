//! When more workers are asked for, and when there is no use in that.

use std::time::Duration;

use taskhost_protocol::ids::JobId;

use super::State;
use super::job::AnyJob;
use crate::event::{Action, JobFailure, Post};

/// How long a pool that has workers waits before it starts one more than it ever had: what they finish by then would have been finished
/// before the new one was ready (about 3 ms), and starting it keeps this process from reading their replies meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_millis(1);

impl State {
    /// Asks for more workers when those there are cannot take what could be run.
    pub(super) fn grow(&mut self, post: Post) {
        let target = self.target;
        let crew = match post {
            Post::Execute => &mut self.execute,
            Post::Isolation => &mut self.isolation,
            Post::Convert => &mut self.convert,
        };
        let hopeless = crew.hopeless();
        if hopeless.is_none() && !crew.can_grow() {
            return;
        }
        let has_more = |id: &&JobId| self.jobs.get(id).is_some_and(|job| job.get().has_more(post));
        let most = if hopeless.is_some() { usize::MAX } else { target };
        let jobs: Vec<JobId> = crew.jobs.iter().filter(has_more).take(most).copied().collect();
        if jobs.is_empty() && crew.again.is_empty() {
            return;
        }
        if let Some(what) = hopeless {
            crew.forgive();
            let again = crew.again.iter().filter_map(|id| self.batches.get(id)).map(|batch| batch.job);
            for job in again.chain(jobs).collect::<Vec<_>>() {
                self.fail(job, JobFailure::Lost(what.clone()));
            }
            return;
        }
        // A picture is for one convert worker; what execute workers run can be divided among all of them.
        let can_divide = post == Post::Execute && !jobs.is_empty();
        let width = |id: &JobId| self.jobs.get(id).map_or(0, |job| AnyJob::get(job).width(post, target));
        let wanted = jobs.iter().map(width).fold(crew.again.len(), usize::saturating_add);
        let wanted = if can_divide { wanted.min(target) } else { jobs.len().max(crew.again.len()) };
        let patience = if can_divide && crew.is_content() { PATIENCE } else { Duration::ZERO };
        let after = crew.delay().max(patience);
        for _ in 0..crew.grow(wanted) {
            self.actions.push(Action::Spawn { post, after });
        }
    }

    /// Whether there is still use for a worker that was to be started later. Without, it is not expected any more.
    pub fn is_wanted(&mut self, post: Post) -> bool {
        let jobs = &self.jobs;
        let crew = match post {
            Post::Execute => &mut self.execute,
            Post::Isolation => &mut self.isolation,
            Post::Convert => &mut self.convert,
        };
        let has_more = |id: &JobId| jobs.get(id).is_some_and(|job| job.get().has_more(post));
        let is_wanted = !crew.has_workers() || !crew.again.is_empty() || crew.jobs.iter().any(has_more);
        if !is_wanted {
            crew.do_without();
        }
        is_wanted
    }
}
