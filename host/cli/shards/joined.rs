//! Results laid end to end: each part is copied to its place and compared with its digest on the way.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use taskhost_os::atomic_file::{AtomicFile, Durability};
use taskhost_os::exact::{ExactError, pread_exact, pwrite_all};
use taskhost_os::transfer;
use taskhost_pool::job::Output;

use super::part::Part;
use crate::exit_code::{Exit, Failure};
use crate::{output, report};

/// Bytes copied at a time.
const STEP: usize = 1 << 20;

/// Parts that are copied at a time: storage that many machines share answers several readers faster than one.
const READERS: usize = 8;

/// What came of joining.
pub(super) enum Joined {
    /// The result is in its place.
    Made,
    /// Whoever read it went away.
    ReaderGone,
    /// These parts, by their number here, are not what they were.
    Damaged(Vec<usize>),
}

/// Joins parts into a file.
pub(super) fn into_file(path: &Path, parts: &[Part]) -> Result<Joined, Failure> {
    match output::file(path, None)? {
        Output::File(file) => into_atomic(*file, parts),
        Output::Stream(device) => into_stream(&mut File::from(device), parts),
        // Neither is what a name that says nothing of compression comes to.
        Output::Nothing | Output::Converted(..) => Ok(Joined::Made),
    }
}

/// Joins parts into standard output.
pub(super) fn into_stdout(parts: &[Part]) -> Result<Joined, Failure> {
    into_stream(&mut io::stdout().lock(), parts)
}

fn into_atomic(file: AtomicFile, parts: &[Part]) -> Result<Joined, Failure> {
    let failed = |error: ExactError| Failure::input(format!("{} cannot be written: {error}", file.path().display()));
    let mut places = Vec::with_capacity(parts.len());
    let mut total = 0;
    for part in parts {
        places.push(total);
        total += part.manifest.bytes;
    }
    let output = file.file().as_fd();
    transfer::preallocate(output, total).map_err(failed)?;
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::new(), None));
    let copy_some = || {
        while let Some((number, part)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            parts.get(number).map(|part| (number, part))
        } {
            let copied = copy(part, output, places[number]);
            let Ok(mut results) = results.lock() else { return };
            match copied {
                Ok(true) => {}
                Ok(false) | Err(ExactError::ShortRead { .. }) => results.0.push(number),
                Err(error) => results.1 = Some(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..READERS.min(parts.len()) {
            scope.spawn(copy_some);
        }
        copy_some();
    });
    let (damaged, error) = results.into_inner().unwrap_or_default();
    if let Some(error) = error {
        return Err(failed(error));
    }
    if !damaged.is_empty() {
        return Ok(Joined::Damaged(damaged));
    }
    file.commit(Durability::Disk).map_err(|error| Failure::input(error.to_string()))?;
    Ok(Joined::Made)
}

/// Copies the results of a part, and says whether they are what they were.
fn copy(part: &Part, output: BorrowedFd<'_>, place: u64) -> Result<bool, ExactError> {
    let file = part.open_file().map_err(ExactError::Io)?;
    let len = part.manifest.bytes;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; STEP];
    let mut at = 0;
    while at < len {
        let step = &mut buffer[..usize::try_from(len - at).unwrap_or(STEP).min(STEP)];
        pread_exact(file.as_fd(), step, at)?;
        hasher.update(step);
        pwrite_all(output, step, place + at)?;
        at += step.len() as u64;
    }
    Ok(*hasher.finalize().as_bytes() == part.manifest.digest)
}

/// What was written cannot be taken back, so that every part is looked at first.
fn into_stream(output: &mut dyn io::Write, parts: &[Part]) -> Result<Joined, Failure> {
    let damaged: Vec<usize> = (0..parts.len()).filter(|number| !parts[*number].is_sound()).collect();
    if !damaged.is_empty() {
        return Ok(Joined::Damaged(damaged));
    }
    for part in parts {
        let file = part.open_file().map_err(|error| Failure::input(format!("{}: {error}", part.path.display())))?;
        let copied = io::copy(&mut io::Read::take(file, part.manifest.bytes), output).and_then(|_| output.flush());
        match copied {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Joined::ReaderGone),
            copied => copied.map_err(|error| Failure::input(format!("the output cannot be written: {error}")))?,
        };
    }
    Ok(Joined::Made)
}

/// How a merge ends whose result could be made.
pub(super) fn exit(joined: &Joined, failed: u64) -> Exit {
    match joined {
        Joined::ReaderGone => Exit::ReaderGone,
        Joined::Made | Joined::Damaged(_) if failed > 0 => Exit::ItemsFailed,
        Joined::Made | Joined::Damaged(_) => Exit::Done,
    }
}

/// What is said of a result that lacks items.
pub(super) fn say_lacking(failed: u64, path: Option<&Path>) {
    let lost = report::count(failed, "item");
    let path = path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    report::message("failed", &format!("output written without {lost}: {path}"));
}
