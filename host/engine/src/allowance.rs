//! The limit on all linear memories and tables of an instance together (`--memory`), and whether it was felt.

use taskhost_protocol::fault::Fault;
use wasmtime::ResourceLimiter;

/// Bytes of an element of a table: a pointer. References to the host's own values would take four, but have no use
/// here.
const ELEMENT_BYTES: u64 = 8;

/// What an instance may use, and uses.
pub(crate) struct Allowance {
    /// Bytes.
    limit: u64,
    /// Bytes of all memories and tables now.
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

    /// Bytes of all memories and tables now.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Why an instance could not be made, when that is for its size.
    pub(crate) fn too_large(&self) -> Option<Fault> {
        let wanted = self.refused?;
        Some(Fault::Failed(format!(
            "the kernel starts with {wanted} bytes of memory, more than the {} that --memory allows",
            self.limit
        )))
    }

    /// A new item, or a new call outside of items: what was refused before explains nothing any more.
    pub(crate) fn forget_refusals(&mut self) {
        self.refused = None;
    }

    /// What a failure really is: for want of memory, when the instance was refused some since the item began. A kernel
    /// cannot say so itself, since what its allocator makes of a refusal is mostly a trap.
    pub(crate) fn explain(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Trap { reason, .. } if self.refused.is_some() => Fault::MemoryLimit { limit: self.limit, reason },
            other => other,
        }
    }

    /// The kernel said that it has no room for an item of `len` bytes: the fault, when that is for the limit.
    pub(crate) fn no_room(&self, len: u64) -> Option<Fault> {
        let reason = || format!("it has no room for an item of {len} bytes");
        self.refused.map(|_| Fault::MemoryLimit { limit: self.limit, reason: reason() })
    }

    /// An item that is larger than all memory that the kernel can have.
    pub(crate) fn cannot_hold(&self, len: u64) -> Result<(), Fault> {
        if len <= self.limit {
            return Ok(());
        }
        Err(Fault::MemoryLimit { limit: self.limit, reason: format!("it has no room for an item of {len} bytes") })
    }

    /// Whether there is room for so many bytes more, which are then used.
    fn take(&mut self, more: u64) -> bool {
        self.granted = 0;
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return false;
        }
        self.used = wanted;
        self.granted = more;
        true
    }

    /// What was granted last could not be had. The kernel sees -1, as for any other refusal.
    fn give_back(&mut self) {
        self.refused = Some(self.used);
        self.used -= std::mem::take(&mut self.granted);
    }
}

impl ResourceLimiter for Allowance {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The kernel's own limit, not ours.
            self.granted = 0;
            return Ok(false);
        }
        Ok(self.take(desired.saturating_sub(current) as u64))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Of the kernel, or of the pool, whose tables have a fixed size.
            self.granted = 0;
            return Ok(false);
        }
        Ok(self.take(ELEMENT_BYTES.saturating_mul(desired.saturating_sub(current) as u64)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
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

    #[test]
    fn tables_count_with_the_memories() {
        let mut allowance = Allowance::new(100);
        assert!(allowance.memory_growing(0, 60, None).unwrap());
        assert!(allowance.table_growing(0, 5, None).unwrap());
        assert!(!allowance.memory_growing(60, 61, None).unwrap());
        assert!(!allowance.table_growing(5, 6, None).unwrap());
    }

    #[test]
    fn a_trap_after_a_refusal_is_for_want_of_memory_until_it_is_forgotten() {
        let trap = || Fault::Trap { reason: "unreachable".into(), backtrace: vec![] };
        let mut allowance = Allowance::new(100);
        assert_eq!(allowance.explain(trap()), trap());
        assert!(!allowance.memory_growing(0, 200, Some(150)).unwrap());
        assert_eq!(allowance.explain(trap()), trap(), "its own maximum is not our limit");
        assert!(!allowance.memory_growing(0, 101, None).unwrap());
        assert_eq!(allowance.explain(trap()), Fault::MemoryLimit { limit: 100, reason: "unreachable".into() });
        let said = Fault::Failed("no".into());
        assert_eq!(allowance.explain(said.clone()), said, "what the kernel says of itself stands");
        allowance.forget_refusals();
        assert_eq!(allowance.explain(trap()), trap());
    }
}
