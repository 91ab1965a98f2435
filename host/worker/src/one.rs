//! Running one item by itself.

use taskhost_engine::Input;
use taskhost_protocol::fault::Fault;

use crate::call_clock::timed;
use crate::execute::Executor;
use crate::items::PieceContext;
use crate::outlet::Outlet;
use crate::startup::Fatal;

impl Executor<'_> {
    /// Runs one item; again when it asks for it and may.
    pub(crate) fn one(
        &mut self,
        context: &PieceContext,
        offset: u64,
        mut input: Input<'_>,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fatal> {
        self.progress.store(context.progress(offset, false));
        let mark = outlet.results.mark();
        let mut attempts = 1;
        let outcome = loop {
            let outcome = self.attempt(context, offset, borrowed(&mut input), outlet);
            self.pass_logs(context.job, Some(context.place(offset)))?;
            match outcome {
                Err(Fault::Temporary(_)) if attempts <= outlet.care.retries => {
                    outlet.forget(mark);
                    self.kernel.retire();
                    attempts += 1;
                }
                outcome => break outcome,
            }
        };
        outlet.tally.items += 1;
        match outcome {
            Ok(()) if outlet.tree.is_some() => {
                let measured = outlet.measure();
                let reduced = self.reduce(context, offset, outlet);
                outlet.joined(measured);
                reduced
            }
            Ok(()) => Ok(()),
            Err(fault) => {
                outlet.forget(mark);
                outlet.fail(context.extent(offset, input.len() as u64), attempts, fault);
                Ok(())
            }
        }
    }

    fn attempt(
        &mut self,
        context: &PieceContext,
        offset: u64,
        input: Input<'_>,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fault> {
        let extent = context.extent(offset, input.len() as u64);
        let ordinal = outlet.tally.items;
        let instance = self.kernel.for_call()?;
        instance.set_item(Some(context.item(offset)));
        let measured = outlet.measure();
        let mut read = 0;
        let outcome =
            timed(input, &mut read, |input| instance.process(input, &mut |result| outlet.put(result, extent, ordinal)));
        outlet.called(measured, read);
        if outcome.is_ok() {
            instance.commit_counters();
        } else {
            instance.drop_counters();
        }
        outcome
    }
}

/// The same input, once more.
fn borrowed<'b>(input: &'b mut Input<'_>) -> Input<'b> {
    match input {
        Input::Bytes(bytes) => Input::Bytes(bytes),
        Input::Read { len, read } => Input::Read { len: *len, read: &mut **read },
    }
}
