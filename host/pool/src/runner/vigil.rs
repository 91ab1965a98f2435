//! What goes by the clock: items that are late, workers that are not ready in time or were stopped by somebody, workers
//! that are to be started later, the end of the run, and its pauses.

use std::time::{Duration, Instant};

use taskhost_os::signals::{self, Signal};
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::ids::{BatchId, WorkerId};
use taskhost_protocol::message::Role;
use taskhost_protocol::progress::Progress as Place;

use super::process::Phase;
use super::watch::{Seen, interval};
use super::{Observer, Pool, TICK};
use crate::death::Reason;
use crate::error::PoolError;
use crate::event::Post;

/// An item that runs longer than this is named: a user wonders by then.
const LONG: Duration = Duration::from_secs(60);

/// What a worker may finish that nobody wants any more: a batch that goes well takes less, and another worker more.
const MOMENT: Duration = Duration::from_millis(20);

/// CPU time for decoding or encoding one picture: the largest, 4 GiB of samples, take about a minute.
const CONVERT: Duration = Duration::from_secs(300);

/// When things are to be looked at.
#[derive(Debug)]
pub(super) struct Vigil {
    /// When workers are looked at next; not while none has anything to do.
    next_look: Option<Instant>,
    /// When the run is over at the latest.
    run_ends: Option<Instant>,
    /// Workers that are to be started, and when.
    spawns: Vec<(Instant, Post)>,
    /// Workers that are to be stopped unless they finish a batch before.
    stops: Vec<(Instant, WorkerId, BatchId)>,
    /// Set by the first signal: which it was, and until when what is being run may be finished.
    ending: Option<(Signal, Instant)>,
}

impl Vigil {
    pub(super) fn new(deadline: Option<Duration>) -> Self {
        let run_ends = deadline.map(|deadline| Instant::now() + deadline);
        Self { next_look: None, run_ends, spawns: Vec::new(), stops: Vec::new(), ending: None }
    }

    /// A worker is to be started later.
    pub(super) fn spawn_later(&mut self, post: Post, after: Duration) {
        self.spawns.push((Instant::now() + after, post));
    }

    /// Whether workers are to be started.
    pub(super) fn has_spawns(&self) -> bool {
        !self.spawns.is_empty()
    }

    /// The worker is to be stopped unless it finishes the batch in a moment.
    pub(super) fn stop_later(&mut self, worker: WorkerId, batch: BatchId) {
        self.stops.push((Instant::now() + MOMENT, worker, batch));
    }

    /// Workers whose moment is over, and the batch that each was to finish.
    pub(super) fn due_stops(&mut self, now: Instant) -> Vec<(WorkerId, BatchId)> {
        self.stops.extract_if(.., |(at, ..)| *at <= now).map(|(_, worker, batch)| (worker, batch)).collect()
    }

    /// Whether the run is being ended.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// The next time at which something is to be done.
    pub(super) fn next(&self) -> Option<Instant> {
        let spawns = self.spawns.iter().map(|(at, _)| *at);
        let ending = self.ending.map(|(_, until)| until);
        let stops = self.stops.iter().map(|(at, ..)| *at);
        spawns.chain(stops).chain(self.next_look).chain(self.run_ends).chain(ending).min()
    }

    /// Time stood still for so long.
    fn shift(&mut self, pause: Duration) {
        self.next_look = self.next_look.map(|at| at + pause);
        self.run_ends = self.run_ends.map(|at| at + pause);
        self.ending = self.ending.map(|(signal, until)| (signal, until + pause));
        for (at, _) in &mut self.spawns {
            *at += pause;
        }
    }
}

impl Pool {
    /// When something is to be done next, whatever happens until then.
    pub(super) fn next_vigil(&mut self) -> Option<Instant> {
        let is_watched =
            |worker: &super::process::WorkerProcess| !worker.asked.is_empty() || worker.phase != Phase::Ready;
        if !self.workers.values().any(is_watched) {
            self.vigil.next_look = None;
        } else if self.vigil.next_look.is_none() {
            self.vigil.next_look = Some(Instant::now() + self.between_looks());
        }
        self.vigil.next()
    }

    fn between_looks(&self) -> Duration {
        self.config.policy.timeout.map_or(TICK, interval).min(TICK)
    }

    /// Does what is due.
    pub(super) fn keep_vigil(&mut self, observer: &mut dyn Observer) -> Result<(), PoolError> {
        let now = Instant::now();
        self.end_late(now);
        self.stop_unwanted(now);
        if self.vigil.next_look.is_some_and(|at| at <= now) {
            self.look_at_workers(now, observer);
        }
        let is_home = self.vigil.has_spawns() && self.is_home();
        while let Some(index) = self.vigil.spawns.iter().position(|(at, _)| is_home && *at <= now) {
            let (_, post) = self.vigil.spawns.swap_remove(index);
            if self.state.is_wanted(post) {
                self.spawn_or_report(post);
            }
        }
        if self.vigil.run_ends.is_some_and(|at| at <= now) {
            return Err(PoolError::Deadline(self.config.policy.deadline.unwrap_or_default()));
        }
        Ok(())
    }

    /// Ends the run when a signal has asked for that, and what was at work then is finished and written, or has had its time. To be
    /// asked when all that has happened was dealt with.
    pub(super) fn end_when_drained(&mut self) -> Result<(), PoolError> {
        let Some((signal, until)) = self.vigil.ending else { return Ok(()) };
        // An output that is complete is put in its place before that.
        let is_written = self.sink.is_idle() && self.finishing.is_empty();
        let is_done = self.state.is_quiet() && is_written && self.pending.is_empty();
        if is_done || until <= Instant::now() { Err(PoolError::Interrupted(signal)) } else { Ok(()) }
    }

    /// Workers that are not ready in time, or that live on without their socket.
    fn end_late(&mut self, now: Instant) {
        for worker in self.workers.values_mut().chain(self.converters.workers_mut()) {
            if (worker.phase != Phase::Ready || worker.is_closing()) && worker.ready_by <= now && !worker.is_killed() {
                let what = if worker.is_closing() { "hung while ending" } else { "was not ready for work in time" };
                // The walls were up and the word given: what has no end is the kernel's, if no other worker was ever ready.
                let is_kernels = worker.phase == Phase::Going && worker.post.role() == Role::Execute;
                if is_kernels && self.description.is_none() && !worker.is_closing() {
                    let text = "it does not become ready for work: what it does when it is instantiated, described or \
                                started has no end, or takes too long";
                    self.broken.get_or_insert_with(|| PoolError::Refused(Refusal::Start(text.into())));
                }
                worker.kill(Reason::Violation(what.into()));
            }
        }
    }

    /// Looks at the workers that have something to do.
    fn look_at_workers(&mut self, now: Instant, observer: &mut dyn Observer) {
        let timeout = self.config.policy.timeout;
        let interval = self.between_looks();
        self.vigil.next_look = Some(now + interval);
        let mut long = Vec::new();
        for worker in self.workers.values_mut() {
            if worker.asked.is_empty() || worker.phase != Phase::Ready || worker.is_killed() {
                worker.watch.reset();
                // Not ready, and it will not be.
                if worker.phase != Phase::Ready && !worker.is_killed() && worker.is_stopped() {
                    worker.kill(Reason::Stopped);
                }
                continue;
            }
            let cell = worker.progress.as_ref().map(taskhost_os::progress::ProgressCell::load);
            // Decoding and encoding is no work of the kernel, so it has a limit of its own.
            let timeout = if cell.is_some() { timeout } else { Some(CONVERT) };
            let cell = cell.unwrap_or_default();
            let cpu = worker.cpu_time();
            // Twice the interval: the coordinator itself may be late.
            match worker.watch.look(now, cell, cpu, timeout, 2 * interval) {
                Seen::Moving => {}
                Seen::Late(cell) => {
                    let Some(limit) = timeout else { continue };
                    worker.late_at = Some(cell);
                    worker.kill(Reason::Deadline(limit));
                }
                // Nobody but us has any business with a worker; one that was stopped would be waited for for ever.
                Seen::Same(_) if worker.is_stopped() => worker.kill(Reason::Stopped),
                Seen::Same(clock) if clock >= LONG && worker.named_at != Some(cell) => {
                    worker.named_at = Some(cell);
                    long.extend(worker.asked.front().map(|asked| (asked.batch, cell)));
                }
                Seen::Same(_) => {}
            }
        }
        for (batch, cell) in long {
            if let Some(text) = self.name_of_item(batch, cell) {
                observer.warning(&format!("{text} has been running for over a minute"));
            }
        }
    }

    /// What messages call the item that a worker is at.
    fn name_of_item(&self, batch: taskhost_protocol::ids::BatchId, cell: u64) -> Option<String> {
        let place = Place::decode(cell, batch)?;
        let out = self.batches.get(&batch)?;
        let job = self.jobs.get(&out.job)?;
        let Some(piece) = out.pieces.get(place.piece as usize) else {
            return Some(format!("{} near row {}", job.name, place.offset));
        };
        let name = job.sources.get(&piece.source).map_or(&job.name, |source| &source.name);
        Some(format!("the item at byte {} of {name}", piece.start + place.offset))
    }

    /// A signal has come.
    pub(super) fn signalled(&mut self) -> Result<(), PoolError> {
        while let Some(signal) = self.config.signals.as_ref().and_then(signals::Signals::next_signal) {
            match signal {
                Signal::Suspend => self.pause(),
                Signal::Interrupt | Signal::Terminate | Signal::HangUp if self.vigil.ending.is_none() => {
                    self.state.drain();
                    self.vigil.spawns.clear();
                    let drain = self.config.policy.drain;
                    self.vigil.ending = Some((signal, Instant::now() + drain));
                    if !self.state.is_quiet() && !drain.is_zero() {
                        let text =
                            format!("finishing what is at work, for {drain:?} at most; once more ends it at once");
                        self.warnings.push(text);
                    }
                }
                Signal::Interrupt | Signal::Terminate | Signal::HangUp => return Err(PoolError::Interrupted(signal)),
                Signal::Quit | Signal::WindowChange | Signal::Continue | Signal::User1 => {}
            }
        }
        Ok(())
    }

    /// Stops everything, this process last, until it is told to go on: the time does not count.
    fn pause(&mut self) {
        for worker in self.workers.values().chain(self.converters.workers()) {
            worker.stop();
        }
        let began = Instant::now();
        signals::stop_self();
        let pause = began.elapsed();
        for worker in self.workers.values_mut().chain(self.converters.workers_mut()) {
            worker.cont();
            worker.ready_by += pause;
            worker.watch.reset();
        }
        self.vigil.shift(pause);
        self.began += pause;
    }
}
