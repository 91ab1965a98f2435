//! Joining parts of a reduction that lie in different batches, and finishing it.

use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use taskhost_protocol::fault::Fault;
use taskhost_protocol::work::{Assignment, Join};

use crate::execute::{Executor, nanos_since};
use crate::reduce;
use crate::results::Results;
use crate::startup::Fatal;
use crate::tally::Tally;

impl Executor<'_> {
    /// Calls `combine` once.
    pub(crate) fn run_combine(
        &mut self,
        assignment: &Assignment,
        join: &Join,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        let bytes = self.read_parts(join)?;
        let mut begin = 0;
        let mut parts: Vec<&[u8]> = Vec::with_capacity(join.lens.len());
        for len in &join.lens {
            let end = begin + usize::try_from(*len).unwrap_or(usize::MAX);
            parts.push(bytes.get(begin..end).ok_or_else(|| Fatal::Protocol("parts do not add up".into()))?);
            begin = end;
        }
        self.at_call(assignment.batch);
        let began = Instant::now();
        let answer = reduce::combine(&mut self.kernel, &parts);
        tally.join_nanos += nanos_since(began);
        write(answer, results, tally);
        self.pass_logs(assignment.job, None)
    }

    /// Calls `finish`.
    pub(crate) fn run_finish(
        &mut self,
        assignment: &Assignment,
        join: &Join,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        let bytes = self.read_parts(join)?;
        self.at_call(assignment.batch);
        let began = Instant::now();
        let answer = self.kernel.for_call().and_then(|instance| {
            instance.set_item(None);
            let answer = instance.finish(&bytes);
            instance.commit_counters();
            answer
        });
        tally.join_nanos += nanos_since(began);
        write(answer, results, tally);
        self.pass_logs(assignment.job, None)
    }

    fn read_parts(&self, join: &Join) -> Result<Vec<u8>, Fatal> {
        let total: u64 = join.lens.iter().sum();
        let mut bytes = vec![0; usize::try_from(total).unwrap_or(0)];
        let file = self.files.file(join.slot)?;
        file.read_exact_at(&mut bytes, join.at).map_err(|error| Fatal::failed("reading partial results")(&error))?;
        Ok(bytes)
    }
}

fn write(answer: Result<Vec<u8>, Fault>, results: &mut Results<'_>, tally: &mut Tally) {
    if let Err(fault) = answer.and_then(|bytes| results.write(&bytes)) {
        tally.fail_whole(fault);
    }
}
