//! How far the run of a job is, and what it has written so far: looked at in its folder, from outside.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attempt::{LOG, WorkFolder};
use super::spec::PROGRESS;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Far {
    /// Items that were run, failed ones included.
    pub items: u64,
    /// Those that failed.
    pub failed_items: u64,
    /// Bytes of input that were read.
    pub input_bytes: u64,
    /// Bytes of the result that can be had already.
    pub saved_bytes: u64,
}

/// What the processes of a job have taken so far, as the last of them said: also when nobody has heard of its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Taken {
    /// How long they ran, in milliseconds.
    pub(super) ran_ms: u64,
    /// Their CPU time, in milliseconds.
    pub(super) cpu_ms: u64,
}

/// Most bytes of the file that says so.
const MOST: u64 = 4096;

/// Bytes that are handed on at a time.
const PART: usize = 64 << 10;

impl WorkFolder {
    /// How far the run is; `None` when it has not begun, or is over.
    #[must_use]
    pub fn far(&self) -> Option<Far> {
        self.said()
    }

    /// Items that were run so far, as far as its processes have said so.
    pub(super) fn items(&self) -> u64 {
        self.far().map_or(0, |far| far.items)
    }

    /// What its processes have taken until the last of them said so, some tenths of a second before its end.
    pub(super) fn taken(&self) -> Taken {
        self.said().unwrap_or_default()
    }

    fn said<T: DeserializeOwned>(&self) -> Option<T> {
        let path = self.path().join(PROGRESS);
        let is_small = fs::metadata(&path).is_ok_and(|file| file.len() <= MOST);
        is_small.then(|| serde_json::from_slice(&fs::read(&path).ok()?).ok()).flatten()
    }

    /// Bytes that it has written so far which will be kept, as far as they can be seen.
    pub(super) fn written(&self) -> u64 {
        let is_kept = |name: &str| ["result", ".result", "errors.jsonl", LOG].iter().any(|kept| name.starts_with(kept));
        let entries = fs::read_dir(self.path()).into_iter().flatten().filter_map(Result::ok);
        let kept = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_kept));
        kept.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
    }

    /// What the kernel and the run have said so far.
    #[must_use]
    pub fn log(&self) -> Option<File> {
        File::open(self.path().join(LOG)).ok()
    }

    /// The failed items' lines so far; the last one may not be whole.
    #[must_use]
    pub fn failures_so_far(&self) -> Option<File> {
        File::open(self.path().join("errors.jsonl")).ok()
    }

    /// The next bytes of the failed items' lines, from `at` on: whole lines alone.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn failures(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut part = match File::open(self.path().join("errors.jsonl")) {
            Ok(file) => read_part(&file, at, PART as u64)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        part.truncate(part.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        Ok(part)
    }
}

fn read_part(file: &File, at: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut part = vec![0; usize::try_from(most).unwrap_or(PART).min(PART)];
    let read = file.read_at(&mut part, at)?;
    part.truncate(read);
    Ok(part)
}

/// A result that is being written. What is handed out of it was saved by its run, and is not changed any more.
#[derive(Debug)]
pub struct Growing {
    folder: WorkFolder,
    /// What the result will be called.
    name: String,
}

impl Growing {
    /// The result of this name in that folder.
    #[must_use]
    pub fn new(folder: WorkFolder, name: String) -> Self {
        Self { folder, name }
    }

    /// Bytes from `at` on, as far as they are saved; none when there are no more now.
    ///
    /// # Errors
    /// When they are there and cannot be read.
    pub fn read(&self, at: u64) -> io::Result<Vec<u8>> {
        let saved = self.folder.far().map_or(0, |far| far.saved_bytes);
        let Some(file) = self.open().filter(|_| at < saved) else { return Ok(Vec::new()) };
        read_part(&file, at, saved - at)
    }

    /// Under its name when it is complete, before under one that begins with a dot.
    fn open(&self) -> Option<File> {
        if let Ok(file) = File::open(self.folder.path().join(&self.name)) {
            return Some(file);
        }
        let begin = format!(".{}.taskhost-", self.name);
        let entries = fs::read_dir(self.folder.path()).ok()?;
        let is_it =
            |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&begin));
        let path = entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| is_it(path))?;
        File::open(path).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;

    #[test]
    fn no_more_is_handed_out_than_is_saved() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = WorkFolder::new(place.path(), &JobId::create());
        fs::create_dir(folder.path()).expect("a folder");
        let growing = Growing::new(folder.clone(), "result.txt".into());
        assert_eq!((growing.read(0).expect("nothing"), folder.far()), (Vec::new(), None));
        fs::write(folder.path().join(".result.txt.taskhost-0011223344556677"), "0123456789").expect("written");
        assert_eq!(growing.read(0).expect("nothing"), b"");
        let far = Far { saved_bytes: 4, ..Far::default() };
        fs::write(folder.path().join(PROGRESS), serde_json::to_vec(&far).expect("text")).expect("written");
        assert_eq!((folder.far(), folder.taken()), (Some(far), Taken::default()), "of a program before this");
        assert_eq!((growing.read(0).expect("some"), growing.read(3).expect("some")), (b"0123".to_vec(), b"3".to_vec()));
        assert_eq!(growing.read(4).expect("nothing"), b"");
        for (name, bytes) in [("in-0-a.txt", 1000), ("journal", 100), ("errors.jsonl", 3), (LOG, 4)] {
            fs::write(folder.path().join(name), vec![0; bytes]).expect("written");
        }
        assert_eq!(folder.written(), 10 + 3 + 4);
    }

    #[test]
    fn lines_of_failures_are_whole() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = WorkFolder::new(place.path(), &JobId::create());
        assert_eq!(folder.failures(0).expect("nothing"), b"");
        fs::create_dir(folder.path()).expect("a folder");
        fs::write(folder.path().join("errors.jsonl"), "one\ntwo\nth").expect("written");
        assert_eq!(folder.failures(0).expect("two"), b"one\ntwo\n");
        assert_eq!(folder.failures(4).expect("one"), b"two\n");
        assert_eq!(folder.failures(8).expect("none"), b"");
    }
}
