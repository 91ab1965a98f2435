//! `--journal`: what a run writes down so that another can go on with it, and what that one finds there.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taskhost_os::atomic_file::{self, AtomicFile};
use taskhost_pool::event::{DoneRange, JobTotals, Prefix, Resume};
use taskhost_pool::job::{KeptParts, Output, Splice};
use taskhost_pool::journal::{
    Commit, Contents, FailedRecord, Header, InputKind, InputPrint, Journal, JournalError, OutputRecord, PartsRecord,
    Record, verify_output,
};
use taskhost_pool::runner::{Journaling, Pool, Progress};
use taskhost_protocol::ids::SourceId;

use crate::exit_code::{Exit, Failure};
use crate::feed::{foreign, name_of};
use crate::inputs::Found;
use crate::kernel::KernelFile;
use crate::report::{self, errors};
use crate::words;

/// What another run left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) header: Header,
    /// The kernel that the run went on with last.
    pub(crate) kernel: [u8; 32],
    pub(crate) output: Option<OutputRecord>,
    /// Commits of that output, in order.
    commits: Vec<Commit>,
    /// What is done of a reduction, by input and first byte.
    parts: BTreeMap<(SourceId, u64), PartsRecord>,
    /// Items that failed, with their lines of the error file.
    pub(crate) failed: Vec<FailedRecord>,
    /// Inputs whose results are there, where each has one, with their items that failed.
    done: BTreeMap<Vec<u8>, Vec<FailedRecord>>,
    /// The exit code of a run that has ended.
    pub(crate) ended: Option<u8>,
}

impl Left {
    /// Sorts what a journal says.
    pub(crate) fn new(contents: Contents) -> Self {
        let Contents { header, records, ended, .. } = contents;
        let kernel = header.kernel;
        let mut left = Self {
            header,
            kernel,
            output: None,
            commits: Vec::new(),
            parts: BTreeMap::new(),
            failed: Vec::new(),
            done: BTreeMap::new(),
            ended,
        };
        // An item counts as failed with the commit behind it.
        let mut uncommitted: Vec<FailedRecord> = Vec::new();
        for record in records {
            match record {
                Record::Kernel { digest } => left.kernel = digest,
                Record::Output(output) => {
                    if left.output.as_ref().is_none_or(|before| before.data != output.data) {
                        left.commits.clear();
                        left.failed.clear();
                    }
                    // What an earlier process had not come to the end of does not count.
                    uncommitted.retain(|failed| failed.job != output.job);
                    left.output = Some(output);
                }
                Record::Commit(commit) => {
                    // What ended a run is written down, but not merged: it is run again with the rest.
                    let (merged, rest) = uncommitted.into_iter().partition(|failed| failed.item < commit.items);
                    left.failed.extend::<Vec<FailedRecord>>(merged);
                    uncommitted = rest;
                    left.commits.push(commit);
                }
                Record::Failed(failed) => uncommitted.push(failed),
                Record::JobOver(over) => {
                    let failed = std::mem::take(&mut uncommitted);
                    let (own, others) = failed.into_iter().partition(|failed| failed.job == over.job);
                    uncommitted = others;
                    match over.failed {
                        None => left.done.insert(over.input, own),
                        Some(_) => left.done.remove(&over.input),
                    };
                }
                Record::Parts(parts) => left.take_parts(parts),
                Record::End { .. } => {}
            }
        }
        left
    }

    /// Takes in a stretch of a reduction. One that was run again takes the place of what it was before.
    fn take_parts(&mut self, parts: PartsRecord) {
        let (source, start, end) = (parts.source, parts.start, parts.end);
        let overlaps = |(key, before): (&(SourceId, u64), &PartsRecord)| {
            (key.0 == source && key.1 < end.max(start + 1) && start < before.end.max(key.1 + 1)).then_some(*key)
        };
        let gone: Vec<(SourceId, u64)> = self.parts.iter().filter_map(overlaps).collect();
        for key in gone {
            self.parts.remove(&key);
        }
        self.parts.insert((source, start), parts);
    }

    /// Whether nothing is to be done for an input that has a result of its own. Where the run has ended, one of which
    /// items failed is made anew.
    pub(crate) fn is_done(&self, input: &str) -> bool {
        self.done.get(input.as_bytes()).is_some_and(|failed| self.ended.is_none() || failed.is_empty())
    }

    /// Whether an input has a result of its own, which lacks items and is to be made anew.
    pub(crate) fn is_lacking(&self, input: &str) -> bool {
        self.done.get(input.as_bytes()).is_some_and(|failed| self.ended.is_some() && !failed.is_empty())
    }

    /// Whether items that failed are run by themselves, and everything else stays as it is.
    pub(crate) fn runs_single_items(&self) -> bool {
        // With a result for each input there are none.
        self.ended.is_some() && !self.has_parts() && !self.commits.is_empty()
    }

    /// All items that failed.
    pub(crate) fn all_failed(&self) -> impl Iterator<Item = &FailedRecord> {
        self.failed.iter().chain(self.done.values().flatten())
    }

    /// Whether the run is a reduction of which something is done.
    pub(crate) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// What is done of a reduction, and the partial results. Of a finished run, without the stretches in which items
    /// failed: they are run again.
    pub(crate) fn reduction(&self) -> (Box<Resume>, KeptParts) {
        let mut resume = Resume::default();
        let mut kept = KeptParts::new();
        for ((source, start), record) in &self.parts {
            if self.ended.is_some() && !record.failed.is_empty() {
                continue;
            }
            kept.insert((*source, *start), record.bytes.clone());
            resume.done.entry(*source).or_default().push(DoneRange {
                source: *source,
                start: *start,
                end: record.end,
                items: record.items,
                failed: record.failed.clone(),
                counters: record.counters.clone(),
                parts: record.parts.clone(),
            });
        }
        (Box::new(resume), kept)
    }

    /// How many items failed.
    pub(crate) fn failed_count(&self) -> u64 {
        let in_parts: usize = self.parts.values().map(|part| part.failed.len()).sum();
        // Of a reduction, items are written down with their stretch.
        if self.has_parts() { in_parts as u64 } else { self.all_failed().count() as u64 }
    }

    /// Removes what the run before had written of its output, which is made anew.
    pub(crate) fn forget_output(&self, target: &Path) {
        if let Some(output) = &self.output {
            let _ = AtomicFile::reopen(target, &path_of(&output.data)).map(AtomicFile::discard);
        }
    }

    /// Removes what the run left half-written beside its one output, but for what it goes on with.
    pub(crate) fn sweep_beside(&self, target: &Path) {
        let target = std::fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let goes_on = self.ended.is_none() && !self.commits.is_empty();
        let data = self.output.as_ref().filter(|_| goes_on).map(|output| path_of(&output.data));
        self.sweep(target.parent().unwrap_or(Path::new("/")), data.as_deref());
    }

    /// Removes from a folder what the run left there half-written, but not `keep`.
    pub(crate) fn sweep(&self, folder: &Path, keep: Option<&Path>) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        atomic_file::sweep(folder, number(&self.header), keep);
    }

    /// Whether the one output is complete, seen from the folder of the run: it gets its name when everything is written,
    /// and the crash came before the journal could say so.
    pub(crate) fn is_in_place(&self, folder: &Path) -> bool {
        let (Some(output), Some(last)) = (&self.output, self.commits.last()) else { return false };
        if last.output == 0 || folder.join(path_of(&output.data)).exists() {
            return false;
        }
        let Ok(file) = File::open(folder.join(path_of(&output.target))) else { return false };
        let is_as_long = file.metadata().is_ok_and(|metadata| metadata.len() == last.output);
        is_as_long && verify_output(&file, &self.commits).is_ok()
    }

    /// How far the run came, as far as that was committed.
    pub(crate) fn progress(&self) -> Progress {
        let Some(last) = self.commits.last() else { return Progress::default() };
        let (items, input, output) = (last.items, last.input, last.output);
        Progress { items, failed_items: self.failed_count(), input, output, saved: output, ..Progress::default() }
    }

    /// When the run began: what its kernel's clocks show.
    pub(crate) fn clock(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.header.clock)
    }

    /// Refuses inputs that are not those of the run.
    pub(crate) fn check_inputs(&self, now: &[InputPrint]) -> Result<(), Failure> {
        let before = &self.header.inputs;
        if before.len() != now.len() {
            let (before, now) = (report::count(before.len() as u64, "input"), now.len());
            return Err(Failure::input(format!(
                "the run had {before}, and there are {now} now; run it from the start"
            )));
        }
        for (before, now) in before.iter().zip(now) {
            let failed = |changed| Failure::input(format!("{changed}; run it from the start"));
            before.compare(now).map_err(failed)?;
        }
        Ok(())
    }

    /// Where the run's one job goes on, and its output as far as it is there.
    pub(crate) fn go_on(&self, target: &Path) -> Result<Option<(Output, Box<Resume>)>, Failure> {
        let Some(output) = &self.output else { return Ok(None) };
        let data = path_of(&output.data);
        let Some(last) = self.commits.last().filter(|last| last.output > 0 || data.exists()) else {
            // Nothing of it counts.
            let _ = AtomicFile::reopen(target, &data).map(AtomicFile::discard);
            return Ok(None);
        };
        if !data.exists() {
            let data = data.display();
            return Err(Failure::input(format!("{data}, what was written so far, is gone; run it from the start")));
        }
        let atomic = AtomicFile::reopen(target, &data).map_err(|error| Failure::input(error.to_string()))?;
        let damaged = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", data.display()));
        verify_output(atomic.file(), &self.commits).map_err(|error| damaged(&error))?;
        if !output.direct {
            atomic.file().set_len(last.output).map_err(|error| damaged(&error))?;
            let mut file = atomic.file();
            file.seek(SeekFrom::Start(last.output)).map_err(|error| damaged(&error))?;
        }
        let prefix =
            Prefix { source: last.source, offset: last.offset, source_items: last.source_items, output: last.output };
        let resume = Resume { prefix, totals: self.totals(last), read: last.read, ..Resume::default() };
        Ok(Some((Output::File(Box::new(atomic)), Box::new(resume))))
    }

    fn totals(&self, last: &Commit) -> JobTotals {
        JobTotals {
            items: last.items,
            failed: self.failed.len() as u64,
            input: last.input,
            output: last.output,
            counters: last.counters.iter().cloned().collect(),
            busy: 0,
            last: None,
        }
    }

    /// The finished output without its failed items, to which their results are to be added.
    pub(crate) fn splice(&self, target: &Path) -> Result<(Splice, Box<Resume>), Failure> {
        let path = target.display();
        let old = File::open(target).map_err(|error| Failure::input(format!("{path} cannot be read: {error}")))?;
        verify_output(&old, &self.commits).map_err(|error| {
            Failure::input(format!("{path} is not what the run wrote ({error}); run it from the start"))
        })?;
        let len = self.commits.last().map_or(0, |last| last.output);
        let mut only: BTreeMap<SourceId, Vec<(u64, u64)>> = BTreeMap::new();
        for failed in &self.failed {
            only.entry(failed.source).or_default().push((failed.offset, failed.len));
        }
        let resume = Resume { only: Some(only), ..Resume::default() };
        Ok((Splice { old: OwnedFd::from(old), len, places: self.failed.clone() }, Box::new(resume)))
    }

    /// Refuses to run failed items again that cannot be found in their input without decompressing all of it.
    pub(crate) fn check_readable(&self, inputs: &VecDeque<Found>) -> Result<(), Failure> {
        let packed = self.failed.iter().filter_map(|failed| inputs.get(failed.source.0 as usize));
        match packed.map(|found| (found, foreign(found))).find(|(_, foreign)| foreign.is_some()) {
            Some((found, _)) => Err(Failure::input(format!(
                "failed items are in {}, which is compressed: decompress it, and run it from the start",
                name_of(found)
            ))),
            None => Ok(()),
        }
    }

    /// Whether a failed item was read from something that can be read only once.
    pub(crate) fn failed_in_pipe(&self) -> bool {
        self.failed.iter().any(|failed| {
            let input = self.header.inputs.get(failed.source.0 as usize);
            input.is_none_or(|input| matches!(input.kind, InputKind::Pipe))
        })
    }
}

/// The journal of a run.
#[derive(Debug)]
pub(crate) struct RunJournal {
    journal: Arc<Mutex<Journal>>,
    /// As the user would type it.
    shown: PathBuf,
    path: PathBuf,
}

impl RunJournal {
    /// Begins a journal.
    pub(crate) fn create(path: &Path, header: &Header) -> Result<Self, Failure> {
        Ok(Self::new(path, Journal::create(path, header).map_err(failure)?, header))
    }

    /// The journal that a run goes on with.
    pub(crate) fn new(shown: &Path, journal: Journal, header: &Header) -> Self {
        atomic_file::name_after(number(header));
        let path = journal.path().to_owned();
        Self { journal: Arc::new(Mutex::new(journal)), shown: shown.to_owned(), path }
    }

    /// Has the pool keep it. With a result for each input, only whole results count.
    pub(crate) fn keep(&self, pool: &mut Pool, many: bool) {
        pool.keep_journal(Journaling { journal: Arc::clone(&self.journal), describe: errors::line, commits: !many });
    }

    /// Writes down that the run goes on with another kernel.
    pub(crate) fn note_kernel(&self, digest: [u8; 32]) -> Result<(), Failure> {
        self.append(&Record::Kernel { digest })
    }

    /// Writes down that the run has ended.
    pub(crate) fn note_end(&self, exit: Exit) -> Result<(), Failure> {
        self.append(&Record::End { exit: exit.code() })
    }

    fn append(&self, record: &Record) -> Result<(), Failure> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append_last(record).and_then(|()| journal.sync()).map_err(failure)
    }

    /// The run has ended, with an output that lacks failed items or none.
    pub(crate) fn end(&self, exit: Exit, made: bool, can_resume: bool) {
        let shown = self.shown.display();
        // Nobody can type anything in a job's folder: the service says what can be done with a job.
        let hint = |text: &str| {
            if !words::are_handed_over() {
                report::hint(text);
            }
        };
        match exit {
            Exit::Done => self.remove(),
            Exit::ItemsFailed if made => {
                if let Err(failure) = self.note_end(exit) {
                    report::message("error", &failure.message);
                }
                hint(&format!("to run the failed items again, type: taskhost resume {shown} --retry-failed"));
            }
            Exit::ItemsFailed if can_resume => hint(&format!(
                "to go on with a mended kernel, type: taskhost resume {shown} --retry-failed --kernel FIXED.wasm; or \
                 without the items that fail: taskhost resume {shown} --on-error skip"
            )),
            _ if can_resume => hint(&format!("to go on, type: taskhost resume {shown}")),
            // There is nothing to go on with.
            _ => self.remove(),
        }
    }

    /// The run had ended well, but for this.
    pub(crate) fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            report::message("warning", &format!("{} cannot be removed: {error}", self.shown.display()));
        }
    }

    /// Replaces the journal of a finished run by that of the output which was made anew.
    pub(crate) fn replace(&self, left: &Left, output: &Path, failed: Vec<FailedRecord>) -> Result<(), Failure> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let name = PathBuf::from(name);
        let _ = std::fs::remove_file(&name);
        let broken = |error: std::io::Error| Failure::input(format!("{}: {error}", output.display()));
        let mut journal = Journal::create(&name, &left.header).map_err(failure)?;
        let job = taskhost_protocol::ids::JobId(0);
        let target = output.as_os_str().as_bytes().to_vec();
        let (digest, len) = digest(output).map_err(broken)?;
        let last = left.commits.last();
        let commit = Commit {
            job,
            source: last.map_or(SourceId(0), |last| last.source),
            offset: last.map_or(0, |last| last.offset),
            complete: true,
            output_from: 0,
            output: len,
            items: last.map_or(0, |last| last.items),
            input: last.map_or(0, |last| last.input),
            source_items: last.map_or(0, |last| last.source_items),
            counters: last.map(|last| last.counters.clone()).unwrap_or_default(),
            digest,
            read: None,
        };
        let direct = left.output.as_ref().is_some_and(|output| output.direct);
        let data = left.output.as_ref().map(|output| output.data.clone()).unwrap_or_default();
        // That of the header is the one that the run began with.
        let mut records = vec![Record::Kernel { digest: left.kernel }];
        records.push(Record::Output(OutputRecord { job, target, data, direct }));
        records.extend(failed.into_iter().map(Record::Failed));
        records.push(Record::Commit(commit));
        records.push(Record::End { exit: Exit::ItemsFailed.code() });
        records.iter().try_for_each(|record| journal.append(record)).and_then(|()| journal.sync()).map_err(failure)?;
        std::fs::rename(&name, &self.path).map_err(broken)
    }
}

/// Half-written files of a run have it in their names.
fn number(header: &Header) -> u32 {
    let [first, second, third, fourth, ..] = header.run;
    u32::from_le_bytes([first, second, third, fourth])
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// BLAKE3 and length of a file.
fn digest(path: &Path) -> std::io::Result<([u8; 32], u64)> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((*hasher.finalize().as_bytes(), hasher.count())),
            read => hasher.update(&buffer[..read]),
        };
    }
}

/// The header of a new journal.
pub(crate) fn header(kernel: &KernelFile, inputs: &VecDeque<Found>, clock: SystemTime) -> Result<Header, Failure> {
    let folder = std::env::current_dir()
        .map_err(|error| Failure::new(Exit::Host, format!("the current folder cannot be found: {error}")))?;
    let since_1970 = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
    let inputs = prints(inputs)?;
    if inputs.len() > 1 && inputs.iter().any(|input| matches!(input.kind, InputKind::Pipe)) {
        return Err(Failure::usage("--journal with a pipe needs it to be the only input"));
    }
    let mut run = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut run))
        .map_err(|error| Failure::new(Exit::Host, format!("no random number can be had: {error}")))?;
    Ok(Header {
        run,
        command: words::arguments().iter().map(|word| word.as_bytes().to_vec()).collect(),
        folder: folder.into_os_string().into_vec(),
        kernel: *blake3::hash(&kernel.bytes).as_bytes(),
        shape: String::new(),
        clock: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
        inputs,
        taskhost: env!("CARGO_PKG_VERSION").into(),
    })
}

/// What the inputs are.
pub(crate) fn prints(inputs: &VecDeque<Found>) -> Result<Vec<InputPrint>, Failure> {
    let print = |found: &Found| match found {
        Found::Stdin => {
            let fd = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
            fd.and_then(|fd| InputPrint::of_file(b"-".to_vec(), &File::from(fd)))
                .map_err(|error| Failure::input(format!("standard input: {error}")))
        }
        Found::Call(_) => Err(Failure::usage("a call that was typed keeps no journal")),
        Found::File(file) => {
            InputPrint::of(&file.path).map_err(|error| Failure::input(format!("{}: {error}", file.name)))
        }
    };
    inputs.iter().map(print).collect()
}

pub(crate) fn failure(error: JournalError) -> Failure {
    Failure::input(error.to_string())
}
