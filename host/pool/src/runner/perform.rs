//! Performing actions: the only place where decisions touch the world.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use taskhost_os::atomic_file::Durability;
use taskhost_os::memfd;
use taskhost_protocol::ids::{BatchId, JobId, SlotId, SourceId, WorkerId};
use taskhost_protocol::limits::SETTINGS_BYTES;
use taskhost_protocol::message::{Open, Role, Source, ToWorker};
use taskhost_protocol::work::{Assignment, Join, Merge, Place, Work};

use super::jobs::{JobOutput, RunningJob};
use super::keeper::Keeper;
use super::parts::Parts;
use super::process::{Asked, WorkerProcess};
use super::sink::{Content as Writing, Purpose, Write};
use super::slots::{Content, Taken};
use super::{Finishing, Observer, OutBatch, Pool, Used};
use crate::error::PoolError;
use crate::event::{Action, Destination, Event, JobFailure, JobPlan, JobTotals, Order, PartId, Placement, Task};
use crate::job::{JobReport, JobSpec, PictureForm, ReportedFailure};
use crate::state::counting;

const _: () = assert!(SETTINGS_BYTES < taskhost_protocol::limits::MESSAGE_BYTES, "settings travel in one message");

impl Pool {
    /// Puts a job on the pool.
    pub(super) fn add_job(&mut self, spec: JobSpec, observer: &mut dyn Observer) {
        let id = JobId(self.next_job);
        self.next_job += 1;
        let name = spec.name.clone();
        let limit = self.config.policy.output;
        match RunningJob::new(spec, limit) {
            Err(error) => {
                self.progress.jobs += 1;
                self.progress.failed += 1;
                let failure = JobFailure::Input(error.to_string());
                observer.job_finished(JobReport {
                    name,
                    path: None,
                    split: None,
                    result: None,
                    totals: JobTotals::default(),
                    failed_again: Vec::new(),
                    partials: Vec::new(),
                    failure: Some(ReportedFailure { failure, source: None }),
                });
            }
            Ok((mut job, plan, resume)) => {
                // Workers write to their places in any order, so the file has its full length from the start; a full
                // disk is found out before any work is done.
                let reserved = match (&plan, &job.output) {
                    (JobPlan::Items(items), JobOutput::File { direct, .. }) => reserve(items, direct, limit),
                    _ => Ok(()),
                };
                if let Some(resume) = &resume {
                    job.show_totals(&mut self.progress, &resume.totals);
                }
                let possible = possible(&plan);
                job.is_kept = self.keeper.is_some();
                let kept = match &mut self.keeper {
                    Some(keeper) => keeper.begin(id, &mut job),
                    None => Ok(()),
                };
                // Before the job is there, since it may be given something as soon as it is.
                if let Some(share) = job.share {
                    self.state.share(id, share);
                }
                self.jobs.insert(id, job);
                self.tell_state(Event::JobAdded { job: id, plan, resume });
                if let Err(failure) = possible.and(reserved).and(kept).and_then(|()| self.convert_output(id)) {
                    self.tell_state(Event::JobBroken { job: id, failure });
                }
                self.settle(observer);
            }
        }
    }

    pub(super) fn perform(&mut self, action: Action, observer: &mut dyn Observer) {
        match action {
            Action::Assign { worker, order } => self.assign(worker, order),
            Action::Recall { worker, batch } => self.recall(worker, batch),
            Action::NextSource { job } => self.next_source(job),
            Action::Release { job, source, from } => self.release(job, source, from),
            Action::Read { job, bytes } => {
                if let Some(running) = self.jobs.get_mut(&job) {
                    running.wanted = bytes.max(1);
                }
                self.watch_pipe(job);
            }
            Action::OpenOutput { job, plan, planes, bytes } => {
                let Some(running) = self.jobs.get_mut(&job) else { return };
                match running.open_picture(&plan, planes, bytes, self.config.policy.output) {
                    Ok((at, header)) => {
                        if let Some(target) = running.target().filter(|_| !header.is_empty()) {
                            self.tell_state(Event::Appended { job, bytes: header.len() as u64 });
                            let content = Writing::Bytes(header);
                            self.sink.write(Write { job, purpose: Purpose::Header, target, content });
                        }
                        self.tell_state(Event::OutputOpened { job, at });
                    }
                    Err(failure) => self.tell_state(Event::JobBroken { job, failure }),
                }
            }
            Action::ItemFailed { job, item } => self.item_failed(job, &item, observer),
            Action::Merged { job, prefix, totals } => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.merged(job, prefix, *totals);
                }
            }
            Action::Append { job, batch, bytes } => self.append(job, batch, bytes),
            Action::TakeParts { batch, parts } => self.take_parts(batch, &parts),
            Action::WriteParts { job, parts } => self.write_parts(job, &parts),
            Action::Reduced { job, batch, ranges } => self.keep_parts(job, batch, ranges),
            Action::RestoreParts { job, source, start, parts } => self.restore_parts(job, (source, start), &parts),
            Action::DropParts { parts } => {
                for part in parts {
                    self.parts.drop_part(part);
                }
            }
            Action::ReleaseBatch { batch } => self.release_batch(batch),
            Action::FinishJob { job, totals } => self.finish(job, totals, observer),
            Action::FailJob { job, failure, totals } => {
                if let JobFailure::Item(item) = &failure {
                    self.item_failed(job, item, observer);
                }
                self.save_all();
                if let Some(running) = self.jobs.remove(&job) {
                    self.over(job, running, totals, Some(failure), observer);
                }
            }
            Action::Stop { worker, batch } => self.vigil.stop_later(worker, batch),
            Action::Kill { worker, reason } => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.kill(reason);
                }
            }
            Action::Spawn { post, after } if after.is_zero() && self.is_home() => self.spawn_or_report(post),
            Action::Spawn { post, after } => self.vigil.spawn_later(post, after),
        }
    }

    fn assign(&mut self, id: WorkerId, order: Order) {
        let batch = order.batch;
        self.seat_worker(id);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(job) = self.jobs.get_mut(&order.job) else { return };
        let mut region = None;
        let number = worker.offer();
        let mut sender = Sender { worker, used: Vec::new() };
        let sent = match &order.task {
            Task::Decode => sender.decode(order.job, job),
            Task::Encode(format) => sender.encode(order.job, job, *format),
            Task::Items(_) | Task::Rows(_) | Task::Prepare(_) | Task::Combine(_) | Task::Finish(_) => {
                if matches!(order.destination, Destination::Arena | Destination::Marked) {
                    region =
                        sender.worker.regions.as_ref().map(|regions| (std::sync::Arc::clone(regions), regions.take()));
                }
                let at = region.as_ref().map(|(_, region)| region.offset());
                sender.run(job, &order, at, &self.parts)
            }
        };
        let used = sender.used;
        if worker.asked.is_empty() {
            worker.watch.reset();
        }
        worker.asked.push_back(Asked { batch, order: number, slots: used });
        worker.times.asked();
        if worker.role == Role::Convert {
            worker.converting = Some(order.job);
        }
        let pieces = match order.task {
            Task::Items(pieces) => pieces,
            _ => Vec::new(),
        };
        let held = pieces.first().and_then(|piece| job.sources.get(&piece.source)?.held.clone());
        let (names, failed) = (Vec::new(), Vec::new());
        let out = OutBatch { job: order.job, pieces, names, regions: region, held, written: 0, items: 0, failed };
        self.batches.insert(batch, out);
        if let Err(reason) = sent {
            worker.violated(reason);
        }
    }

    fn recall(&mut self, id: WorkerId, batch: BatchId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(asked) = worker.recall(batch) else { return };
        for slot in asked.slots {
            worker.slots.release(slot);
        }
        self.tell_state(Event::Recalled { worker: id, batch });
    }

    fn release(&mut self, job: JobId, source: SourceId, from: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.release(source, from);
        }
    }

    fn append(&mut self, job: JobId, batch: BatchId, bytes: u64) {
        if self.hand_over(job, batch, bytes) {
            return;
        }
        self.splice(job, batch, bytes);
        let target = self.jobs.get(&job).and_then(RunningJob::target);
        let region = self.batches.get(&batch).and_then(|batch| batch.regions.as_ref());
        let (Some(target), Some((regions, region))) = (target, region) else {
            self.release_batch(batch);
            return self.tell_state(Event::Written { job, bytes });
        };
        let (arena, offset) = (regions.arena(), region.offset());
        let is_measured = self.hand(job, batch);
        let content = Writing::Arena { arena, offset, len: bytes, is_measured };
        self.sink.write(Write { job, purpose: Purpose::Batch(batch), target, content });
    }

    /// Copies partial results out of the arena: they are joined later, perhaps by another worker.
    fn take_parts(&mut self, batch: BatchId, parts: &[(PartId, u64)]) {
        let Some((regions, region)) = self.batches.get(&batch).and_then(|batch| batch.regions.as_ref()) else { return };
        let arena = regions.arena();
        let mut at = region.offset();
        for (part, len) in parts {
            // The arena always has its full length, so only memory can be missing.
            if let Err(error) = self.parts.take(*part, arena.as_ref().as_fd(), at, *len) {
                let error = std::io::Error::other(error);
                self.broken.get_or_insert(PoolError::Host { what: "keeping partial results", error });
            }
            at += len;
        }
    }

    pub(super) fn release_batch(&mut self, batch: BatchId) {
        if let Some(OutBatch { regions: Some((regions, region)), written, .. }) = self.batches.remove(&batch) {
            regions.release(region, written);
        }
    }

    fn finish(&mut self, id: JobId, totals: JobTotals, observer: &mut dyn Observer) {
        let copies = self.splice_rest(id);
        let Some(mut job) = self.jobs.remove(&id) else { return };
        if let Some(failure) = job.conversion.take() {
            // Nobody is left who would say more of it.
            self.over(id, job, totals, Some(failure), observer);
            return;
        }
        if let JobOutput::Converted { target, .. } = &mut job.output {
            // The worker at the other end of the pipe reads its end, and says when everything is in the file.
            *target = None;
            self.finishing.insert(id, Finishing { job, totals });
            return;
        }
        if copies {
            self.finishing.insert(id, Finishing { job, totals });
            return;
        }
        if let Some(keeper) = &mut self.keeper
            && keeper.save_job(id, &job, &self.sink)
        {
            // Its output is put in its place when all of it is committed.
            self.finishing.insert(id, Finishing { job, totals });
            return;
        }
        self.over(id, job, totals, None, observer);
    }

    /// Completes or removes the output, and tells the observer.
    pub(super) fn over(
        &mut self,
        id: JobId,
        mut job: RunningJob,
        totals: JobTotals,
        failure: Option<JobFailure>,
        observer: &mut dyn Observer,
    ) {
        self.end_converters(id);
        self.progress.jobs += 1;
        self.progress.output += totals.output;
        counting::add(&mut self.counted, &totals.counters);
        match &failure {
            None => job.show_totals(&mut self.progress, &totals),
            // What was run behind the failed item is not part of anything.
            Some(JobFailure::Item(_)) => job.show_items(&mut self.progress, totals.items),
            Some(_) => {}
        }
        if let Some((_, pipe)) = &mut job.pipe
            && pipe.is_watched
        {
            let _ = self.poller.remove(pipe.input());
        }
        for worker in self.workers.values_mut() {
            for slot in worker.slots.forget(id) {
                if let Err(reason) = worker.send(&ToWorker::Close { slot }, &[]) {
                    worker.violated(reason);
                }
            }
        }
        let path = job.path();
        let result = job.picture.as_ref().and_then(|picture| picture.result_format);
        let source = match &failure {
            Some(JobFailure::Item(item)) => job.failed_sources.remove(&item.place.source),
            _ => None,
        };
        if job.picture.is_some() && failure.is_none() {
            self.progress.items += 1;
        }
        let is_synced = self.keeper.is_some() || self.config.sync;
        let durability = if is_synced { Durability::Disk } else { Durability::Process };
        let failure = match (failure, job.output) {
            // Of no use when nothing of it was committed.
            (Some(failure), JobOutput::File { atomic, .. }) if self.keeper.as_ref().is_some_and(Keeper::is_empty) => {
                atomic.discard();
                Some(failure)
            }
            // Dropping the output removes what was written so far, unless it is kept to go on with.
            (Some(failure), _) => Some(failure),
            (None, JobOutput::File { atomic, .. } | JobOutput::Converted { atomic, .. }) => atomic
                .commit(durability)
                .err()
                .map(|error| JobFailure::Output(format!("the result could not be put in its place: {error}"))),
            (None, JobOutput::Stream(_) | JobOutput::Nothing) => None,
        };
        if let Some(table) = &mut job.table {
            table.over(failure.clone());
        }
        self.progress.failed += u64::from(failure.is_some());
        if let Some(keeper) = &mut self.keeper {
            keeper.over(id, &job.name, path.as_deref(), failure.as_ref());
        }
        let failure = failure.map(|failure| ReportedFailure { failure, source });
        let split = job.picture.is_none().then_some(job.split);
        let failed_again = job.splicing.map(|splicing| splicing.failed).unwrap_or_default();
        let (name, partials) = (job.name, job.partials);
        observer.job_finished(JobReport { name, path, split, result, totals, failed_again, partials, failure });
    }
}

/// Sends what a worker needs for one assignment.
struct Sender<'a> {
    worker: &'a mut WorkerProcess,
    used: Used,
}

impl Sender<'_> {
    /// Has `content` in a slot; opens it there when it is not.
    fn slot(&mut self, content: Content, fd: BorrowedFd<'_>, open: impl FnOnce() -> Open) -> Result<SlotId, String> {
        let slot = match self.worker.slots.take(content) {
            Some(Taken::Open(slot)) => slot,
            Some(Taken::New(slot)) => {
                self.worker.send(&ToWorker::Open { slot, open: open() }, &[fd])?;
                slot
            }
            None => return Err("has no slot left".into()),
        };
        self.used.push(slot);
        Ok(slot)
    }

    fn source(&mut self, id: JobId, job: &RunningJob, source: SourceId) -> Result<SlotId, String> {
        let open = job.sources.get(&source).ok_or("was to read a file that is closed")?;
        // What all jobs share is opened once.
        let content = if open.held.is_some() { Content::Tables } else { Content::Source(id, source) };
        self.slot(content, open.file.as_fd(), || {
            Open::Input(Source { id: source, job: id, name: open.name.clone(), header: open.header.clone() })
        })
    }

    fn run(&mut self, job: &RunningJob, order: &Order, region: Option<u64>, parts: &Parts) -> Result<(), String> {
        let work = match &order.task {
            Task::Items(pieces) => {
                let mut pieces = pieces.clone();
                for piece in &mut pieces {
                    piece.slot = self.source(order.job, job, piece.source)?;
                    piece.at += job.sources.get(&piece.source).map_or(0, |source| source.at);
                }
                Work::Items(pieces)
            }
            Task::Rows(rows) => {
                let mut rows = *rows;
                let picture = job.picture.as_ref().ok_or("was to filter something that is no picture")?;
                rows.slot = self.slot(Content::Source(order.job, rows.source), picture.samples.as_fd(), || {
                    Open::Input(Source { id: rows.source, job: order.job, name: job.name.clone(), header: None })
                })?;
                Work::Rows(rows)
            }
            Task::Prepare(format) => Work::Prepare(*format),
            Task::Combine(ids) => Work::Combine(self.join(order.batch, ids, parts)?),
            Task::Finish(id) => Work::Finish(self.join(order.batch, &[*id], parts)?),
            Task::Decode | Task::Encode(_) => return Err("was to run something that is not for it".into()),
        };
        let place = match (order.destination, region) {
            (Destination::Arena, Some(offset)) => Place::Arena(offset),
            (Destination::Marked, Some(offset)) => Place::Marked(offset),
            (Destination::Output(offset), _) => {
                let output = job.direct().ok_or("was to write to an output that is not there")?;
                let slot = self.slot(Content::Output(order.job), output.as_fd(), || Open::Output)?;
                Place::File { slot, offset }
            }
            (Destination::Arena | Destination::Marked, None) | (Destination::Nowhere, _) => Place::Nowhere,
        };
        let assignment = Assignment {
            job: order.job,
            batch: order.batch,
            generation: order.generation,
            split: order.split,
            merge: order.merge,
            work,
            place,
            length: order.length,
            budget: order.budget,
            care: order.care,
        };
        self.worker.send(&ToWorker::Run(assignment), &[])
    }

    /// Lays parts end to end in a file of their own.
    fn join(&mut self, batch: BatchId, ids: &[PartId], parts: &Parts) -> Result<Join, String> {
        let (file, lens) = parts.join(ids)?;
        let slot = self.slot(Content::Parts(batch), file.as_fd(), || Open::Parts)?;
        Ok(Join { slot, at: 0, lens })
    }

    fn decode(&mut self, id: JobId, job: &mut RunningJob) -> Result<(), String> {
        let Some(picture) = &mut job.picture else { return Err("was to decode something that is no picture".into()) };
        let source = SourceId(0);
        let name = job.name.clone();
        let from = self.slot(Content::Source(id, source), picture.file.as_fd(), || {
            Open::Input(Source { id: source, job: id, name, header: None })
        })?;
        let samples = memfd::create(c"taskhost-picture").map_err(|error| error.to_string())?;
        let to = self.slot(Content::Output(id), samples.as_fd(), || Open::Output)?;
        picture.samples = Arc::new(samples);
        self.worker.send(&ToWorker::Decode { from, bytes: picture.file_bytes, to }, &[])
    }

    fn encode(
        &mut self,
        id: JobId,
        job: &mut RunningJob,
        format: taskhost_protocol::picture::Format,
    ) -> Result<(), String> {
        let Some(picture) = &mut job.picture else { return Err("was to encode something that is no picture".into()) };
        let PictureForm::File(file) = picture.form else { return Err("was to encode plain samples".into()) };
        let result = picture.result.clone().ok_or("was to encode a result that is not there")?;
        let output: Arc<OwnedFd> = match &job.output {
            JobOutput::File { direct, .. } => Arc::clone(direct),
            JobOutput::Converted { .. } | JobOutput::Stream(_) | JobOutput::Nothing => {
                Arc::new(memfd::create(c"taskhost-encoded").map_err(|error| error.to_string())?)
            }
        };
        if !matches!(job.output, JobOutput::File { .. }) {
            picture.encoded = Some(Arc::clone(&output));
        }
        // The worker may hold another attempt's files under the same job: these are new contents.
        let from = self.slot(Content::Source(id, SourceId(1)), result.as_fd(), || {
            Open::Input(Source { id: SourceId(1), job: id, name: job.name.clone(), header: None })
        })?;
        let to = self.slot(Content::Encoded(id), output.as_fd(), || Open::Output)?;
        self.worker.send(&ToWorker::Encode { from, format, to, file }, &[])
    }
}

/// Whether a job can be what it is said to be.
fn possible(plan: &JobPlan) -> Result<(), JobFailure> {
    match plan {
        JobPlan::Items(items) if items.origin.is_some() && items.merge == Merge::Reduce => {
            // What one item comes to depends on all the others.
            Err(JobFailure::Kernel("one item of a reduction cannot be run alone".into()))
        }
        JobPlan::Items(_) | JobPlan::Picture(_) => Ok(()),
    }
}

/// Makes room for results that workers write to their places, when their length is known.
fn reserve(plan: &crate::event::ItemsPlan, output: &Arc<OwnedFd>, limit: Option<u64>) -> Result<(), JobFailure> {
    use crate::event::DirectLength;
    use taskhost_protocol::work::Split;
    let (Placement::Direct(length), Some(bytes)) = (plan.placement, plan.bytes) else { return Ok(()) };
    let total = match (length, plan.split) {
        (DirectLength::Same, _) => bytes,
        (DirectLength::Exactly(len), Split::Records(size) | Split::Chunks(size)) => {
            bytes.div_ceil(size.max(1)) * u64::from(len)
        }
        (DirectLength::Exactly(_), Split::Whole | Split::Lines | Split::Blocks(_) | Split::Table) => return Ok(()),
    };
    super::jobs::preallocate(output.as_fd(), total, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ItemsPlan, OnError, Origin};
    use crate::state::sizing::BatchRule;
    use taskhost_protocol::kernel::ResultLength;
    use taskhost_protocol::work::Split;

    #[test]
    fn one_item_of_a_reduction_is_no_job() {
        let plan = |merge, origin| {
            JobPlan::Items(ItemsPlan {
                split: Split::Lines,
                merge,
                placement: Placement::Append,
                length: ResultLength::Unknown,
                ordered: true,
                batch: BatchRule::Auto,
                bytes: None,
                on_error: OnError::Fail,
                origin,
                portion: None,
            })
        };
        let origin = Some(Origin { offset: 7, position: 1 });
        assert!(matches!(possible(&plan(Merge::Reduce, origin)), Err(JobFailure::Kernel(_))));
        assert_eq!(possible(&plan(Merge::Reduce, None)), Ok(()));
        assert_eq!(possible(&plan(Merge::Lines, origin)), Ok(()));
    }
}
