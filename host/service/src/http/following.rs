//! Following a job: its end is told at once, and what comes to be meanwhile is looked at some times a second.
//!
//! Nobody is charged for that. So those who follow for one tenant look so often together, however many they are, and a look reads
//! how far a job is and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::jobs::find;
use super::{App, Problem};
use crate::job::{JobId, JobState};
use crate::store::jobs::{self, JobRow};
use crate::tenant::{Caller, TenantId};

/// How often it is looked whether there is more, by each of a few.
const LOOK: Duration = Duration::from_millis(200);

/// So many look that often. More of them look less often.
const FEW: u32 = 50;

/// How many follow, of each tenant.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<HashMap<TenantId, u32>>);

impl Followers {
    fn counts(&self) -> MutexGuard<'_, HashMap<TenantId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn came(&self, tenant: TenantId) {
        *self.counts().entry(tenant).or_default() += 1;
    }

    fn went(&self, tenant: TenantId) {
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(&tenant) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&tenant);
            }
        }
    }

    fn interval(&self, tenant: TenantId) -> Duration {
        LOOK * self.counts().get(&tenant).map_or(1, |count| count.div_ceil(FEW).max(1))
    }
}

/// Somebody who follows, until this is dropped.
pub(super) struct Follower {
    app: Arc<App>,
    caller: Arc<Caller>,
}

/// How far a job is now.
pub(super) enum Now {
    /// It goes on.
    Is(JobState),
    /// It is over.
    Over(Box<JobRow>),
}

impl Follower {
    pub(super) fn new(app: Arc<App>, caller: Arc<Caller>) -> Self {
        app.followers.came(caller.tenant.id);
        Self { app, caller }
    }

    /// Waits for the end of a job, but not for longer than until the next look.
    pub(super) async fn next(&self, job: &JobId) -> Result<Now, Problem> {
        let Self { app, caller } = self;
        let over = app.waiters.wait_for(job);
        if self.state(job).await?.is_over() {
            // Nobody will say so any more.
            app.waiters.over(job);
        } else if tokio::time::timeout(app.followers.interval(caller.tenant.id), over).await.is_err() {
            let state = self.state(job).await?;
            if !state.is_over() {
                return Ok(Now::Is(state));
            }
        }
        let job = find(app, caller, job).await?;
        Ok(if job.state.is_over() { Now::Over(Box::new(job)) } else { Now::Is(job.state) })
    }

    async fn state(&self, job: &JobId) -> Result<JobState, Problem> {
        let (tenant, job) = (self.caller.tenant.id, job.clone());
        let state = self.app.read(move |rows| jobs::state(rows, tenant, &job)).await?;
        state.ok_or_else(|| Problem::not_found("job"))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.app.followers.went(self.caller.tenant.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_look_as_often_together_as_a_few() {
        let followers = Followers::default();
        let (anna, bert) = (TenantId(1), TenantId(2));
        followers.came(bert);
        (0..FEW).for_each(|_| followers.came(anna));
        assert_eq!([anna, bert].map(|tenant| followers.interval(tenant)), [LOOK, LOOK]);
        (0..9 * FEW).for_each(|_| followers.came(anna));
        assert_eq!([anna, bert].map(|tenant| followers.interval(tenant)), [10 * LOOK, LOOK]);
        (0..10 * FEW).for_each(|_| followers.went(anna));
        followers.went(bert);
        assert!(followers.counts().is_empty());
        assert_eq!(followers.interval(anna), LOOK);
    }
}
