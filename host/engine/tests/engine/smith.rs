//! Kernels at random: each is refused or compiles, and what compiles runs to a result or a fault.

use taskhost_engine::compile;
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::WorkerLimits;

use crate::support::{host, load, result};
use crate::wild::{Wild, module};

/// Modules that are like nothing in particular.
const ANYTHING: u64 = 3_000;

/// Modules that are kernels.
const KERNELS: u64 = 1_000;

/// Longest item: as many functions as a module has at most.
const ITEM: usize = 12;

#[test]
fn modules_of_any_kind_are_refused_or_compile() {
    let (mut wrong, mut malformed) = (0, 0);
    for number in 0..ANYTHING {
        match compile(&module(number, Wild { anything: true, endless: true }), CompileOptions::default()) {
            Err(Refusal::WrongShape(_) | Refusal::ImportNotOffered(_)) => wrong += 1,
            Err(Refusal::NotWasm(_)) => malformed += 1,
            Err(Refusal::TooLarge(_)) | Ok(_) => {}
            Err(other) => panic!("module {number}: {other:?}"),
        }
    }
    assert!(wrong > 100 && malformed > 100, "{wrong} had no kernel's exports, {malformed} were invalid");
}

#[test]
fn kernels_at_random_compile_and_run_to_a_result_or_a_fault() {
    let (mut compiled, mut results, mut traps) = (0, 0, 0);
    for number in 0..KERNELS {
        let limits = WorkerLimits { memory: 64 << 20, ..WorkerLimits::default() };
        let loaded = match load(&module(number, Wild::default()), limits) {
            Ok(loaded) => loaded,
            Err(Refusal::NotWasm(text)) => panic!("kernel {number} is valid, but {text}"),
            Err(_) => continue,
        };
        compiled += 1;
        for len in 0..ITEM {
            // Its start function, and its data and elements outside of what there is.
            let Ok(mut instance) = loaded.instantiate(host()) else { break };
            match result_of(&mut instance, len) {
                Ok(()) => results += 1,
                Err(Fault::Trap { .. } | Fault::MemoryLimit { .. }) => traps += 1,
                Err(Fault::Contract(_)) => {}
                Err(other) => panic!("kernel {number}, item of {len} bytes: {other:?}"),
            }
        }
    }
    assert!(compiled > KERNELS / 2, "{compiled} of {KERNELS} compiled");
    assert!(results > 100 && traps > 100, "{results} results, {traps} traps");
}

fn result_of(instance: &mut taskhost_engine::Instance, len: usize) -> Result<(), Fault> {
    let item = [b'x'; ITEM];
    result(instance, &item[..len]).map(|result| assert_eq!(result, b""))
}
