//! What the threads share: items on their way to the pool, replies on their way out, and how many there may be of both.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use taskhost_os::eventfd::Waker;
use taskhost_pool::job::{Block, BlockBytes, Blocks, Feed, Request};
use taskhost_pool::runner::SHORT_BLOCK;
use taskhost_protocol::ids::JobId;
use taskhost_protocol::table::{NUMBER_BYTES, TableBuilder};

use crate::exit_code::Failure;

/// The only job.
const JOB: JobId = JobId(0);

/// Most items that are read before their replies are written. As many as several workers do in 10 ms when they are tiny;
/// more would only be memory for the replies of those that fail.
const MOST_ITEMS: usize = 1 << 14;

/// Most bytes of these items, but for one item.
const MOST_BYTES: u64 = 32 << 20;

/// Bytes of items, and of numbers, after which a table is full: it fits a block that is copied.
const TABLE: usize = SHORT_BLOCK / 2;

/// Longest item that is put into a table with others.
pub(super) const SHORT_ITEM: usize = TABLE;

/// Bytes of replies that nobody took yet, from which on the pool waits before it has more results.
const MOST_REPLIES: usize = 4 << 20;

/// What became of everything.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Why no more items could be read.
    pub(super) intake: Option<Failure>,
    /// Why no more replies could be written.
    pub(super) outlet: Option<Failure>,
    /// Why `--errors` is not whole.
    pub(super) errors: Option<Failure>,
    /// Items that failed.
    pub(super) failed: u64,
    /// Bytes of all items.
    pub(super) bytes: u64,
}

#[derive(Default)]
struct Books {
    /// Items that the pool has not asked for yet, behind those in `full`.
    table: TableBuilder,
    full: VecDeque<Block>,
    no_more_items: bool,
    /// Bytes of each item of which the reply is not written yet, and of all of them.
    lengths: VecDeque<u64>,
    bytes: u64,
    /// For each block that the pool has: how many items there are up to its end.
    given: VecDeque<u64>,
    items_given: u64,
    answered: u64,
    replies: Vec<u8>,
    /// Items of which the replies are there.
    replied: u64,
    /// Bytes of results of which the pool was not told that nobody waits for them, as they came: it counts whole pages.
    owed: Vec<u64>,
    no_more_replies: bool,
    requests: Vec<Request>,
    end: End,
}

/// What the threads share.
pub(super) struct Exchange {
    books: Mutex<Books>,
    /// There is room for items.
    room: Condvar,
    /// There are replies.
    replies: Condvar,
    waker: Waker,
    /// Blocks that the pool has at a time: what comes while all workers are busy becomes one block, not many.
    most_blocks: usize,
}

impl Books {
    fn has_room(&self) -> bool {
        self.lengths.is_empty() || (self.lengths.len() < MOST_ITEMS && self.bytes < MOST_BYTES)
    }

    fn is_given_up(&self) -> bool {
        self.end.outlet.is_some() || self.no_more_replies
    }

    fn count(&mut self, length: u64) {
        self.lengths.push_back(length);
        self.bytes += length;
        self.end.bytes += length;
    }

    /// Ends the table.
    fn close_table(&mut self) {
        let items = self.table.items();
        if items > 0 {
            let table = std::mem::take(&mut self.table);
            let (mut bytes, contents) = table.finish();
            bytes.extend_from_slice(contents);
            self.full.push_back(Block { items, bytes: BlockBytes::Short(bytes) });
        }
    }
}

impl Exchange {
    pub(super) fn new(waker: Waker, workers: usize) -> Self {
        let most_blocks = 2 * workers.max(1) + 2;
        Self { books: Mutex::default(), room: Condvar::new(), replies: Condvar::new(), waker, most_blocks }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // What it guards is whole between any two statements.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until more items may come. `None` when nobody wants any.
    fn with_room(&self) -> Option<MutexGuard<'_, Books>> {
        let mut books = self.books();
        while !books.has_room() {
            if books.is_given_up() {
                return None;
            }
            // Whoever is to make room may not have been told of what is there.
            self.waker.wake();
            books = self.room.wait(books).unwrap_or_else(PoisonError::into_inner);
        }
        (!books.is_given_up()).then_some(books)
    }

    /// Waits until more items may come. False when nobody wants any.
    pub(super) fn wait_for_room(&self) -> bool {
        self.with_room().is_some()
    }

    /// Takes an item of at most [`SHORT_ITEM`] bytes, when there is room for it. The pool is told by [`Exchange::flush`].
    /// False when nobody wants it.
    pub(super) fn put(&self, item: &[u8]) -> bool {
        let Some(mut books) = self.with_room() else { return false };
        let numbers = usize::try_from(books.table.items()).unwrap_or(usize::MAX).saturating_mul(NUMBER_BYTES);
        if books.table.bytes() + item.len() > TABLE || numbers >= TABLE - 2 * NUMBER_BYTES {
            books.close_table();
        }
        let write = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(item);
            Ok::<_, std::convert::Infallible>(())
        };
        // There is room for it in any table that is not full.
        let Ok(_) = books.table.push_with(write);
        books.count(item.len() as u64);
        true
    }

    /// Takes an item that lies in a file as a table of one, see [`taskhost_protocol::table`].
    pub(super) fn put_long(&self, table: OwnedFd, length: u64) {
        let mut books = self.books();
        books.close_table();
        books.full.push_back(Block { items: 1, bytes: BlockBytes::Long(table) });
        books.count(length);
        drop(books);
        self.flush();
    }

    /// Has the pool look at what has come.
    pub(super) fn flush(&self) {
        self.waker.wake();
    }

    /// There are no more items, and why when there should have been.
    pub(super) fn no_more_items(&self, failure: Option<Failure>) {
        let mut books = self.books();
        books.no_more_items = true;
        books.end.intake = failure;
        drop(books);
        self.waker.wake();
    }

    /// The replies to `items` more items, made of `bytes` of results. How many bytes of these nobody has to wait for.
    pub(super) fn reply(&self, replies: &[u8], items: u64, bytes: u64) -> u64 {
        let mut books = self.books();
        books.replies.extend_from_slice(replies);
        books.replied += items;
        books.answered += items;
        let before = books.given.len();
        while books.given.front().is_some_and(|end| *end <= books.answered) {
            books.given.pop_front();
        }
        let may_have_more = books.given.len() < before && before >= self.most_blocks;
        let waits = books.replies.len() > MOST_REPLIES;
        if waits {
            books.owed.push(bytes);
        }
        drop(books);
        self.replies.notify_one();
        if may_have_more {
            self.waker.wake();
        }
        if waits { 0 } else { bytes }
    }

    /// Replaces `replies` by all that are there, once there are some, and says to how many items. `None` when there will
    /// be no more.
    pub(super) fn take_replies(&self, replies: &mut Vec<u8>) -> Option<u64> {
        replies.clear();
        let mut books = self.books();
        while books.replies.is_empty() {
            if books.is_given_up() {
                return None;
            }
            books = self.replies.wait(books).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut books.replies, replies);
        Some(std::mem::take(&mut books.replied))
    }

    /// The replies to so many items are written.
    pub(super) fn written(&self, items: u64) {
        let mut books = self.books();
        let was_full = !books.has_room();
        for _ in 0..items {
            let length = books.lengths.pop_front().unwrap_or(0);
            books.bytes -= length;
        }
        let owed = std::mem::take(&mut books.owed);
        let is_owed = !owed.is_empty();
        books.requests.extend(owed.into_iter().map(|bytes| Request::Taken(JOB, bytes)));
        let has_room = was_full && books.has_room();
        drop(books);
        if is_owed {
            self.waker.wake();
        }
        if has_room {
            self.room.notify_all();
        }
    }

    /// No more replies can be written: all work is given up.
    pub(super) fn give_up(&self, failure: Failure) {
        let mut books = self.books();
        books.end.outlet.get_or_insert(failure);
        books.requests.push(Request::Cancel(JOB));
        drop(books);
        self.waker.wake();
        self.room.notify_all();
        self.replies.notify_all();
    }

    /// An item failed.
    pub(super) fn count_failed(&self) {
        self.books().end.failed += 1;
    }

    /// `--errors` cannot be written.
    pub(super) fn errors_broken(&self, failure: Failure) {
        self.books().end.errors.get_or_insert(failure);
    }

    /// The pool is done.
    pub(super) fn over(&self) {
        self.books().no_more_replies = true;
        self.room.notify_all();
        self.replies.notify_all();
    }

    /// What became of everything.
    pub(super) fn end(&self) -> End {
        std::mem::take(&mut self.books().end)
    }

    /// What is wanted of the job.
    pub(super) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.books().requests)
    }
}

/// The items as the pool takes them.
pub(super) struct Items(pub(super) Arc<Exchange>);

impl Blocks for Items {
    fn next(&mut self) -> Feed<Block> {
        let mut books = self.0.books();
        if books.given.len() >= self.0.most_blocks {
            return Feed::Later;
        }
        if books.full.is_empty() {
            books.close_table();
        }
        match books.full.pop_front() {
            Some(block) => {
                books.items_given += block.items;
                let end = books.items_given;
                books.given.push_back(end);
                Feed::Next(block)
            }
            None if books.no_more_items => Feed::Ended,
            None => Feed::Later,
        }
    }
}
