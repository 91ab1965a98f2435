//! A run that is broken off, and one that goes on from there.

use super::*;

impl World {
    /// Goes on with a job where another world has stopped; `before` is what was left of it there.
    pub(in crate::state::tests) fn resume(&mut self, job: JobId, spec: Spec, before: FakeJob) {
        let mut resume = Resume { prefix: before.prefix, totals: before.totals.clone(), ..Resume::default() };
        for (range, _) in &before.reduced {
            resume.done.entry(range.source).or_default().push(range.clone());
        }
        resume.done.values_mut().for_each(|ranges| ranges.sort_by_key(|range| range.start));
        let plan = JobPlan::Items(spec.plan);
        let fake = FakeJob {
            kind: Kind::Items(spec),
            opened: 0,
            pipe: None,
            open: BTreeSet::new(),
            runs: Runs::new(),
            appended: resume.prefix.output,
            is_over: false,
            ..before
        };
        assert!(self.jobs.insert(job, fake).is_none(), "job numbers are never used twice");
        self.tell(Event::JobAdded { job, plan, resume: Some(Box::new(resume)) });
    }

    /// The run is broken off: what is left of the job, with the output as far as it is merged.
    pub(in crate::state::tests) fn stop(&mut self, job: JobId) -> FakeJob {
        let fake = &self.jobs[&job];
        let (prefix, totals, failed) = (fake.prefix, fake.totals.clone(), fake.failed.clone());
        while !self.sink.is_empty() {
            self.write();
        }
        let scale = self.scale(job);
        let mut fake = self.jobs.remove(&job).unwrap();
        if matches!(&fake.kind, Kind::Items(spec) if spec.plan.placement == Placement::Append) {
            fake.output.truncate((prefix.output / scale) as usize);
        }
        let failed = failed.into_iter().take(totals.failed as usize).collect();
        FakeJob { prefix, totals, failed, ..fake }
    }
}
