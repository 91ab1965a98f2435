//! What comes from workers, pipes and the writing thread: checked, and made into events.

use std::os::fd::{AsFd, BorrowedFd};

use taskhost_os::memfd;
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::ids::{JobId, WorkerId};
use taskhost_protocol::limits::{COUNTERS, FAILURES_PER_BATCH, NAME_BYTES, PICTURE_BYTES, cap_text};
use taskhost_protocol::message::{FromWorker, LogLine, Role, ToWorker};
use taskhost_protocol::picture::Format;
use taskhost_protocol::work::Done;

use super::allowance;
use super::jobs::JobOutput;
use super::process::{Incoming, Phase};
use super::regions::REGION_BYTES;
use super::sink::{Content, Purpose, Write};
use super::timeline::Work;
use super::{LINGER, Observer, Pool};
use crate::artifact::check_hello;
use crate::error::PoolError;
use crate::event::{Event, JobFailure};
use crate::verdict::Verdict;

/// Deaths of workers that are told one by one.
const DEATHS_TOLD: u64 = 5;

/// Messages taken from one worker before the others get their turn.
const MESSAGES_PER_TURN: usize = 64;

impl Pool {
    /// Takes what a worker has sent, and says whether there may be more.
    pub(super) fn hear(&mut self, id: WorkerId, observer: &mut dyn Observer) -> bool {
        for _ in 0..MESSAGES_PER_TURN {
            let Some(worker) = self.workers.get_mut(&id) else { return false };
            match worker.receive(&mut self.buffer) {
                Incoming::Nothing => return false,
                Incoming::Message(message) => {
                    if let Err(reason) = self.message(id, *message, observer)
                        && let Some(worker) = self.workers.get_mut(&id)
                    {
                        worker.violated(reason);
                        return false;
                    }
                }
                Incoming::Closed => {
                    // The exit tells more than the closed socket. It is awaited, but not for ever.
                    let _ = self.poller.remove(worker.socket_fd());
                    worker.close(LINGER);
                    return false;
                }
                Incoming::Broken(reason) => {
                    worker.violated(reason);
                    let _ = self.poller.remove(worker.socket_fd());
                    return false;
                }
            }
        }
        true
    }

    /// One message. `Err` is what the worker did wrong.
    fn message(&mut self, id: WorkerId, message: FromWorker, observer: &mut dyn Observer) -> Result<(), String> {
        let Some(worker) = self.workers.get_mut(&id) else { return Ok(()) };
        let post = worker.post;
        match (worker.phase, message) {
            (Phase::Starting, FromWorker::Hello { version, build }) => {
                check_hello(version, &build, worker.build())?;
                worker.phase = Phase::Greeted;
            }
            (Phase::Greeted, FromWorker::Locked(lacking)) => {
                worker.stop_watch.locked();
                let layers = match worker.verify(lacking)? {
                    Ok(layers) => layers,
                    Err(error) => {
                        self.broken.get_or_insert(error);
                        return Ok(());
                    }
                };
                worker.phase = Phase::Going;
                worker.send(&ToWorker::Go, &[])?;
                if self.missing.is_empty() {
                    self.missing = layers.missing().to_vec();
                }
            }
            (Phase::Greeted, FromWorker::Unlocked(lacking)) => {
                let error = worker.unlocked(lacking)?;
                self.broken.get_or_insert(error);
            }
            (Phase::Going, FromWorker::Ready { description }) => {
                match &self.description {
                    Some(known) if post.role() == Role::Execute && *known != description => {
                        return Err("described the kernel otherwise than the workers before it".into());
                    }
                    None if post.role() == Role::Execute => self.description = Some(description),
                    _ => {}
                }
                worker.phase = Phase::Ready;
                worker.stop_watch.ready();
                worker.times.ready();
                self.tell_state(Event::WorkerReady { worker: id, post });
            }
            (Phase::Going | Phase::Greeted, FromWorker::Refused(refusal)) => {
                self.broken.get_or_insert(PoolError::Refused(refusal));
            }
            (Phase::Ready, FromWorker::Done(done)) => self.finished(id, done, observer)?,
            (Phase::Ready, FromWorker::Decoded(result)) => self.decoded(id, result)?,
            (Phase::Ready, FromWorker::Encoded(result)) => self.encoded(id, result)?,
            (Phase::Going | Phase::Ready, FromWorker::Log(line)) => self.log(line, observer),
            (_, FromWorker::Dying(words)) => worker.last_words = Some(cap_text(words)),
            (phase, _) => return Err(format!("sent a message that has no place while it is {phase:?}")),
        }
        Ok(())
    }

    fn log(&mut self, line: LogLine, observer: &mut dyn Observer) {
        let text = cap_text(line.text);
        let job = self.jobs.get(&line.job);
        let place = line.place.and_then(|place| {
            let name = match job?.sources.get(&place.source) {
                Some(source) => source.name.as_str(),
                None => job?.name.as_str(),
            };
            Some((name, place.offset))
        });
        observer.log(line.level, place, &text);
    }

    fn finished(&mut self, id: WorkerId, mut done: Done, observer: &mut dyn Observer) -> Result<(), String> {
        let names_are_short = done.counters.iter().all(|(name, _)| name.len() <= NAME_BYTES);
        if done.failures.len() > FAILURES_PER_BATCH || done.counters.len() > COUNTERS || !names_are_short {
            return Err("reported more than it may".into());
        }
        if done.output > REGION_BYTES {
            return Err("claims to have written more than its arena holds".into());
        }
        for failure in &mut done.failures {
            failure.fault = failure.fault.clone().capped();
        }
        let since = self.slot_users(id);
        self.measure(id, since, done.spent.total);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.times.spent(&done.spent, done.items);
            worker.memory = worker.memory.max(done.memory);
        }
        if let (Some(recorder), Some(since)) = (&mut self.recorder, since) {
            let (took, items) = (Some(done.spent.total), done.items);
            recorder.worked(Work { worker: id.0, since, took, items, bytes: done.input });
        }
        if let Some(batch) = self.batches.get_mut(&done.batch) {
            batch.written = done.output;
            batch.items = done.items;
            batch.failed = done.failures.iter().map(|failure| failure.ordinal).collect();
        }
        if let Some(job) = self.jobs.get_mut(&done.job) {
            // Only for show: what counts is checked by the state machine, and takes its place when the job is over.
            let items = if job.picture.is_some() { 0 } else { done.items };
            job.show(&mut self.progress, items, done.input);
        }
        if !done.failures.is_empty() {
            self.note_failures(&done, observer);
        }
        self.note_names(&done);
        done.joining = done.joining.map(Fault::capped);
        self.tell_state(Event::Done { worker: id, done: Box::new(done) });
        Ok(())
    }

    /// The job that a convert worker is at.
    fn converting(&mut self, id: WorkerId) -> Option<JobId> {
        let since = self.slot_users(id);
        if let (Some(recorder), Some(since)) = (&mut self.recorder, since) {
            recorder.worked(Work { worker: id.0, since, took: None, items: 0, bytes: 0 });
        }
        self.workers.get_mut(&id)?.converting.take()
    }

    fn decoded(&mut self, id: WorkerId, result: Result<Format, Fault>) -> Result<(), String> {
        let job = self.converting(id).ok_or("replied without having been asked")?;
        let result = match result {
            Err(fault) => Err(JobFailure::Input(fault.capped().to_string())),
            Ok(format) => {
                let bytes = format.bytes().filter(|bytes| (1..=PICTURE_BYTES).contains(bytes));
                let bytes = bytes.ok_or("decoded a picture of an impossible size")?;
                if let Some(picture) = self.jobs.get(&job).and_then(|job| job.picture.as_ref()) {
                    freeze(picture.samples.as_fd(), bytes)?;
                }
                Ok(format)
            }
        };
        self.tell_state(Event::Decoded { worker: id, result });
        Ok(())
    }

    fn encoded(&mut self, id: WorkerId, result: Result<u64, Fault>) -> Result<(), String> {
        let job = self.converting(id).ok_or("replied without having been asked")?;
        let failure = |text: String| Err(JobFailure::Output(text));
        let result = match result {
            Err(fault) => failure(fault.capped().to_string()),
            Ok(bytes) => {
                let running = self.jobs.get(&job);
                let encoded = running.and_then(|job| job.picture.as_ref()?.encoded.clone());
                match (running.map_or(&JobOutput::Nothing, |job| &job.output), encoded) {
                    (JobOutput::Stream(target), Some(file)) => {
                        freeze(file.as_fd(), bytes)?;
                        let content = Content::File { file, offset: 0, len: bytes };
                        let target = std::sync::Arc::clone(target);
                        self.sink.write(Write { job, purpose: Purpose::Encoded, target, content });
                        Ok(bytes)
                    }
                    (JobOutput::File { direct, .. }, _) => {
                        let trimmed = trim(direct, bytes)?;
                        trimmed.and_then(|()| allowance::check(self.config.policy.output, bytes)).map(|()| 0)
                    }
                    (JobOutput::Converted { .. } | JobOutput::Stream(_) | JobOutput::Nothing, _) => Ok(0),
                }
            }
        };
        self.tell_state(Event::Encoded { worker: id, result });
        Ok(())
    }

    /// A worker's process has ended.
    pub(super) fn gone(&mut self, id: WorkerId, observer: &mut dyn Observer) {
        // What it said before it died still counts.
        while self.hear(id, observer) {}
        let Some(worker) = self.workers.remove(&id) else { return };
        let post = worker.post;
        let _ = self.poller.remove(worker.socket_fd());
        let _ = self.poller.remove(worker.child_fd());
        let death = self.report(worker, true);
        // What the coordinator did itself is told elsewhere, if at all.
        if death.was_ready
            && !matches!(death.verdict, Verdict::Deadline(_) | Verdict::Retired(_) | Verdict::SandboxViolation)
        {
            self.deaths += 1;
            match self.deaths {
                ..=DEATHS_TOLD => {
                    self.warnings.push(format!("a worker {}", death.text));
                }
                count if count == DEATHS_TOLD + 1 => {
                    self.warnings.push("more workers died; --report tells how many, and how".into());
                }
                _ => {}
            }
        }
        if death.verdict == Verdict::SandboxViolation && !death.was_ready {
            let text = format!("when it starts: {}", death.verdict);
            self.broken.get_or_insert(PoolError::Refused(Refusal::Start(text)));
        }
        self.tell_state(Event::WorkerLost { worker: id, post, death });
    }

    /// What the writing thread has done.
    pub(super) fn collect_written(&mut self, observer: &mut dyn Observer) {
        let written: Vec<_> = self.sink.written().collect();
        for written in written {
            let job = written.job;
            if let Purpose::Batch(batch) = written.purpose {
                self.release_batch(batch);
            }
            if written.purpose == Purpose::Commit
                && let Some(keeper) = &mut self.keeper
            {
                keeper.saved(job, written.result.is_ok());
            }
            match (written.result, written.purpose) {
                // The worker that is to read it has failed, and its word or its end says why.
                (Err(_), _) if self.is_converted(job) => self.stop_converting(job),
                (Err(failure), _) if self.finishing.contains_key(&job) => self.finish_failed(job, failure, observer),
                (Err(failure), _) => self.tell_state(Event::JobBroken { job, failure }),
                (Ok(()), Purpose::Commit) => self.finish_saved(job, observer),
                (Ok(()), Purpose::Splice) => self.spliced(job, observer),
                (Ok(()), Purpose::Batch(_) | Purpose::Encoded | Purpose::Header) => {
                    self.tell_state(Event::Written { job, bytes: written.bytes });
                }
            }
        }
    }
}

/// Cuts a file to what a worker says it wrote: an attempt before it may have written more.
fn trim(file: &std::sync::Arc<std::os::fd::OwnedFd>, bytes: u64) -> Result<Result<(), JobFailure>, String> {
    let cut = || -> std::io::Result<bool> {
        let file = std::fs::File::from(file.try_clone()?);
        if file.metadata()?.len() < bytes {
            return Ok(false);
        }
        file.set_len(bytes)?;
        Ok(true)
    };
    match cut() {
        Ok(true) => Ok(Ok(())),
        Ok(false) => Err("wrote less than it says".into()),
        Err(error) => Ok(Err(JobFailure::Output(error.to_string()))),
    }
}

/// Takes what a worker wrote out of everybody's hands, and sees that it is all there.
fn freeze(file: BorrowedFd<'_>, bytes: u64) -> Result<(), String> {
    memfd::seal_read_only(file).map_err(|error| format!("left a file that cannot be sealed: {error}"))?;
    let mut last = [0];
    if bytes > 0 && taskhost_os::exact::pread_exact(file, &mut last, bytes - 1).is_err() {
        return Err("wrote less than it says".into());
    }
    Ok(())
}
