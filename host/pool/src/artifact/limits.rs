//! How much a compiler process may take. Tests of what happens beyond that cannot wait for it, so that in debug builds
//! they may lower it.

use std::time::Duration;

use taskhost_protocol::limits::CompileLimits;

/// Limits of one compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Those that the process sets for itself, before it looks at the kernel.
    pub(super) worker: CompileLimits,
    /// How long the coordinator waits. The largest program tried, 69 MB, takes 20 s.
    pub(super) time: Duration,
}

impl Limits {
    /// The limits in force.
    pub(super) fn in_force() -> Self {
        let worker = CompileLimits::default();
        // Twice the CPU time that it may take, so that a machine with other work to do does not make a kernel too large.
        let usual = Self { worker, time: Duration::from_secs(2 * worker.cpu) };
        #[cfg(debug_assertions)]
        if let Ok(lower) = std::env::var(LOWER) {
            return usual.lowered(&lower).expect("tests know how to write limits");
        }
        usual
    }

    /// The lower of these and of those in `text`, see [`LOWER`].
    #[cfg(debug_assertions)]
    fn lowered(self, text: &str) -> Option<Self> {
        use taskhost_data::{duration::parse_duration, size::parse_size};
        let [memory, cpu, time] = *text.split(' ').collect::<Vec<_>>().as_slice() else { return None };
        let (memory, cpu, time) = (parse_size(memory).ok()?, parse_duration(cpu).ok()?, parse_duration(time).ok()?);
        let Self { worker, .. } = self;
        let worker = CompileLimits { memory: memory.min(worker.memory), cpu: cpu.as_secs().min(worker.cpu) };
        Some(Self { worker, time: time.min(self.time) })
    }
}

/// Where a test says lower limits: bytes of memory, CPU time in whole seconds, time, separated by spaces.
#[cfg(debug_assertions)]
const LOWER: &str = "TASKHOST_COMPILE_LIMITS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(debug_assertions)]
    fn limits_are_only_lowered() {
        let usual = Limits::in_force();
        assert_eq!(usual.lowered("1000GiB 100d 100d"), Some(usual));
        let worker = CompileLimits { memory: 64 << 20, cpu: 2 };
        assert_eq!(usual.lowered("64MiB 2s 500ms"), Some(Limits { worker, time: Duration::from_millis(500) }));
        assert_eq!(usual.lowered("64MiB 2s"), None);
    }
}
