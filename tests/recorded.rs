//! A kernel of each world, built once and kept: it has to run with every taskhost that offers the same contract.

mod component;

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Outcome, Place};

pub(crate) use component::{component, module};

/// Writes the recordings that are not there; one that is there is never written again.
///
///     TASKHOST_RECORD=1 cargo test --test tests -- recorded
const RECORD: &str = "TASKHOST_RECORD";

/// The worlds of the contract.
const RECORDED: [&str; 5] = ["minimal", "map-kernel", "filter-kernel", "reduce-kernel", "image-kernel"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/1.0.0")
}

/// The recorded kernel of a world.
fn recorded(world: &str) -> PathBuf {
    let file = folder().join(format!("{world}.wasm"));
    if std::env::var_os(RECORD).is_some() && !file.exists() {
        let source = fs::read_to_string(folder().join(format!("{world}.wat"))).unwrap();
        fs::write(&file, component(world, &source)).unwrap();
    }
    file
}

#[track_caller]
fn run(world: &str, flags: &str, input: &[u8]) -> Outcome {
    Place::new().taskhost("run").argument(recorded(world)).arguments(flags).input(input).run().success()
}

#[test]
fn minimal() {
    let flags = "--split lines --merge lines";
    assert_eq!(run("minimal", flags, b"one\n\nthree\n").text(), "one\n\nthree\n");
}

#[test]
fn map_kernel() {
    assert_eq!(run("map-kernel", "", b"one\n\nthree\n").text(), "o\n\nt\n");
}

#[test]
fn filter_kernel() {
    assert_eq!(run("filter-kernel", "", b"abc\n\nd\n").text(), "a\nb\nc\nd\n");
}

#[test]
fn reduce_kernel() {
    // More lines than are joined at a time.
    let lines: String = (0..100).map(|number| format!("{number},")).collect::<Vec<_>>().join("\n");
    assert_eq!(run("reduce-kernel", "", lines.as_bytes()).text(), lines.replace('\n', ""));
    assert_eq!(run("reduce-kernel", "", b"").text(), "");
}

#[test]
fn image_kernel() {
    let picture: Vec<u8> = b"P5\n16 40\n255\n".iter().copied().chain((0..640).map(|at| (at % 251) as u8)).collect();
    assert_eq!(run("image-kernel", "", &picture).stdout, picture);
}

#[test]
fn every_world_has_a_recorded_kernel() {
    let contract = include_str!("../wit/kernel.wit");
    let worlds = contract.lines().filter_map(|line| line.strip_prefix("world ")?.split(' ').next());
    let worlds: Vec<&str> = worlds.filter(|world| *world != "host").collect();
    assert_eq!(worlds, RECORDED);
    for world in RECORDED {
        assert!(recorded(world).exists(), "{world}: run these tests with {RECORD}=1");
    }
}
