//! Joining parts of a reduction that lie in different batches, and finishing it.

use std::os::unix::fs::FileExt as _;

use taskhost_protocol::fault::{Fault, ItemPlace};
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::work::Join;

use crate::execute::{Executor, Tally};
use crate::results::Results;
use crate::startup::Fatal;

impl Executor<'_> {
    /// Calls `combine` once.
    pub(crate) fn run_combine(
        &mut self,
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
        let instance = self.kernel.instance()?;
        instance.set_item(None);
        let answer = instance.combine(&parts);
        write(answer, results, tally);
        Ok(())
    }

    /// Calls `finish`.
    pub(crate) fn run_finish(
        &mut self,
        join: &Join,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        let bytes = self.read_parts(join)?;
        let instance = self.kernel.instance()?;
        instance.set_item(None);
        let answer = instance.finish(&bytes);
        write(answer, results, tally);
        Ok(())
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
        tally.fail(ItemPlace { source: SourceId(0), offset: 0 }, fault);
    }
}
