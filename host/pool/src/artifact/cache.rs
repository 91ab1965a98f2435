//! The cache of artifacts: one file each, written atomically, with a MAC under a key that only this user can read.
//!
//! An artifact is native code that workers run, so a file is loaded only when its MAC holds; anything else is compiled
//! again. What is loaded is copied into memory first: the file may change afterwards, the copy cannot.
//!
//! ```text
//! <cache>/key                     32 random bytes, mode 0600
//! <cache>/artifacts/<key>.cwasm   magic, MAC, three lengths, name, info, code
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use taskhost_os::atomic_file::{AtomicFile, Durability};
use taskhost_os::memfd;
use taskhost_protocol::frame;
use taskhost_protocol::kernel::KernelInfo;
use taskhost_protocol::limits::{ARTIFACT_BYTES, KERNEL_INFO_BYTES, SOURCE_NAME_BYTES};

use super::compile::Made;
use super::key::ArtifactKey;

const MAGIC: &[u8; 16] = b"taskhost-code-1\n";
const MAC_BYTES: usize = 32;

/// A link in place of a file of the cache is not followed, and a pipe in its place is not waited for.
const NO_FOLLOW: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

const HEAD: usize = MAGIC.len() + MAC_BYTES + 3 * 8;

/// Why the cache could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file or folder of it cannot be used.
    #[error("the cache at {path} cannot be used: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not what was written.
    #[error("{0} in the cache is damaged or was not made by this user")]
    Damaged(PathBuf),
}

/// A folder of artifacts.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    key: [u8; 32],
}

/// One artifact, for `cache ls`.
#[derive(Clone, Debug)]
pub struct CacheEntry {
    /// The file.
    pub path: PathBuf,
    /// The kernel's name when it was compiled; `None` for a file that cannot be read.
    pub name: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
    /// When it was made.
    pub made: SystemTime,
}

impl Cache {
    /// Opens the cache in `folder`, which is created when needed.
    ///
    /// # Errors
    /// When it cannot be created or its key cannot be read.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let artifacts = folder.join("artifacts");
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| CacheError::Io { path, error }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&artifacts).map_err(at(&artifacts))?;
        let path = folder.join("key");
        let key = match read_key(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(&path).map_err(at(&path))?,
            result => result.map_err(at(&path))?,
        };
        Ok(Self { folder: artifacts, key })
    }

    /// The folder of the artifacts.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, key: &ArtifactKey) -> PathBuf {
        self.folder.join(format!("{key}.cwasm"))
    }

    fn mac(&self, key: &ArtifactKey, rest: &[u8]) -> [u8; MAC_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The file's name is part of what is vouched for: two files cannot be exchanged.
        hasher.update(key.bytes());
        hasher.update(rest);
        *hasher.finalize().as_bytes()
    }

    /// The artifact of that name. A damaged one is deleted and reported.
    pub(crate) fn load(&self, key: &ArtifactKey) -> Result<Option<(KernelInfo, OwnedFd)>, CacheError> {
        let path = self.path(key);
        let bytes = match read_capped(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CacheError::Io { path, error }),
        };
        let loaded = self.check(key, &bytes).and_then(|layout| {
            let info = frame::decode_info(&bytes[layout.info()]).ok()?;
            let code = memfd::sealed_copy(c"taskhost-code", &bytes[layout.code()]).ok()?;
            Some((info, code))
        });
        if loaded.is_none() {
            // Gone or not, the next run compiles; what matters is that this file is not loaded.
            let _ = fs::remove_file(&path);
            return Err(CacheError::Damaged(path));
        }
        Ok(loaded)
    }

    fn check(&self, key: &ArtifactKey, bytes: &[u8]) -> Option<Layout> {
        let layout = Layout::read(bytes)?;
        let (mac, rest) = bytes.get(MAGIC.len()..)?.split_at_checked(MAC_BYTES)?;
        // `blake3::Hash` compares in constant time.
        let expected = blake3::Hash::from_bytes(self.mac(key, rest));
        (expected == blake3::Hash::from_slice(mac).ok()?).then_some(layout)
    }

    /// Puts an artifact into the cache.
    pub(crate) fn store(&self, key: &ArtifactKey, name: &str, made: &Made) -> Result<(), CacheError> {
        let path = self.path(key);
        let name = &name.as_bytes()[..name.len().min(SOURCE_NAME_BYTES)];
        let mut rest = Vec::with_capacity(made.info_bytes.len() + made.code_bytes.len() + HEAD);
        for len in [name.len(), made.info_bytes.len(), made.code_bytes.len()] {
            rest.extend_from_slice(&(len as u64).to_le_bytes());
        }
        rest.extend_from_slice(name);
        rest.extend_from_slice(&made.info_bytes);
        rest.extend_from_slice(&made.code_bytes);
        let write = || {
            let file = AtomicFile::create(&path).map_err(io::Error::other)?;
            let mut out = file.file();
            out.write_all(MAGIC)?;
            out.write_all(&self.mac(key, &rest))?;
            out.write_all(&rest)?;
            // After a loss of power a damaged file is found by its MAC.
            file.commit(Durability::Process).map_err(io::Error::other)
        };
        write().map_err(|error: io::Error| CacheError::Io { path: path.clone(), error })
    }

    /// All artifacts, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<CacheEntry>, CacheError> {
        let at = |error| CacheError::Io { path: self.folder.clone(), error };
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(at)? {
            let entry = entry.map_err(at)?;
            let path = entry.path();
            // Another process may be clearing the cache.
            let Ok(meta) = entry.metadata() else { continue };
            let name = read_name(&path);
            entries.push(CacheEntry { path, name, bytes: meta.len(), made: meta.modified().map_err(at)? });
        }
        entries.sort_by(|a, b| (a.made, &a.path).cmp(&(b.made, &b.path)));
        Ok(entries)
    }

    /// Deletes all artifacts and says how many there were, and their bytes.
    ///
    /// # Errors
    /// When one cannot be deleted.
    pub fn clear(&self) -> Result<(usize, u64), CacheError> {
        let entries = self.list()?;
        for entry in &entries {
            match fs::remove_file(&entry.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(CacheError::Io { path: entry.path.clone(), error });
                }
                _ => {}
            }
        }
        Ok((entries.len(), entries.iter().map(|entry| entry.bytes).sum()))
    }
}

/// Where the parts of an artifact file are.
struct Layout {
    name: usize,
    info: usize,
    code: usize,
}

impl Layout {
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..MAGIC.len())? != MAGIC {
            return None;
        }
        let number = |at: usize| -> Option<usize> {
            let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let at = MAGIC.len() + MAC_BYTES;
        let layout = Self { name: number(at)?, info: number(at + 8)?, code: number(at + 16)? };
        let total = HEAD.checked_add(layout.name)?.checked_add(layout.info)?.checked_add(layout.code)?;
        (total == bytes.len() && layout.info as u64 <= KERNEL_INFO_BYTES).then_some(layout)
    }

    fn info(&self) -> std::ops::Range<usize> {
        let start = HEAD + self.name;
        start..start + self.info
    }

    fn code(&self) -> std::ops::Range<usize> {
        let start = HEAD + self.name + self.info;
        start..start + self.code
    }
}

fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file"));
    }
    let len = found.len();
    if len > ARTIFACT_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any artifact"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(ARTIFACT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The name in front of an artifact, for people; nothing depends on it.
fn read_name(path: &Path) -> Option<String> {
    let mut head = vec![0; HEAD + SOURCE_NAME_BYTES];
    let mut file = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path).ok()?;
    let mut got = 0;
    while let Ok(read @ 1..) = file.read(&mut head[got..]) {
        got += read;
    }
    if head.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    let at = MAGIC.len() + MAC_BYTES;
    let len = usize::try_from(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?)).ok()?;
    let name = head.get(HEAD..HEAD.checked_add(len)?.min(got))?;
    Some(String::from_utf8_lossy(name).into_owned())
}

fn read_key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    let mut file = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path)?;
    file.read_exact(&mut key)?;
    Ok(key)
}

/// Makes the key. When another process makes one at the same time, the one that was first counts.
fn make_key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    // Written aside and linked into place, so that nobody ever reads half a key.
    let aside = path.with_extension(format!("{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&key)?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_key(path),
        result => result.map(|()| key),
    }
}
