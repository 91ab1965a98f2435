//! The folders that are kept between runs: compiled kernels, and claims on cores.

use serde::Serialize;
use taskhost_os::atomic_file::AtomicFile;
use taskhost_os::lease::RuntimeFolder;
use taskhost_pool::artifact::Cache;

use super::health::shown;
use crate::kernel::cache_folder;

/// The compiled kernels.
#[derive(Debug, Serialize)]
pub(super) struct CacheState {
    pub(super) folder: Option<String>,
    pub(super) entries: usize,
    pub(super) bytes: u64,
    /// Why it cannot be used.
    pub(super) problem: Option<String>,
}

impl CacheState {
    pub(super) fn look() -> Self {
        let Some(folder) = cache_folder() else {
            let problem = Some("neither HOME nor XDG_CACHE_HOME is set".into());
            return Self { folder: None, entries: 0, bytes: 0, problem };
        };
        let listed = Cache::open(&folder).and_then(|cache| Ok((cache.list()?, cache.folder().to_owned())));
        let folder = Some(shown(&folder));
        match listed {
            Ok((entries, place)) => {
                let bytes = entries.iter().map(|entry| entry.bytes).sum();
                let problem = AtomicFile::create(&place.join("doctor")).map(AtomicFile::discard).err();
                Self { folder, entries: entries.len(), bytes, problem: problem.map(|error| error.to_string()) }
            }
            Err(error) => Self { folder, entries: 0, bytes: 0, problem: Some(error.to_string()) },
        }
    }
}

/// The claims on cores.
#[derive(Debug, Serialize)]
pub(super) struct RuntimeState {
    pub(super) folder: String,
    /// Why it cannot be used.
    pub(super) problem: Option<String>,
}

impl RuntimeState {
    pub(super) fn look() -> Self {
        let folder = shown(&RuntimeFolder::place());
        Self { folder, problem: RuntimeFolder::open().err().map(|error| error.to_string()) }
    }
}
