//! Compiled kernels: found in the cache, or made by a compile worker and put there.

mod cache;
mod compile;
mod key;
mod limits;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use taskhost_protocol::kernel::{CompileOptions, KernelInfo};

use crate::error::PoolError;
use crate::runner::process::Starter;

pub(crate) use compile::check_hello;

pub use cache::{Cache, CacheEntry, CacheError};
pub use key::{ArtifactKey, Digest};

/// A kernel that can be run.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What is known of it.
    pub info: KernelInfo,
    /// Digest of its file.
    pub digest: Digest,
    /// Whether it was compiled just now.
    pub compiled: bool,
    /// Its code, in a sealed memfd: a copy, so that nobody can change what workers map.
    pub(crate) code: Arc<OwnedFd>,
}

/// Finds the artifact of a kernel, or has it made. `bytes` is the kernel's file, `name` what `cache ls` calls it.
///
/// # Errors
/// When the kernel is refused or the compile worker dies. A cache that cannot be read or written is no error: the
/// kernel is compiled again, and `warn` is told.
pub(crate) fn obtain(
    bytes: &[u8],
    name: &str,
    options: CompileOptions,
    cache: Option<&Cache>,
    starter: &mut Starter,
    warn: &mut dyn FnMut(String),
) -> Result<Artifact, PoolError> {
    let digest = Digest::of(bytes);
    let key = ArtifactKey::new(&digest, options)?;
    if let Some(cache) = cache {
        match cache.load(&key) {
            Ok(Some((info, code))) => return Ok(Artifact { info, digest, compiled: false, code: Arc::new(code) }),
            Ok(None) => {}
            Err(error) => warn(format!("{error}; compiling the kernel again")),
        }
    }
    let made = compile::compile(bytes, options, starter)?;
    if let Some(cache) = cache
        && let Err(error) = cache.store(&key, name, &made)
    {
        warn(format!("{error}; the next run will have to compile the kernel again"));
    }
    Ok(Artifact { info: made.info, digest, compiled: true, code: Arc::new(made.code) })
}
