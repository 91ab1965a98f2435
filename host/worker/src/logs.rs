//! How much of what a kernel logs is passed on: all that somebody may want to read, not so much that the run waits for
//! it to be printed.

use std::time::{Duration, Instant};

/// Lines that a worker may write at once: a line for each item of a run that somebody looks at.
const LINES: u64 = 8192;

/// Bytes that they may have together.
const BYTES: u64 = 2 << 20;

/// What part of that it may write in each second afterwards. Batches are as short as items are slow, and a kernel that
/// logs much is slow, so a limit for each batch would be none.
const REFILL: u64 = 8;

/// What may still be passed on.
#[derive(Debug)]
pub(crate) struct LogAllowance {
    lines: u64,
    bytes: u64,
    refilled: Instant,
    /// Lines that were not passed on, and not yet told.
    dropped: u64,
    /// When lines that were dropped were told the last time.
    told: Option<Instant>,
}

impl LogAllowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self { lines: LINES, bytes: BYTES, refilled: now, dropped: 0, told: None }
    }

    /// Whether a line is passed on; otherwise it is counted.
    pub(crate) fn takes(&mut self, text: &str, now: Instant) -> bool {
        self.refill(now);
        let len = text.len() as u64;
        if self.lines == 0 || self.bytes < len {
            self.dropped += 1;
            return false;
        }
        self.lines -= 1;
        self.bytes -= len;
        true
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled).as_secs();
        if seconds > 0 {
            self.lines = LINES.min(self.lines.saturating_add(seconds.saturating_mul(LINES / REFILL)));
            self.bytes = BYTES.min(self.bytes.saturating_add(seconds.saturating_mul(BYTES / REFILL)));
            self.refilled += Duration::from_secs(seconds);
        }
    }

    /// What is to be said of the lines that were dropped since the last time, if any were. That is no flood either: it
    /// is said at once the first time, and then every second, or when many lines have come together.
    pub(crate) fn told(&mut self, now: Instant) -> Option<String> {
        let is_due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= Duration::from_secs(1));
        if self.dropped == 0 || !(is_due || self.dropped >= LINES) {
            return None;
        }
        self.told = Some(now);
        let dropped = std::mem::take(&mut self.dropped);
        Some(format!(
            "{dropped} more log lines were dropped: a worker may write {} lines, and {} KiB, in a second",
            LINES / REFILL,
            (BYTES / REFILL) >> 10
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_rest_counted() {
        let began = Instant::now();
        let mut logs = LogAllowance::new(began);
        let passed = |logs: &mut LogAllowance, seconds: u64, text: &str| {
            let now = began + Duration::from_secs(seconds);
            (0..2 * LINES).filter(|_| logs.takes(text, now)).count() as u64
        };
        assert_eq!(passed(&mut logs, 0, "x"), LINES);
        assert!(logs.told(began).expect("some were dropped").starts_with("8192 more log lines"));
        assert_eq!(logs.told(began), None, "it is said once");
        assert!(!logs.takes("x", began));
        assert_eq!(logs.told(began), None, "soon after, few are not worth a line");
        assert!(logs.told(began + Duration::from_secs(1)).is_some());
        assert_eq!(passed(&mut logs, 1, "x"), LINES / REFILL);
        assert_eq!(passed(&mut logs, 3, "x"), 2 * LINES / REFILL);
        assert_eq!(passed(&mut logs, 1000, "x"), LINES);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let now = Instant::now();
        let mut logs = LogAllowance::new(now);
        let long = "x".repeat(4096);
        assert_eq!((0..LINES).filter(|_| logs.takes(&long, now)).count() as u64, BYTES / 4096);
    }
}
