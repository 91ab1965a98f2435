//! The data folder: where everything is, and the lock that keeps a second server out.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process has it.
    #[error("{0} is in use by another server: stop that one, or name another folder with --data")]
    InUse(PathBuf),
    /// Somebody else could read or change what is in it.
    #[error("{0} belongs to, or is open to, other users: make it one of your own (chmod 700)")]
    NotOurs(PathBuf),
    /// The system refuses.
    #[error("the data folder {path} cannot be used: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A data folder and the lock on it, held until this is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// The file of the database.
pub(crate) const DATABASE: &str = "store.db";

/// Permissions that nobody but the owner may have.
const OTHERS: u32 = 0o077;

impl DataFolder {
    /// Takes the folder, which is made when it is missing.
    ///
    /// # Errors
    /// [`DataError::InUse`] while another process has it.
    pub fn take(path: &Path) -> Result<Self, DataError> {
        let failed = |error| DataError::Io { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        let folder = fs::metadata(&path).map_err(failed)?;
        if folder.uid() != rustix::process::geteuid().as_raw() || folder.mode() & OTHERS != 0 {
            return Err(DataError::NotOurs(path));
        }
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join("lock")).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataError::InUse(path)),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The folder of everything that is one tenant's alone.
    #[must_use]
    pub fn of_tenant(&self, tenant: crate::tenant::TenantId) -> PathBuf {
        self.path.join("tenants").join(tenant.0.to_string())
    }
}

/// The socket on which the server of a data folder listens to its operator.
#[must_use]
pub fn admin_socket(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_at_a_time() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("data");
        let first = DataFolder::take(&path).expect("it is free");
        assert!(matches!(DataFolder::take(&path), Err(DataError::InUse(_))));
        drop(first);
        DataFolder::take(&path).expect("it is free again");
    }

    #[test]
    fn nobody_else_may_look_into_it() {
        let place = tempfile::tempdir().expect("a folder");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        assert!(matches!(DataFolder::take(place.path()), Err(DataError::NotOurs(_))));
    }
}
