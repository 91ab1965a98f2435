//! Keeping the journal of a run: what is merged becomes a commit, data first. Commits are made together, a few a
//! second, by the writing thread, so that nobody waits for a disk.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use taskhost_protocol::ids::JobId;

use super::jobs::{JobOutput, RunningJob};
use super::sink::{Content, Purpose, Sink, Target, Write};
use crate::event::{DoneRange, FailedItem as Failed, JobFailure, JobTotals, Prefix};
use crate::job::FailedItem;
use crate::journal::{Commit, FailedRecord, JobOver, Journal, JournalError, OutputRecord, PartsRecord, Record};

/// How often commits are made at first: what a crash may cost is this much work. Waiting for a disk takes 1 to 10 ms
/// here …
const EVERY: Duration = Duration::from_millis(50);

/// … and at most, after this many of them, so that a journal of days is not one of millions of commits.
const SELDOM: Duration = Duration::from_secs(1);
const COMMITS: u32 = 1000;

/// What is not yet committed is at most so much output, where writing is faster than that.
const BYTES: u64 = 8 << 20;

/// A journal that is kept, and how.
#[derive(Clone, Debug)]
pub struct Journaling {
    /// The journal.
    pub journal: Arc<Mutex<Journal>>,
    /// The line of the error file for a failed item.
    pub describe: fn(&FailedItem) -> String,
    /// Whether the progress of each job is kept, or only whether it is over: for runs with a result for each input.
    pub commits: bool,
}

/// A commit on its way to the disk.
#[derive(Debug)]
pub(crate) struct Saving {
    journal: Arc<Mutex<Journal>>,
    records: Vec<Record>,
    commit: Commit,
}

/// What is kept of a job.
#[derive(Debug, Default)]
struct Kept {
    merged: Option<(Prefix, JobTotals)>,
    failed: Vec<Record>,
    /// Bytes of output that are committed, or on their way.
    output: u64,
    in_flight: bool,
}

/// Keeps the journal.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) journaling: Journaling,
    jobs: HashMap<JobId, Kept>,
    /// Failed items of jobs whose progress is not kept: they are written down when their job is over.
    failed: HashMap<JobId, Vec<Record>>,
    began: Instant,
    next: Instant,
    unsynced: bool,
    /// Whether nothing was committed yet, so that there is nothing to go on with.
    empty: bool,
    /// Bytes of output that were committed last.
    output: u64,
}

impl Keeper {
    pub(super) fn new(journaling: Journaling) -> Self {
        Self {
            journaling,
            jobs: HashMap::new(),
            failed: HashMap::new(),
            began: Instant::now(),
            next: Instant::now(),
            unsynced: false,
            empty: true,
            output: 0,
        }
    }

    /// When something is to be saved, if anything is.
    pub(super) fn next(&self) -> Option<Instant> {
        let waits = |kept: &Kept| kept.merged.is_some() && !kept.in_flight;
        (self.unsynced || self.jobs.values().any(waits)).then_some(self.next)
    }

    fn append(&mut self, record: &Record) -> Result<(), JobFailure> {
        let mut journal = self.journaling.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append(record).map_err(|error| failure(&error))?;
        self.unsynced = true;
        Ok(())
    }

    /// A job begins.
    pub(super) fn begin(&mut self, id: JobId, job: &mut RunningJob) -> Result<(), JobFailure> {
        let JobOutput::File { atomic, .. } = &mut job.output else { return Ok(()) };
        if self.journaling.commits {
            // What is written so far is needed after whatever happens.
            atomic.preserve();
            // A run before may have committed something.
            self.empty &= job.merged == Prefix::default();
            self.output = job.merged.output;
            self.jobs.insert(id, Kept { output: job.merged.output, ..Kept::default() });
        }
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let (target, data) = (bytes(atomic.path()), bytes(&atomic.temporary_path()));
        self.append(&Record::Output(OutputRecord { job: id, target, data, direct: job.is_direct }))?;
        self.sync()
    }

    fn sync(&mut self) -> Result<(), JobFailure> {
        self.unsynced = false;
        let mut journal = self.journaling.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.sync().map_err(|error| failure(&error))
    }

    /// An item of a job failed.
    pub(super) fn failed(&mut self, id: JobId, item: &Failed, told: &FailedItem) {
        let failed = match self.jobs.get_mut(&id) {
            Some(kept) => &mut kept.failed,
            None if !self.journaling.commits => self.failed.entry(id).or_default(),
            None => return,
        };
        failed.push(Record::Failed(FailedRecord {
            job: id,
            source: item.place.source,
            offset: item.place.offset,
            len: item.len,
            item: item.number.unwrap_or(0),
            line: told.line,
            at: item.at,
            filled: item.filled,
            json: (self.journaling.describe)(told),
        }));
    }

    /// A stretch of a reduction is done.
    pub(super) fn reduced(&mut self, id: JobId, range: DoneRange, bytes: Vec<u8>) -> Result<(), JobFailure> {
        if !self.jobs.contains_key(&id) {
            return Ok(());
        }
        let DoneRange { source, start, end, items, failed, counters, parts } = range;
        self.append(&Record::Parts(PartsRecord {
            job: id,
            source,
            start,
            end,
            bytes,
            parts,
            items,
            counters,
            failed,
        }))?;
        self.empty = false;
        Ok(())
    }

    /// A job is merged up to here.
    pub(super) fn merged(&mut self, id: JobId, prefix: Prefix, totals: JobTotals) {
        if let Some(kept) = self.jobs.get_mut(&id) {
            if prefix.output - kept.output >= BYTES {
                self.next = Instant::now();
            }
            kept.merged = Some((prefix, totals));
        }
    }

    /// Saves what is due.
    pub(super) fn save(&mut self, jobs: &HashMap<JobId, RunningJob>, sink: &Sink) -> Result<(), JobFailure> {
        let now = Instant::now();
        // What comes first is saved at once: from then on there is something to go on with.
        if now < self.next || self.next().is_none() {
            return Ok(());
        }
        self.next = now + (self.began.elapsed() / COMMITS).clamp(EVERY, SELDOM);
        if self.unsynced {
            self.sync()?;
        }
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            if let Some(job) = jobs.get(&id) {
                self.save_job(id, job, sink);
            }
        }
        Ok(())
    }

    /// Saves how far a job is, when nothing of it is being saved. Says whether something is on its way.
    pub(super) fn save_job(&mut self, id: JobId, job: &RunningJob, sink: &Sink) -> bool {
        let Some(target) = job.target() else { return false };
        let Some(kept) = self.jobs.get_mut(&id) else { return false };
        if kept.in_flight {
            return true;
        }
        let Some((prefix, totals)) = kept.merged.take() else { return false };
        let commit = Commit {
            job: id,
            source: prefix.source,
            offset: prefix.offset,
            complete: false,
            output_from: kept.output,
            output: prefix.output,
            items: totals.items,
            input: totals.input,
            source_items: prefix.source_items,
            counters: totals.counters.into_iter().collect(),
            digest: [0; 32],
            read: job.read_before(prefix),
        };
        kept.output = prefix.output;
        kept.in_flight = true;
        let journal = Arc::clone(&self.journaling.journal);
        let saving = Saving { journal, records: std::mem::take(&mut kept.failed), commit };
        sink.write(Write { job: id, purpose: Purpose::Commit, target, content: Content::Commit(Box::new(saving)) });
        true
    }

    /// Whether nothing was committed.
    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    /// A commit is on the disk, or could not be made.
    pub(super) fn saved(&mut self, id: JobId, is_made: bool) {
        self.empty &= !is_made;
        if let Some(kept) = self.jobs.get_mut(&id) {
            kept.in_flight = false;
            if is_made {
                self.output = kept.output;
            }
        }
    }

    /// Bytes of output that were committed last.
    pub(super) fn output(&self) -> u64 {
        self.output
    }

    /// A job is over, and its output in its place if it has one.
    pub(super) fn over(&mut self, id: JobId, name: &str, output: Option<&Path>, why: Option<&JobFailure>) {
        self.jobs.remove(&id);
        let failed = self.failed.remove(&id).unwrap_or_default();
        self.empty &= why.is_some();
        let over = JobOver {
            job: id,
            input: name.as_bytes().to_vec(),
            output: output.map(|path| path.as_os_str().as_bytes().to_vec()),
            failed: why.map(ToString::to_string),
        };
        // Without a result it is run again as a whole.
        let failed = failed.iter().filter(|_| why.is_none());
        // A journal that cannot be written has ended the run, or does so with the next commit.
        let _ = failed.chain([&Record::JobOver(over)]).try_for_each(|record| self.append(record));
    }
}

impl Saving {
    /// Data first, then the record that says so.
    pub(crate) fn perform(&self, target: &Target) -> Result<(), JobFailure> {
        let broken = |error: std::io::Error| JobFailure::Output(format!("the output cannot be saved: {error}"));
        target.sync().map_err(broken)?;
        let (from, to) = (self.commit.output_from, self.commit.output);
        let commit = Commit { digest: target.digest(from, to).map_err(broken)?, ..self.commit.clone() };
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self
            .records
            .iter()
            .chain([&Record::Commit(commit)])
            .try_for_each(|record| journal.append(record))
            .and_then(|()| journal.sync());
        result.map_err(|error| failure(&error))
    }
}

impl Target {
    fn sync(&self) -> std::io::Result<()> {
        self.file().sync_data()
    }

    /// BLAKE3 of a stretch of what was written. It is read back: what the page cache holds is what is on its way to the
    /// disk, whoever wrote it.
    fn digest(&self, from: u64, to: u64) -> std::io::Result<[u8; 32]> {
        /// Bytes read at a time: stays in the second-level cache.
        const STEP: u64 = 256 << 10;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; usize::try_from((to - from).min(STEP)).unwrap_or(0)];
        let mut at = from;
        while at < to {
            let part = &mut buffer[..usize::try_from((to - at).min(STEP)).unwrap_or(0)];
            taskhost_os::exact::pread_exact(self.file().as_fd(), part, at).map_err(std::io::Error::other)?;
            hasher.update(part);
            at += part.len() as u64;
        }
        Ok(*hasher.finalize().as_bytes())
    }
}

fn failure(error: &JournalError) -> JobFailure {
    JobFailure::Output(error.to_string())
}
