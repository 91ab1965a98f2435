//! Why a job does not run now.

use serde::Serialize;

use super::{Fair, Pause};
use crate::job::JobId;

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// For nothing: it has a process, and it is its turn.
    Running,
    /// For its next turn: it has a process, which is stopped while others have theirs.
    Turn,
    /// Its tenant is kept out.
    Disabled,
    /// The operator starts nothing of its tenant, or of anybody, now.
    Paused,
    /// Its tenant has used up its CPU time of today: it goes on tomorrow (UTC), or when the quota is raised.
    CpuSecondsPerDay,
    /// As many jobs of its tenant have a process as may have one at a time.
    ConcurrentJobs,
    /// The jobs of its tenant that run have as many cores as they may have together.
    CoresOfTenant,
    /// For jobs of its own tenant that are begun before it, since they are more urgent or came earlier.
    Earlier,
    /// As many jobs of all tenants have a process as the server has room for.
    Processes,
    /// For a core: those who have used less for their weight come first.
    Cores,
}

/// Why a job does not run, with the numbers that say how long that may take. Of other tenants they say no more than how many
/// come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Wait {
    /// What it waits for.
    pub reason: Reason,
    /// Jobs of its tenant that are begun before it.
    pub jobs_before: usize,
    /// Jobs of its tenant that have a process.
    pub running: usize,
    /// Jobs of its tenant that may have one at a time.
    pub most_running: usize,
    /// Tenants with jobs that have used less for their weight, and come first.
    pub tenants_before: usize,
}

impl Fair {
    /// What this job waits for. `None` for one that is not known: it is over.
    #[must_use]
    pub fn reason(&self, job: &JobId) -> Option<Reason> {
        let known = self.jobs.get(job)?;
        let own = self.queues.get(&known.tenant)?;
        let has_process = !own.waiting.contains_key(&known.rank);
        let is_first = || own.waiting.first_key_value().is_some_and(|(rank, _)| *rank == known.rank);
        let processes: usize = self.queues.values().map(|queue| queue.running.len()).sum();
        let on = own.running.iter().filter_map(|job| self.jobs.get(job)).filter(|job| job.is_on);
        let on: usize = on.map(|job| job.cores.min(own.cores)).sum();
        Some(match () {
            () if has_process && known.is_on => Reason::Running,
            () if own.most == 0 => Reason::Disabled,
            () if own.pause == Pause::All || (own.pause == Pause::Starts && !has_process) => Reason::Paused,
            () if own.is_spent => Reason::CpuSecondsPerDay,
            () if has_process => Reason::Turn,
            () if own.running.len() >= own.most => Reason::ConcurrentJobs,
            () if processes >= self.most => Reason::Processes,
            () if !is_first() => Reason::Earlier,
            () if own.cores < self.cores && on + known.cores.min(own.cores) > own.cores => Reason::CoresOfTenant,
            () => Reason::Cores,
        })
    }

    /// Why this job does not run, and how much is before it. `None` for one that is not known: it is over.
    #[must_use]
    pub fn explain(&self, job: &JobId) -> Option<Wait> {
        let reason = self.reason(job)?;
        let known = self.jobs.get(job)?;
        let own = self.queues.get(&known.tenant)?;
        // Calls wait for no turn, and nobody waits for them.
        let others = self.queues.iter().filter(|(tenant, queue)| **tenant != known.tenant && queue.has_jobs());
        let tenants_before = others.filter(|(_, queue)| queue.debt < own.debt).count();
        let waits = own.waiting.contains_key(&known.rank);
        let jobs_before = if waits { own.waiting.range(..known.rank).count() } else { 0 };
        Some(Wait { reason, jobs_before, running: own.running.len(), most_running: own.most, tenants_before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::fair::Standing;
    use crate::job::{Rank, Urgency};
    use crate::tenant::TenantId;

    #[test]
    fn each_reason_is_told() {
        let (anna, bert) = (TenantId(1), TenantId(2));
        let mut fair = Fair::new(1, 2);
        let standing = |jobs| Standing { weight: 1, jobs, cores: 64 };
        fair.know(anna, standing(1));
        fair.know(bert, standing(9));
        let tenants = [anna, anna, bert, bert, bert].into_iter().zip(0..);
        let jobs: Vec<JobId> = tenants
            .map(|(tenant, came)| {
                let job = JobId::create();
                fair.add(job.clone(), tenant, 1, Rank::new(Urgency::default(), came));
                job
            })
            .collect();
        let reason = |fair: &Fair, job: usize| fair.explain(&jobs[job]).map(|wait| wait.reason);
        fair.turn();
        assert_eq!(reason(&fair, 0), Some(Reason::Running));
        assert_eq!(reason(&fair, 1), Some(Reason::ConcurrentJobs));
        assert_eq!(reason(&fair, 2), Some(Reason::Cores));
        assert_eq!(reason(&fair, 3), Some(Reason::Earlier));
        // One that is more urgent is before all that wait.
        let urgent = Rank::new(Urgency { priority: 1, ready_by: None }, 4);
        let before = |fair: &Fair, job: usize| fair.explain(&jobs[job]).map(|wait| wait.jobs_before);
        assert_eq!((before(&fair, 2), before(&fair, 4)), (Some(0), Some(2)));
        fair.move_to(&jobs[4], urgent);
        assert_eq!((before(&fair, 2), before(&fair, 4), before(&fair, 0)), (Some(1), Some(0), Some(0)));
        fair.move_to(&jobs[4], Rank::new(Urgency::default(), 4));
        // Anna owes the most now: the other has its turn.
        fair.charge(anna, 1.0);
        fair.turn();
        assert_eq!((reason(&fair, 0), reason(&fair, 2)), (Some(Reason::Turn), Some(Reason::Running)));
        assert_eq!(reason(&fair, 3), Some(Reason::Processes));
        assert_eq!(fair.explain(&jobs[0]).map(|wait| wait.tenants_before), Some(1));
        let caller = TenantId(3);
        fair.know(caller, standing(1));
        fair.charge(caller, -1.0);
        fair.call_came(caller);
        assert_eq!(fair.explain(&jobs[0]).map(|wait| wait.tenants_before), Some(1), "who only calls is before nobody");
        fair.spend(anna, true);
        assert_eq!(reason(&fair, 0), Some(Reason::CpuSecondsPerDay));
        fair.pause(anna, Pause::Starts);
        assert_eq!((reason(&fair, 0), reason(&fair, 1)), (Some(Reason::CpuSecondsPerDay), Some(Reason::Paused)));
        fair.pause(anna, Pause::All);
        assert_eq!(reason(&fair, 0), Some(Reason::Paused));
        fair.know(anna, standing(0));
        assert_eq!(reason(&fair, 1), Some(Reason::Disabled));
        fair.remove(&jobs[1]);
        assert_eq!(reason(&fair, 1), None);
    }
}
