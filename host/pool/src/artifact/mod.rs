//! Compiled kernels: found in the cache, or made by a compile worker and put there.

mod cache;
mod compile;
mod key;
mod limits;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use taskhost_os::spawn::Program;
use taskhost_protocol::kernel::{CompileOptions, Exports, KernelInfo, Kind};

use crate::error::PoolError;
use crate::runner::starter::Starter;

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
    let key = ArtifactKey::of_program(&digest, options, starter.program())?;
    if let Some(cache) = cache {
        if let Some((info, code)) = same_code(cache, &digest, options, starter.program())? {
            return Ok(Artifact { info, digest, compiled: false, code: Arc::new(code) });
        }
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

/// A component that was compiled as what it looks like, for a run that calls one of its functions: its code is the same,
/// and for a large one it takes long to be made.
fn same_code(
    cache: &Cache,
    digest: &Digest,
    options: CompileOptions,
    program: &Program,
) -> Result<Option<(KernelInfo, OwnedFd)>, PoolError> {
    if options.kind != Some(Kind::Typed) {
        return Ok(None);
    }
    let detected = ArtifactKey::of_program(digest, CompileOptions { kind: None, ..options }, program)?;
    // What is wrong with it is said when it is looked for as such.
    let Ok(Some((info, code))) = cache.load(&detected) else { return Ok(None) };
    if !matches!(info.kind, Kind::Component | Kind::Typed) {
        return Ok(None);
    }
    Ok(Some((KernelInfo { kind: Kind::Typed, exports: Exports::default(), ..info }, code)))
}
