//! Telling whether an input is still the file that it was.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use taskhost_os::exact::{ExactError, pread_exact};

/// Files up to this size are hashed whole, which takes some 40 ms.
const WHOLE_BYTES: u64 = 64 << 20;

/// Bytes hashed at either end of a larger file: where headers and directories of file formats stand, and where a file
/// that grows has grown.
const EDGE_BYTES: u64 = 1 << 20;

/// Blocks hashed in between …
const BLOCKS: u64 = 256;

/// … each of so many bytes: one page, so that nothing is read that is not hashed.
const BLOCK_BYTES: u64 = 4096;

/// Bytes read at a time.
const STEP_BYTES: u64 = 1 << 20;

/// What an input was when the run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPrint {
    /// Its name: a path as it was given, or `-`.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: InputKind,
}

/// What an input is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputKind {
    /// Something that can be read only once, so that nothing is known of it.
    Pipe,
    /// A regular file.
    File {
        /// Its bytes.
        bytes: u64,
        /// When it was last changed, in nanoseconds since 1970.
        modified: i64,
        /// Its [`fingerprint`].
        digest: [u8; 32],
    },
}

/// How an input differs from what it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Changed {
    /// There is another input in its place.
    #[error("the input was {before} when the run began, and is {now} now")]
    Name {
        /// Its name in the journal.
        before: String,
        /// The name of the one compared with it.
        now: String,
    },
    /// It was a file and is a pipe, or the other way.
    #[error("{name} was {before} when the run began, and is {now} now")]
    Kind {
        /// The input.
        name: String,
        /// What it was.
        before: &'static str,
        /// What it is.
        now: &'static str,
    },
    /// It has grown or shrunk.
    #[error("{name} had {before} bytes when the run began, and has {now} now")]
    Size {
        /// The input.
        name: String,
        /// Its bytes when the run began.
        before: u64,
        /// Its bytes now.
        now: u64,
    },
    /// There are other bytes in it.
    #[error("the content of {name} is not what it was when the run began")]
    Content {
        /// The input.
        name: String,
    },
    /// It is too large to be compared whole, and was written to.
    #[error("{name} was written to since the run began: its modification time moved by {}", seconds(*.before, *.now))]
    Modified {
        /// The input.
        name: String,
        /// When it had been changed last when the run began, in nanoseconds since 1970.
        before: i64,
        /// The same, now.
        now: i64,
    },
}

impl InputPrint {
    /// The input at `path`. What is no regular file counts as a pipe, and is not opened.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or gets shorter meanwhile.
    pub fn of(path: &Path) -> io::Result<Self> {
        let name = path.as_os_str().as_bytes().to_vec();
        if !fs::metadata(path)?.is_file() {
            return Ok(Self { name, kind: InputKind::Pipe });
        }
        // Should a named pipe have taken its place, this does not wait for somebody who writes.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        Self::of_file(name, &file)
    }

    /// The input that is open as `file`.
    ///
    /// # Errors
    /// When it cannot be read, or gets shorter meanwhile.
    pub fn of_file(name: Vec<u8>, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Self { name, kind: InputKind::Pipe });
        }
        let bytes = metadata.len();
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let digest = fingerprint(file, bytes).map_err(io::Error::other)?;
        Ok(Self { name, kind: InputKind::File { bytes, modified, digest } })
    }

    /// Whether `now` has the same content. Of pipes nothing is known, and nothing is said. The modification time
    /// counts only where the content is not compared whole.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, now: &Self) -> Result<(), Changed> {
        let name = String::from_utf8_lossy(&self.name).into_owned();
        if self.name != now.name {
            return Err(Changed::Name { before: name, now: String::from_utf8_lossy(&now.name).into_owned() });
        }
        let (
            InputKind::File { bytes, modified, digest },
            InputKind::File { bytes: size, modified: time, digest: other },
        ) = (&self.kind, &now.kind)
        else {
            let (before, now) = (self.kind.name(), now.kind.name());
            return if before == now { Ok(()) } else { Err(Changed::Kind { name, before, now }) };
        };
        if bytes != size {
            return Err(Changed::Size { name, before: *bytes, now: *size });
        }
        if digest != other {
            return Err(Changed::Content { name });
        }
        if *bytes > WHOLE_BYTES && modified != time {
            return Err(Changed::Modified { name, before: *modified, now: *time });
        }
        Ok(())
    }
}

impl InputKind {
    fn name(&self) -> &'static str {
        match self {
            Self::Pipe => "a pipe",
            Self::File { .. } => "a file",
        }
    }
}

/// BLAKE3 of what tells the first `len` bytes of a file from others: up to 64 MiB all of them, of a larger file its
/// length, 1 MiB at either end and 256 pages in between.
///
/// # Errors
/// When it cannot be read, or is shorter.
pub fn fingerprint(file: &File, len: u64) -> Result<[u8; 32], ExactError> {
    let mut hasher = blake3::Hasher::new();
    if len <= WHOLE_BYTES {
        hash_range(&mut hasher, file, 0, len)?;
        return Ok(*hasher.finalize().as_bytes());
    }
    hasher.update(&len.to_le_bytes());
    hash_range(&mut hasher, file, 0, EDGE_BYTES)?;
    for block in 0..BLOCKS {
        hash_range(&mut hasher, file, block_at(len, block), BLOCK_BYTES)?;
    }
    hash_range(&mut hasher, file, len - EDGE_BYTES, EDGE_BYTES)?;
    Ok(*hasher.finalize().as_bytes())
}

/// Where a block begins: evenly spread over what is between the edges, at the begin of a page.
fn block_at(len: u64, block: u64) -> u64 {
    let stride = (len - 2 * EDGE_BYTES) / BLOCKS;
    let at = EDGE_BYTES + block * stride;
    at - at % BLOCK_BYTES
}

/// Adds the bytes from `from` on to a hash.
pub(super) fn hash_range(hasher: &mut blake3::Hasher, file: &File, from: u64, len: u64) -> Result<(), ExactError> {
    let mut buffer = vec![0; usize::try_from(len.min(STEP_BYTES)).expect("at most 1 MiB")];
    let mut done = 0;
    while done < len {
        let step = usize::try_from((len - done).min(STEP_BYTES)).expect("at most 1 MiB");
        let part = buffer.get_mut(..step).unwrap_or_default();
        pread_exact(file.as_fd(), part, from.saturating_add(done))?;
        hasher.update(part);
        done += step as u64;
    }
    Ok(())
}

/// For a message: how much later, or earlier.
fn seconds(before: i64, now: i64) -> String {
    format!("{:.3} s", now.saturating_sub(before) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    use taskhost_os::exact::pwrite_all;

    /// Larger than what is hashed whole; it has no bytes on the disk.
    const LARGE: u64 = WHOLE_BYTES + 12_345_678;

    fn set_time(file: &File, nanoseconds: u64) {
        file.set_modified(UNIX_EPOCH + Duration::from_nanos(nanoseconds)).unwrap();
    }

    #[test]
    fn a_small_file_is_what_its_bytes_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.txt");
        fs::write(&path, "hello").unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        set_time(&file, 5_000_000_001);
        let before = InputPrint::of(&path).unwrap();
        let kind = InputKind::File { bytes: 5, modified: 5_000_000_001, digest: *blake3::hash(b"hello").as_bytes() };
        assert_eq!(before.kind, kind);
        set_time(&file, 7_000_000_000);
        before.compare(&InputPrint::of(&path).unwrap()).unwrap();
        let name = path.display();
        fs::write(&path, "hallo").unwrap();
        let changed = before.compare(&InputPrint::of(&path).unwrap()).unwrap_err();
        assert_eq!(changed.to_string(), format!("the content of {name} is not what it was when the run began"));
        fs::write(&path, "hello!").unwrap();
        let changed = before.compare(&InputPrint::of(&path).unwrap()).unwrap_err();
        assert_eq!(changed.to_string(), format!("{name} had 5 bytes when the run began, and has 6 now"));
    }

    #[test]
    fn a_large_file_is_known_by_samples_and_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.raw");
        let file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
        file.set_len(LARGE).unwrap();
        set_time(&file, 5_000_000_000);
        let before = InputPrint::of(&path).unwrap();
        for at in [0, EDGE_BYTES - 1, block_at(LARGE, 0), block_at(LARGE, 100) + 1, LARGE - EDGE_BYTES, LARGE - 1] {
            pwrite_all(file.as_fd(), &[1], at).unwrap();
            set_time(&file, 5_000_000_000);
            let changed = before.compare(&InputPrint::of(&path).unwrap()).unwrap_err();
            assert_eq!(changed, Changed::Content { name: path.display().to_string() }, "byte {at}");
            pwrite_all(file.as_fd(), &[0], at).unwrap();
            set_time(&file, 5_000_000_000);
            before.compare(&InputPrint::of(&path).unwrap()).unwrap();
        }
        // A byte between the samples.
        pwrite_all(file.as_fd(), &[1], block_at(LARGE, 7) + BLOCK_BYTES).unwrap();
        set_time(&file, 4_500_000_000);
        let changed = before.compare(&InputPrint::of(&path).unwrap()).unwrap_err();
        assert!(changed.to_string().ends_with("its modification time moved by -0.500 s"), "{changed}");
    }

    #[test]
    fn blocks_lie_between_the_edges() {
        for len in [WHOLE_BYTES + 1, LARGE, 1 << 40, u64::MAX / 4] {
            let at: Vec<u64> = (0..BLOCKS).map(|block| block_at(len, block)).collect();
            assert!(at.windows(2).all(|pair| pair[0] < pair[1]), "{len}");
            assert!(at[0] >= EDGE_BYTES && at[255] + BLOCK_BYTES <= len - EDGE_BYTES);
        }
    }

    #[test]
    fn other_inputs_and_other_kinds_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        fs::write(&path, "hello").unwrap();
        let file = InputPrint::of(&path).unwrap();
        let pipe = InputPrint { name: file.name.clone(), kind: InputKind::Pipe };
        let name = path.display();
        let changed = file.compare(&pipe).unwrap_err();
        assert_eq!(changed.to_string(), format!("{name} was a file when the run began, and is a pipe now"));
        pipe.compare(&pipe).unwrap();
        let other = InputPrint { name: b"other".to_vec(), kind: InputKind::Pipe };
        let changed = other.compare(&pipe).unwrap_err();
        assert_eq!(changed.to_string(), format!("the input was other when the run began, and is {name} now"));
        assert_eq!(InputPrint::of(Path::new("/dev/null")).unwrap().kind, InputKind::Pipe);
        let missing = InputPrint::of(&folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
