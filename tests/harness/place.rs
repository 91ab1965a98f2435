//! A folder of a test's own, in which the program runs, so that messages name files and not folders.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Program;

/// What is part of the name of every file that is not complete yet.
const TEMPORARY: &str = ".taskhost-";

/// What a server calls the journal in the folder of a job.
const JOURNAL: &str = "journal";

/// A folder. Dropping it deletes it, after a look whether a half-written file was left in it that nobody goes on with.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::with_prefix_in("test-", env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    /// Where something in the folder is.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders that it lies in.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// A file that may hold anything, as far as it is text.
    pub(crate) fn text_lossy(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.read(name)).into_owned()
    }

    /// Paths of all files, relative to the folder, in byte order.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(self.path("")).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    /// The program in this folder. `arguments` are separated by spaces; [`Program::argument`] adds others.
    pub(crate) fn taskhost(&self, arguments: &str) -> Program {
        Program::new(&self.path("")).arguments(arguments)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that fails has said what is wrong already.
        if std::thread::panicking() {
            return;
        }
        // A job that a server parked at its end has its journal beside it, and goes on with what is half written.
        let is_parked = |name: &String| self.path(name).with_file_name(JOURNAL).exists();
        let half_written = self.files().into_iter().filter(|name| name.contains(TEMPORARY));
        let left: Vec<String> = half_written.filter(|name| !is_parked(name)).collect();
        assert!(left.is_empty(), "half-written files were left: {left:?}");
    }
}
