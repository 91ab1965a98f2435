//! The execute role: loads the artifact, locks itself in, starts the kernel, runs batches.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use taskhost_data::lines::ItemCursor;
use taskhost_engine::{HostContext, Instance, LoadOptions, LoadedKernel};
use taskhost_os::progress::ProgressWriter;
use taskhost_os::sandbox;
use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace, Refusal};
use taskhost_protocol::ids::{BatchId, JobId, SourceId};
use taskhost_protocol::kernel::{Description, Exports};
use taskhost_protocol::message::{FromWorker, LogLine, StartExecute, ToWorker};
use taskhost_protocol::picture::{Format, PicturePlan};
use taskhost_protocol::work::{Assignment, Done, Place, Spent, Work};

use crate::files::Files;
use crate::results::Results;
use crate::startup::{Channel, Fatal};

/// A loaded kernel and the instance that is in use, if any: one that trapped is never called again.
pub(crate) struct Kernel {
    loaded: LoadedKernel,
    context: HostContext,
    instance: Option<Instance>,
    pub(crate) exports: Exports,
}

impl Kernel {
    /// The instance, a fresh one when the last was given up.
    pub(crate) fn instance(&mut self) -> Result<&mut Instance, Fatal> {
        if self.instance.as_ref().is_none_or(Instance::is_poisoned) {
            // The old one goes first: there is room for one.
            self.instance = None;
            let mut fresh = self
                .loaded
                .instantiate(self.context.clone())
                .map_err(|fault| Fatal::failed("starting the kernel again")(&fault))?;
            fresh.start().map_err(|fault| Fatal::failed("starting the kernel again")(&fault))?;
            self.instance = Some(fresh);
        }
        self.instance.as_mut().ok_or_else(|| Fatal::Protocol("there is no instance".into()))
    }
}

/// Everything a worker keeps from batch to batch.
pub(crate) struct Executor<'a> {
    pub(crate) channel: &'a mut Channel,
    pub(crate) kernel: Kernel,
    pub(crate) files: Files,
    pub(crate) progress: ProgressWriter,
    pub(crate) cursor: ItemCursor,
    /// What the last `prepare` was asked and answered.
    pub(crate) prepared: Option<(JobId, Format, PicturePlan)>,
    /// Learned cost of an item in nanoseconds, for packed calls.
    pub(crate) item_nanos: f64,
    arena: File,
    gather: Vec<u8>,
}

/// What a batch came to so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) items: u64,
    pub(crate) input: u64,
    pub(crate) rest: Option<taskhost_protocol::work::Rest>,
    pub(crate) partials: Vec<taskhost_protocol::work::Partial>,
    pub(crate) failures: Vec<ItemFailure>,
    pub(crate) plan: Option<PicturePlan>,
    /// Nanoseconds spent in reading input.
    pub(crate) read_nanos: u64,
}

impl Tally {
    /// Notes that the item just counted failed.
    pub(crate) fn fail(&mut self, place: ItemPlace, fault: Fault) {
        let ordinal = self.items.saturating_sub(1);
        self.failures.push(ItemFailure { place, ordinal, len: 0, at: 0, attempts: 1, fault: fault.capped() });
    }
}

/// The life of an execute worker.
pub(crate) fn run(channel: &mut Channel, start: StartExecute, fds: Vec<OwnedFd>) -> Result<(), Fatal> {
    let Ok([code, cell, arena]) = <[OwnedFd; 3]>::try_from(fds) else {
        return Err(Fatal::Protocol("an execute worker needs three descriptors".into()));
    };
    // By name, since that is how the engine takes it; there are no names behind the walls.
    let code_path = PathBuf::from(format!("/proc/self/fd/{}", code.as_raw_fd()));
    let options = LoadOptions { kind: start.kind, exports: start.exports, limits: start.limits, code_path: &code_path };
    let loaded = match LoadedKernel::load(options) {
        Ok(loaded) => loaded,
        Err(refusal) => return channel.send(&FromWorker::Refused(refusal)),
    };
    let progress =
        ProgressWriter::from_fd(cell.as_fd()).map_err(|error| Fatal::failed("mapping the progress cell")(&error))?;
    drop((code, cell));
    sandbox::enter_execute().map_err(|error| Fatal::failed("locking in")(&error))?;
    channel.locked()?;
    let (kernel, description) = match begin(loaded, &start) {
        Ok(begun) => begun,
        Err(refusal) => return channel.send(&FromWorker::Refused(refusal)),
    };
    channel.send(&FromWorker::Ready { description })?;
    let mut executor = Executor {
        channel,
        kernel,
        files: Files::default(),
        progress,
        cursor: ItemCursor::new(),
        prepared: None,
        item_nanos: 0.0,
        arena: File::from(arena),
        gather: Vec::new(),
    };
    executor.serve()
}

/// The kernel's own start-up: what it says of itself, its settings, `lifecycle.start`.
fn begin(loaded: LoadedKernel, start: &StartExecute) -> Result<(Kernel, Option<Description>), Refusal> {
    let refuse = |what: &'static str| move |fault: Fault| Refusal::Start(format!("{what}: {fault}"));
    let mut context = HostContext { settings: Arc::new(start.settings.clone()), clock: start.clock, seed: start.seed };
    let mut instance =
        loaded.instantiate(context.clone()).map_err(refuse("the kernel failed when it was instantiated"))?;
    let described = instance.describe().map_err(refuse("the kernel's `describe` failed"))?;
    if let Some(description) = &described {
        let settings = settle(&start.settings, description, start.describe_only)?;
        if settings.len() > start.settings.len() {
            // Defaults came in, so the kernel starts anew with all of its settings.
            context.settings = Arc::new(settings);
            drop(instance);
            instance =
                loaded.instantiate(context.clone()).map_err(refuse("the kernel failed when it was instantiated"))?;
        }
    }
    if !start.describe_only {
        instance.start().map_err(|fault| match fault {
            // A kernel has no input yet when it starts: what it finds wrong is its settings.
            Fault::InvalidInput(text) => Refusal::Setting(text),
            fault => refuse("the kernel's `start` failed")(fault),
        })?;
    }
    Ok((Kernel { loaded, context, instance: Some(instance), exports: start.exports }, described))
}

/// The settings with the defaults filled in. Names that the kernel does not know, and missing values that it needs,
/// are the user's mistakes.
fn settle(
    given: &[(String, String)],
    description: &Description,
    describe_only: bool,
) -> Result<Vec<(String, String)>, Refusal> {
    let known: Vec<&str> = description.settings.iter().map(|setting| setting.name.as_str()).collect();
    for (name, _) in given {
        if !known.contains(&name.as_str()) {
            let list =
                if known.is_empty() { "it takes none".into() } else { format!("it takes: {}", known.join(", ")) };
            return Err(Refusal::Setting(format!("the kernel has no setting `{name}`; {list}")));
        }
    }
    let mut settings = given.to_vec();
    for setting in &description.settings {
        if given.iter().any(|(name, _)| *name == setting.name) {
            continue;
        }
        match &setting.default {
            Some(default) => settings.push((setting.name.clone(), default.clone())),
            None if describe_only => {}
            None => {
                let (name, help) = (&setting.name, &setting.help);
                return Err(Refusal::Setting(format!(
                    "the kernel needs the setting `{name}` ({help}): add --config {name}=VALUE"
                )));
            }
        }
    }
    Ok(settings)
}

impl Executor<'_> {
    fn serve(&mut self) -> Result<(), Fatal> {
        loop {
            let (message, fds) = self.channel.receive()?;
            match message {
                ToWorker::Open { slot, open } => self.files.open(slot, open, fds)?,
                ToWorker::Close { slot } => self.files.close(slot)?,
                ToWorker::Run(assignment) => {
                    let done = self.run(&assignment)?;
                    self.channel.send(&FromWorker::Done(done))?;
                }
                ToWorker::Start(_) | ToWorker::Go | ToWorker::Decode { .. } | ToWorker::Encode { .. } => {
                    return Err(Fatal::Protocol("an execute worker only runs batches".into()));
                }
            }
        }
    }

    fn run(&mut self, assignment: &Assignment) -> Result<Done, Fatal> {
        let began = Instant::now();
        let gather = std::mem::take(&mut self.gather);
        let mut tally = Tally::default();
        // A second handle, so that results can be written while the executor is at work.
        let target = match assignment.place {
            Place::Arena(offset) => Some((self.arena.try_clone(), offset)),
            Place::File { slot, offset } => Some((self.files.file(slot)?.try_clone(), offset)),
            Place::Nowhere => None,
        };
        let target = match target {
            Some((Ok(file), offset)) => Some((file, offset)),
            Some((Err(error), _)) => return Err(Fatal::failed("duplicating a descriptor")(&error)),
            None => None,
        };
        let mut results = Results::new(target.as_ref().map(|(file, offset)| (file, *offset)), gather);
        match &assignment.work {
            Work::Items(pieces) => self.run_items(assignment, pieces, &mut results, &mut tally)?,
            Work::Rows(rows) => self.run_rows(assignment, rows, &mut results, &mut tally)?,
            Work::Prepare(format) => self.run_prepare(assignment.job, *format, &mut tally)?,
            Work::Combine(join) => self.run_combine(join, &mut results, &mut tally)?,
            Work::Finish(join) => self.run_finish(join, &mut results, &mut tally)?,
        }
        let copy = tally.read_nanos + results.nanos;
        let (output, gather) = results.finish();
        self.gather = gather;
        let output = output.unwrap_or_else(|fault| {
            tally.fail(ItemPlace { source: SourceId(0), offset: 0 }, fault);
            0
        });
        let counters = self.kernel.instance().map(Instance::take_counters).unwrap_or_default();
        Ok(Done {
            job: assignment.job,
            batch: assignment.batch,
            generation: assignment.generation,
            items: tally.items,
            input: tally.input,
            output,
            rest: tally.rest,
            partials: tally.partials,
            failures: tally.failures,
            joining: None,
            counters,
            plan: tally.plan,
            spent: Spent { total: nanos_since(began), copy },
        })
    }

    /// Stores where the worker is: the only thing that a coordinator sees of a worker that hangs or crashes.
    pub(crate) fn at_item(&self, batch: BatchId, ordinal: u64) {
        /// Bits of the item's number in its batch; the batch's number has the rest.
        const ITEM_BITS: u32 = 32;
        self.progress.store(batch.0 << ITEM_BITS | (ordinal & u64::from(u32::MAX)));
    }

    /// Passes on what the kernel logged.
    pub(crate) fn pass_logs(&mut self, job: JobId, place: Option<ItemPlace>) -> Result<(), Fatal> {
        for (level, text) in self.kernel.instance()?.take_logs() {
            self.channel.send(&FromWorker::Log(LogLine { job, place, level, text }))?;
        }
        Ok(())
    }
}

/// Nanoseconds since then.
pub(crate) fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::kernel::Setting;

    fn description() -> Description {
        let setting = |name: &str, default: Option<&str>| Setting {
            name: name.into(),
            default: default.map(Into::into),
            help: format!("the {name}"),
        };
        Description { settings: vec![setting("sigma", Some("2")), setting("width", None)], ..Description::default() }
    }

    fn given(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.into(), value.into())]
    }

    #[test]
    fn defaults_are_filled_in() {
        let settings = settle(&given("width", "3"), &description(), false).expect("complete");
        assert_eq!(settings, [given("width", "3"), given("sigma", "2")].concat());
    }

    #[test]
    fn a_missing_setting_is_named() {
        let refusal = settle(&given("sigma", "1"), &description(), false).expect_err("width is missing");
        assert_eq!(refusal.to_string(), "the kernel needs the setting `width` (the width): add --config width=VALUE");
        assert!(settle(&[], &description(), true).is_ok(), "a description needs no settings");
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let refusal = settle(&given("sigme", "1"), &description(), false).expect_err("a typing error");
        assert_eq!(refusal.to_string(), "the kernel has no setting `sigme`; it takes: sigma, width");
    }
}
