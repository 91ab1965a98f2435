//! Finding a kernel: a path, or the bare name of an installed or first-party one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use taskhost_protocol::limits::KERNEL_BYTES;

use crate::exit_code::{Exit, Failure};

/// A kernel's file.
#[derive(Debug)]
pub(crate) struct KernelFile {
    /// What messages and the cache call it.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

macro_rules! first_party {
    ($($name:literal),* $(,)?) => {
        /// The kernels that come with the program, so that a first run needs nothing else.
        const FIRST_PARTY: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../plugins/dist/", $name, ".wasm")))),*];
    };
}

first_party![
    "csv-stats",
    "echo",
    "gaussian-blur",
    "grayscale",
    "grep",
    "invert",
    "mandelbrot",
    "primes",
    "resize",
    "sobel",
    "wordcount",
];

/// Most that is read of a signature.
#[cfg(feature = "serve")]
const SIGNATURE_BYTES: u64 = 4096;

/// The signature that lies beside the kernel that a user names, as minisign writes it: `KERNEL.wasm.minisig`.
#[cfg(feature = "serve")]
pub(crate) fn signature(kernel: &Path) -> Option<Vec<u8>> {
    let beside = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".minisig");
        use io::Read as _;
        let mut bytes = Vec::new();
        fs::File::open(name).ok()?.take(SIGNATURE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    if kernel.is_file() {
        return beside(kernel);
    }
    let folder = installed_folder().filter(|_| is_bare_name(kernel))?;
    beside(&folder.join(format!("{}.wasm", kernel.display())))
}

/// The file of the kernel that a user names.
pub(crate) fn find(kernel: &Path) -> Result<KernelFile, Failure> {
    let name = kernel.to_string_lossy().into_owned();
    if let Some((scheme @ ("oci" | "https" | "http"), rest)) = name.split_once("://") {
        let file = rest.rsplit('/').next().unwrap_or("kernel.wasm");
        let advice = match scheme {
            "oci" => format!("oras pull {rest} && taskhost run ./{file} …"),
            _ => format!("curl -O {name} && taskhost run ./{file} …"),
        };
        return Err(Failure::usage(format!("{name}: kernels are not fetched from the network; type: {advice}")));
    }
    match read(kernel) {
        Ok(bytes) => return Ok(KernelFile { name, bytes }),
        // A folder of that name does not hide a kernel: in the folder of an example that is common.
        Err(error)
            if is_bare_name(kernel)
                && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {}
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let limit = KERNEL_BYTES >> 20;
            return Err(Failure::new(
                Exit::Refused,
                format!("{name}: larger than {limit} MiB, the most a kernel may have"),
            ));
        }
        Err(error) => return Err(Failure::input(format!("the kernel {name} cannot be read: {error}"))),
    }
    if let Some(folder) = installed_folder()
        && let Ok(bytes) = read(&folder.join(format!("{name}.wasm")))
    {
        return Ok(KernelFile { name, bytes });
    }
    if let Some(bytes) = first_party(&name) {
        return Ok(KernelFile { name, bytes });
    }
    let known: Vec<&str> = FIRST_PARTY.iter().map(|(name, _)| *name).collect();
    let place =
        installed_folder().map_or_else(String::new, |folder| format!(", none of that name in {}", folder.display()));
    Err(Failure::input(format!(
        "there is no kernel {name}: no such file{place}; the first-party kernels are {}",
        known.join(", ")
    )))
}

/// A kernel that comes with the program.
pub(crate) fn first_party(name: &str) -> Option<Vec<u8>> {
    FIRST_PARTY.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.to_vec())
}

/// Reads a file that is small enough to be a kernel. A folder or a device is not.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let meta = fs::metadata(path)?;
    if meta.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder; a kernel is a .wasm or .wat file"));
    }
    if meta.len() > KERNEL_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, KERNEL_BYTES + 1), &mut bytes)?;
    if bytes.len() as u64 > KERNEL_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// A word without a slash or an extension is looked up among the installed kernels.
fn is_bare_name(kernel: &Path) -> bool {
    kernel.extension().is_none() && kernel.components().count() == 1
}

/// Where installed kernels are.
fn installed_folder() -> Option<PathBuf> {
    Some(data_home()?.join("taskhost/kernels"))
}

fn data_home() -> Option<PathBuf> {
    xdg("XDG_DATA_HOME", ".local/share")
}

/// The folder of compiled kernels.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    Some(xdg("XDG_CACHE_HOME", ".cache")?.join("taskhost"))
}

/// A folder of the user, by the XDG base directory specification: relative values do not count.
fn xdg(variable: &str, fallback: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(fallback)))
}
