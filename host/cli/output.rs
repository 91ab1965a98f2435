//! Where results go: standard output, one file, a file for each input, or what a file name really is.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use taskhost_data::formats::packing_of;
use taskhost_os::atomic_file::{AtomicFile, AtomicFileError};
use taskhost_pool::job::Output;
use taskhost_protocol::stream::Packing;

use crate::args::RunArguments;
use crate::exit_code::Failure;
use crate::inputs::outputs::Destination;

/// Where the results of a run go.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Standard output; `asked` when the user typed `-o -`, and so wants it even on a terminal.
    Stdout { asked: bool },
    /// One file.
    File(PathBuf),
    /// A file for each input.
    PerInput(Destination),
}

/// Reads `-o`.
pub(crate) fn place(output: Option<&Path>) -> Result<Place, Failure> {
    let Some(output) = output else { return Ok(Place::Stdout { asked: false }) };
    if output.as_os_str() == "-" {
        return Ok(Place::Stdout { asked: true });
    }
    let destination = Destination::parse(output.as_os_str()).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(match destination {
        Destination::File(path) => Place::File(path),
        destination @ (Destination::Folder(_) | Destination::Template(_)) => Place::PerInput(destination),
    })
}

/// Binary results are not put on a terminal but into `<stem>.out<ext>` in the current folder.
pub(crate) fn spare_terminal(place: &Place, input: Option<&Path>) -> Option<PathBuf> {
    if matches!(place, Place::Stdout { asked: true }) || !io::stdout().is_terminal() {
        return None;
    }
    let stem = input.and_then(Path::file_stem).map_or_else(|| OsString::from("stdin"), OsString::from);
    let mut name = stem;
    name.push(".out");
    if let Some(extension) = input.and_then(Path::extension) {
        name.push(".");
        name.push(extension);
    }
    Some(PathBuf::from(name))
}

/// Standard output as an output.
pub(crate) fn stdout() -> Result<Output, Failure> {
    let fd = io::stdout().as_fd().try_clone_to_owned();
    fd.map(Output::Stream).map_err(|error| Failure::input(format!("standard output cannot be used: {error}")))
}

/// How a result is compressed, by its name.
pub(crate) fn packing(path: &Path, arguments: &RunArguments) -> Option<Packing> {
    packing_of(path).filter(|_| !arguments.input.no_compression)
}

/// A file that appears whole or not at all, compressed or not; for a device or a pipe, that itself.
pub(crate) fn file(path: &Path, packing: Option<Packing>) -> Result<Output, Failure> {
    match (AtomicFile::create(path), packing) {
        (Ok(file), Some(packing)) => Ok(Output::Packed(Box::new(file), packing)),
        (Ok(file), None) => Ok(Output::File(Box::new(file))),
        (Err(AtomicFileError::NotAFile { .. }), Some(packing)) if !path.is_dir() => {
            let (path, packing) = (path.display(), packing.name());
            Err(Failure::input(format!(
                "{path} is no file, and only files are compressed with {packing}: name a file, or add --no-compression"
            )))
        }
        (Err(AtomicFileError::NotAFile { .. }), None) if !path.is_dir() => {
            let device = OpenOptions::new().write(true).open(path);
            let device =
                device.map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))?;
            Ok(Output::Stream(OwnedFd::from(device)))
        }
        (Err(AtomicFileError::Io { error, .. }), _) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Err(Failure::input(format!(
                "{} cannot be written: the folder {} does not exist; make it first: mkdir -p {}",
                path.display(),
                folder.display(),
                folder.display()
            )))
        }
        (Err(error), _) => Err(Failure::input(error.to_string())),
    }
}

/// A file for one input of many: its folder is made when needed.
pub(crate) fn file_of_many(path: &Path, packing: Option<Packing>) -> Result<Output, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::input(format!("the folder {} cannot be made: {error}", folder.display())))?;
    }
    file(path, packing)
}
