//! Refuses runs that would write over their own files: results over the journal, failed items over the input.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Given;
use crate::args::RunArguments;
use crate::exit_code::Failure;
use crate::inputs::Found;
use crate::output::Place;

/// What tells a file from all others. Of devices and pipes there may be many writers.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// It is there: its file system and its number.
    File(u64, u64),
    /// It is not there: its folder and its name.
    Absent(PathBuf, OsString),
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        if let Ok(metadata) = fs::metadata(path) {
            return metadata.is_file().then(|| Self::File(metadata.dev(), metadata.ino()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(Self::Absent(fs::canonicalize(folder).ok()?, path.file_name()?.to_owned()))
    }
}

/// Refuses two uses of one file. Results may take the place of their input, which is read until they are complete.
pub(crate) fn check(arguments: &RunArguments, place: &Place, inputs: &Given) -> Result<(), Failure> {
    let output = match place {
        Place::File(path) => Some(path.as_path()),
        Place::Stdout { .. } | Place::PerInput(_) => None,
    };
    let named = |path: &'_ Option<PathBuf>| path.clone().filter(|path| path.as_os_str() != "-");
    let others = [
        ("--journal", named(&arguments.journal.journal)),
        ("--errors", named(&arguments.failures.attempts.errors)),
        ("--report", named(&arguments.report.report)),
    ];
    let mut taken: Vec<(&str, Identity)> = Vec::new();
    if let Some(identity) = output.and_then(Identity::of) {
        taken.push(("--output", identity));
    }
    let mut written = Vec::new();
    for (flag, path) in others {
        let Some((path, identity)) = path.and_then(|path| Identity::of(&path).map(|identity| (path, identity))) else {
            continue;
        };
        if let Some((other, _)) = taken.iter().find(|(_, before)| *before == identity) {
            let path = path.display();
            return Err(Failure::usage(format!("{other} and {flag} are both {path}: name two files")));
        }
        if matches!(identity, Identity::File(..)) {
            written.push(taken.len());
        }
        taken.push((flag, identity));
    }
    if written.is_empty() {
        return Ok(());
    }
    let refuse = |path: &Path, what: &str| {
        let identity = Identity::of(path)?;
        let index = *written.iter().find(|index| taken.get(**index).is_some_and(|(_, other)| *other == identity))?;
        let (flag, path) = (taken.get(index)?.0, path.display());
        Some(Failure::usage(format!("{path} is {what}: {flag} would destroy it; name another file")))
    };
    let known = match inputs {
        Given::Known(known) => known.iter(),
        Given::List(_) => return Ok(()),
    };
    let files = known.filter_map(|found| match found {
        Found::File(file) => Some(file.path.as_path()),
        Found::Stdin | Found::Call(_) => None,
    });
    let kernel = refuse(&arguments.kernel.kernel, "the kernel");
    kernel.or_else(|| files.into_iter().find_map(|path| refuse(path, "an input"))).map_or(Ok(()), Err)
}
