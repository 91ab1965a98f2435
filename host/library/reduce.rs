//! All items joined to one result: how they are handed over, no more of them at a time than are run soon, and the one that comes back.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskhost_pool::event::{ItemsPlan, OnError};
use taskhost_pool::job::{Block, Blocks, Feed, Request};
use taskhost_pool::plan::Share;
use taskhost_pool::state::sizing::BatchRule;
use taskhost_protocol::ids::JobId;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::table::TableBuilder;
use taskhost_protocol::work::Merge;

use super::channel::{self, Arrived, Channel, Sender};
use super::desk::{Desk, NewJob, lock};
use super::error::{Error, TaskError};
use super::form::{Bytes, Form, Values};
use super::kernel::Kernel;
use super::task::plan;

/// How long items are gathered, when they come slowly.
const TURN: Duration = Duration::from_millis(1);

/// Tables that wait until the workers take them, and bytes of them: enough to keep many workers at work.
const TABLES: usize = 64;
const BYTES: usize = 32 << 20;

impl Kernel {
    /// All items joined to one result, by the kernel's own `combine` and `finish`: `functools.reduce`, on every core. Items are
    /// taken from the iterator as they are run. The order in which parts are joined is fixed by the items alone, so that
    /// a sum of floating-point numbers has the same bits for any number of workers and after any retry.
    ///
    /// Items and the result are Rust values, which the kernel reads and writes by postcard.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(2).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels")).expect("it is there");
    /// let sum = pool.kernel("sum.wat")?;
    /// let total: f64 = sum.reduce((0..1000).map(|n| f64::from(n) / 4.0))?;
    /// assert_eq!(total, 124_875.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Refused`] when the kernel exports no `reducer`; [`Error::Task`] for the first item that fails, since there is
    /// no result without it, and when the result is none.
    pub fn reduce<I, R>(&self, items: I) -> Result<R, Error>
    where
        I: IntoIterator,
        I::Item: Serialize,
        R: DeserializeOwned,
    {
        self.reduce_as::<I, Values<R>>(items)
    }

    /// The same with bytes as they are, for kernels that read no postcard.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(2).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/dist")).expect("it is there");
    /// let words = pool.kernel("wordcount.wasm")?;
    /// let counted = words.reduce_bytes(["to be or", "not to be"])?;
    /// assert_eq!(String::from_utf8_lossy(&counted), "be\t2\nnot\t1\nor\t1\nto\t2\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Kernel::reduce`].
    pub fn reduce_bytes<I>(&self, items: I) -> Result<Vec<u8>, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.reduce_as::<I, Bytes>(items)
    }

    fn reduce_as<I: IntoIterator, F: Form<I::Item>>(&self, items: I) -> Result<F::Result, Error> {
        let mut reduction = Reduction::begin(self.reducing()?)?;
        let mut table = TableBuilder::default();
        let mut began = Instant::now();
        for (item, value) in (0..).zip(items) {
            let mut written = push::<_, F>(&mut table, &value);
            if written == Ok(false) && table.items() > 0 {
                // There is room for it in a table of its own, if there is anywhere.
                reduction.send(&mut table);
                written = push::<_, F>(&mut table, &value);
            }
            let written = written.and_then(|fits| {
                if fits { Ok(()) } else { Err(format!("it has more than the {ITEM_BYTES} bytes an item may have")) }
            });
            written.map_err(|message| TaskError::Write { item, message })?;
            if channel::is_full(&table) || began.elapsed() >= TURN {
                if !reduction.send(&mut table) {
                    // It has failed.
                    break;
                }
                began = Instant::now();
            }
        }
        reduction.send(&mut table);
        let result = reduction.end()?;
        let unreadable = |message| TaskError::Lost(format!("the result is not what was expected: {message}"));
        Ok(F::read(&result).map_err(unreadable)?)
    }
}

/// Puts an item into the table; false when it is too long for it.
fn push<T, F: Form<T>>(table: &mut TableBuilder, item: &T) -> Result<bool, String> {
    let before = table.bytes();
    let fits = table.push_with(|bytes| F::write(item, bytes))?;
    let is_short = (table.bytes() - before) as u64 <= ITEM_BYTES;
    if fits && !is_short {
        table.pop();
    }
    Ok(fits && is_short)
}

/// Tables on their way to the workers.
#[derive(Default)]
struct Line {
    blocks: VecDeque<(Block, usize)>,
    bytes: usize,
    ended: bool,
    /// The job is over.
    closed: bool,
}

/// A line that is only so long.
#[derive(Default)]
struct Gate {
    line: Mutex<Line>,
    moved: Condvar,
}

/// The end of it from which the workers take.
struct Exit(Arc<Gate>);

impl Blocks for Exit {
    fn next(&mut self) -> Feed<Block> {
        let mut line = lock(&self.0.line);
        let Some((block, bytes)) = line.blocks.pop_front() else {
            return if line.ended { Feed::Ended } else { Feed::Later };
        };
        line.bytes -= bytes;
        self.0.moved.notify_all();
        Feed::Next(block)
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        lock(&self.0.line).closed = true;
        self.0.moved.notify_all();
    }
}

/// A reduction that is under way. Dropping it gives it up.
struct Reduction {
    desk: Arc<Desk>,
    job: JobId,
    gate: Arc<Gate>,
    channel: Arc<Channel>,
}

impl Reduction {
    fn begin(desk: &Arc<Desk>) -> Result<Self, Error> {
        let (gate, channel) = (Arc::<Gate>::default(), Arc::<Channel>::default());
        let recipient = Box::new(Sender { channel: Arc::clone(&channel), takes_all: true });
        // What lacks an item looks like what does not.
        let plan = ItemsPlan { merge: Merge::Reduce, on_error: OnError::Fail, ..plan(true, BatchRule::Auto) };
        let new = NewJob { plan, blocks: Box::new(Exit(Arc::clone(&gate))), recipient, share: Share::default() };
        let job = desk.add(new, true).map_err(|closed| closed.why.map_or(Error::Closed, Error::Start))?;
        Ok(Self { desk: Arc::clone(desk), job, gate, channel })
    }

    /// Hands a table over when there is room for it, and begins a new one; false when nobody wants it any more.
    fn send(&mut self, table: &mut TableBuilder) -> bool {
        if table.items() == 0 {
            return true;
        }
        let table = std::mem::take(table);
        let bytes = table.bytes();
        let block = match channel::block(&table) {
            Ok(block) => block,
            Err(what) => {
                self.channel.end(TaskError::Lost(format!("items cannot be laid out: {what}")));
                return false;
            }
        };
        let is_full = |line: &mut Line| {
            let has_room = line.blocks.len() < TABLES && line.bytes + bytes <= BYTES;
            !(line.closed || line.blocks.is_empty() || has_room)
        };
        let line = lock(&self.gate.line);
        let mut line = self.gate.moved.wait_while(line, is_full).unwrap_or_else(PoisonError::into_inner);
        if line.closed {
            return false;
        }
        line.bytes += bytes;
        line.blocks.push_back((block, bytes));
        drop(line);
        self.desk.wake();
        true
    }

    /// There are no more items: what they came to.
    fn end(self) -> Result<Vec<u8>, TaskError> {
        lock(&self.gate.line).ended = true;
        self.desk.wake();
        let mut arrived = VecDeque::new();
        loop {
            let end = self.channel.take(&mut arrived, None);
            match (arrived.pop_front(), end) {
                (Some(Arrived::Failed(item, verdict)), _) => return Err(TaskError::of_verdict(item, verdict)),
                (Some(Arrived::Results(results)), _) => return Ok(results.bytes),
                // One of no bytes does not arrive.
                (None, Some(end)) => return end.map(|()| Vec::new()),
                (None, None) => {}
            }
        }
    }
}

impl Drop for Reduction {
    fn drop(&mut self) {
        // Of a job that is over, nobody hears this.
        self.desk.request(Request::Cancel(self.job));
        self.desk.forget(self.job);
    }
}
