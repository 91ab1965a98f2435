//! Feeding a pool: inputs are opened, and jobs made, when it asks for them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use taskhost_data::formats::{PACKING_BYTES, PARQUET, PARQUET_BYTES, Sniffed, packing};
use taskhost_os::eventfd::Waker;
use taskhost_os::file_kind::{FileKind, kind};
use taskhost_os::{exact, memfd};
use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{Feed, JobFeed, JobSpec, SourceFeed, SourceFile, SourceKind};
use taskhost_protocol::limits::{PICTURE_BYTES, SOURCE_NAME_BYTES};
use taskhost_protocol::stream::Packing;

use crate::inputs::{Found, InputError, Inputs};

/// What messages call a call that was typed.
const CALL: &str = "the call";

/// Paths of a list that are read before they are asked for.
const LIST_AHEAD: usize = 1024;

/// The inputs of a run in order.
pub(crate) enum Sources {
    /// All known.
    Known(VecDeque<Found>),
    /// Read from a list by a thread, since whoever writes the list may take its time.
    Listed(Receiver<Result<Found, InputError>>),
}

impl Sources {
    /// Reads the inputs in a thread, which wakes the pool.
    pub(crate) fn listed(inputs: Inputs, waker: Waker) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(LIST_AHEAD);
        std::thread::Builder::new().name("taskhost-list".into()).spawn(move || {
            for found in inputs {
                if sender.send(found).is_err() {
                    return;
                }
                waker.wake();
            }
            drop(sender);
            waker.wake();
        })?;
        Ok(Self::Listed(receiver))
    }

    pub(crate) fn next(&mut self) -> Feed<Result<Found, InputError>> {
        match self {
            Self::Known(known) => known.pop_front().map_or(Feed::Ended, |found| Feed::Next(Ok(found))),
            Self::Listed(receiver) => match receiver.try_recv() {
                Ok(found) => Feed::Next(found),
                Err(TryRecvError::Empty) => Feed::Later,
                Err(TryRecvError::Disconnected) => Feed::Ended,
            },
        }
    }
}

/// All inputs as the sources of one job.
pub(crate) struct AllSources {
    pub(crate) sources: Sources,
    /// Whether those that are compressed are decompressed.
    pub(crate) unpack: bool,
}

impl SourceFeed for AllSources {
    fn next(&mut self) -> Feed<Result<SourceFile, JobFailure>> {
        match self.sources.next() {
            Feed::Later => Feed::Later,
            Feed::Ended => Feed::Ended,
            Feed::Next(Err(error)) => Feed::Next(Err(JobFailure::Input(error.to_string()))),
            Feed::Next(Ok(found)) => Feed::Next(open(&found).map(|file| {
                let unpack = self.unpack && !matches!(found, Found::Call(_));
                SourceFile { unpack, ..file }
            })),
        }
    }
}

/// One job.
pub(crate) struct OneJob(pub(crate) Option<JobSpec>);

impl JobFeed for OneJob {
    fn next(&mut self) -> Feed<JobSpec> {
        self.0.take().map_or(Feed::Ended, Feed::Next)
    }
}

/// Opens an input.
pub(crate) fn open(found: &Found) -> Result<SourceFile, JobFailure> {
    let failed = |name: &str, error: io::Error| JobFailure::Input(format!("{name} cannot be read: {error}"));
    let (name, file) = match found {
        Found::Stdin => {
            let fd = io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed("standard input", error))?;
            ("-".to_owned(), File::from(fd))
        }
        Found::Call(call) => return typed(call),
        Found::File(file) => (file.name.clone(), File::open(&file.path).map_err(|error| failed(&file.name, error))?),
    };
    let kind = match kind(file.as_fd()).map_err(|error| failed(&name, error))? {
        FileKind::Directory => {
            let name = if name == "-" { "standard input" } else { &name };
            return Err(JobFailure::Input(format!("{name} is a folder")));
        }
        // A file that somebody has read from goes on where they stopped, as it would with any program.
        FileKind::Regular if (&file).stream_position().is_ok_and(|position| position == 0) => {
            let len = file.metadata().map_err(|error| failed(&name, error))?.len();
            // Files of /proc say they are empty and are not.
            if len == 0 { SourceKind::Pipe } else { SourceKind::Regular { len } }
        }
        FileKind::Regular | FileKind::Pipe | FileKind::Socket | FileKind::Terminal | FileKind::Device => {
            SourceKind::Pipe
        }
    };
    let name = if name.len() > SOURCE_NAME_BYTES { "(a very long name)".to_owned() } else { name };
    Ok(SourceFile { name, file: OwnedFd::from(file), kind, unpack: false })
}

/// A call that was typed, as an input.
fn typed(call: &str) -> Result<SourceFile, JobFailure> {
    let file = memfd::sealed_copy(c"taskhost-call", call.as_bytes())
        .map_err(|error| JobFailure::Input(format!("there is no memory for the call: {error}")))?;
    let kind = SourceKind::Regular { len: call.len() as u64 };
    Ok(SourceFile { name: CALL.into(), file, kind, unpack: false })
}

/// A picture has to be a file, since its rows are read in any order: a pipe is read into memory.
pub(crate) fn picture_source(found: &Found) -> Result<(SourceFile, u64), JobFailure> {
    let source = open(found)?;
    if let SourceKind::Regular { len } = source.kind {
        return Ok((source, len));
    }
    let name = source.name;
    let failed = |error: io::Error| JobFailure::Input(format!("{name} cannot be read: {error}"));
    let memory = memfd::create(c"taskhost-picture").map_err(failed)?;
    let mut memory = File::from(memory);
    let mut from = File::from(source.file).take(PICTURE_BYTES + 1);
    let mut buffer = vec![0; 1 << 20];
    let mut len = 0;
    loop {
        match from.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => {
                memory.write_all(&buffer[..read]).map_err(failed)?;
                len += read as u64;
            }
        }
    }
    if len > PICTURE_BYTES {
        return Err(JobFailure::Input(format!(
            "{name} is larger than {} GiB, the most a picture may have",
            PICTURE_BYTES >> 30
        )));
    }
    Ok((SourceFile { name, file: memory.into(), kind: SourceKind::Regular { len }, unpack: false }, len))
}

/// What an input is that a worker makes something else of before it is cut into items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    Packed(Packing),
    Parquet,
}

/// What an input is that is not taken as it is, when it is a file.
pub(crate) fn foreign(found: &Found) -> Option<Foreign> {
    let sniff = |file: &File| {
        let mut first = [0; PACKING_BYTES];
        let got = exact::pread_full(file.as_fd(), &mut first, 0).unwrap_or(0);
        match packing(&first[..got]) {
            Sniffed::Packed(packing) => return Some(Foreign::Packed(packing)),
            Sniffed::Plain if first == *PARQUET => {}
            Sniffed::Plain | Sniffed::Unknown => return None,
        }
        let len = file.metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() >= PARQUET_BYTES)?.len();
        let mut last = [0; PARQUET.len()];
        exact::pread_exact(file.as_fd(), &mut last, len - PARQUET.len() as u64).ok()?;
        (last == *PARQUET).then_some(Foreign::Parquet)
    };
    match found {
        Found::Call(_) => None,
        Found::Stdin => sniff(&File::from(io::stdin().as_fd().try_clone_to_owned().ok()?)),
        // A named pipe would be waited for.
        Found::File(file) if !file.path.is_file() => None,
        Found::File(file) => sniff(&File::open(&file.path).ok()?),
    }
}

/// The sizes of all inputs together, when all are regular files. Of one that is to be decompressed it is not known.
pub(crate) fn total_bytes(sources: &VecDeque<Found>, unpack: bool) -> Option<u64> {
    if unpack && sources.iter().any(|found| foreign(found).is_some()) {
        return None;
    }
    sources.iter().try_fold(0_u64, |sum, found| match found {
        Found::File(file) => {
            let meta = std::fs::metadata(&file.path).ok().filter(|meta| meta.is_file() && meta.len() > 0)?;
            sum.checked_add(meta.len())
        }
        Found::Call(call) => sum.checked_add(call.len() as u64),
        Found::Stdin => {
            let fd = io::stdin().as_fd().try_clone_to_owned().ok()?;
            let mut file = File::from(fd);
            let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
            (file.stream_position().ok()? == 0).then(|| sum.checked_add(meta.len())).flatten()
        }
    })
}

/// Where an input is, when it is a file.
pub(crate) fn path_of(found: &Found) -> Option<&Path> {
    match found {
        Found::Stdin | Found::Call(_) => None,
        Found::File(file) => Some(&file.path),
    }
}

/// What messages call an input.
pub(crate) fn name_of(found: &Found) -> String {
    match found {
        Found::Stdin => "-".into(),
        Found::Call(_) => CALL.into(),
        Found::File(file) => file.name.clone(),
    }
}

/// The place of a sidecar beside a result.
pub(crate) fn sidecar_path(result: &Path) -> PathBuf {
    result.with_extension("hdr")
}
