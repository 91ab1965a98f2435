//! The thread that owns the workers of one kernel and drives their pool.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use taskhost_pool::error::PoolError;
use taskhost_pool::job::{CapturedItem, FailedItem, JobReport};
use taskhost_pool::runner::{Observer, Pool, PoolConfig, Progress, SharedCores};
use taskhost_protocol::kernel::{Description, KernelInfo};
use taskhost_protocol::message::Level;

use super::builder::{Hooks, Logged};
use super::desk::{Counter, Desk, lock};
use super::drive::Drive;

/// A reactor. Dropping it ends the workers and waits for that.
pub(crate) struct Reactor {
    pub(crate) desk: Arc<Desk>,
    /// What the kernel is called.
    pub(crate) name: Arc<str>,
    pub(crate) info: KernelInfo,
    pub(crate) description: Option<Description>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Reactor {
    /// Starts the thread, which starts the workers: they live as long as the thread that made them.
    pub(crate) fn start(name: &str, config: PoolConfig, cores: SharedCores, hooks: Hooks) -> Result<Self, PoolError> {
        let desk = Arc::new(Desk::new());
        let (tell, told) = sync_channel(1);
        let counter = Arc::clone(&desk);
        let live = move || {
            let started = Pool::start(config).and_then(|mut pool| {
                pool.share_cores(cores);
                let told = (pool.kernel().clone(), pool.description().cloned());
                let watcher = Watcher { desk: Arc::clone(&counter), hooks: hooks.clone() };
                let drive = Drive::new(pool, Counter(Arc::clone(&counter)), watcher);
                let drive = drive.map_err(|error| PoolError::Host { what: "duplicating a descriptor", error })?;
                Ok((Arc::new(drive), told))
            });
            let (drive, told) = match started {
                Ok(started) => started,
                Err(error) => {
                    counter.over(None);
                    // Whoever waits for this is there.
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            counter.opened(&drive);
            let _ = tell.send(Ok(told));
            // Ends the workers in the end, and tells everybody who still waits.
            let why = drive.run().err().map(|error| error.to_string());
            if let Some(why) = &why {
                Watcher { desk: Arc::clone(&counter), hooks }.warning(why);
            }
            drop(drive);
            counter.over(why);
        };
        let host = |error| PoolError::Host { what: "starting a thread", error };
        let thread = thread::Builder::new().name("taskhost-pool".into()).spawn(live).map_err(host)?;
        let (info, description) = match told.recv() {
            Ok(Ok(told)) => told,
            failed => {
                let _ = thread.join();
                let died = || PoolError::Start("the thread that drives them panicked".into());
                return Err(failed.ok().and_then(Result::err).unwrap_or_else(died));
            }
        };
        Ok(Self { desk, name: name.into(), info, description, thread: Mutex::new(Some(thread)) })
    }

    /// Finishes what was asked for, or with `now` gives it up, and ends the workers.
    pub(crate) fn end(&self, now: bool) {
        self.desk.close(now);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic in there was told to those who waited.
            let _ = thread.join();
        }
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.end(true);
    }
}

/// Takes what the pool tells.
pub(crate) struct Watcher {
    desk: Arc<Desk>,
    hooks: Hooks,
}

impl Observer for Watcher {
    fn progress(&mut self, progress: &Progress) {
        self.desk.tell(progress);
    }

    fn log(&mut self, level: Level, _: Option<(&str, u64)>, text: &str) {
        if let Some(log) = &self.hooks.log {
            log(&Logged { level, text: text.to_owned() });
        }
    }

    fn item_failed(&mut self, _: &FailedItem) {}

    fn captured(&mut self, _: &CapturedItem<'_>) {}

    fn job_finished(&mut self, _: JobReport) {}

    fn warning(&mut self, text: &str) {
        if let Some(log) = &self.hooks.log {
            log(&Logged { level: Level::Warn, text: text.to_owned() });
        }
    }
}
