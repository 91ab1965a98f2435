//! The limit on all linear memories of an instance together (`--memory`).

use taskhost_protocol::fault::Fault;
use wasmtime::ResourceLimiter;

/// What an instance may use, and uses.
pub(crate) struct Allowance {
    /// Bytes.
    limit: u64,
    /// Bytes of all memories now.
    used: u64,
    /// Bytes granted by the last question, until it is known that they were really taken.
    granted: u64,
    /// What the instance would have used when it was refused the last time.
    refused: Option<u64>,
}

impl Allowance {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: 0, granted: 0, refused: None }
    }

    /// Why an instance could not be made, when that is for its size.
    pub(crate) fn too_large(&self) -> Option<Fault> {
        let wanted = self.refused?;
        Some(Fault::Failed(format!(
            "the kernel starts with {wanted} bytes of memory, more than the {} that --memory allows",
            self.limit
        )))
    }
}

impl ResourceLimiter for Allowance {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.granted = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return Ok(false);
        }
        self.used = wanted;
        self.granted = more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // The kernel sees -1 from `memory.grow`, as for any other refusal.
        self.used -= std::mem::take(&mut self.granted);
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The pool has tables of a fixed size, which is the limit.
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn all_memories_count_together() {
        let mut allowance = Allowance::new(100);
        assert!(allowance.memory_growing(0, 60, None).unwrap());
        assert!(!allowance.memory_growing(0, 60, None).unwrap());
        assert!(allowance.memory_growing(0, 40, None).unwrap());
        assert!(!allowance.memory_growing(60, 61, None).unwrap());
    }

    #[test]
    fn what_was_granted_and_not_taken_is_free_again() {
        let mut allowance = Allowance::new(100);
        assert!(allowance.memory_growing(0, 100, None).unwrap());
        allowance.memory_grow_failed(wasmtime::format_err!("no")).unwrap();
        assert!(allowance.memory_growing(0, 100, None).unwrap());
    }
}
