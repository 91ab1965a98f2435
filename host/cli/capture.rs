//! `--capture FOLDER`: a capsule for each failed item.
//!
//! An item's bytes are kept when they can be read, which is before it is its turn to fail in the order of the input;
//! they wait in a file without a name, so that nothing is left behind whatever happens to this process.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use taskhost_os::atomic_file::{AtomicFile, Durability};
use taskhost_os::exact;
use taskhost_pool::job::{CapturedItem, FailedItem};
use taskhost_protocol::limits::ITEM_BYTES;

use crate::capsule::{self, Failed, Item, Manifest, Parts};
use crate::exit_code::Failure;

/// Capsules of one run. Each holds the kernel, and nobody looks at more.
const MOST: usize = 1000;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Longest part of a capsule's name that comes from its input, in bytes: a name may have 255.
const STEM_BYTES: usize = 100;

/// The folder, before the run begins.
#[derive(Debug)]
pub(crate) struct CaptureFolder {
    path: PathBuf,
    spool: File,
}

impl CaptureFolder {
    /// Makes the folder, unless it is there, and a file in it, so that a folder that cannot be written costs no work.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::input(format!("--capture {}: {error}", path.display()));
        fs::create_dir_all(path).map_err(failed)?;
        let name = path.join(format!(".taskhost-{}", std::process::id()));
        let spool = OpenOptions::new().read(true).write(true).create_new(true).open(&name).map_err(failed)?;
        fs::remove_file(&name).map_err(failed)?;
        Ok(Self { path: path.to_owned(), spool })
    }
}

/// Keeps items that fail.
#[derive(Debug)]
pub(crate) struct Capture {
    folder: CaptureFolder,
    kernel: Vec<u8>,
    /// What all capsules of the run have in common.
    template: Manifest,
    spool_end: u64,
    pending: HashMap<(String, String, u64), Pending>,
    made: Vec<PathBuf>,
    /// Why no more are kept.
    ended: bool,
    /// Whether it was said that some items cannot be kept.
    lacking: bool,
}

/// An item whose bytes are in the spool.
#[derive(Debug)]
struct Pending {
    at: u64,
    len: u64,
    position: u64,
    header: Option<Vec<u8>>,
}

impl Capture {
    pub(crate) fn new(folder: CaptureFolder, kernel: Vec<u8>, template: Manifest) -> Self {
        let (pending, made) = (HashMap::new(), Vec::new());
        Self { folder, kernel, template, spool_end: 0, pending, made, ended: false, lacking: false }
    }

    /// The capsules that were made.
    pub(crate) fn made(&self) -> &[PathBuf] {
        &self.made
    }

    /// Keeps the bytes of an item. What to warn of, if anything.
    pub(crate) fn keep(&mut self, place: &CapturedItem<'_>) -> Option<String> {
        let key = (place.job.to_owned(), place.source.to_owned(), place.offset);
        if self.ended || self.pending.contains_key(&key) {
            return None;
        }
        if place.len > ITEM_BYTES {
            return self.lacking("it is larger than an item can be", place.source, place.offset);
        }
        if self.made.len() + self.pending.len() >= MOST {
            self.ended = true;
            return Some(format!("{MOST} failed items are kept in {}, and no more", self.folder.path.display()));
        }
        if let Err(error) = copy(place, &self.folder.spool, self.spool_end) {
            return Some(self.end(&error));
        }
        let header = place.header.map(<[u8]>::to_vec);
        let pending = Pending { at: self.spool_end, len: place.len, position: place.position, header };
        self.spool_end += place.len;
        self.pending.insert(key, pending);
        None
    }

    /// Makes the capsule of an item that has failed. What to warn of, if anything.
    pub(crate) fn complete(&mut self, item: &FailedItem) -> Option<String> {
        let key = (item.job.clone(), item.source.clone(), item.offset);
        let Some(pending) = self.pending.remove(&key) else {
            let why = if item.is_row { "rows of pictures are not kept" } else { "its bytes are gone" };
            return if self.ended { None } else { self.lacking(why, &item.source, item.offset) };
        };
        let made = self.write(item, &pending);
        if self.pending.is_empty() {
            // A spool that cannot be cut is only longer.
            let _ = self.folder.spool.set_len(0);
            self.spool_end = 0;
        }
        match made {
            Ok(path) => self.made.push(path),
            Err(error) => return Some(self.end(&error)),
        }
        None
    }

    fn write(&self, item: &FailedItem, pending: &Pending) -> io::Result<PathBuf> {
        let manifest = Manifest {
            item: Item {
                source: item.source.clone(),
                offset: item.offset,
                length: pending.len,
                position: pending.position,
                number: item.item,
                line: item.line,
            },
            failure: Failed {
                verdict: item.verdict.name().into(),
                blame: item.verdict.blame().name().into(),
                message: item.verdict.to_string(),
                backtrace: item.verdict.backtrace().to_vec(),
                attempts: item.attempts,
            },
            ..self.template.clone()
        };
        let path = free_name(&self.folder.path, &item.source, item.offset);
        let file = AtomicFile::create(&path).map_err(io::Error::other)?;
        let input = Spooled { file: &self.folder.spool, at: pending.at };
        let header = pending.header.as_deref();
        let parts = Parts { manifest: &manifest, header, kernel: &self.kernel, input };
        capsule::write(BufWriter::new(file.file()), parts)?;
        file.commit(Durability::Process).map_err(io::Error::other)?;
        Ok(path)
    }

    /// Gives up, and says why.
    fn end(&mut self, error: &io::Error) -> String {
        self.ended = true;
        format!("failed items cannot be kept in {}: {error}; no more are", self.folder.path.display())
    }

    /// Says once that an item cannot be kept.
    fn lacking(&mut self, why: &str, source: &str, offset: u64) -> Option<String> {
        let first = !std::mem::replace(&mut self.lacking, true);
        first.then(|| format!("{source}, at {offset}: there is no capsule of it, nor perhaps of others: {why}"))
    }
}

/// Reads the spool from a place on.
struct Spooled<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Spooled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn copy(place: &CapturedItem<'_>, spool: &File, at: u64) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(place.len).unwrap_or(COPY_BYTES).min(COPY_BYTES)];
    let mut done = 0;
    while done < place.len {
        let some = usize::try_from(place.len - done).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        exact::pread_exact(place.file, &mut buffer[..some], place.at + done).map_err(io::Error::other)?;
        spool.write_all_at(&buffer[..some], at + done)?;
        done += some as u64;
    }
    Ok(())
}

/// A name in the folder that nothing has, from the name of the input and the place of the item.
fn free_name(folder: &Path, source: &str, offset: u64) -> PathBuf {
    let stem = safe_stem(source);
    let mut path = folder.join(format!("{stem}-{offset}.tar"));
    let mut number = 2_u64;
    while path.symlink_metadata().is_ok() {
        path = folder.join(format!("{stem}-{offset}-{number}.tar"));
        number += 1;
    }
    path
}

/// The stem of an input's name, as far as it is harmless as part of a file name.
fn safe_stem(source: &str) -> String {
    if source == "-" {
        return "stdin".into();
    }
    let stem = Path::new(source).file_stem().unwrap_or_default().to_string_lossy();
    let harmless = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let safe: String = stem.chars().map(|character| if harmless(character) { character } else { '_' }).collect();
    let safe = safe.trim_start_matches(['.', '-']);
    let safe = &safe[..safe.len().min(STEM_BYTES)];
    if safe.is_empty() { "item".into() } else { safe.into() }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use taskhost_pool::verdict::Verdict;

    use super::*;
    use crate::capsule::Capsule;
    use crate::report::failures::tests::trapped;

    fn capture(folder: &Path) -> Capture {
        let folder = CaptureFolder::create(folder).expect("a new folder");
        Capture::new(folder, b"\0asm".to_vec(), crate::capsule::tests::manifest())
    }

    fn keep(capture: &mut Capture, bytes: &[u8], offset: u64) -> Option<String> {
        let file = taskhost_os::memfd::sealed_copy(c"item", bytes).expect("a little memory");
        capture.keep(&CapturedItem {
            job: "a.txt",
            source: "a.txt",
            offset,
            len: bytes.len() as u64,
            position: offset,
            header: Some(b"head"),
            file: file.as_fd(),
            at: 0,
        })
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("it was made");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_capsule_appears_when_its_item_has_failed() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = temporary.path().join("deep/capsules");
        let mut capture = capture(&folder);
        assert_eq!(keep(&mut capture, b"3 x", 345), None);
        assert_eq!(keep(&mut capture, b"another", 400), None);
        assert_eq!(names(&folder), <[&str; 0]>::default());
        assert_eq!(capture.complete(&trapped()), None);
        // What never fails leaves nothing.
        assert_eq!(names(&folder), ["a-345.tar"]);
        let capsule = Capsule::open(&folder.join("a-345.tar")).expect("whole");
        assert_eq!((capsule.input, capsule.header), (b"3 x".to_vec(), Some(b"head".to_vec())));
        assert_eq!(capsule.manifest.failure.message, "the kernel trapped: unreachable");
        assert_eq!(capsule.manifest.item.number, Some(12));
    }

    #[test]
    fn nothing_is_overwritten() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        for expected in [&["a-345.tar"][..], &["a-345-2.tar", "a-345.tar"]] {
            let mut capture = capture(temporary.path());
            keep(&mut capture, b"3 x", 345);
            assert_eq!(capture.complete(&trapped()), None);
            assert_eq!(names(temporary.path()), expected);
        }
    }

    #[test]
    fn there_is_a_most_of_capsules_and_it_is_said_once() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut capture = capture(temporary.path());
        let said: Vec<String> = (0..MOST as u64 + 9).filter_map(|offset| keep(&mut capture, b"x", offset)).collect();
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("1000 failed items"), "{said:?}");
    }

    #[test]
    fn an_item_whose_bytes_are_gone_is_told_of_once() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut capture = capture(temporary.path());
        let item = FailedItem { verdict: Verdict::OutOfMemory, ..trapped() };
        assert!(capture.complete(&item).is_some_and(|text| text.contains("its bytes are gone")));
        assert_eq!(capture.complete(&item), None);
    }

    #[test]
    fn names_are_harmless() {
        assert_eq!(safe_stem("photos/a b\n.png"), "a_b_");
        assert_eq!(safe_stem("../../.profile"), "profile");
        assert_eq!((safe_stem("-"), safe_stem("..")), ("stdin".into(), "item".into()));
        assert_eq!(safe_stem(&"é".repeat(300)).len(), STEM_BYTES);
    }
}
