//! The files of a folder, recursively, in byte order of their paths.
//!
//! A link to a file is that file. A link to a folder is not entered: it would bring in what lies outside of the folder
//! that was named, or the folder itself once more. What is neither file nor folder (a pipe, a socket, a device) is
//! passed over: reading it could wait for ever.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Filter, FoundFile, InputError, InputOptions};

/// How many entries of folders were left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Names that begin with a dot; a hidden folder counts once.
    pub(crate) hidden: u64,
    /// Files that `--glob` does not take.
    pub(crate) filtered: u64,
    /// Links to folders.
    pub(crate) linked_folders: u64,
    /// Neither file nor folder.
    pub(crate) special: u64,
}

impl Skipped {
    pub(super) fn add(&mut self, other: Self) {
        self.hidden += other.hidden;
        self.filtered += other.filtered;
        self.linked_folders += other.linked_folders;
        self.special += other.special;
    }
}

/// A folder that is being walked.
#[derive(Debug)]
pub(super) struct Walk {
    folder: PathBuf,
    entries: walkdir::IntoIter,
    hidden: bool,
    /// Device and inode of the folder that is not entered.
    exclude: Option<(u64, u64)>,
    skipped: Skipped,
}

impl Walk {
    pub(super) fn new(folder: PathBuf, options: &InputOptions) -> Self {
        let entries = WalkDir::new(&folder).min_depth(1);
        let entries = entries.sort_by(|a, b| sort_key(a).cmp(sort_key(b))).into_iter();
        let exclude = options.exclude.as_deref().and_then(identity);
        Self { folder, entries, hidden: options.hidden, exclude, skipped: Skipped::default() }
    }

    /// What was left out so far.
    pub(super) fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// The next file that `filter` takes.
    pub(super) fn next_file(&mut self, filter: &Filter) -> Option<Result<FoundFile, InputError>> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(self.failure(error))),
            };
            let is_folder = entry.file_type().is_dir();
            if !self.hidden && entry.file_name().as_bytes().starts_with(b".") {
                self.skipped.hidden += 1;
            } else if is_folder {
                if self.exclude.is_none() || self.exclude != identity(entry.path()) {
                    continue;
                }
            } else if let Some(found) = self.file(entry, filter) {
                return Some(found);
            }
            if is_folder {
                self.entries.skip_current_dir();
            }
        }
    }

    /// The file at an entry that is no folder; `None` when it is left out.
    fn file(&mut self, entry: DirEntry, filter: &Filter) -> Option<Result<FoundFile, InputError>> {
        let relative = entry.path().strip_prefix(&self.folder).unwrap_or(entry.path()).to_owned();
        if !filter.takes(&relative) {
            self.skipped.filtered += 1;
            return None;
        }
        let path = entry.path().to_owned();
        let file_type = if entry.path_is_symlink() {
            match std::fs::metadata(&path) {
                Ok(metadata) => metadata.file_type(),
                Err(error) => return Some(Err(InputError::Path { path, error })),
            }
        } else {
            entry.file_type()
        };
        if file_type.is_file() {
            let name = relative.to_string_lossy().into_owned();
            return Some(Ok(FoundFile { path, name, relative }));
        }
        let count = if file_type.is_dir() { &mut self.skipped.linked_folders } else { &mut self.skipped.special };
        *count += 1;
        None
    }

    fn failure(&self, error: walkdir::Error) -> InputError {
        let path = error.path().unwrap_or(&self.folder).to_owned();
        let error = error.into_io_error().unwrap_or_else(|| std::io::Error::other("cannot be walked"));
        InputError::Path { path, error }
    }
}

/// What orders the entries of a folder as the paths below them are ordered: `a.txt` stands before `a/b`.
fn sort_key(entry: &DirEntry) -> impl Iterator<Item = &u8> {
    let slash: &[u8] = if entry.file_type().is_dir() { b"/" } else { b"" };
    entry.file_name().as_bytes().iter().chain(slash)
}

/// Device and inode of what is at `path`, which are the same whatever way leads there.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
