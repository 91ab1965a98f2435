//! How long a worker takes to start, for those who ask how this machine fares.

use std::time::{Duration, Instant};

use taskhost_os::process_id::ProcessId;

use super::Pool;

/// What a stop-watch shows that was started before the process was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StopWatch {
    began: Instant,
    locked: Option<Duration>,
    ready: Option<Duration>,
}

impl StopWatch {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), locked: None, ready: None }
    }

    /// It has said that it is locked in.
    pub(crate) fn locked(&mut self) {
        self.locked = Some(self.began.elapsed());
    }

    /// It has said that it is ready.
    pub(crate) fn ready(&mut self) {
        self.ready = Some(self.began.elapsed());
    }
}

/// A worker that is ready.
#[derive(Clone, Copy, Debug)]
pub struct StartUp {
    /// Its process.
    pub process: ProcessId,
    /// From before its process was made until it said that it is locked in.
    pub locked: Duration,
    /// The same until it said that it is ready: the kernel has started, too.
    pub ready: Duration,
}

impl Pool {
    /// The workers that are ready now, and how long each took for that.
    #[must_use]
    pub fn start_ups(&self) -> Vec<StartUp> {
        let start_up = |worker: &super::WorkerProcess| {
            let StopWatch { locked, ready, .. } = worker.stop_watch;
            Some(StartUp { process: worker.process(), locked: locked?, ready: ready? })
        };
        self.workers.values().filter_map(start_up).collect()
    }
}
