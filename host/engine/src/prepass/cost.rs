//! What compiling will take, estimated from counts.
//!
//! Measured with wasmtime 48 in a release build on x86-64 (two cores of a virtual machine, one thread at work), as CPU
//! time and most resident memory of a compiler process, on modules of one sort of thing each:
//!
//! | module | bytes | time | memory |
//! | --- | --- | --- | --- |
//! | 20 000 empty functions | 80 kB | 0.5 s | 109 MB |
//! | 200 000 empty functions | 800 kB | 4.6 s | 970 MB |
//! | 20 000 functions of 1000 bytes of sums | 20 MB | 1.6 s | 129 MB |
//! | 1 function of 1 MB of sums | 1 MB | 0.1 s | 26 MB |
//! | 1 function of 1 MB of stores | 1 MB | 0.2 s | 54 MB |
//! | 1 function of 500 000 calls | 1 MB | 2.8 s | 841 MB |
//! | 1 function of 150 000 times `if` | 750 kB | 0.6 s | 224 MB |
//! | 1 function of 100 000 blocks within each other | 300 kB | 0.2 s | 99 MB |
//! | 1 function of 30 000 loops within each other | 90 kB | 0.15 s | 66 MB |
//! | 10 000 locals, used behind 1 000 times `if` | 107 kB | 0.9 s | 204 MB |
//! | 10 000 locals, used behind 5 000 times `if` | 127 kB | 3.8 s | 948 MB |
//! | 1 000 locals, changed in 30 loops within each other | 9 kB | 1.1 s | 37 MB |
//! | 1 000 locals, changed in 100 loops within each other | 10 kB | 12 s | 128 MB |
//! | 100 locals, changed in 1 000 loops within each other | 8 kB | 13 s | 187 MB |
//! | 10 000 locals, changed in 10 loops within each other | 90 kB | 13 s | 86 MB |
//!
//! Each memory figure has some 15 MB in it that any compiler process takes. The weights were chosen to fit these very
//! points: apart from plain sums, where it gives up to four times too much memory, the formula is within a factor of
//! two of each. For a real program of 69 MB with 46 000 functions, a logic synthesiser, it gives 17 s and 280 MB; that
//! one uses exceptions, so it could not be compiled to compare.
//!
//! What is kept until the end is summed up over functions; what one function needs while it is compiled counts for the
//! largest, since it is freed then. With more threads more than one of these is needed at a time: the estimate is for
//! one, so as not to refuse what would go well.

use taskhost_protocol::fault::Refusal;

use super::body::Body;
use super::caps::Caps;

/// Bytes kept for each function: its code, its relocations, and tables about it.
const FUNCTION_BYTES: u64 = 4_900;

/// Bytes kept for each function across the border of a component: two or three functions are made for it.
const ADAPTER_BYTES: u64 = 3 * FUNCTION_BYTES;

/// Bytes for each byte of the function that is compiled.
const BODY_BYTES: u64 = 40;

/// Bytes for each call in it.
const CALL_BYTES: u64 = 1_600;

/// Bytes for each block in it.
const BLOCK_BYTES: u64 = 900;

/// Bytes for each cell of the table of locals and blocks.
const CELL_BYTES: u64 = 19;

/// Bytes for each parameter of a loop.
const LOOP_PARAMETER_BYTES: u64 = 1_000;

/// Nanoseconds for each function.
const FUNCTION_NANOS: u64 = 22_000;

/// Nanoseconds for each byte.
const BODY_NANOS: u64 = 80;

/// Nanoseconds for each call.
const CALL_NANOS: u64 = 5_500;

/// Nanoseconds for each block.
const BLOCK_NANOS: u64 = 3_500;

/// Nanoseconds for each cell of the table of locals and blocks.
const CELL_NANOS: u64 = 75;

/// Nanoseconds for each *pair* of parameters of loops: each is compared with all others.
const LOOP_PAIR_NANOS: f64 = 1.2;

/// What compiling everything so far will take.
#[derive(Debug, Default)]
pub(super) struct Cost {
    functions: u64,
    /// Bytes kept to the end.
    kept: u64,
    /// Bytes that the largest function needs.
    largest: u64,
    nanos: u64,
}

impl Cost {
    pub(super) fn add_function(&mut self, body: &Body) {
        self.functions += 1;
        self.kept = self.kept.saturating_add(FUNCTION_BYTES);
        let memory = [
            (body.bytes, BODY_BYTES),
            (body.calls, CALL_BYTES),
            (body.blocks, BLOCK_BYTES),
            (body.cells, CELL_BYTES),
            (body.loop_parameters, LOOP_PARAMETER_BYTES),
        ];
        self.largest = self.largest.max(weighed(&memory));
        let nanos = [
            (1, FUNCTION_NANOS),
            (body.bytes, BODY_NANOS),
            (body.calls, CALL_NANOS),
            (body.blocks, BLOCK_NANOS),
            (body.cells, CELL_NANOS),
        ];
        let parameters = body.loop_parameters as f64;
        // The cast saturates.
        let pairs = (parameters * parameters * LOOP_PAIR_NANOS) as u64;
        self.nanos = self.nanos.saturating_add(weighed(&nanos)).saturating_add(pairs);
    }

    pub(super) fn add_adapters(&mut self, count: u32) {
        self.kept = self.kept.saturating_add(u64::from(count) * ADAPTER_BYTES);
        self.nanos = self.nanos.saturating_add(u64::from(count) * 3 * FUNCTION_NANOS);
    }

    fn memory(&self) -> u64 {
        self.kept.saturating_add(self.largest)
    }

    fn seconds(&self) -> u64 {
        self.nanos / 1_000_000_000
    }

    /// Refuses what would take more than there is.
    pub(super) fn check(&self, caps: &Caps) -> Result<(), Refusal> {
        let functions = self.functions;
        if self.memory() > caps.memory {
            let (found, cap) = (self.memory() >> 20, caps.memory >> 20);
            return Err(Refusal::TooLarge(format!(
                "compiling the kernel would take about {found} MiB of memory, more than the {cap} MiB that the compiler \
                 may use: it has {functions} functions, and the largest takes {} MiB",
                self.largest >> 20
            )));
        }
        if self.seconds() > caps.seconds {
            let (found, cap) = (self.seconds(), caps.seconds);
            return Err(Refusal::TooLarge(format!(
                "compiling the kernel would take about {found} s, more than the {cap} s that the compiler may use: it \
                 has {functions} functions; one with very many branches, or locals that change within many loops, takes \
                 the longest"
            )));
        }
        Ok(())
    }
}

/// The sum of numbers times their weights.
fn weighed(terms: &[(u64, u64)]) -> u64 {
    terms.iter().fold(0, |sum: u64, (number, weight)| sum.saturating_add(number.saturating_mul(*weight)))
}
