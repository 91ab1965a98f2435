//! How much of what a kernel logs is passed on: enough to read, not enough to drown the coordinator.

/// Lines that one batch may write. An item may write 64; nobody reads those of more than a few items.
const LINES: usize = 1024;

/// Bytes that they may have together.
const BYTES: usize = 256 << 10;

/// What the batch in hand has logged.
#[derive(Debug, Default)]
pub(crate) struct LogAllowance {
    lines: usize,
    bytes: usize,
    dropped: u64,
}

impl LogAllowance {
    /// Whether a line is passed on; otherwise it is counted.
    pub(crate) fn takes(&mut self, text: &str) -> bool {
        if self.lines < LINES && self.bytes + text.len() <= BYTES {
            self.lines += 1;
            self.bytes += text.len();
            return true;
        }
        self.dropped += 1;
        false
    }

    /// The batch is over: what is to be said of the lines that were dropped, if any were.
    pub(crate) fn close(&mut self) -> Option<String> {
        let dropped = std::mem::take(self).dropped;
        (dropped > 0).then(|| {
            format!(
                "{dropped} more log lines were dropped: the items of one batch may write {LINES} lines of {} KiB \
                 together",
                BYTES >> 10
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bytes_are_bounded_and_the_rest_counted() {
        let mut logs = LogAllowance::default();
        assert_eq!((0..LINES + 7).filter(|_| logs.takes("x")).count(), LINES);
        assert!(logs.close().expect("some were dropped").starts_with("7 more log lines"));
        assert_eq!(logs.close(), None, "a new batch has a new allowance");
        let long = "x".repeat(4096);
        assert_eq!((0..LINES).filter(|_| logs.takes(&long)).count(), BYTES / 4096);
    }
}
