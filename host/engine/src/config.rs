//! What generated code and the engine that runs it must agree on: every setting that wasmtime compares when it loads
//! an artifact is set here, explicitly, for both sides. A default that changes with a release would otherwise turn
//! cached artifacts into load errors, or worse, change what kernels compute.

use taskhost_protocol::kernel::{Needs, Profile};
use wasmparser::WasmFeatures;
use wasmtime::{Config, Inlining, OptLevel, Strategy, WasmBacktraceDetails};

/// The pinned release of wasmtime; a test compares it with the lock file.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// Address space of one linear memory: all that 32 bits can address, so that no access needs a bounds check.
pub(crate) const MEMORY_RESERVATION: u64 = 4 << 30;

/// Guard behind each linear memory, which catches accesses with a constant offset beyond the reservation.
const MEMORY_GUARD: u64 = 32 << 20;

/// Stack of a kernel in bytes. Twice wasmtime's default, for interpreters and deep recursion; it lies on the stack of
/// the calling thread, and the smallest of those (a test's) has 2 MiB.
const WASM_STACK: usize = 1 << 20;

/// Proposals that kernels cannot use: threads and 64-bit memories are not supported (a worker is one thread, an item
/// is at most 1 GiB); garbage collection, exceptions and asynchronous components are large and new pieces of code,
/// and most advisories of the last year were about them. Exceptions are on for a kernel that throws them, and what they need
/// of garbage collection with them. `MULTI_MEMORY` stays on: the adapters of a component made of several modules need it.
fn features_off(needs: Needs) -> WasmFeatures {
    let off = WasmFeatures::MEMORY64
        | WasmFeatures::THREADS
        | WasmFeatures::GC
        | WasmFeatures::GC_TYPES
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::CM_ASYNC;
    if needs.exceptions { off.difference(WasmFeatures::EXCEPTIONS | WasmFeatures::GC_TYPES) } else { off }
}

/// What a kernel may use, for looking at it before it is compiled.
pub(crate) fn features(needs: Needs) -> WasmFeatures {
    (WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL).difference(features_off(needs))
}

/// The settings that both sides share.
fn base(profile: Profile, needs: Needs) -> Config {
    let mut config = Config::new();
    let off = features_off(needs);
    config.wasm_features(off, false);
    config.wasm_features(features_off(Needs::default()).difference(off), true);
    config.concurrency_support(false);
    // Relaxed SIMD may differ between processors; results may not.
    config.relaxed_simd_deterministic(true);
    // Canonical NaNs cost up to three times the run time, and only payloads show the difference.
    config.cranelift_nan_canonicalization(false);
    // A late kernel is killed with its process: no checks in its loops, unless somebody wants to see where it is.
    config.epoch_interruption(profile == Profile::Sampled);
    // The other thing in which profiles differ.
    config.consume_fuel(profile == Profile::Fuel);

    config.memory_reservation(MEMORY_RESERVATION);
    config.memory_guard_size(MEMORY_GUARD);
    config.memory_may_move(false);
    config.guard_before_linear_memory(true);
    config.memory_init_cow(true);
    config.table_lazy_init(true);
    config.signals_based_traps(true);
    config.max_wasm_stack(WASM_STACK);

    // Names of functions are enough for a trap's backtrace where the kernel does not know its lines; the default would look
    // at an environment variable.
    config.wasm_backtrace_details(if needs.debug_info && profile != Profile::Sampled {
        WasmBacktraceDetails::Enable
    } else {
        WasmBacktraceDetails::Disable
    });
    config.debug_info(false);
    config.debug_symbols(false);
    config.native_unwind_info(false);
    config.generate_address_map(true);
    config.compiler_inlining(Inlining::No);
    config
}

/// Kernels from this many bytes are compiled by as many threads as there are cores. Smaller ones take some ten
/// milliseconds, so that there is little to gain by starting a thread for each core of a large machine.
const THREADS_FROM: usize = 64 * 1024;

/// Settings of the side that compiles a kernel of so many bytes. The number of threads does not show in the code.
pub(crate) fn compiler(profile: Profile, needs: Needs, wasm_bytes: usize) -> Config {
    let mut config = base(profile, needs);
    config.strategy(Strategy::Cranelift);
    config.cranelift_opt_level(OptLevel::Speed);
    config.parallel_compilation(wasm_bytes >= THREADS_FROM);
    config
}

/// Settings of the side that runs.
pub(crate) fn runner(profile: Profile, needs: Needs) -> Config {
    let mut config = base(profile, needs);
    config.enable_compiler(false);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_does_not_show_in_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/dist/sobel.wasm");
        let wasm = std::fs::read(path).expect("it comes with the source");
        for profile in [Profile::Plain, Profile::Fuel] {
            let [one, many] = [THREADS_FROM - 1, THREADS_FROM].map(|bytes| {
                let engine =
                    wasmtime::Engine::new(&compiler(profile, Needs::default(), bytes)).expect("it can be set up");
                engine.precompile_component(&wasm).or_else(|_| engine.precompile_module(&wasm)).expect("it compiles")
            });
            assert!(one == many);
        }
    }

    #[test]
    fn the_version_is_the_locked_one() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{}\"\n", super::WASMTIME_VERSION);
        assert!(lock.contains(&entry));
    }
}
