//! How many bytes of results a job may make, when that is limited.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::JobFailure;

/// What a job may still write, and what it might when it began.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: u64,
    used: AtomicU64,
}

impl Allowance {
    /// At most `limit` bytes, of which some are there already. Without a limit, any number.
    pub(crate) fn new(limit: Option<u64>, there: u64) -> Self {
        Self { limit: limit.unwrap_or(u64::MAX), used: AtomicU64::new(there) }
    }

    /// So many more bytes are about to be written.
    ///
    /// # Errors
    /// When they are too many; then they are not to be written.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), JobFailure> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        check(Some(self.limit), used)
    }
}

/// Says whether a result may have so many bytes in all.
///
/// # Errors
/// When it may not.
pub(crate) fn check(limit: Option<u64>, bytes: u64) -> Result<(), JobFailure> {
    match limit {
        Some(limit) if bytes > limit => Err(JobFailure::OutputLimit(limit)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_counts_and_no_byte_too_many_is_written() {
        let allowance = Allowance::new(Some(10), 4);
        assert_eq!((allowance.take(5), allowance.take(1)), (Ok(()), Ok(())));
        assert_eq!(allowance.take(1), Err(JobFailure::OutputLimit(10)));
        assert_eq!(Allowance::new(None, 4).take(u64::MAX - 4), Ok(()));
        assert_eq!((check(Some(10), 10), check(Some(10), 11)), (Ok(()), Err(JobFailure::OutputLimit(10))));
    }
}
