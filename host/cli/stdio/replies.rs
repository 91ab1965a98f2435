//! Makes replies of results and failures, in the order of the items.

use std::collections::VecDeque;
use std::sync::Arc;

use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{FailedItem, Recipient, Results};
use taskhost_pool::verdict::{ErrorKind, Verdict};
use taskhost_protocol::table::first_frame;

use super::exchange::Exchange;
use super::frames::Notation;
use crate::exit_code::{Exit, Failure};
use crate::report::errors::{ErrorFile, record};

/// Takes what comes of the items.
pub(super) struct Replies {
    exchange: Arc<Exchange>,
    notation: Notation,
    /// `--errors`, as long as it can be written.
    errors: Option<ErrorFile>,
    /// Items that were replied to.
    replied: u64,
    /// Failures that wait for what comes before them.
    failed: VecDeque<(u64, String)>,
    /// Replies that are being made, and to how many items.
    out: Vec<u8>,
    made: u64,
}

impl Replies {
    pub(super) fn new(exchange: Arc<Exchange>, notation: Notation, errors: Option<ErrorFile>) -> Self {
        Self { exchange, notation, errors, replied: 0, failed: VecDeque::new(), out: Vec::new(), made: 0 }
    }

    /// Notes what has become of an item that failed.
    fn note(&mut self, number: u64, failure: FailedItem) -> String {
        let line = (self.notation == Notation::Lines).then_some(number + 1);
        let json = record(&FailedItem { item: Some(number), line, ..failure });
        self.exchange.count_failed();
        if let Some(errors) = &mut self.errors
            && let Err(why) = errors.write_line(&format!("{json}\n"))
        {
            self.errors = None;
            self.exchange.errors_broken(Failure::input(why));
        }
        json
    }

    fn add(&mut self, bytes: &[u8], is_failure: bool) {
        self.notation.reply(bytes, is_failure, &mut self.out);
        self.replied += 1;
        self.made += 1;
    }

    fn add_result(&mut self, result: &[u8]) {
        if self.notation == Notation::Frames {
            return self.add(result, false);
        }
        let line = result.strip_suffix(b"\n").unwrap_or(result);
        if !line.contains(&b'\n') {
            return self.add(line, false);
        }
        let why = "its result has more than one line, and a reply is a line: leave out --lines";
        let json = self.note(self.replied, no_line(why));
        self.add(json.as_bytes(), true);
    }

    /// Replies to the items that failed and are next.
    fn add_failed(&mut self) {
        while let Some((_, json)) = self.failed.pop_front_if(|(number, _)| *number == self.replied) {
            self.add(json.as_bytes(), true);
        }
    }

    /// Hands the replies over that were made, from so many bytes of results.
    fn send(&mut self, bytes: u64) -> u64 {
        let taken = self.exchange.reply(&self.out, self.made, bytes);
        self.out.clear();
        self.made = 0;
        taken
    }
}

impl Recipient for Replies {
    fn results(&mut self, results: Results) -> u64 {
        let mut rest = results.bytes.as_slice();
        let mut failed = results.failed.iter().peekable();
        for ordinal in 0..results.items {
            if failed.next_if_eq(&&ordinal).is_some() {
                continue;
            }
            self.add_failed();
            let Some((result, behind)) = first_frame(rest).filter(|_| self.replied == results.first + ordinal) else {
                let why = "a worker returned something that is no list of results";
                self.exchange.give_up(Failure::new(Exit::Host, why));
                return results.bytes.len() as u64;
            };
            rest = behind;
            self.add_result(result);
        }
        self.add_failed();
        self.send(results.bytes.len() as u64)
    }

    fn failed(&mut self, item: u64, failure: FailedItem) {
        let json = self.note(item, failure);
        self.failed.push_back((item, json));
        self.add_failed();
        if self.made > 0 {
            self.send(0);
        }
    }

    fn over(&mut self, _: Option<JobFailure>) {}
}

/// An item of which the result cannot be told.
fn no_line(why: &str) -> FailedItem {
    FailedItem {
        job: "-".into(),
        source: "-".into(),
        offset: 0,
        len: 0,
        item: None,
        line: None,
        is_row: false,
        verdict: Verdict::KernelError(ErrorKind::Failed, why.into()),
        attempts: 1,
        worker: None,
        core: None,
    }
}
