//! Measures the time in calls of the kernel, without what is read and written meanwhile. A look at the clock costs as much
//! as a tiny item, so of those only some are measured, and each stands for all up to the next.

use std::time::Instant;

use taskhost_engine::Input;
use taskhost_protocol::fault::Fault;

use crate::execute::nanos_since;

/// A call that is being measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    began: Instant,
    /// Calls that it stands for.
    weight: u64,
    /// What had been spent in writing results when it began.
    written: u64,
}

impl Measured {
    pub(crate) fn begin(weight: u64, written: u64) -> Self {
        Self { began: Instant::now(), weight, written }
    }

    /// Nanoseconds in this call and those it stands for: `written` is what has been spent in writing by now, `read` what
    /// was spent in reading within the call.
    pub(crate) fn end(self, written: u64, read: u64) -> u64 {
        let copied = written.saturating_sub(self.written) + read;
        nanos_since(self.began).saturating_sub(copied).saturating_mul(self.weight)
    }
}

/// Calls with this input, and adds to `nanos` what reading it takes.
pub(crate) fn timed<T>(
    input: Input<'_>,
    nanos: &mut u64,
    call: impl FnOnce(Input<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    match input {
        Input::Bytes(bytes) => call(Input::Bytes(bytes)),
        Input::Read { len, read } => {
            let mut read = |bytes: &mut [u8]| {
                let began = Instant::now();
                let result = read(bytes);
                *nanos += nanos_since(began);
                result
            };
            call(Input::Read { len, read: &mut read })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_copied_is_no_part_of_the_call() {
        let measured = Measured::begin(64, 1_000);
        assert_eq!(measured.end(u64::MAX, 0), 0);
        let measured = Measured::begin(64, 1_000);
        assert_eq!(measured.end(1_000, 0) % 64, 0);
    }
}
