//! Items that are run together, and a function that is told of each result: what a server needs that answers many at once. No
//! thread waits for them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{FailedItem, Recipient, Request, Results};
use taskhost_pool::plan::Share;
use taskhost_pool::state::sizing::BatchRule;
use taskhost_pool::verdict::Verdict;
use taskhost_protocol::ids::JobId;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::table::{TableBuilder, first_frame};

use super::channel::{self, Outgoing};
use super::desk::{Desk, NewJob};
use super::error::Error;
use super::function::Function;
use super::kernel::Kernel;
use super::task::plan;

/// What became of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its result.
    Done(Vec<u8>),
    /// It has failed.
    Failed(Verdict),
    /// It was given up, or there is nobody who could run it, for reasons that are not the item's.
    Lost(String),
}

/// Items that are run together. Dropping this gives up those that are not done, running or not.
pub struct Together {
    desk: Arc<Desk>,
    job: JobId,
    left: Left,
}

impl std::fmt::Debug for Together {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Together").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Set as long as something is to be done.
type Left = Arc<std::sync::atomic::AtomicBool>;

impl Kernel {
    /// Has several items run by one worker, and `told` of each by its number as soon as that is known: in a thread of the
    /// pool, which waits for it. Every item is told of once.
    ///
    /// # Errors
    /// When the items are more than a job may have, or the pool is closed.
    pub fn submit_together(
        &self,
        items: &[impl AsRef<[u8]>],
        told: impl FnMut(usize, Outcome) + Send + 'static,
    ) -> Result<Together, Error> {
        let mut table = TableBuilder::default();
        for item in items {
            let item = item.as_ref();
            let push = |bytes: &mut Vec<u8>| {
                bytes.extend_from_slice(item);
                Ok::<_, std::convert::Infallible>(())
            };
            let Ok(fits) = table.push_with(push);
            if !fits || table.bytes() as u64 > ITEM_BYTES {
                return Err(Error::Write(format!("they have more than {ITEM_BYTES} bytes together")));
            }
        }
        let blocks = Outgoing::default();
        blocks.push(channel::block(&table).map_err(Error::Write)?);
        blocks.end();
        let left = Left::new(true.into());
        let teller = Teller { told, is_told: vec![false; items.len()], left: Arc::clone(&left) };
        let is_single = items.len() == 1;
        let rule = if is_single { BatchRule::Items(1) } else { BatchRule::Auto };
        let new = NewJob {
            plan: plan(false, rule),
            blocks: Box::new(blocks),
            recipient: Box::new(teller),
            share: Share { is_single, most: Some(NonZeroUsize::MIN), ..Share::default() },
        };
        let desk = self.desk();
        let job = desk.add(new, false).map_err(|closed| closed.why.map_or(Error::Closed, Error::Start))?;
        Ok(Together { desk: Arc::clone(desk), job, left })
    }
}

impl Function {
    /// The same for calls: arguments as JSON, and so the results, as text.
    ///
    /// # Errors
    /// As [`Kernel::submit_together`].
    pub fn submit_together(
        &self,
        calls: &[impl AsRef<[u8]>],
        told: impl FnMut(usize, Outcome) + Send + 'static,
    ) -> Result<Together, Error> {
        self.kernel().submit_together(calls, told)
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        if self.left.load(std::sync::atomic::Ordering::Acquire) {
            self.desk.request(Request::Cancel(self.job));
        }
        self.desk.forget(self.job);
    }
}

/// The reactor's end.
struct Teller<F: FnMut(usize, Outcome)> {
    told: F,
    is_told: Vec<bool>,
    left: Left,
}

impl<F: FnMut(usize, Outcome)> Teller<F> {
    fn tell(&mut self, item: u64, outcome: Outcome) {
        let Ok(item) = usize::try_from(item) else { return };
        if let Some(is_told @ false) = self.is_told.get_mut(item) {
            *is_told = true;
            if self.is_told.iter().all(|is_told| *is_told) {
                self.left.store(false, std::sync::atomic::Ordering::Release);
            }
            (self.told)(item, outcome);
        }
    }

    fn lose(&mut self, why: &str) {
        for item in 0..self.is_told.len() {
            self.tell(item as u64, Outcome::Lost(why.to_owned()));
        }
    }
}

impl<F: FnMut(usize, Outcome) + Send> Recipient for Teller<F> {
    fn results(&mut self, results: Results) -> u64 {
        let mut rest = results.bytes.as_slice();
        for item in (0..results.items).filter(|item| !results.failed.contains(item)) {
            // What a worker wrote is no evidence: of what is no result, nobody is told until the job is over.
            let Some((frame, after)) = first_frame(rest) else { break };
            self.tell(results.first + item, Outcome::Done(frame.to_vec()));
            rest = after;
        }
        results.bytes.len() as u64
    }

    fn failed(&mut self, item: u64, failure: FailedItem) {
        self.tell(item, Outcome::Failed(failure.verdict));
    }

    fn over(&mut self, failure: Option<JobFailure>) {
        match failure {
            Some(JobFailure::ReaderGone) => self.lose("it was given up"),
            Some(failure) => self.lose(&failure.to_string()),
            None => self.lose("a worker returned something that is no result"),
        }
    }
}

impl<F: FnMut(usize, Outcome)> Drop for Teller<F> {
    fn drop(&mut self) {
        self.lose("the pool is closed");
    }
}
