//! The compile role: one kernel in, one artifact out.

use std::os::fd::{AsFd, OwnedFd};

use taskhost_os::exact;
use taskhost_os::rlimits::Rlimits;
use taskhost_os::sandbox::Role;
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::{COMPILE_CPU_SECONDS, COMPILE_MEMORY};
use taskhost_protocol::message::FromWorker;

use crate::startup::{Channel, Fatal};

/// Threads that may be started: one for each core that this process may use, and this one.
fn threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64) + 1
}

/// Compiles the kernel in the first descriptor and writes the artifact to the second.
pub(crate) fn run(
    channel: &mut Channel,
    options: CompileOptions,
    kernel_bytes: u64,
    fds: Vec<OwnedFd>,
) -> Result<(), Fatal> {
    let Ok([kernel, artifact]) = <[OwnedFd; 2]>::try_from(fds) else {
        return Err(Fatal::Protocol("a compile worker needs two descriptors".into()));
    };
    // Some kernels take far more to compile than their size tells.
    Rlimits { more_data: COMPILE_MEMORY, cpu: Some(COMPILE_CPU_SECONDS) }
        .set()
        .map_err(|error| Fatal::failed("limiting itself")(&error))?;
    channel.lock(Role::Compile, threads())?;
    channel.locked()?;
    let mut bytes = vec![0; usize::try_from(kernel_bytes).unwrap_or(0)];
    exact::pread_exact(kernel.as_fd(), &mut bytes, 0).map_err(|error| Fatal::failed("reading the kernel")(&error))?;
    let compiled = match taskhost_engine::compile(&bytes, options) {
        Ok(compiled) => compiled,
        Err(refusal) => return channel.send(&FromWorker::Refused(refusal)),
    };
    let info =
        taskhost_protocol::frame::encode_info(&compiled.info).map_err(|error| Fatal::Protocol(error.to_string()))?;
    let write = |bytes: &[u8], at| {
        exact::pwrite_all(artifact.as_fd(), bytes, at).map_err(|error| Fatal::failed("writing the artifact")(&error))
    };
    write(&info, 0)?;
    write(&compiled.code, info.len() as u64)?;
    channel.send(&FromWorker::Compiled { info_bytes: info.len() as u64, code_bytes: compiled.code.len() as u64 })
}
