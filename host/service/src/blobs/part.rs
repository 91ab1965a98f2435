//! A content that comes in parts: what has come stays in a file of its own until the rest has, or nobody wants it any more.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::NewBlob;
use super::sha256::Hasher;
use crate::tenant::TenantId;
use crate::time::Moment;

/// What has come of a content. Dropping it leaves it as it is.
#[derive(Debug)]
pub struct Part {
    tenant: TenantId,
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Part {
    /// Opens what is in this file, which is made when it is not there; with nothing in it when all is to come anew.
    pub(super) fn open(tenant: TenantId, path: PathBuf, is_anew: bool) -> io::Result<Self> {
        // Nobody else reads it, and its own server may write to it again.
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(is_anew).mode(0o600);
        let file = match options.open(&path) {
            // All of it had come when its server was killed: it is no content, and is not written to any more.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                fs::remove_file(&path)?;
                options.open(&path)?
            }
            file => file?,
        };
        let bytes = file.metadata()?.len();
        Ok(Self { tenant, path, file, bytes })
    }

    /// Adds bytes behind those that have come.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what has come.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.bytes = 0;
        Ok(())
    }

    /// Bytes that have come.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// All of it has come: reads it to know what it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn whole(mut self) -> io::Result<NewBlob> {
        self.file.rewind()?;
        let (mut hasher, mut sha256) = (blake3::Hasher::new(), Hasher::new());
        let mut buffer = vec![0; 256 << 10];
        loop {
            match self.file.read(&mut buffer)? {
                0 => break,
                read => {
                    hasher.update(&buffer[..read]);
                    sha256.update(&buffer[..read]);
                }
            }
        }
        // As of every content: nobody may write to it.
        self.file.set_permissions(Permissions::from_mode(0o400))?;
        Ok(NewBlob { tenant: self.tenant, path: self.path, file: self.file, hasher, sha256 })
    }
}

/// Bytes that have come into this file, and when the last of them did; `None` when there is none.
pub(super) fn so_far(path: &Path) -> io::Result<Option<(u64, Moment)>> {
    match fs::metadata(path) {
        Ok(file) => {
            let last = Moment(file.mtime().saturating_mul(1000).saturating_add(file.mtime_nsec() / 1_000_000));
            Ok(Some((file.len(), last)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
