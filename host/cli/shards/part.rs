//! What a shard has made, as a file: results, then what is known of them, then a digest of that.
//!
//! Its name has the shard, the plan's digest and the attempt, so that two attempts at once, on two machines, write two
//! files; either will do. It is on the disk before it gets that name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use taskhost_os::exact::pread_exact;
use taskhost_pool::job::FailedItem;
use taskhost_pool::verdict::Verdict;
use taskhost_protocol::picture::Format;
use taskhost_protocol::work::Partial;

use super::Plan;
use crate::exit_code::Failure;

/// Ends every part: tells one from a file that was cut off.
const MAGIC: [u8; 8] = *b"taskpart";

/// Bytes behind the manifest: its length, its BLAKE3, the magic.
const TRAILER: u64 = 8 + 32 + 8;

/// Longest manifest that is read: thousands of times what a million failed items take.
const MANIFEST_BYTES: u64 = 4 << 30;

/// Bytes read at a time.
const STEP: usize = 1 << 20;

/// What is known of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The plan's digest.
    pub(crate) plan: String,
    pub(crate) shard: u32,
    /// Bytes of results.
    pub(crate) bytes: u64,
    /// BLAKE3 of them.
    pub(crate) digest: [u8; 32],
    /// Why there is no result, when an item has failed that must not: the exit code, and what was said.
    pub(crate) failure: Option<(u8, String)>,
    /// Whether that was an item.
    pub(crate) by_item: bool,
    pub(crate) items: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) counters: Vec<(String, u64)>,
    /// The last input that has items in this shard, counted from its first, and their number.
    pub(crate) last: Option<(u32, u64)>,
    /// Nanoseconds that workers were busy.
    pub(crate) busy: u64,
    /// Items that failed, numbered within the shard.
    pub(crate) failed: Vec<FailedPart>,
    /// Of a reduction: what the results consist of.
    pub(crate) partials: Vec<Partial>,
    /// Of a picture: the format of its result.
    pub(crate) format: Option<Format>,
    /// Results that are files of their own, and are in their places.
    pub(crate) files: Vec<MadeFile>,
    /// Inputs without a result, and why.
    pub(crate) broken: Vec<String>,
}

/// An item that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedPart {
    pub(crate) job: String,
    pub(crate) source: String,
    /// The input, counted from the shard's first.
    pub(crate) input: Option<u32>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) item: Option<u64>,
    pub(crate) line: Option<u64>,
    pub(crate) is_row: bool,
    pub(crate) verdict: Verdict,
    pub(crate) attempts: u32,
    pub(crate) worker: Option<u32>,
    pub(crate) core: Option<u32>,
}

impl FailedPart {
    pub(crate) fn of(item: &FailedItem) -> Self {
        let FailedItem { job, source, offset, len, item, line, is_row, verdict, attempts, worker, core } = item.clone();
        Self { job, source, input: None, offset, len, item, line, is_row, verdict, attempts, worker, core }
    }

    /// As an item of the whole run, before which the run has so many items, and its input so many lines.
    pub(crate) fn within(&self, items: u64, lines: u64) -> FailedItem {
        let Self { job, source, offset, len, item, line, is_row, verdict, attempts, worker, core, .. } = self.clone();
        let (item, line) = (item.map(|item| item + items), line.map(|line| line + lines));
        FailedItem { job, source, offset, len, item, line, is_row, verdict, attempts, worker, core }
    }
}

/// A result that is a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) digest: [u8; 32],
}

impl MadeFile {
    /// What stands at `path` now.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), bytes, digest: digest(&file, bytes)? })
    }
}

/// A part that was found.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
}

/// How the names of the parts of a shard begin.
fn prefix(plan: &Plan, shard: u32) -> String {
    format!("{shard:06}.{}.", plan.short_digest())
}

/// The name that a part gets, and the one that its results have before.
pub(crate) fn names(plan: &Plan, shard: u32, attempt: &str) -> (PathBuf, PathBuf) {
    let (folder, prefix) = (plan.parts(), prefix(plan, shard));
    (folder.join(format!("{prefix}{attempt}.part")), folder.join(format!(".{prefix}{attempt}.data")))
}

/// Makes a part of the results at `data`.
pub(crate) fn write(data: &Path, part: &Path, manifest: &mut Manifest) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(data)?;
    manifest.bytes = file.metadata()?.len();
    manifest.digest = digest(&file, manifest.bytes)?;
    let said = postcard::to_stdvec(manifest).map_err(io::Error::other)?;
    let mut end = said.clone();
    end.extend_from_slice(&(said.len() as u64).to_le_bytes());
    end.extend_from_slice(blake3::hash(&said).as_bytes());
    end.extend_from_slice(&MAGIC);
    file.seek(SeekFrom::End(0))?;
    file.write_all(&end)?;
    file.sync_all()?;
    fs::rename(data, part)?;
    // The name has to be on the disk, too.
    part.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

impl Part {
    /// Reads what a part says of itself; its results are not looked at.
    fn read(plan: &Plan, shard: u32, path: &Path) -> Result<Self, String> {
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let manifest = read_manifest(&mut file).map_err(|error| error.to_string())?;
        if manifest.plan != plan.digest || manifest.shard != shard {
            return Err("it is a part of something else".into());
        }
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// Whether its results are what they were when it was written.
    pub(crate) fn is_sound(&self) -> bool {
        let digest = self.open_file().and_then(|file| digest(&file, self.manifest.bytes));
        digest.is_ok_and(|digest| digest == self.manifest.digest)
    }

    /// Its file: the results stand in front.
    pub(crate) fn open_file(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Puts a damaged part aside, so that it is neither taken for one nor lost.
    pub(crate) fn set_aside(&self) {
        set_aside(&self.path);
    }
}

fn set_aside(path: &Path) {
    let _ = fs::rename(path, path.with_extension("damaged"));
}

fn read_manifest(file: &mut File) -> io::Result<Manifest> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it is not whole");
    let len = file.metadata()?.len();
    let end = len.checked_sub(TRAILER).ok_or_else(wrong)?;
    let mut trailer = [0; TRAILER as usize];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut trailer)?;
    let (said, rest) = trailer.split_at(8);
    let (hash, magic) = rest.split_at(32);
    let said = u64::from_le_bytes(said.try_into().map_err(|_| wrong())?);
    if magic != MAGIC || said > MANIFEST_BYTES {
        return Err(wrong());
    }
    let at = end.checked_sub(said).ok_or_else(wrong)?;
    let mut bytes = vec![0; usize::try_from(said).map_err(|_| wrong())?];
    pread_exact(file.as_fd(), &mut bytes, at).map_err(io::Error::other)?;
    if blake3::hash(&bytes).as_bytes() != hash {
        return Err(wrong());
    }
    let manifest: Manifest = postcard::from_bytes(&bytes).map_err(|_| wrong())?;
    if manifest.bytes == at { Ok(manifest) } else { Err(wrong()) }
}

/// BLAKE3 of the first `len` bytes of a file.
fn digest(file: &File, len: u64) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(STEP).min(STEP)];
    let mut at = 0;
    while at < len {
        let step = &mut buffer[..usize::try_from(len - at).unwrap_or(STEP).min(STEP)];
        pread_exact(file.as_fd(), step, at).map_err(io::Error::other)?;
        hasher.update(step);
        at += step.len() as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// The parts of a plan that are there, by shard; damaged ones are put aside.
#[derive(Debug, Default)]
pub(crate) struct Found {
    paths: std::collections::BTreeMap<u32, Vec<PathBuf>>,
}

impl Found {
    /// Looks into the folder of parts: one listing, however many shards.
    pub(crate) fn look(plan: &Plan) -> Result<Self, Failure> {
        let folder = plan.parts();
        let mut found = Self::default();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(|error| Failure::input(format!("{}: {error}", folder.display())))?,
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".part")) else { continue };
            let mut words = name.splitn(3, '.');
            let (Some(Ok(shard)), Some(digest)) = (words.next().map(str::parse), words.next()) else { continue };
            if digest == plan.short_digest() {
                found.paths.entry(shard).or_default().push(entry.path());
            }
        }
        // Of several attempts always the same one is looked at first.
        found.paths.values_mut().for_each(|paths| paths.sort_unstable());
        Ok(found)
    }

    /// A whole part of this shard. With `soundly`, its results are compared with their digest.
    pub(crate) fn part(&self, plan: &Plan, shard: u32, soundly: bool) -> Option<Part> {
        for path in self.paths.get(&shard).into_iter().flatten() {
            match Part::read(plan, shard, path) {
                Ok(part) if !soundly || part.is_sound() => return Some(part),
                _ => set_aside(path),
            }
        }
        None
    }

    /// Shards of which there is something.
    pub(crate) fn shards(&self) -> impl Iterator<Item = u32> + '_ {
        self.paths.keys().copied()
    }

    /// Shards without a whole part, as far as that can be seen without reading results.
    pub(crate) fn missing(&self, plan: &Plan) -> Vec<u32> {
        let all = 0..u32::try_from(plan.shards.len()).unwrap_or(u32::MAX);
        all.filter(|shard| self.part(plan, *shard, false).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> PathBuf {
        let (data, part) = (folder.join(".data"), folder.join("a.part"));
        fs::write(&data, b"results").expect("room");
        write(&data, &part, &mut Manifest { shard: 3, items: 7, ..Manifest::default() }).expect("room");
        part
    }

    #[test]
    fn a_part_says_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = written(folder.path());
        let mut file = File::open(part).expect("it is there");
        let manifest = read_manifest(&mut file).expect("whole");
        assert_eq!((manifest.shard, manifest.items, manifest.bytes), (3, 7, 7));
        assert_eq!(manifest.digest, *blake3::hash(b"results").as_bytes());
    }

    #[test]
    fn any_byte_that_changes_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(folder.path());
        let whole = fs::read(&path).expect("it is there");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            fs::write(&path, &bytes).expect("room");
            let mut file = File::open(&path).expect("it is there");
            let is_sound = read_manifest(&mut file)
                .is_ok_and(|manifest| digest(&file, manifest.bytes).is_ok_and(|digest| digest == manifest.digest));
            assert!(!is_sound, "byte {at}");
            fs::write(&path, &whole[..at]).expect("room");
            assert!(read_manifest(&mut File::open(&path).expect("it is there")).is_err(), "cut at {at}");
        }
    }
}
