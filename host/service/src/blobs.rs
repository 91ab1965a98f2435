//! Contents by digest. One folder for each tenant, so that nobody can tell, by time or by space, what others have stored.
//!
//! [`Blobs`] is all that the service asks of a store of contents; [`LocalBlobs`] keeps them in files that appear whole or
//! not at all.

mod part;
mod sha256;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::random;
use crate::tenant::TenantId;
use crate::time::Moment;

pub use part::Part;
pub use sha256::{ContentName, ContentNameError, Sha256};

/// What a content is known by: its BLAKE3, written `blake3:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is blake3: and 64 hexadecimal digits in lower case")]
pub struct DigestError;

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The 64 digits alone.
    #[must_use]
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "blake3:{}", self.hex())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text.strip_prefix("blake3:").ok_or(DigestError)?;
        // One content has one name.
        if hex.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(DigestError);
        }
        blake3::Hash::from_hex(hex).map(|hash| Self(*hash.as_bytes())).map_err(|_| DigestError)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A part of a content: from the first byte up to the second exclusively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(expecting = "a range, [FIRST, END] in bytes")]
pub struct Range(pub u64, pub u64);

impl Range {
    /// How many bytes it has of a content of so many; `None` when it does not lie in it.
    #[must_use]
    pub fn bytes_of(self, all: u64) -> Option<u64> {
        (self.1 <= all).then(|| self.1.checked_sub(self.0)).flatten()
    }
}

/// What is left of a content that was removed, until this is dropped.
#[derive(Debug)]
pub struct Freed(#[expect(dead_code, reason = "it is held")] Option<File>);

/// A store of contents.
pub trait Blobs: Send + Sync {
    /// Begins a content whose bytes are still to come.
    ///
    /// # Errors
    /// When there is no place for it.
    fn begin(&self, tenant: TenantId) -> io::Result<NewBlob>;

    /// Keeps what was written, under its digest, and has it on the disk. One that is there already stays.
    ///
    /// # Errors
    /// When it cannot be written as a whole; then it is not there.
    fn keep(&self, blob: NewBlob) -> io::Result<(Digest, u64)>;

    /// Opens a content for reading; `None` when there is none of this digest.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn open(&self, tenant: TenantId, digest: &Digest) -> io::Result<Option<File>>;

    /// Lays the content out as a file of this name, which nobody may write.
    ///
    /// # Errors
    /// When there is no such content, or the file cannot be made.
    fn lay_out(&self, tenant: TenantId, digest: &Digest, path: &Path) -> io::Result<()>;

    /// The same with a part of the content.
    ///
    /// # Errors
    /// The same, or when the part does not lie in it.
    fn lay_out_part(&self, tenant: TenantId, digest: &Digest, range: Range, path: &Path) -> io::Result<()>;

    /// Forgets a content. One that is not there is no error. Its room is free when what is returned is dropped: that may take as
    /// long as the disk takes for all of it.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, tenant: TenantId, digest: &Digest) -> io::Result<Freed>;

    /// Opens what has come of a content that comes in parts, to add to it; nothing has yet when all is to come anew. It is in nobody's
    /// way, and stays when a server ends.
    ///
    /// # Errors
    /// When there is no place for it.
    fn part(&self, tenant: TenantId, digest: &Digest, is_anew: bool) -> io::Result<Part>;

    /// Bytes that have come of it, and when the last of them did; `None` when there is nothing.
    ///
    /// # Errors
    /// When that cannot be read.
    fn part_so_far(&self, tenant: TenantId, digest: &Digest) -> io::Result<Option<(u64, Moment)>>;

    /// Forgets what has come of it. What is not there is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn forget_part(&self, tenant: TenantId, digest: &Digest) -> io::Result<()>;

    /// Calls `work` while nothing is removed; meanwhile [`Blobs::remove`] fails.
    ///
    /// # Errors
    /// Those of `work`.
    fn while_all_stay(&self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;
}

/// A content that is being written. Dropping it forgets it.
#[derive(Debug)]
pub struct NewBlob {
    tenant: TenantId,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    sha256: sha256::Hasher,
}

impl NewBlob {
    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.sha256.update(bytes);
        self.file.write_all(bytes)
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.hasher.count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of what was written so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// Its SHA-256; `None` in a program that has nobody who would ask for it.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256> {
        self.sha256.sha256()
    }

    /// Whether it is what somebody calls it.
    #[must_use]
    pub fn is(&self, name: ContentName) -> bool {
        match name {
            ContentName::Blake3(digest) => self.digest() == digest,
            ContentName::Sha256(sha256) => self.sha256() == Some(sha256),
        }
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        // One that was kept has another name by now.
        let _ = fs::remove_file(&self.path);
    }
}

/// The folder of a tenant with contents that come in parts.
pub(crate) const PARTS: &str = "uploads";

/// Contents in a folder of this machine.
#[derive(Clone, Debug)]
pub struct LocalBlobs {
    tenants: PathBuf,
    /// Held by whoever removes, and by whoever wants everything to stay.
    removal: Arc<Mutex<()>>,
}

impl LocalBlobs {
    /// Those below `data`. What was being written when a server died is removed.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        let tenants = data.join("tenants");
        let folders = fs::read_dir(&tenants).into_iter().flatten().filter_map(Result::ok);
        for folder in folders {
            let _ = fs::remove_dir_all(folder.path().join("incoming"));
        }
        Self { tenants, removal: Arc::default() }
    }

    fn folder(&self, tenant: TenantId, name: &str) -> PathBuf {
        self.tenants.join(tenant.0.to_string()).join(name)
    }

    /// Where what has come of a content is.
    fn part_place(&self, tenant: TenantId, digest: &Digest) -> PathBuf {
        self.folder(tenant, PARTS).join(digest.hex())
    }

    fn place(&self, tenant: TenantId, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder(tenant, "blobs").join(&hex[..2]).join(&hex[2..])
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file. One that is not there is no error.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Blobs for LocalBlobs {
    fn begin(&self, tenant: TenantId) -> io::Result<NewBlob> {
        let folder = self.folder(tenant, "incoming");
        make_folder(&folder)?;
        let path = folder.join(random::word(20));
        let file = OpenOptions::new().create_new(true).read(true).write(true).mode(0o400).open(&path)?;
        Ok(NewBlob { tenant, path, file, hasher: blake3::Hasher::new(), sha256: sha256::Hasher::new() })
    }

    fn keep(&self, blob: NewBlob) -> io::Result<(Digest, u64)> {
        let digest = blob.digest();
        let place = self.place(blob.tenant, &digest);
        if !place.exists() {
            let folder = place.parent().unwrap_or(&self.tenants);
            make_folder(folder)?;
            blob.file.sync_all()?;
            fs::rename(&blob.path, &place)?;
            // The name has to survive a power cut like the content; and the folder it is in, which may be new.
            for folder in folder.ancestors().take(2) {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok((digest, blob.len()))
    }

    fn open(&self, tenant: TenantId, digest: &Digest) -> io::Result<Option<File>> {
        match File::open(self.place(tenant, digest)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lay_out(&self, tenant: TenantId, digest: &Digest, path: &Path) -> io::Result<()> {
        fs::hard_link(self.place(tenant, digest), path)
    }

    fn lay_out_part(&self, tenant: TenantId, digest: &Digest, range: Range, path: &Path) -> io::Result<()> {
        let mut all = self.open(tenant, digest)?.ok_or(io::ErrorKind::NotFound)?;
        let bytes = range.bytes_of(all.metadata()?.len()).ok_or(io::ErrorKind::InvalidInput)?;
        all.seek(SeekFrom::Start(range.0))?;
        let mut part = OpenOptions::new().create_new(true).write(true).mode(0o400).open(path)?;
        // The system copies it, or lets both have the same blocks where it can.
        if io::copy(&mut all.take(bytes), &mut part)? != bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A run that is gone on with after a power cut reads what it has read before.
        part.sync_all()
    }

    fn remove(&self, tenant: TenantId, digest: &Digest) -> io::Result<Freed> {
        let _removal = self.removal.try_lock().map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        let place = self.place(tenant, digest);
        // A file that is open loses its name at once, and its bytes when it is closed.
        let freed = Freed(File::open(&place).ok());
        remove_file(&place).map(|()| freed)
    }

    fn part(&self, tenant: TenantId, digest: &Digest, is_anew: bool) -> io::Result<Part> {
        make_folder(&self.folder(tenant, PARTS))?;
        Part::open(tenant, self.part_place(tenant, digest), is_anew)
    }

    fn part_so_far(&self, tenant: TenantId, digest: &Digest) -> io::Result<Option<(u64, Moment)>> {
        part::so_far(&self.part_place(tenant, digest))
    }

    fn forget_part(&self, tenant: TenantId, digest: &Digest) -> io::Result<()> {
        remove_file(&self.part_place(tenant, digest))
    }

    fn while_all_stay(&self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let _removal = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: TenantId = TenantId(1);
    const BERT: TenantId = TenantId(2);

    fn store(blobs: &LocalBlobs, tenant: TenantId, bytes: &[u8]) -> Digest {
        let mut blob = blobs.begin(tenant).expect("there is a place");
        blob.write(bytes).expect("there is room");
        blobs.keep(blob).expect("it is kept").0
    }

    #[test]
    fn what_was_written_is_read_by_its_digest_and_by_its_owner() {
        let place = tempfile::tempdir().expect("a folder");
        let blobs = LocalBlobs::new(place.path());
        let digest = store(&blobs, ANNA, b"content");
        assert_eq!(digest, Digest::of(b"content"));
        assert_eq!(store(&blobs, ANNA, b"content"), digest);
        let mut text = String::new();
        blobs.open(ANNA, &digest).expect("readable").expect("there").read_to_string(&mut text).expect("text");
        assert_eq!(text, "content");
        assert!(blobs.open(BERT, &digest).expect("readable").is_none());
        blobs.remove(ANNA, &digest).expect("removed");
        assert!(blobs.open(ANNA, &digest).expect("readable").is_none());
    }

    #[test]
    fn a_part_is_laid_out_as_a_file_of_its_own() {
        let place = tempfile::tempdir().expect("a folder");
        let blobs = LocalBlobs::new(place.path());
        let digest = store(&blobs, ANNA, b"content");
        for (number, (range, text)) in
            [(Range(0, 3), "con"), (Range(2, 7), "ntent"), (Range(7, 7), "")].into_iter().enumerate()
        {
            let path = place.path().join(number.to_string());
            blobs.lay_out_part(ANNA, &digest, range, &path).expect("laid out");
            assert_eq!(fs::read_to_string(&path).expect("text"), text);
            assert!(fs::metadata(&path).expect("it is there").permissions().readonly());
        }
        let path = place.path().join("other");
        for range in [Range(0, 8), Range(5, 4)] {
            assert!(blobs.lay_out_part(ANNA, &digest, range, &path).is_err() && !path.exists());
        }
        assert!(blobs.lay_out_part(BERT, &digest, Range(0, 1), &path).is_err());
    }

    #[test]
    fn what_is_given_up_is_not_there() {
        let place = tempfile::tempdir().expect("a folder");
        let blobs = LocalBlobs::new(place.path());
        let mut blob = blobs.begin(ANNA).expect("there is a place");
        blob.write(b"half").expect("there is room");
        let path = blob.path.clone();
        assert!(path.exists());
        drop(blob);
        assert!(!path.exists());
        // A server that is killed drops nothing.
        std::mem::forget(blobs.begin(ANNA).expect("there is a place"));
        let incoming = place.path().join("tenants/1/incoming");
        assert_eq!(fs::read_dir(&incoming).expect("there").count(), 1);
        let _ = LocalBlobs::new(place.path());
        assert!(!incoming.exists());
    }

    #[test]
    fn what_comes_in_parts_stays_when_a_server_ends_and_is_a_content_when_all_has_come() {
        let place = tempfile::tempdir().expect("a folder");
        let digest = Digest::of(b"whole");
        for (text, before) in [("wh", 0), ("ole", 2)] {
            let blobs = LocalBlobs::new(place.path());
            let mut part = blobs.part(ANNA, &digest, false).expect("a place");
            assert_eq!(part.len(), before);
            part.write(text.as_bytes()).expect("room");
            let (bytes, last) = blobs.part_so_far(ANNA, &digest).expect("readable").expect("there");
            assert!(bytes == part.len() && last.since(Moment::now()) < std::time::Duration::from_secs(60));
            assert_eq!(blobs.part_so_far(BERT, &digest).expect("readable"), None);
            assert!(blobs.open(ANNA, &digest).expect("readable").is_none(), "it is no content yet");
        }
        let blobs = LocalBlobs::new(place.path());
        let whole = blobs.part(ANNA, &digest, false).and_then(Part::whole).expect("readable");
        assert_eq!(blobs.keep(whole).expect("kept"), (digest, 5));
        assert_eq!(blobs.part_so_far(ANNA, &digest).expect("readable"), None);
        let file = blobs.open(ANNA, &digest).expect("readable").expect("there");
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("there").permissions());
        assert_eq!(mode & 0o777, 0o400, "nobody may write to it");
        // Anew is from the beginning; and one that is not what it was to be leaves nothing.
        blobs.part(ANNA, &digest, false).expect("a place").write(b"other").expect("room");
        assert!(blobs.part(ANNA, &digest, true).expect("a place").is_empty());
        drop(blobs.part(ANNA, &digest, false).and_then(Part::whole).expect("readable"));
        assert_eq!(blobs.part_so_far(ANNA, &digest).expect("readable"), None);
        blobs.forget_part(ANNA, &digest).expect("it is gone anyway");
    }

    #[test]
    fn a_digest_is_written_in_one_way() {
        let digest = Digest::of(b"");
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        let others = [text.to_uppercase(), text.replace("blake3:", ""), format!("{text}0"), "blake3:".to_owned()];
        for other in others {
            assert_eq!(other.parse::<Digest>(), Err(DigestError), "{other}");
        }
    }
}
