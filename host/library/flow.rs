//! Many items on their way out and their results on their way back: how far ahead, in which order, and what belongs to
//! what. Everything about a map that does not depend on the types of its values.

use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use taskhost_pool::job::{Request, Results};
use taskhost_pool::plan::Share;
use taskhost_pool::state::sizing::BatchRule;
use taskhost_pool::verdict::Verdict;
use taskhost_protocol::ids::JobId;
use taskhost_protocol::limits::ITEM_BYTES;
use taskhost_protocol::table::{TableBuilder, first_frame};

use super::channel::{self, Arrived, Channel, Outgoing, Sender};
use super::desk::{Desk, NewJob};
use super::error::TaskError;
use super::task::plan;

/// Work that is taken ahead: twice what all workers have at a time, and some more, so that they do not wait for whoever
/// reads the results.
const AHEAD: Duration = Duration::from_millis(250);

/// How often it is looked how many items that is.
const LOOK: Duration = Duration::from_millis(3);

/// How long it is looked before it is found to be fewer than before.
const LONG_LOOK: Duration = Duration::from_millis(100);

/// Most items that are taken ahead, however fast they are.
const MOST: u64 = 1 << 17;

/// Most bytes of items that are taken ahead, but for one item.
const MOST_BYTES: u64 = 32 << 20;

/// Items that each worker has at least.
const LEAST: u64 = 8;

/// The number of items grows by this factor at most, from one look to the next.
const GROWTH: u64 = 8;

/// Results that are being read.
struct Reading {
    results: Results,
    /// Bytes that were read.
    at: usize,
    /// Items that were passed.
    ordinal: u64,
    /// Failed ones of these.
    failed: usize,
}

impl Reading {
    /// The next item that did not fail, counted from the first.
    fn next(&mut self) -> Option<u64> {
        while self.results.failed.get(self.failed) == Some(&self.ordinal) {
            self.failed += 1;
            self.ordinal += 1;
        }
        (self.ordinal < self.results.items).then_some(self.results.first + self.ordinal)
    }
}

/// Whether more has come.
#[derive(Debug)]
pub(crate) enum Seen {
    Nothing,
    Something,
    /// Nothing more will come: what to say of the items that are left, if any are.
    End(Option<(u64, TaskError)>),
}

/// Items that follow each other, and their results.
pub(crate) struct Flow {
    desk: Arc<Desk>,
    channel: Arc<Channel>,
    outgoing: Outgoing,
    /// `None` before the first items are sent.
    job: Option<JobId>,
    ordered: bool,
    batch: BatchRule,
    share: Share,
    table: TableBuilder,
    /// Items that were put into tables, and their bytes.
    sent: u64,
    bytes: u64,
    /// Results and failures of these that were given out.
    got: u64,
    /// Items that could not be written: how many were sent before each, and why.
    unwritten: Vec<u64>,
    /// Those that were not yet told, by their number.
    to_tell: VecDeque<(u64, TaskError)>,
    /// Everything that was given out.
    given: u64,
    read_ahead: u64,
    least: u64,
    is_fixed: bool,
    last_look: Option<(Instant, u64)>,
    arrived: VecDeque<Arrived>,
    reading: Option<Reading>,
    failed: VecDeque<(u64, Verdict)>,
    ended: bool,
    is_over: bool,
}

impl Flow {
    pub(crate) fn new(desk: Arc<Desk>, workers: usize, ordered: bool) -> Self {
        let least = LEAST * workers.max(1) as u64;
        Self {
            desk,
            channel: Arc::default(),
            outgoing: Outgoing::default(),
            job: None,
            ordered,
            batch: BatchRule::Auto,
            share: Share::default(),
            table: TableBuilder::default(),
            sent: 0,
            bytes: 0,
            got: 0,
            unwritten: Vec::new(),
            to_tell: VecDeque::new(),
            given: 0,
            read_ahead: least,
            least,
            is_fixed: false,
            last_look: None,
            arrived: VecDeque::new(),
            reading: None,
            failed: VecDeque::new(),
            ended: false,
            is_over: false,
        }
    }

    pub(crate) fn set_read_ahead(&mut self, items: u64) {
        (self.read_ahead, self.is_fixed) = (items.max(1), true);
    }

    pub(crate) fn set_batch(&mut self, items: u64) {
        self.batch = BatchRule::Items(items.max(1));
    }

    pub(crate) fn set_weight(&mut self, weight: NonZeroU32) {
        self.share.weight = weight;
    }

    pub(crate) fn set_most(&mut self, workers: NonZeroUsize) {
        self.share.most = Some(workers);
    }

    /// Items that were taken and not yet given back.
    fn ahead(&self) -> u64 {
        self.sent + self.unwritten.len() as u64 - self.given
    }

    /// Whether it is time to take more items: not for each result, since tables are worth more when they are long.
    pub(crate) fn wants(&mut self) -> bool {
        let ahead = self.ahead();
        if self.is_over || (ahead > 0 && ahead > self.read_ahead - self.read_ahead / 4 - 1) {
            return false;
        }
        self.adapt();
        true
    }

    /// Whether one more may be taken.
    pub(crate) fn has_room(&self) -> bool {
        let ahead = self.ahead();
        let bytes = ahead.saturating_mul(self.bytes / self.sent.max(1));
        !self.is_over && !self.ended && (ahead == 0 || (ahead < self.read_ahead && bytes < MOST_BYTES))
    }

    /// Learns how many items are as much work as is to be taken ahead.
    fn adapt(&mut self) {
        if self.is_fixed {
            return;
        }
        let now = Instant::now();
        let Some((then, given)) = self.last_look else {
            self.last_look = Some((now, self.given));
            return;
        };
        let passed = now - then;
        if passed < LOOK {
            return;
        }
        let wanted = ((self.given - given) as f64 * AHEAD.as_secs_f64() / passed.as_secs_f64()) as u64;
        if wanted > self.read_ahead {
            self.read_ahead = wanted.min(self.read_ahead.saturating_mul(GROWTH)).min(MOST);
        } else if passed >= LONG_LOOK {
            self.read_ahead = wanted.max(self.read_ahead / 2).max(self.least);
        } else {
            // Results come a batch at a time: a short lull says nothing.
            return;
        }
        self.last_look = Some((now, self.given));
    }

    /// Takes an item.
    pub(crate) fn push(&mut self, write: impl Fn(&mut Vec<u8>) -> Result<(), String>) {
        let before = self.table.bytes();
        let result = match self.table.push_with(&write) {
            Ok(false) if before > 0 => {
                // There may be room for it in a table of its own.
                self.flush();
                return self.push(write);
            }
            result => result,
        };
        let len = self.table.bytes().saturating_sub(before) as u64;
        let message = match result {
            Ok(true) if len <= ITEM_BYTES => {
                self.sent += 1;
                self.bytes += len;
                if channel::is_full(&self.table) {
                    self.flush();
                }
                return;
            }
            Ok(_) => {
                self.table.pop();
                format!("it has more than the {ITEM_BYTES} bytes an item may have")
            }
            Err(message) => message,
        };
        let item = self.sent + self.unwritten.len() as u64;
        self.unwritten.push(self.sent);
        self.to_tell.push_back((item, TaskError::Write { item, message }));
    }

    /// Sends what was taken.
    pub(crate) fn flush(&mut self) {
        if self.table.items() == 0 {
            return;
        }
        let table = std::mem::take(&mut self.table);
        match channel::block(&table) {
            Ok(block) => self.outgoing.push(block),
            Err(what) => return self.channel.end(TaskError::Lost(format!("items cannot be laid out: {what}"))),
        }
        if self.job.is_some() {
            return self.desk.wake();
        }
        let recipient = Box::new(Sender { channel: Arc::clone(&self.channel), takes_all: false });
        let blocks = Box::new(self.outgoing.clone());
        let new = NewJob { plan: plan(self.ordered, self.batch), blocks, recipient, share: self.share };
        match self.desk.add(new, true) {
            Ok(job) => self.job = Some(job),
            Err(closed) => {
                self.channel.end(closed.why.map_or(TaskError::Closed, TaskError::Lost));
                // It would have said that the pool is closed.
                drop(closed.job);
            }
        }
    }

    /// There are no more items.
    pub(crate) fn end(&mut self) {
        self.flush();
        self.ended = true;
        self.outgoing.end();
        if self.job.is_some() {
            self.desk.wake();
        }
    }

    /// The number that the user knows an item by of which this is the number among those that were sent.
    fn number(&self, sent: u64) -> u64 {
        sent + self.unwritten.partition_point(|before| *before <= sent) as u64
    }

    /// The next result, if it is there.
    pub(crate) fn take<R>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<R, String>,
    ) -> Option<(u64, Result<R, TaskError>)> {
        let is_next = |(item, _): &mut (u64, TaskError)| !self.ordered || *item == self.given;
        if let Some((item, error)) = self.to_tell.pop_front_if(is_next) {
            self.given += 1;
            return Some((item, Err(error)));
        }
        loop {
            let next = self.reading.as_mut().and_then(Reading::next);
            let is_due = |(item, _): &mut (u64, Verdict)| !self.ordered || *item == self.got;
            if let Some((item, verdict)) = self.failed.pop_front_if(is_due) {
                let item = self.number(item);
                return Some((self.gave(item), Err(TaskError::of_verdict(item, verdict))));
            }
            if let (Some(sent), Some(reading)) = (next, &mut self.reading) {
                let Some((frame, rest)) = first_frame(&reading.results.bytes[reading.at..]) else {
                    self.broken();
                    return None;
                };
                let result = read(frame);
                reading.at = reading.results.bytes.len() - rest.len();
                reading.ordinal += 1;
                let item = self.number(sent);
                return Some((self.gave(item), result.map_err(|message| TaskError::Read { item, message })));
            }
            if let Some(done) = self.reading.take() {
                let bytes = done.results.bytes.len() as u64;
                if done.at as u64 != bytes {
                    self.broken();
                    return None;
                }
                if let Some(job) = self.job {
                    self.desk.request(Request::Taken(job, bytes));
                }
            }
            match self.arrived.pop_front()? {
                Arrived::Failed(item, verdict) => self.failed.push_back((item, verdict)),
                Arrived::Results(results) => {
                    self.reading = Some(Reading { results, at: 0, ordinal: 0, failed: 0 });
                }
            }
        }
    }

    fn gave(&mut self, item: u64) -> u64 {
        self.got += 1;
        self.given += 1;
        item
    }

    /// A worker has returned something that is no list of results.
    fn broken(&mut self) {
        self.reading = None;
        self.arrived.clear();
        self.channel.end(TaskError::Lost("a worker returned something that is no list of results".into()));
        if let Some(job) = self.job {
            self.desk.request(Request::Cancel(job));
        }
    }

    /// Waits until more has come. Otherwise there is nothing more: what to say of the items that are left, if any are.
    pub(crate) fn wait(&mut self) -> Option<Option<(u64, TaskError)>> {
        self.hear(None)
    }

    /// Looks whether more has come.
    pub(crate) fn look(&mut self) -> Seen {
        match self.hear(Some(Instant::now())) {
            Some(end) => Seen::End(end),
            None if self.arrived.is_empty() => Seen::Nothing,
            None => Seen::Something,
        }
    }

    /// Has this waker woken when more comes; false when something has come already.
    pub(crate) fn watch(&self, waker: &Waker) -> bool {
        self.channel.watch(waker)
    }

    /// Waits until more has come, or until then. See [`Flow::wait`].
    fn hear(&mut self, until: Option<Instant>) -> Option<Option<(u64, TaskError)>> {
        let is_done = self.ended && self.got == self.sent && self.to_tell.is_empty();
        if self.is_over || is_done {
            self.finish();
            return Some(None);
        }
        let end = self.channel.take(&mut self.arrived, until)?;
        // The job ends well only when everything was given out.
        let error = end.err().unwrap_or(TaskError::Closed);
        let item = self.given;
        self.finish();
        Some(Some((item, error)))
    }

    fn finish(&mut self) {
        self.is_over = true;
        if let Some(job) = self.job {
            self.desk.forget(job);
        }
    }
}

impl Flow {
    /// Nothing more is wanted of it.
    pub(crate) fn give_up(&mut self) {
        if !self.is_over
            && let Some(job) = self.job
        {
            self.desk.request(Request::Cancel(job));
            self.desk.forget(job);
        }
        self.is_over = true;
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.give_up();
    }
}
