//! The course of a run: jobs are taken as there is room for them, what happens is dealt with, until nothing is left. In one
//! go, or in steps that several threads may take one after the other.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::room::jobs_at_once;
use super::{Observer, Pool, RunReport, TICK};
use crate::error::PoolError;
use crate::job::{Feed, JobFeed};

/// How far a run is.
#[derive(Debug)]
pub struct Course {
    /// There may be more jobs.
    more: bool,
    /// When the observer hears of the progress next.
    next_tick: Instant,
}

impl Course {
    /// A run that begins.
    #[must_use]
    pub fn begin() -> Self {
        Self { more: true, next_tick: Instant::now() + TICK }
    }

    /// Whether no more jobs come.
    fn ends(&mut self, jobs: &mut dyn JobFeed) -> bool {
        self.more = self.more && !matches!(jobs.next(), Feed::Ended);
        !self.more
    }
}

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another, when the poller has something to tell, or after so long if that is said.
    After(Option<Duration>),
    /// Nothing: all is done.
    Over,
}

impl Pool {
    /// Runs all jobs that the feed has. Jobs that fail are reported and do not end the run.
    ///
    /// # Errors
    /// When the pool as a whole cannot go on, or a signal asked for an end. Outputs of unfinished jobs are removed.
    pub fn run(&mut self, jobs: &mut dyn JobFeed, observer: &mut dyn Observer) -> Result<RunReport, PoolError> {
        let mut course = Course::begin();
        loop {
            if self.prepare(&mut course, jobs, observer) {
                self.tell(observer);
                return Ok(self.shut_down());
            }
            let until = self.next_tick(&course);
            match self.deal(until, observer) {
                // What was at work was the last there was to do. What comes here if anything does is not begun.
                Err(PoolError::Interrupted(_)) if self.has_nothing() && course.ends(jobs) => {}
                dealt => dealt?,
            }
            self.tick(&mut course, observer);
        }
    }

    /// Deals with what has happened, without waiting for anything, and begins what can be begun. May be called by any
    /// thread; new workers are only started by the one that made the pool.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub fn step(
        &mut self,
        course: &mut Course,
        jobs: &mut dyn JobFeed,
        observer: &mut dyn Observer,
    ) -> Result<Next, PoolError> {
        self.deal(Some(Instant::now()), observer)?;
        Ok(self.begin(course, jobs, observer))
    }

    /// Begins what can be begun. May be called by any thread.
    pub fn begin(&mut self, course: &mut Course, jobs: &mut dyn JobFeed, observer: &mut dyn Observer) -> Next {
        let is_over = self.prepare(course, jobs, observer);
        self.tick(course, observer);
        if is_over {
            self.tell(observer);
            return Next::Over;
        }
        let until = self.next_tick(course);
        Next::After(self.time_left(until))
    }

    /// Takes what was asked for, and begins it. True when all is done.
    fn prepare(&mut self, course: &mut Course, jobs: &mut dyn JobFeed, observer: &mut dyn Observer) -> bool {
        let at_once = jobs.at_once().unwrap_or_else(|| jobs_at_once(self.config.cores.len(), self.descriptors));
        while course.more && !self.vigil.is_ending() && self.state.job_count() < at_once {
            match jobs.next() {
                Feed::Next(spec) => self.add_job(spec, observer),
                Feed::Later => break,
                Feed::Ended => course.more = false,
            }
        }
        self.attend(jobs, observer);
        self.balance(observer);
        if !course.more && self.state.is_idle() && !self.finishing.is_empty() {
            self.dismiss();
        }
        // A signal that came in the last moment changes nothing of what is done.
        !course.more && self.has_nothing()
    }

    fn deal(&mut self, until: Option<Instant>, observer: &mut dyn Observer) -> Result<(), PoolError> {
        self.turn_with(until, observer).inspect_err(|_| {
            self.save_all();
            self.discard_unsaved();
        })
    }

    /// The observer is told some times a second, but not while nothing changes because there is nothing to do.
    fn next_tick(&self, course: &Course) -> Option<Instant> {
        let is_idle = course.more && self.state.is_idle() && self.warnings.is_empty();
        (!is_idle).then_some(course.next_tick)
    }

    fn tick(&mut self, course: &mut Course, observer: &mut dyn Observer) {
        if Instant::now() >= course.next_tick {
            course.next_tick = Instant::now() + TICK;
            self.tell(observer);
        }
    }

    /// Whether no job is left.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        self.state.is_idle() && self.finishing.is_empty()
    }

    /// Whether there is something that only the thread can do that made the pool.
    #[must_use]
    pub fn needs_home(&self) -> bool {
        self.vigil.has_spawns() || self.broken.is_some()
    }

    /// Whether this is the thread that made the pool.
    pub(super) fn is_home(&self) -> bool {
        std::thread::current().id() == self.home
    }

    /// Readable when something has happened.
    #[must_use]
    pub fn events(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.poller)
    }
}
