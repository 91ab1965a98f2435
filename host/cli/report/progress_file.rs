//! A file that says how far a run is and what it has taken, as one object of JSON: for the service that has it run.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use taskhost_os::process_id::ProcessId;
use taskhost_os::usage::family_cpu_time;
use taskhost_pool::runner::Progress;

use crate::args::Earlier;

/// How old the file may be while nothing but time goes by.
const AGE: Duration = Duration::from_secs(1);

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Far {
    items: u64,
    failed_items: u64,
    input_bytes: u64,
    /// Bytes at the beginning of the output that nothing changes any more.
    saved_bytes: u64,
}

/// What this process and those before it have taken: should this one be killed, nobody else knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Taken {
    ran_ms: u64,
    cpu_ms: u64,
}

#[derive(Serialize)]
struct Said {
    #[serde(flatten)]
    far: Far,
    #[serde(flatten)]
    taken: Taken,
}

/// The file. It appears anew whenever something has changed, so that whoever reads it reads all of it.
pub(crate) struct ProgressFile {
    path: PathBuf,
    earlier: Option<Earlier>,
    /// What was written last, and when of the run.
    written: Option<(Far, Duration)>,
}

impl ProgressFile {
    pub(crate) fn new(path: PathBuf, earlier: Option<Earlier>) -> Self {
        Self { path, earlier, written: None }
    }

    /// Called some ten times a second.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let &Progress { items, failed_items, input, saved, elapsed, .. } = progress;
        let far = Far { items, failed_items, input_bytes: input, saved_bytes: saved };
        if self.written.is_some_and(|(before, at)| before == far && elapsed < at + AGE) {
            return;
        }
        self.written = Some((far, elapsed));
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        // A run does not end because nobody can be told how far it is.
        if let Ok(text) = serde_json::to_string(&Said { far, taken: self.taken(elapsed) }) {
            let _ = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path));
        }
    }

    fn taken(&self, elapsed: Duration) -> Taken {
        let (ran, cpu) = self.earlier.map_or_else(Default::default, |earlier| (earlier.ran, earlier.cpu));
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Taken { ran_ms: millis(ran + elapsed), cpu_ms: millis(cpu + family_cpu_time(ProcessId::current())) }
    }
}
