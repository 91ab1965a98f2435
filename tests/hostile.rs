//! Kernels that are made to do harm, or by nobody for nothing: the program outlives them, and says what they were.

use std::fmt::Write as _;

use crate::harness::{Place, rounds};

#[path = "../host/engine/tests/engine/wild.rs"]
mod wild;

use wild::Wild;

/// A kernel of many functions, each of which takes more memory and time to compile than its size tells.
fn bomb(functions: usize) -> Vec<u8> {
    let mut text = String::from(
        "(module (memory (export \"memory\") 1)
        (func (export \"taskhost_alloc\") (param i32) (result i32) (i32.const 1024))
        (func (export \"taskhost_process\") (param i32 i32) (result i64) (i64.const 0))",
    );
    for function in 0..functions {
        write!(
            text,
            "(func (param i32) (result i32) (i32.mul (i32.add (local.get 0) (i32.const {function})) (local.get 0)))"
        )
        .unwrap();
    }
    wat::parse_str(text + ")").unwrap()
}

/// Limits that are met in a second, since nobody waits for the usual ones: see `host/pool/src/artifact/limits.rs`.
#[test]
#[cfg(debug_assertions)]
fn a_kernel_that_takes_too_much_to_compile_is_refused_and_the_limit_is_named() {
    let place = Place::new();
    place.write("bomb.wasm", bomb(40_000));
    for (limits, needs, name) in [
        ("32MiB 300s 600s", "more than 32.0 MiB of memory", "RLIMIT_DATA"),
        ("4GiB 1s 600s", "more than 1 s of CPU time", "RLIMIT_CPU"),
        ("4GiB 300s 200ms", "more than 200.0 ms", "its deadline"),
    ] {
        let outcome = place.taskhost("compile bomb.wasm").env("TASKHOST_COMPILE_LIMITS", limits).run().code(4);
        let told = format!("the kernel needs {needs} to compile, the most that a compiler may take ({name})");
        assert!(outcome.stderr.contains(&told), "{limits}: {}", outcome.stderr);
    }
    // The same is a kernel like any other where there is room for it.
    place.taskhost("compile bomb.wasm").run().success();
}

/// Each runs in a worker as everything else does. One job of many items, one to call each of its functions.
#[test]
fn kernels_at_random_cost_their_items_and_nothing_else() {
    const FUNCTIONS: usize = 12;
    let place = Place::new();
    place.write("items", (0..FUNCTIONS).map(|len| "x".repeat(len) + "\n").collect::<String>());
    let mut ends = [0; 5];
    for number in 0..rounds(40) {
        // Every fourth may hang, and is ended.
        let is_endless = number % 4 == 0;
        place.write("kernel.wasm", wild::module(number, Wild { anything: false, endless: is_endless }));
        let flags = "items --split lines --merge lines --on-error skip --memory 64M -q -o out -j 1 --timeout 100ms";
        let outcome = place.taskhost("run kernel.wasm").arguments(flags).run();
        // All items, some items, none since it was refused or does not even start.
        assert!([0, 3, 4].contains(&outcome.code), "kernel {number}: {} {}", outcome.code, outcome.stderr);
        ends[usize::try_from(outcome.code).unwrap()] += 1;
        if outcome.code != 4 {
            let lines = place.text("out").lines().count();
            assert!(
                lines <= FUNCTIONS && (outcome.code == 3 || lines == FUNCTIONS),
                "kernel {number}: {lines} results"
            );
        }
        let _ = std::fs::remove_file(place.path("out"));
    }
    assert!(
        ends[0] > 0 && ends[3] > 0,
        "{ends:?} by exit code: for this to test anything, some must run and some fail"
    );
}

/// Valid kernels with a bit or two changed: most that still compile run as before.
#[test]
fn kernels_with_flipped_bits_cost_their_items_and_nothing_else() {
    let place = Place::new();
    place.write("items", "2 100\n100 200\nx\n");
    let kernel = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/dist/primes.wasm")).unwrap();
    let mut random = crate::harness::Random::new("flipped bits");
    let mut place_of = |len: usize| usize::try_from(random.below(len as u64)).unwrap();
    for round in 0..rounds(20) {
        let mut changed = kernel.clone();
        for _ in 0..=place_of(2) {
            let at = 8 + place_of(changed.len() - 8);
            changed[at] ^= 1 << place_of(8);
        }
        place.write("kernel.wasm", changed);
        let flags = "items --on-error skip -q -o out --timeout 1s -j 1";
        let outcome = place.taskhost("run kernel.wasm").arguments(flags).run();
        // 2: what it says of itself need not fit the command line any more.
        assert!([0, 2, 3, 4].contains(&outcome.code), "round {round}: {} {}", outcome.code, outcome.stderr);
        let _ = std::fs::remove_file(place.path("out"));
    }
}
