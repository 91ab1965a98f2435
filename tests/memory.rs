//! Memory is bounded by the window, not by the input.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use crate::harness::{Place, Process, Running, eventually};

/// What the coordinator may have in memory, in bytes, however much passes through it.
const COORDINATOR: u64 = 64 << 20;

/// What all arenas together may have: the window and the read-ahead of 32 MiB each, and batches on their way.
const ARENAS: u64 = 160 << 20;

/// The most that the process ever had in memory.
fn peak(process: &Process) -> u64 {
    process.status("VmHWM").trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Bytes of all files in memory that the process holds.
fn arenas(process: &Process) -> u64 {
    let files = std::fs::read_dir(process.file("fd")).unwrap().filter_map(Result::ok);
    let in_memory = files.filter(|file| {
        std::fs::read_link(file.path()).is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:taskhost-"))
    });
    let sizes: BTreeMap<u64, u64> = in_memory
        .filter_map(|file| std::fs::metadata(file.path()).ok())
        .map(|file| (file.ino(), file.blocks() * 512))
        .collect();
    sizes.values().sum()
}

#[track_caller]
fn assert_small(running: &Running) {
    let (peak, arenas) = (peak(&running.process), arenas(&running.process));
    assert!(peak < COORDINATOR, "the coordinator had {peak} bytes");
    assert!(arenas < ARENAS, "the arenas have {arenas} bytes");
}

#[test]
fn a_large_file() {
    const BYTES: u64 = 512 << 20;
    let place = Place::new();
    // A file of zeros that takes no place on the disk.
    File::create(place.path("zeros")).unwrap().set_len(BYTES).unwrap();
    // The second input keeps the run alive until somebody has looked at it.
    let mut running = place.taskhost("run invert zeros -").start();
    let wanted = vec![255; 1 << 20];
    for at in 0..BYTES >> 20 {
        assert!(running.bytes(1 << 20) == wanted, "MiB {at}");
    }
    assert_small(&running);
    running.end().success();
}

#[test]
fn a_million_lines() {
    const LINES: usize = 1_000_000;
    let place = Place::new();
    place.write("ranges", "0 10\n".repeat(LINES));
    let mut running = place.taskhost("run primes ranges -").start();
    assert!(running.bytes(2 * LINES) == "4\n".repeat(LINES).as_bytes());
    assert_small(&running);
    running.end().success();
}

#[test]
fn a_reader_that_does_not_read() {
    let place = Place::new();
    let mut running = place.taskhost("run invert /dev/zero -j 2").start();
    assert_eq!(running.bytes(1), [255]);
    // When nobody computes any more, everything that may be full is full.
    let mut rests = 0;
    eventually("the workers rest", || {
        let workers = running.process.workers();
        let is_resting = workers.iter().all(|worker| worker.status("State").starts_with('S'));
        rests = if is_resting { rests + 1 } else { 0 };
        rests == 200
    });
    assert_small(&running);
    running.stop_reading();
    running.end().code(141);
}
