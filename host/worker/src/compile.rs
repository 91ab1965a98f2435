//! The compile role: one kernel in, one artifact out.

use std::os::fd::{AsFd, OwnedFd};

use taskhost_os::exact;
use taskhost_os::rlimits::Rlimits;
use taskhost_os::sandbox::Role;
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::CompileLimits;
use taskhost_protocol::message::FromWorker;

use crate::startup::{Channel, Fatal};

/// Threads that may be started: one for each core that this process may use, and this one.
fn threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64) + 1
}

/// What to do.
pub(crate) struct Order {
    pub(crate) options: CompileOptions,
    pub(crate) kernel_bytes: u64,
    pub(crate) limits: CompileLimits,
}

/// Compiles the kernel in the first descriptor and writes the artifact to the second.
pub(crate) fn run(channel: &mut Channel, order: Order, fds: Vec<OwnedFd>) -> Result<(), Fatal> {
    let Order { options, kernel_bytes, limits } = order;
    let Ok([kernel, artifact]) = <[OwnedFd; 2]>::try_from(fds) else {
        return Err(Fatal::Protocol("a compile worker needs two descriptors".into()));
    };
    // Some kernels take far more to compile than their size tells.
    Rlimits { more_data: limits.memory, cpu: Some(limits.cpu) }
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
