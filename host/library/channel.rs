//! Results on their way from the reactor to whoever waits for them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::time::Instant;

use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{Block, BlockBytes, Blocks, FailedItem, Feed, Recipient, Results};
use taskhost_pool::runner::SHORT_BLOCK;
use taskhost_pool::verdict::Verdict;
use taskhost_protocol::table::{NUMBER_BYTES, TableBuilder};

use super::desk::lock;
use super::error::TaskError;

/// Something that has come.
#[derive(Debug)]
pub(crate) enum Arrived {
    Results(Results),
    Failed(u64, Verdict),
}

#[derive(Debug, Default)]
struct Waiting {
    arrived: VecDeque<Arrived>,
    /// Nothing more will come; with the reason, unless all is there.
    end: Option<Result<(), TaskError>>,
    waker: Option<Waker>,
    /// Threads that sleep until something comes.
    sleepers: usize,
}

/// Where results wait until they are taken.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Channel {
    fn tell(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = lock(&self.waiting);
        change(&mut waiting);
        let waker = waiting.waker.take();
        let is_awaited = waiting.sleepers > 0;
        drop(waiting);
        if is_awaited {
            self.changed.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing more is waited for.
    pub(crate) fn end(&self, error: TaskError) {
        self.tell(|waiting| {
            waiting.end.get_or_insert(Err(error));
        });
    }

    /// Takes all that has come into `into`, waiting for something until then. Returns how the job ended, when nothing came
    /// and nothing will; `None` also when the time is over.
    pub(crate) fn take(&self, into: &mut VecDeque<Arrived>, until: Option<Instant>) -> Option<Result<(), TaskError>> {
        let mut waiting = lock(&self.waiting);
        loop {
            if !waiting.arrived.is_empty() {
                into.append(&mut waiting.arrived);
                return None;
            }
            if waiting.end.is_some() {
                return waiting.end.clone();
            }
            waiting.sleepers += 1;
            waiting = match until {
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        waiting.sleepers -= 1;
                        return None;
                    }
                    self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            waiting.sleepers -= 1;
        }
    }

    /// Whether something has come.
    pub(crate) fn is_there(&self) -> bool {
        let waiting = lock(&self.waiting);
        !waiting.arrived.is_empty() || waiting.end.is_some()
    }

    /// Has this waker woken when something comes; false when something has come already.
    pub(crate) fn watch(&self, waker: &Waker) -> bool {
        let mut waiting = lock(&self.waiting);
        if !waiting.arrived.is_empty() || waiting.end.is_some() {
            return false;
        }
        waiting.waker = Some(waker.clone());
        true
    }
}

/// The reactor's end of a channel. `takes_all` when results are not to be waited for.
pub(crate) struct Sender {
    pub(crate) channel: Arc<Channel>,
    pub(crate) takes_all: bool,
}

impl Recipient for Sender {
    fn results(&mut self, results: Results) -> u64 {
        let bytes = results.bytes.len() as u64;
        self.channel.tell(|waiting| waiting.arrived.push_back(Arrived::Results(results)));
        if self.takes_all { bytes } else { 0 }
    }

    fn failed(&mut self, item: u64, failure: FailedItem) {
        self.channel.tell(|waiting| waiting.arrived.push_back(Arrived::Failed(item, failure.verdict)));
    }

    fn over(&mut self, failure: Option<JobFailure>) {
        self.channel.tell(|waiting| {
            let end = failure.map_or(Ok(()), |failure| Err(TaskError::of_job(&failure)));
            waiting.end.get_or_insert(end);
        });
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // When the job is over, that was said before.
        self.channel.end(TaskError::Closed);
    }
}

#[derive(Default)]
struct Line {
    blocks: VecDeque<Block>,
    ended: bool,
}

/// Items on their way to the reactor.
#[derive(Clone, Default)]
pub(crate) struct Outgoing(Arc<Mutex<Line>>);

impl Outgoing {
    pub(crate) fn push(&self, block: Block) {
        lock(&self.0).blocks.push_back(block);
    }

    pub(crate) fn end(&self) {
        lock(&self.0).ended = true;
    }
}

impl Blocks for Outgoing {
    fn next(&mut self) -> Feed<Block> {
        let mut line = lock(&self.0);
        match line.blocks.pop_front() {
            Some(block) => Feed::Next(block),
            None if line.ended => Feed::Ended,
            None => Feed::Later,
        }
    }
}

/// Whether a table is long enough to be sent: it fits a region, whatever its numbers take, unless items are long.
pub(crate) fn is_full(table: &TableBuilder) -> bool {
    /// Bytes of items, and of their numbers.
    const TABLE: usize = SHORT_BLOCK / 2;
    let numbers = usize::try_from(table.items()).unwrap_or(usize::MAX).saturating_mul(NUMBER_BYTES);
    table.bytes() >= TABLE || numbers >= TABLE - NUMBER_BYTES
}

/// A table as it goes to the workers. Long ones are laid out here, in the thread that made them.
pub(crate) fn block(table: &TableBuilder) -> Result<Block, String> {
    let (mut bytes, items) = table.finish();
    bytes.extend_from_slice(items);
    let bytes = if bytes.len() <= SHORT_BLOCK {
        BlockBytes::Short(bytes)
    } else {
        let file = taskhost_os::memfd::sealed_copy(c"taskhost-items", &bytes).map_err(|error| error.to_string())?;
        BlockBytes::Long(file)
    };
    Ok(Block { items: table.items(), bytes })
}
