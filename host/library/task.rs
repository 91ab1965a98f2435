//! One item that is run, and its result when it is there.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use taskhost_pool::job::Request;
use taskhost_pool::plan::{ItemsPlan, OnError, Placement, Share};
use taskhost_pool::state::sizing::BatchRule;
use taskhost_protocol::ids::JobId;
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::table::{TableBuilder, first_frame};
use taskhost_protocol::work::{Merge, Split};

use super::channel::{self, Arrived, Channel, Outgoing, Sender};
use super::desk::{Desk, NewJob};
use super::error::{Error, TaskError};

/// How items that are handed over are run: all of them, whatever becomes of some.
pub(crate) fn plan(ordered: bool, batch: BatchRule) -> ItemsPlan {
    ItemsPlan {
        split: Split::Table,
        merge: Merge::Framed,
        placement: Placement::Append,
        length: ResultLength::Unknown,
        ordered,
        batch,
        bytes: None,
        on_error: OnError::Skip,
        origin: None,
        portion: None,
    }
}

/// One item that is run: made by [`Kernel::submit`](crate::Kernel::submit). It is also a future, of any runtime. Dropping
/// it cancels it.
///
/// ```
/// async fn count(primes: &taskhost::Kernel) -> Result<u64, taskhost::Error> {
///     Ok(primes.submit::<_, u64>(&(0u64, 100u64))?.await?)
/// }
/// ```
pub struct Task<R> {
    desk: Arc<Desk>,
    job: JobId,
    channel: Arc<Channel>,
    read: fn(&[u8]) -> Result<R, String>,
    arrived: VecDeque<Arrived>,
    /// Whether its result was given out.
    is_over: bool,
}

impl<R> std::fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("job", &self.job).field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl<R> Task<R> {
    pub(crate) fn submit(
        desk: &Arc<Desk>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
        read: fn(&[u8]) -> Result<R, String>,
    ) -> Result<Self, Error> {
        let mut table = TableBuilder::default();
        let fits = table.push_with(write).map_err(Error::Write)?;
        if !fits || table.bytes() as u64 > ITEM_BYTES {
            return Err(Error::Write(format!("it has more than the {ITEM_BYTES} bytes an item may have")));
        }
        let channel = Arc::new(Channel::default());
        let blocks = Outgoing::default();
        blocks.push(channel::block(&table).map_err(Error::Write)?);
        blocks.end();
        let recipient = Box::new(Sender { channel: Arc::clone(&channel), takes_all: true });
        let new = NewJob {
            plan: plan(true, BatchRule::Items(1)),
            blocks: Box::new(blocks),
            recipient,
            share: Share { is_single: true, ..Share::default() },
        };
        let job = desk.add(new, false).map_err(|closed| closed.why.map_or(Error::Closed, Error::Start))?;
        Ok(Self { desk: Arc::clone(desk), job, channel, read, arrived: VecDeque::new(), is_over: false })
    }

    /// Waits for the result.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let primes = pool.kernel("primes.wasm")?;
    /// let count = primes.submit::<_, u64>(&(0u64, 100u64))?;
    /// assert_eq!(count.wait()?, 25);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the item fails, is cancelled, or the pool is closed.
    pub fn wait(mut self) -> Result<R, TaskError> {
        loop {
            if let Some(result) = self.look(None) {
                return result;
            }
        }
    }

    /// Waits for the result, but not longer than this. `None` when it is not there by then; the item goes on.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// # use std::time::Duration;
    /// let primes = pool.kernel("primes.wasm")?;
    /// let mut count = primes.submit::<_, u64>(&(0u64, 1_000_000_000u64))?;
    /// while count.wait_timeout(Duration::from_secs(1)).is_none() {
    ///     println!("still at it");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<R, TaskError>> {
        match Instant::now().checked_add(limit) {
            Some(until) => self.look(Some(until)),
            // For ever.
            None => loop {
                if let Some(result) = self.look(None) {
                    break Some(result);
                }
            },
        }
    }

    /// The result, if it is there.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let primes = pool.kernel("primes.wasm")?;
    /// let mut count = primes.submit::<_, u64>(&(0u64, 100u64))?;
    /// if let Some(count) = count.try_result() {
    ///     println!("{}", count?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_result(&mut self) -> Option<Result<R, TaskError>> {
        self.look(Some(Instant::now()))
    }

    /// Gives it up, running or not: a kernel that never ends is ended with its worker. Whoever waits hears
    /// [`TaskError::Cancelled`], unless the result was there before.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let forever = pool.kernel("never-returns.wat")?;
    /// let task = forever.submit_bytes(b"x")?;
    /// task.cancel();
    /// assert_eq!(task.wait(), Err(taskhost::TaskError::Cancelled));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) {
        if !self.is_over {
            self.channel.end(TaskError::Cancelled);
            self.desk.request(Request::Cancel(self.job));
        }
    }

    /// Takes the result, once. After that, nothing will come.
    fn look(&mut self, until: Option<Instant>) -> Option<Result<R, TaskError>> {
        if self.is_over {
            return Some(Err(TaskError::Closed));
        }
        if !self.channel.is_there()
            && let Some(drive) = self.desk.drive()
        {
            drive.visit(until, || self.channel.is_there());
        }
        let end = self.channel.take(&mut self.arrived, until);
        let result = match (self.arrived.pop_front(), end) {
            (Some(Arrived::Failed(item, verdict)), _) => Err(TaskError::of_verdict(item, verdict)),
            (Some(Arrived::Results(results)), _) => match first_frame(&results.bytes) {
                Some((frame, [])) => (self.read)(frame).map_err(|message| TaskError::Read { item: 0, message }),
                _ => Err(TaskError::Lost("a worker returned something that is no result".into())),
            },
            (None, Some(end)) => Err(end.err().unwrap_or(TaskError::Closed)),
            (None, None) => return None,
        };
        self.is_over = true;
        self.desk.forget(self.job);
        Some(result)
    }
}

impl<R> Future for Task<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_over && self.channel.watch(context.waker()) {
            if let Some(drive) = self.desk.drive() {
                drive.send_home();
            }
            return Poll::Pending;
        }
        match self.try_result() {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    }
}

impl<R> Drop for Task<R> {
    fn drop(&mut self) {
        if !self.is_over {
            self.cancel();
            self.desk.forget(self.job);
        }
    }
}
