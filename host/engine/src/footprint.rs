//! How much memory a process that runs a kernel may need, so that the kernel can hold it to that.

use taskhost_protocol::limits::{ITEM_BYTES, WorkerLimits};

/// For everything that does not follow the limits: instances' own records, log lines, the gathered results of a batch.
/// Far above what any kernel was seen to need, since this is the wall behind the walls: it has to stop a host that takes
/// memory without end, and must never stop one that does its work.
const SLACK: u64 = 256 << 20;

/// Bytes of private writable memory that a process can need from the moment when its kernel is loaded, in the worst
/// case that the limits allow:
///
/// * the linear memories and tables of one instance, which is all that lives at a time: `memory`;
/// * an item twice: components get theirs by way of a buffer of the host, and the parts of a reduction are read before
///   they are laid end to end. What does not fit in the kernel's memory is refused before it is read, so an item has
///   no more than `memory` bytes;
/// * the results of an item three times: a list of many short results takes more than twice its bytes in the host.
#[must_use]
pub fn most_memory(limits: &WorkerLimits) -> u64 {
    let item = limits.memory.min(ITEM_BYTES);
    let results = limits.output.saturating_mul(3);
    limits.memory.saturating_add(item.saturating_mul(2)).saturating_add(results).saturating_add(SLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_no_overflow() {
        assert_eq!(most_memory(&WorkerLimits { memory: u64::MAX, output: u64::MAX, fuel: None, cpu: None }), u64::MAX);
    }

    #[test]
    fn the_defaults_need_four_gibibytes_at_most() {
        assert_eq!(most_memory(&WorkerLimits::default()), 4 << 30);
    }
}
