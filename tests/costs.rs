//! What an item costs, in system calls: counted by strace, so that a path which has become longer is seen without a clock.
//! Allocations are counted beside the engine (`host/engine/tests/costs.rs`).

use std::path::{Path, PathBuf};

use crate::commands;
use crate::harness::{Place, strace};
use crate::invoke::library;

/// Items of the shorter run; the longer one has three times as many.
const ITEMS: usize = 2000;

/// Items of a batch: what a batch costs is spread over as many.
const FLAGS: &str = "-j 1 --batch 500 --split lines -o out";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// System calls of all processes of a run.
fn total(place: &Place, kernel: &Path, flags: &str, items: usize) -> f64 {
    place.write("input", "7\n".repeat(items));
    strace::calls(place, &format!("run {} {flags} {FLAGS} input", kernel.display()))["total"] as f64
}

#[track_caller]
fn at_most(most: f64, place: &Place, kernel: &Path, flags: &str) {
    if !strace::can_trace("costs: system calls of an item") {
        return;
    }
    // So that it is compiled.
    total(place, kernel, flags, 1);
    let [short, long] = [ITEMS, 3 * ITEMS].map(|items| total(place, kernel, flags, items));
    let counted = (long - short) / (2 * ITEMS) as f64;
    assert!(counted <= most, "{counted} system calls for an item, more than {most}");
}

#[test]
fn a_mapper_makes_none() {
    let place = Place::new();
    at_most(0.1, &place, &repository("tests/recorded/1.0.0/minimal.wasm"), "--merge lines");
    at_most(0.1, &place, &repository("plugins/dist/echo.wasm"), "--merge lines");
}

#[test]
fn a_raw_module_makes_none() {
    at_most(0.1, &Place::new(), &repository("tests/kernels/echo.wat"), "--merge lines");
}

#[test]
fn a_function_makes_none() {
    let place = Place::new();
    let library = place.write("library.wasm", library::library());
    at_most(0.1, &place, &library, "--invoke is-prime");
}

/// Its memory is given back after each.
#[test]
fn a_program_makes_one() {
    at_most(1.1, &Place::new(), &commands::program(), "");
}

/// It has two memories, and tables.
#[test]
fn a_program_that_is_a_component_makes_few() {
    let place = Place::new();
    let program = commands::component(&place);
    at_most(3.6, &place, &program, "");
}
