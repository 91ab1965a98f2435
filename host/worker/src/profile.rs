//! `--profile`: hands over what the engine writes down, batch by batch, since a worker is killed when it is not needed any
//! more.

use std::os::fd::{AsFd as _, OwnedFd};

use taskhost_engine::{SAMPLE_INTERVAL, SampleLog};
use taskhost_os::{exact, ticks};

use crate::startup::Fatal;

/// Where the samples go.
pub(crate) struct ProfileWriter {
    file: OwnedFd,
    at: u64,
    samples: SampleLog,
}

impl ProfileWriter {
    /// Starts the timer. To be called before this process is locked in.
    pub(crate) fn start(file: OwnedFd, samples: SampleLog) -> Result<Self, Fatal> {
        ticks::start(SAMPLE_INTERVAL, taskhost_engine::tick)
            .map_err(|error| Fatal::failed("starting a timer")(&error))?;
        Ok(Self { file, at: 0, samples })
    }

    /// Writes what came since the last time.
    pub(crate) fn write(&mut self) -> Result<(), Fatal> {
        let text = self.samples.take();
        exact::pwrite_all(self.file.as_fd(), text.as_bytes(), self.at)
            .map_err(|error| Fatal::failed("writing samples")(&error))?;
        self.at += text.len() as u64;
        Ok(())
    }
}
