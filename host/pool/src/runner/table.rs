//! Jobs whose items somebody hands over one by one: where the items lie until they are run, and how results go back.
//!
//! Blocks of items that are short lie in one arena that all workers have open, whatever the job: nothing has to be sent
//! but where they are. A long one is a file of its own.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use taskhost_os::exact;
use taskhost_os::memfd::InputArena;
use taskhost_protocol::ids::{BatchId, JobId, SourceId};

use super::jobs::OpenSource;
use super::{Observer, Pool};
use crate::event::{Event, FailedItem as Failed, JobFailure};
use crate::job::{Block, BlockBytes, Blocks, FailedItem, Feed, JobFeed, Recipient, Request, Results};
use crate::state::sizing::OUTPUT_BUDGET;

/// Bytes of a region of the arena, and so of the longest block that lies in it.
pub const SHORT_BLOCK: usize = 256 << 10;

/// Regions: as much as is read ahead of a job that does well, and address space only until they are used.
const REGIONS: usize = 1024;

/// Regions that nobody has.
type Free = Arc<Mutex<Vec<usize>>>;

fn lock(free: &Free) -> MutexGuard<'_, Vec<usize>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The arena of short blocks.
#[derive(Debug, Default)]
pub(super) struct Tables {
    arena: Option<(InputArena, Arc<OwnedFd>)>,
    free: Free,
}

/// A region in use. It is free again when nobody holds it: neither the job, nor a worker that may still read it.
#[derive(Debug)]
pub(crate) struct Held {
    region: usize,
    free: Free,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.free).push(self.region);
    }
}

/// Where a block lies.
struct Placed {
    file: Arc<OwnedFd>,
    at: u64,
    held: Option<Arc<Held>>,
}

impl Tables {
    fn place(&mut self, bytes: BlockBytes) -> io::Result<Placed> {
        let bytes = match bytes {
            BlockBytes::Long(file) => return Ok(Placed { file: Arc::new(file), at: 0, held: None }),
            BlockBytes::Short(bytes) => bytes,
        };
        let (arena, shared) = match &mut self.arena {
            Some(arena) => arena,
            none => {
                let arena = InputArena::create(SHORT_BLOCK * REGIONS)?;
                let shared = Arc::new(arena.as_fd().try_clone_to_owned()?);
                *lock(&self.free) = (0..REGIONS).rev().collect();
                none.insert((arena, shared))
            }
        };
        // The one that was free last is still in the cache.
        let region = if bytes.len() <= SHORT_BLOCK { lock(&self.free).pop() } else { None };
        let Some(region) = region else {
            let file = taskhost_os::memfd::sealed_copy(c"taskhost-items", &bytes).map_err(io::Error::other)?;
            return Ok(Placed { file: Arc::new(file), at: 0, held: None });
        };
        let at = region * SHORT_BLOCK;
        arena.bytes_mut(at..at + bytes.len()).copy_from_slice(&bytes);
        let held = Some(Arc::new(Held { region, free: Arc::clone(&self.free) }));
        Ok(Placed { file: Arc::clone(shared), at: at as u64, held })
    }
}

/// What a running job of this kind has beside what all jobs have.
pub(crate) struct TableJob {
    blocks: Box<dyn Blocks>,
    recipient: Box<dyn Recipient>,
    /// Items that came so far.
    items: u64,
    /// Of blocks with failed items: how many items came before.
    before: BTreeMap<SourceId, u64>,
}

impl TableJob {
    pub(super) fn new(blocks: Box<dyn Blocks>, recipient: Box<dyn Recipient>) -> Self {
        Self { blocks, recipient, items: 0, before: BTreeMap::new() }
    }

    /// Items of this block failed, before which so many came.
    pub(super) fn note(&mut self, source: SourceId, before: u64) {
        self.before.insert(source, before);
    }

    /// Tells of a failed item.
    pub(super) fn failed(&mut self, item: &Failed, told: FailedItem) {
        if let Some(before) = self.before.get(&item.place.source) {
            self.recipient.failed(before + item.place.offset, told);
        }
        if item.number.is_some() {
            // In order, so nothing before it is asked for again.
            self.before = self.before.split_off(&item.place.source);
        }
    }

    pub(super) fn over(&mut self, failure: Option<JobFailure>) {
        self.recipient.over(failure);
    }
}

impl Pool {
    /// Takes in the job's next block, if it is one that has such.
    pub(super) fn next_block(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        let Some(table) = &mut job.table else { return false };
        let Block { items, bytes } = match table.blocks.next() {
            Feed::Later => {
                job.waits_for_source = true;
                return true;
            }
            Feed::Ended => {
                self.tell_state(Event::SourcesEnded { job: id });
                return true;
            }
            Feed::Next(block) => block,
        };
        let placed = match self.tables.place(bytes) {
            Ok(placed) => placed,
            Err(error) => {
                let failure = JobFailure::Input(format!("items cannot be laid out for the workers: {error}"));
                self.tell_state(Event::JobBroken { job: id, failure });
                return true;
            }
        };
        let source = SourceId(job.next_source);
        job.next_source += 1;
        table.items += items;
        let Placed { file, at, held } = placed;
        job.sources.insert(source, OpenSource { name: job.name.clone(), file, header: None, at, held, memory: 0 });
        self.tell_state(Event::SourceOpened { job: id, source, start: 0, end: items });
        true
    }

    /// Hands the results of a batch over, if its job is one that does so.
    pub(super) fn hand_over(&mut self, id: JobId, batch: BatchId, bytes: u64) -> bool {
        let Some(table) = self.jobs.get_mut(&id).and_then(|job| job.table.as_mut()) else { return false };
        let Some(out) = self.batches.get_mut(&batch) else { return true };
        let Some((regions, region)) = &out.regions else { return true };
        // A batch ends behind the result with which it has more than its budget.
        let most = OUTPUT_BUDGET + self.config.limits.output + (1 << 20);
        let mut content = Vec::new();
        let copied = if bytes > most {
            Err("a worker claims to have made more than it may".to_owned())
        } else {
            content.resize(usize::try_from(bytes).unwrap_or(0), 0);
            exact::pread_exact(regions.arena().as_fd(), &mut content, region.offset())
                .map_err(|error| error.to_string())
        };
        // What a reduction came to is of all items, and of no stretch of them.
        let first = out.pieces.first().map_or(0, |piece| piece.base + piece.start);
        let results = Results { first, items: out.items, failed: std::mem::take(&mut out.failed), bytes: content };
        let event = match copied {
            Ok(()) => match table.recipient.results(results) {
                0 => None,
                taken => Some(Event::Written { job: id, bytes: taken }),
            },
            Err(what) => Some(Event::JobBroken { job: id, failure: JobFailure::Lost(what) }),
        };
        self.release_batch(batch);
        self.pending.extend(event);
        true
    }

    /// Does what is wanted of running jobs.
    pub(super) fn attend(&mut self, jobs: &mut dyn JobFeed, observer: &mut dyn Observer) {
        let requests = jobs.requests();
        if requests.is_empty() {
            return;
        }
        for request in requests {
            match request {
                Request::Taken(job, bytes) => self.tell_state(Event::Written { job, bytes }),
                Request::Cancel(job) => self.tell_state(Event::JobCancelled { job }),
            }
        }
        self.settle(observer);
    }

    /// Ends workers that are still at what nobody wants any more.
    pub(super) fn stop_unwanted(&mut self, now: Instant) {
        for (worker, batch) in self.vigil.due_stops(now) {
            let Some(worker) = self.workers.get_mut(&worker) else { continue };
            if worker.asked.front().is_some_and(|asked| asked.batch == batch) {
                worker.kill(crate::death::Reason::Retired("was at work for nobody any more"));
            }
        }
    }
}
