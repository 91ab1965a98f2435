//! What an item costs, in system calls: counted by strace, so that a path which has become longer is seen without a clock.
//! Allocations are counted beside the engine (`host/engine/tests/costs.rs`).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::commands;
use crate::harness::{Place, Program, skipped};
use crate::invoke::library;

/// Items of the shorter run; the longer one has three times as many.
const ITEMS: usize = 2000;

/// Items of a batch: what a batch costs is spread over as many.
const FLAGS: &str = "-j 1 --batch 500 --split lines -o out";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// System calls of all processes of a run.
fn calls(place: &Place, kernel: &Path, flags: &str, items: usize) -> f64 {
    place.write("input", "7\n".repeat(items));
    let strace = Program::of(OsStr::new("strace"), &place.path(""));
    let run = strace.arguments("-f -qq -c -o counted").argument(env!("CARGO_BIN_EXE_taskhost"));
    run.arguments("run").argument(kernel).arguments(flags).arguments(FLAGS).arguments("input").run().success();
    let counted = place.text("counted");
    let total = counted.lines().rfind(|line| line.ends_with(" total")).expect("a line with the total");
    total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).expect("a number of calls")
}

#[track_caller]
fn at_most(most: f64, place: &Place, kernel: &Path, flags: &str) {
    let tried =
        Command::new("strace").args(["-f", "-qq", "-c", "-o", "/dev/null", "true"]).stdin(Stdio::null()).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return skipped("costs: system calls of an item", "there is no strace, or it may not look at programs");
    }
    // So that it is compiled.
    calls(place, kernel, flags, 1);
    let [short, long] = [ITEMS, 3 * ITEMS].map(|items| calls(place, kernel, flags, items));
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
