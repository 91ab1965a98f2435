//! Where a kernel comes from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use taskhost_protocol::limits::KERNEL_BYTES;

use super::error::Error;

/// Where a kernel comes from: a file's path, or its bytes with a name for messages.
#[derive(Clone, Debug)]
pub enum KernelSource {
    /// A `.wasm` or `.wat` file.
    Path(PathBuf),
    /// The contents of such a file.
    Bytes {
        /// What messages call it.
        name: String,
        /// The contents.
        bytes: Vec<u8>,
    },
}

impl From<&str> for KernelSource {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

impl From<String> for KernelSource {
    fn from(path: String) -> Self {
        Self::Path(path.into())
    }
}

impl From<&Path> for KernelSource {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<PathBuf> for KernelSource {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&[u8]> for KernelSource {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl From<Vec<u8>> for KernelSource {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes { name: "kernel".into(), bytes }
    }
}

impl KernelSource {
    /// The name and the bytes.
    pub(crate) fn load(self) -> Result<(String, Vec<u8>), Error> {
        match self {
            Self::Bytes { name, bytes } => Ok((name, bytes)),
            Self::Path(path) => {
                let name = path.to_string_lossy().into_owned();
                match read(&path) {
                    Ok(bytes) => Ok((name, bytes)),
                    Err(error) => Err(Error::Kernel { name, error }),
                }
            }
        }
    }
}

/// Reads a file that is small enough to be a kernel.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(KERNEL_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > KERNEL_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
