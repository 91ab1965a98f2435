//! A file that says how far a run is, as one object of JSON: for the service that has it run.

use std::path::PathBuf;

use serde::Serialize;
use taskhost_pool::runner::Progress;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Far {
    items: u64,
    failed_items: u64,
    input_bytes: u64,
    /// Bytes at the beginning of the output that nothing changes any more.
    saved_bytes: u64,
}

/// The file. It appears anew whenever something has changed, so that whoever reads it reads all of it.
pub(super) struct ProgressFile {
    path: PathBuf,
    written: Option<Far>,
}

impl ProgressFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, written: None }
    }

    /// Called some ten times a second.
    pub(super) fn show(&mut self, progress: &Progress) {
        let &Progress { items, failed_items, input, saved, .. } = progress;
        let far = Far { items, failed_items, input_bytes: input, saved_bytes: saved };
        if self.written == Some(far) {
            return;
        }
        self.written = Some(far);
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        // A run does not end because nobody can be told how far it is.
        if let Ok(text) = serde_json::to_string(&far) {
            let _ = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path));
        }
    }
}
