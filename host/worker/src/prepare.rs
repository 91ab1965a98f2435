//! Asking a kernel what it makes of a picture: by itself, and of each instance before it filters.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::ids::JobId;
use taskhost_protocol::picture::{Format, PicturePlan};
use taskhost_protocol::work::Assignment;

use crate::execute::Executor;
use crate::startup::Fatal;
use crate::tally::Tally;

/// What `prepare` was asked last, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// Which instance: another one has to be asked again before it filters.
    instance: u64,
    job: JobId,
    format: Format,
    plan: PicturePlan,
}

impl Executor<'_> {
    /// Asks the kernel what it makes of a format.
    pub(crate) fn run_prepare(
        &mut self,
        assignment: &Assignment,
        format: Format,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        self.at_call(assignment.batch);
        match self.prepare(assignment.job, format) {
            Ok(plan) => tally.plan = Some(plan),
            Err(fault) => tally.fail_whole(fault),
        }
        self.pass_logs(assignment.job, None)
    }

    /// What the instance in use makes of a format.
    pub(crate) fn prepare(&mut self, job: JobId, format: Format) -> Result<PicturePlan, Fault> {
        self.kernel.instance()?;
        let made = self.kernel.made();
        if let Some(Prepared { instance, job: known_job, format: known, plan }) = self.prepared
            && (instance, known_job, known) == (made, job, format)
        {
            return Ok(plan);
        }
        let instance = self.kernel.instance()?;
        instance.set_item(None);
        let plan = instance.prepare(format)?;
        self.prepared = Some(Prepared { instance: made, job, format, plan });
        Ok(plan)
    }
}
