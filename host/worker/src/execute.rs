//! The execute role: loads the artifact, locks itself in, starts the kernel, runs batches.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskhost_data::lines::ItemCursor;
use taskhost_engine::{BroadcastData, FolderGrant, LoadOptions, LoadedKernel};
use taskhost_os::progress::ProgressWriter;
use taskhost_os::rlimits::Rlimits;
use taskhost_protocol::fault::ItemPlace;
use taskhost_protocol::ids::{BatchId, JobId};
use taskhost_protocol::message::{FromWorker, Level, LogLine, StartExecute, ToWorker};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Assignment, Done, Place, Spent, Split, Work};

use crate::begin::begin;
use crate::files::Files;
use crate::grants::Granted;
use crate::kernel::Kernel;
use crate::logs::LogAllowance;
use crate::prepare::Prepared;
use crate::profile::ProfileWriter;
use crate::results::Results;
use crate::startup::{Channel, Fatal};
use crate::tally::Tally;

/// How long the next item is looked for after a single one that was quick: to be woken takes as long.
const LOOK: Duration = Duration::from_micros(50);

/// What is quick.
const QUICK: Duration = Duration::from_micros(200);

/// Everything a worker keeps from batch to batch.
pub(crate) struct Executor<'a> {
    pub(crate) channel: &'a mut Channel,
    pub(crate) kernel: Kernel,
    pub(crate) files: Files,
    pub(crate) progress: ProgressWriter,
    pub(crate) cursor: ItemCursor,
    pub(crate) prepared: Option<Prepared>,
    /// Learned cost of an item in nanoseconds, for packed calls.
    pub(crate) item_nanos: f64,
    /// Where it is written down what the kernel spends its time on.
    profile: Option<ProfileWriter>,
    logs: LogAllowance,
    /// Batches it was sent so far.
    orders: u32,
    arena: Arc<File>,
    gather: Vec<u8>,
}

/// The life of an execute worker.
pub(crate) fn run(channel: &mut Channel, start: StartExecute, fds: Vec<OwnedFd>) -> Result<(), Fatal> {
    let mut fds = fds.into_iter();
    let (Some(code), Some(cell), Some(arena)) = (fds.next(), fds.next(), fds.next()) else {
        return Err(Fatal::Protocol("an execute worker needs three descriptors".into()));
    };
    // Cut off from the machine, or kept inside of by Landlock; what the kernel calls them is for kernels that use them.
    let granted = match Granted::take(&start.grants, &mut fds) {
        Ok(granted) => granted,
        Err(refusal) => return channel.send(&FromWorker::Refused(refusal)),
    };
    let data = if start.given.broadcast.is_empty() { None } else { fds.next() };
    let broadcast = Arc::new(BroadcastData::new(start.given.broadcast.clone(), data.map(File::from)));
    let profile = if start.given.profile { fds.next() } else { None };
    // By name, since that is how the engine takes it; there are no names behind the walls.
    let code_path = PathBuf::from(format!("/proc/self/fd/{}", code.as_raw_fd()));
    #[cfg(debug_assertions)]
    taskhost_engine::faults::install(taskhost_os::fault_injection::by_name);
    let folders: Vec<FolderGrant> = granted.grants().collect();
    let options = LoadOptions {
        kind: start.kind,
        exports: start.exports,
        invoke: start.invoke.as_ref(),
        needs: start.needs,
        sampled: profile.is_some(),
        folders: &folders,
        limits: start.limits,
        code_path: &code_path,
    };
    let loaded = match LoadedKernel::load(options) {
        Ok(loaded) => loaded,
        Err(refusal) => return channel.send(&FromWorker::Refused(refusal)),
    };
    let profile = match (profile, loaded.samples()) {
        (Some(file), Some(samples)) => Some(ProfileWriter::start(file, samples.clone())?),
        _ => None,
    };
    let progress =
        ProgressWriter::from_fd(cell.as_fd()).map_err(|error| Fatal::failed("mapping the progress cell")(&error))?;
    drop((code, cell));
    Rlimits { more_data: taskhost_engine::most_memory(&start.limits), cpu: start.limits.cpu }
        .set()
        .map_err(|error| Fatal::failed("limiting itself")(&error))?;
    // What loading took and does not need any more.
    taskhost_os::allocator::give_back();
    channel.lock_with(granted.folders())?;
    channel.locked()?;
    let (kernel, description) = match begin(loaded, &start, broadcast) {
        Ok(begun) => begun,
        Err(refusal) => return channel.send(&FromWorker::Refused(refusal)),
    };
    channel.send(&FromWorker::Ready { description })?;
    let mut executor = Executor::new(channel, kernel, progress, File::from(arena));
    executor.profile = profile;
    executor.serve()
}

impl<'a> Executor<'a> {
    pub(crate) fn new(channel: &'a mut Channel, kernel: Kernel, progress: ProgressWriter, arena: File) -> Self {
        Self {
            channel,
            kernel,
            files: Files::default(),
            progress,
            cursor: ItemCursor::new(),
            prepared: None,
            item_nanos: 0.0,
            profile: None,
            logs: LogAllowance::new(Instant::now()),
            orders: 0,
            arena: Arc::new(arena),
            gather: Vec::new(),
        }
    }

    fn serve(&mut self) -> Result<(), Fatal> {
        let mut look = Duration::ZERO;
        loop {
            let (message, fds) = self.channel.receive_after(look)?;
            match message {
                ToWorker::Open { slot, open } => self.files.open(slot, open, fds)?,
                ToWorker::Close { slot } => self.files.close(slot)?,
                ToWorker::Run(assignment) => {
                    let order = self.orders;
                    self.orders = order.wrapping_add(1);
                    if !self.progress.begin(order) {
                        // It was taken back, for a worker that had nothing to do.
                        continue;
                    }
                    let done = self.run(&assignment)?;
                    // Whoever waits for a single item may have the next one.
                    let is_single = assignment.split == Split::Table && assignment.budget.items == 1;
                    let is_quick = is_single && done.spent.total < QUICK.as_nanos() as u64;
                    look = if is_quick { LOOK } else { Duration::ZERO };
                    self.channel.send(&FromWorker::Done(done))?;
                }
                ToWorker::Start(..)
                | ToWorker::Go
                | ToWorker::Decode { .. }
                | ToWorker::Encode { .. }
                | ToWorker::Stream(_) => {
                    return Err(Fatal::Protocol("an execute worker only runs batches".into()));
                }
            }
        }
    }

    /// Runs a batch.
    pub(crate) fn run(&mut self, assignment: &Assignment) -> Result<Done, Fatal> {
        let began = Instant::now();
        self.at_batch(assignment.batch);
        self.kernel.begin_batch();
        let gather = std::mem::take(&mut self.gather);
        let mut tally = Tally::new(assignment);
        // A second handle, so that results can be written while the executor is at work.
        let target = match assignment.place {
            Place::Arena(offset) | Place::Marked(offset) => Some((Arc::clone(&self.arena), offset)),
            Place::File { slot, offset } => Some((Arc::clone(self.files.file(slot)?), offset)),
            Place::Nowhere => None,
        };
        let mut results = Results::new(target.as_ref().map(|(file, offset)| (&**file, *offset)), gather);
        match &assignment.work {
            Work::Items(pieces) => self.run_items(assignment, pieces, &mut results, &mut tally)?,
            Work::Rows(rows) => self.run_rows(assignment, rows, &mut results, &mut tally)?,
            Work::Prepare(format) => self.run_prepare(assignment, *format, &mut tally)?,
            Work::Combine(join) => self.run_combine(assignment, join, &mut results, &mut tally)?,
            Work::Finish(join) => self.run_finish(assignment, join, &mut results, &mut tally)?,
        }
        // The last item is over: what takes time now is not its fault.
        self.at_batch(assignment.batch);
        if let Some(profile) = &mut self.profile {
            profile.write()?;
        }
        if let Some(text) = self.logs.told(Instant::now()) {
            self.channel.send(&FromWorker::Log(LogLine {
                job: assignment.job,
                place: None,
                level: Level::Warn,
                text,
            }))?;
        }
        Ok(self.reply(assignment, results, tally, began))
    }

    fn reply(&mut self, assignment: &Assignment, results: Results<'_>, mut tally: Tally, began: Instant) -> Done {
        let (output, results_nanos, gather) = results.finish();
        self.gather = gather;
        let output = output.unwrap_or_else(|fault| {
            tally.fail_whole(fault);
            0
        });
        Done {
            job: assignment.job,
            batch: assignment.batch,
            generation: assignment.generation,
            items: tally.items,
            input: tally.input,
            output,
            rest: tally.rest,
            partials: tally.partials,
            failures: tally.failures,
            joining: tally.joining,
            counters: self.kernel.take_counters(),
            plan: tally.plan,
            spent: Spent {
                total: nanos_since(began),
                copy: tally.read_nanos + results_nanos,
                call: tally.call_nanos,
                join: tally.join_nanos,
            },
            memory: self.kernel.memory(),
        }
    }

    /// Stores that the worker is in this batch, at no item in particular. What it stores is the only thing that a
    /// coordinator sees of a worker that hangs or crashes.
    pub(crate) fn at_batch(&self, batch: BatchId) {
        self.progress.store(Progress { batch, piece: 0, offset: 0, packed: true }.encode());
    }

    /// Stores that the worker is at the only call of this batch.
    pub(crate) fn at_call(&self, batch: BatchId) {
        self.progress.store(Progress { batch, piece: 0, offset: 0, packed: false }.encode());
    }

    /// Passes on what the kernel logged.
    #[inline]
    pub(crate) fn pass_logs(&mut self, job: JobId, place: Option<ItemPlace>) -> Result<(), Fatal> {
        for (level, text) in self.kernel.take_logs() {
            if self.logs.takes(&text, Instant::now()) {
                self.channel.send(&FromWorker::Log(LogLine { job, place, level, text }))?;
            }
        }
        Ok(())
    }
}

/// Nanoseconds since then.
pub(crate) fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
