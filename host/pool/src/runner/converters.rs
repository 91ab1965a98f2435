//! Workers that convert a stream: one between an input that is compressed, or a table, and the pipe that is read in its place, one
//! between the results of a job and an output of that kind. Neither is known to the state machine, for which they are a pipe.

use std::collections::BTreeMap;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use taskhost_os::poll::Interest;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::ids::{JobId, SourceId, WorkerId};
use taskhost_protocol::message::{FromWorker, Role, Start, ToWorker};
use taskhost_protocol::stream::{StreamOrder, StreamWork, Taken};

use super::allowance::Allowance;
use super::jobs::JobOutput;
use super::process::{Incoming, Phase, WorkerProcess};
use super::sink::Target;
use super::timeline::lane_name;
use super::{Observer, Pool, Watched};
use crate::artifact::check_hello;
use crate::death::{Death, Reason};
use crate::event::{Event, JobFailure};
use crate::verdict::Next;

/// Which end of its job a worker converts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Input(SourceId),
    Output,
}

/// A stream that is to be converted.
pub(super) struct Stream {
    pub(super) job: JobId,
    pub(super) end: End,
    /// What messages call it.
    pub(super) name: String,
    pub(super) order: StreamOrder,
    pub(super) from: OwnedFd,
    pub(super) to: OwnedFd,
}

/// A worker that converts one.
#[derive(Debug)]
struct Converter {
    worker: WorkerProcess,
    job: JobId,
    end: End,
    name: String,
    /// What it will do when it is ready.
    order: Option<(StreamOrder, OwnedFd, OwnedFd)>,
    /// Whether it has said how it went.
    has_replied: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Converters(BTreeMap<WorkerId, Converter>);

impl Converters {
    pub(super) fn has(&self, id: WorkerId) -> bool {
        self.0.contains_key(&id)
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = &WorkerProcess> {
        self.0.values().map(|converter| &converter.worker)
    }

    /// One of them did what it must not.
    pub(super) fn violated(&mut self, id: WorkerId, what: String) {
        if let Some(converter) = self.0.get_mut(&id) {
            converter.worker.violated(what);
        }
    }

    pub(super) fn workers_mut(&mut self) -> impl Iterator<Item = &mut WorkerProcess> {
        self.0.values_mut().map(|converter| &mut converter.worker)
    }
}

impl Converter {
    /// What is said of a failure: the faults of streams are written as the end of a sentence.
    fn failure(&self, text: &str) -> JobFailure {
        match self.end {
            End::Input(_) => {
                let name = if self.name == "-" { "standard input" } else { &self.name };
                JobFailure::Input(format!("{name} {text}"))
            }
            // Whoever tells of it names the output.
            End::Output => JobFailure::Output(text.to_owned()),
        }
    }
}

impl Pool {
    /// Starts a worker for a stream.
    pub(super) fn convert(&mut self, stream: Stream) -> Result<WorkerId, JobFailure> {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let Stream { job, end, name, order, from, to } = stream;
        let failed = |error: &dyn std::fmt::Display| {
            JobFailure::Lost(format!("no worker can be started that converts {name}: {error}"))
        };
        let mut worker = self.starter.start(id, Role::Convert, None).map_err(|error| failed(&error))?;
        if let Err(reason) = worker.begin(Start::Stream { memory: order.work.memory() }, &[]) {
            worker.violated(reason);
        }
        let watch = |fd: BorrowedFd<'_>, watched: Watched| self.poller.add(fd, watched.token(), Interest::Read);
        watch(worker.socket_fd(), Watched::Socket(id)).map_err(|error| failed(&error))?;
        watch(worker.child_fd(), Watched::Exit(id)).map_err(|error| failed(&error))?;
        if let Some(recorder) = &mut self.recorder {
            recorder.started(id.0, &lane_name(&worker));
        }
        let order = Some((order, from, to));
        self.converters.0.insert(id, Converter { worker, job, end, name, order, has_replied: false });
        Ok(id)
    }

    /// Has an input decompressed: what is to be read in its place.
    pub(super) fn unpack(
        &mut self,
        (job, source): (JobId, SourceId),
        name: &str,
        order: StreamOrder,
        from: OwnedFd,
    ) -> Result<(PipeReader, WorkerId), JobFailure> {
        let pipe = io::pipe().map_err(|error| JobFailure::Input(format!("no pipe can be made for {name}: {error}")));
        let (reader, writer) = pipe?;
        let end = End::Input(source);
        let converter = self.convert(Stream { job, end, name: name.into(), order, from, to: writer.into() })?;
        Ok((reader, converter))
    }

    /// Takes what such a worker has sent, and says whether there may be more.
    pub(super) fn hear_converter(&mut self, id: WorkerId, observer: &mut dyn Observer) {
        while let Some(converter) = self.converters.0.get_mut(&id) {
            match converter.worker.receive(&mut self.buffer) {
                Incoming::Nothing => return,
                Incoming::Message(message) => match converter.message(*message) {
                    Ok(None) => {}
                    Ok(Some(Said::Ended(result))) => self.converted(id, result, observer),
                    Ok(Some(Said::Taken(taken))) => {
                        let job = converter.job;
                        self.taken(id, job, taken);
                    }
                    Err(Wrong::Worker(what)) => converter.worker.violated(what),
                    Err(Wrong::Machine(error)) => {
                        self.broken.get_or_insert(error);
                        return;
                    }
                },
                Incoming::Closed => {
                    // Its exit tells more.
                    let _ = self.poller.remove(converter.worker.socket_fd());
                    converter.worker.close(super::LINGER);
                    return;
                }
                Incoming::Broken(what) => {
                    converter.worker.violated(what);
                    let _ = self.poller.remove(converter.worker.socket_fd());
                    return;
                }
            }
        }
    }

    /// Its process has ended.
    pub(super) fn converter_gone(&mut self, id: WorkerId, observer: &mut dyn Observer) {
        // What it said before still counts.
        self.hear_converter(id, observer);
        let Some(converter) = self.converters.0.remove(&id) else { return };
        let Converter { worker, job, end, name, has_replied, .. } = converter;
        let _ = self.poller.remove(worker.socket_fd());
        let _ = self.poller.remove(worker.child_fd());
        let death = self.report(worker, !has_replied);
        if !has_replied {
            let failure = lost(end, &name, &death);
            self.convert_failed(job, failure, observer);
        }
    }

    /// A stream has come to its end, or failed.
    fn converted(&mut self, id: WorkerId, result: Result<u64, Fault>, observer: &mut dyn Observer) {
        let Some(converter) = self.converters.0.get(&id) else { return };
        let (job, end) = (converter.job, converter.end);
        let written = result.as_ref().copied().unwrap_or(0);
        let failure = match result {
            Ok(_) => None,
            Err(fault) => Some(match fault.capped() {
                Fault::Input(text) | Fault::Output(text) => converter.failure(&text),
                other => converter.failure(&format!("cannot be converted: {other}")),
            }),
        };
        match (failure, end) {
            (Some(failure), _) => self.convert_failed(job, failure, observer),
            (None, End::Input(_)) if self.jobs.get(&job).is_some_and(|job| job.groups.is_some()) => {
                self.prove_groups(job)
            }
            (None, End::Input(source)) => {
                let Some((current, pipe)) = self.jobs.get_mut(&job).and_then(|job| job.pipe.as_mut()) else { return };
                if *current == source && pipe.prove() {
                    self.read_pipe(job);
                }
            }
            (None, End::Output) => match self.finishing.remove(&job) {
                Some(finishing) => {
                    let failure = finish(&finishing.job.output, written);
                    self.over(job, finishing.job, finishing.totals, failure, observer);
                }
                None => {
                    let text = "ended before all was written".to_owned();
                    self.convert_failed(job, JobFailure::Lost(text), observer);
                }
            },
        }
    }

    /// Whether a worker writes the job's output.
    pub(super) fn is_converted(&self, job: JobId) -> bool {
        let job = self.jobs.get(&job).or_else(|| Some(&self.finishing.get(&job)?.job));
        job.is_some_and(|job| matches!(job.output, JobOutput::Converted { .. }))
    }

    /// Something could not be written to the pipe: the worker that is to read it has failed, and its word or its end says why.
    pub(super) fn stop_converting(&mut self, job: JobId) {
        if let Some(JobOutput::Converted { target, .. }) = self.jobs.get_mut(&job).map(|job| &mut job.output) {
            // If it has not, it ends now, too early.
            *target = None;
        }
    }

    /// Starts the worker that writes the job's output, when one is to do that.
    pub(super) fn convert_output(&mut self, id: JobId) -> Result<(), JobFailure> {
        let Some(job) = self.jobs.get_mut(&id) else { return Ok(()) };
        let JobOutput::Converted { atomic, work, target } = &mut job.output else { return Ok(()) };
        let failed = |error: io::Error| JobFailure::Output(format!("no pipe can be made for the output: {error}"));
        let (reader, writer) = io::pipe().map_err(failed)?;
        *target = Some(Arc::new(Target::new(writer.into(), Allowance::new(None, 0))));
        let to = atomic.file().try_clone().map_err(failed)?.into();
        let order = StreamOrder { work: work.clone(), prefix: Vec::new(), from_start: false };
        let name = atomic.path().display().to_string();
        self.convert(Stream { job: id, end: End::Output, name, order, from: reader.into(), to }).map(drop)
    }

    fn convert_failed(&mut self, job: JobId, failure: JobFailure, observer: &mut dyn Observer) {
        if self.finishing.contains_key(&job) {
            self.finish_failed(job, failure, observer);
        } else if let Some(running) = self.jobs.get_mut(&job) {
            running.conversion.get_or_insert_with(|| failure.clone());
            self.tell_state(Event::JobBroken { job, failure });
        }
    }

    /// Ends those of a job that is over.
    pub(super) fn end_converters(&mut self, job: JobId) {
        self.end_converters_that(|converter| converter.job == job);
    }

    /// Ends all of them.
    pub(super) fn end_all_converters(&mut self) {
        self.end_converters_that(|_| true);
    }

    fn end_converters_that(&mut self, is_meant: impl Fn(&Converter) -> bool) {
        let ids: Vec<WorkerId> =
            self.converters.0.iter().filter(|(_, converter)| is_meant(converter)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(Converter { mut worker, .. }) = self.converters.0.remove(&id) else { continue };
            let _ = self.poller.remove(worker.socket_fd());
            let _ = self.poller.remove(worker.child_fd());
            worker.kill(Reason::Retired("was not needed any more"));
            self.report(worker, false);
        }
    }
}

/// What a worker says of its stream.
enum Said {
    /// How it went.
    Ended(Result<u64, Fault>),
    /// What became of some results.
    Taken(Taken),
}

/// Who did something wrong.
enum Wrong {
    Worker(String),
    Machine(crate::error::PoolError),
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self::Worker(what)
    }
}

impl Converter {
    /// One message: what it says of the stream, when it does.
    fn message(&mut self, message: FromWorker) -> Result<Option<Said>, Wrong> {
        let worker = &mut self.worker;
        match (worker.phase, message) {
            (Phase::Starting, FromWorker::Hello { version, build }) => {
                check_hello(version, &build, worker.build())?;
                worker.phase = Phase::Greeted;
            }
            (Phase::Greeted, FromWorker::Locked(lacking)) => {
                worker.stop_watch.locked();
                worker.verify(lacking)?.map_err(Wrong::Machine)?;
                worker.phase = Phase::Going;
                worker.send(&ToWorker::Go, &[])?;
            }
            (Phase::Greeted, FromWorker::Unlocked(lacking)) => return Err(Wrong::Machine(worker.unlocked(lacking)?)),
            (Phase::Going, FromWorker::Ready { .. }) => {
                worker.phase = Phase::Ready;
                worker.stop_watch.ready();
                worker.times.ready();
                // The descriptors are the worker's alone from here on: their other ends see it end.
                if let Some((order, from, to)) = self.order.take() {
                    worker.send(&ToWorker::Stream(order), &[from.as_fd(), to.as_fd()])?;
                }
            }
            (Phase::Ready, FromWorker::Streamed(result)) if !self.has_replied => {
                self.has_replied = true;
                return Ok(Some(Said::Ended(result)));
            }
            (Phase::Ready, FromWorker::Taken(taken)) if self.end == End::Output && !self.has_replied => {
                return Ok(Some(Said::Taken(taken)));
            }
            (_, FromWorker::Dying(words)) => worker.last_words = Some(taskhost_protocol::limits::cap_text(words)),
            (phase, _) => return Err(format!("sent a message that has no place while it is {phase:?}").into()),
        }
        Ok(None)
    }
}

/// What is said when such a worker dies.
fn lost(end: End, name: &str, death: &Death) -> JobFailure {
    let name = if name == "-" { "standard input" } else { name };
    let text = format!("the worker that converts {name} {}", death.text);
    match (death.verdict.judgement().1, end) {
        // What crashes a decoder, or makes it take too much, is what it decodes; likewise an encoder.
        (Next::Isolate | Next::Quarantine, End::Input(_)) => JobFailure::Input(text),
        (Next::Isolate | Next::Quarantine, End::Output) => JobFailure::Output(text),
        _ => JobFailure::Lost(text),
    }
}

/// The last look at a file to which `written` bytes were written: what is in the way of giving it its name.
fn finish(output: &JobOutput, written: u64) -> Option<JobFailure> {
    let JobOutput::Converted { atomic, work: StreamWork::Load(_), .. } = output else { return None };
    if !atomic.would_replace_what_was_there() {
        let text = "was changed by somebody else meanwhile, and nothing was added to it: run it again".to_owned();
        return Some(JobFailure::Output(text));
    }
    // It may have got shorter.
    let file = atomic.file();
    let cut =
        file.metadata().and_then(|metadata| if metadata.len() > written { file.set_len(written) } else { Ok(()) });
    cut.err().map(|error| JobFailure::Output(format!("cannot be written: {error}")))
}
