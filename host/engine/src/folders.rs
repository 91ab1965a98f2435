//! Folders that the user grants to a kernel (`--dir`): opened once, when the kernel is loaded, and given to each instance.
//! Nothing is opened by its name afterwards; what a kernel names is looked up below these by `wasmtime-wasi`.

use std::path::PathBuf;

use taskhost_protocol::fault::Refusal;
use wasmtime_wasi::filesystem::{WasiFilesystemCtx, WasiFilesystemView};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// A folder that the kernel may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderGrant {
    /// Where it is, for this process and now.
    pub path: PathBuf,
    /// What the kernel calls it.
    pub guest: String,
    /// Whether files in it may be written, made and deleted.
    pub writable: bool,
}

/// All of them, open.
pub(crate) struct Folders(WasiFilesystemCtx);

impl Folders {
    /// Opens them; `None` when there are none.
    pub(crate) fn open(grants: &[FolderGrant]) -> Result<Option<Self>, Refusal> {
        if grants.is_empty() {
            return Ok(None);
        }
        let mut builder = WasiCtxBuilder::new();
        // There is one thread, and its files are local.
        builder.allow_blocking_current_thread(true);
        for FolderGrant { path, guest, writable } in grants {
            let permissions = if *writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            builder.preopened_dir(path, guest, permissions).map_err(|error| {
                Refusal::Setting(format!("the folder that the kernel calls {guest} cannot be opened: {error:#}"))
            })?;
        }
        Ok(Some(Self(builder.build_p1().filesystem().ctx.clone())))
    }

    /// Gives them to a context.
    pub(crate) fn give(&self, context: &mut impl WasiFilesystemView) {
        *context.filesystem().ctx = self.0.clone();
    }
}
