//! What is tried with random bytes, tried with the same bytes every time: the seeds, and changes of them. The fuzzer goes
//! on from there, see `tests/fuzz/README.md`.

use std::fs;
use std::path::Path;

use crate::harness::{Random, rounds};

#[path = "fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a library of its own, too")]
mod targets;

/// Most bytes of a changed seed.
const MOST: usize = 8192;

/// All targets: also the one that is in the engine, whose crate the maker of the seeds does without.
fn all() -> impl Iterator<Item = targets::Target> {
    targets::TARGETS
        .into_iter()
        .chain([("values", (|bytes| drop(taskhost_engine::json_there_and_back(bytes))) as fn(&[u8]))])
}

/// The seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// Changes bytes as a fuzzer does.
fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let mut place = |len: usize| random.below(len as u64 + 1) as usize;
    let (at, from) = (place(bytes.len()), place(other.len()));
    let (end, until) = (at + place(bytes.len() - at), from + place((other.len() - from).min(64)));
    match place(6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << place(7),
        1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'0', 0x20][place(7)],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => drop(bytes.splice(at..at, other[from..until].iter().copied())),
        5 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
        _ => drop(bytes.splice(at..(at + until - from).min(bytes.len()), other[from..until].iter().copied())),
    }
    bytes.truncate(MOST);
}

/// Runs a target on its seeds and so many changes of each.
fn tried(name: &str, times: u64) {
    let (_, target) = all().find(|(target, _)| *target == name).unwrap();
    let seeds = seeds(name);
    assert!(seeds.len() > 10, "the seeds of {name}: {}", seeds.len());
    let mut random = Random::new(name);
    for (seed, bytes) in &seeds {
        let run = |bytes: &[u8], what: &str| {
            let outcome = std::panic::catch_unwind(|| target(bytes));
            assert!(outcome.is_ok(), "{name} fails on seed {seed}, {what}: {bytes:?}");
        };
        run(bytes, "as it is");
        for round in 0..rounds(times) {
            let (mut changed, other) = (bytes.clone(), &seeds[random.below(seeds.len() as u64) as usize].1);
            for _ in 0..=random.below(4) {
                change(&mut random, &mut changed, other);
            }
            run(&changed, &format!("change {round}"));
        }
    }
}

#[test]
fn messages() {
    tried("messages", 5000);
}

#[test]
fn splits() {
    tried("splits", 1000);
}

#[test]
fn headers() {
    tried("headers", 4000);
}

#[test]
fn journals() {
    tried("journal", 300);
}

#[test]
fn values() {
    let taken =
        seeds("values").iter().filter(|(_, bytes)| taskhost_engine::json_there_and_back(bytes).is_some()).count();
    assert!(taken > 8, "only {taken} seeds are values of their types");
    tried("values", 3000);
}

#[test]
fn pictures() {
    tried("pictures", 300);
}

/// A target that the fuzzer does not know is one that it does not run.
#[test]
fn every_target_is_a_program_and_has_seeds() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/Cargo.toml")).unwrap();
    for (name, _) in all() {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no program");
        assert!(!seeds(name).is_empty());
    }
    assert_eq!(manifest.matches("fuzz_targets/").count(), all().count());
}
