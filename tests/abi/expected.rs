//! What every kernel has to give, whatever it was written in.

use std::path::Path;

use super::build::{Row, Tools};
use crate::harness::{Outcome, Place};
use crate::native::{Numbers, primes_between, wordcount};

/// The first three are there in every language; `broken` gives up, and `dice` asks for random numbers.
pub(super) const KERNELS: [&str; 5] = ["invert", "primes", "wordcount", "broken", "dice"];

/// What each says to a line that is no range.
const COMPLAINT: &str = "expected two whole numbers `lo hi`";

/// Runs a built kernel on everything that it has to be able to do.
#[track_caller]
pub(super) fn check(row: &Row, kernel: &str, file: &Path) {
    let place = Place::new();
    let run = |flags: &str, input: &[u8]| {
        let program = place.taskhost("run").argument(file).arguments(flags);
        program.env("XDG_CACHE_HOME", Tools::find().cache()).input(input).run()
    };
    let name = format!("{kernel} in {} as {}", row.language, row.way);
    if row.is_command() {
        return command(&name, kernel, run);
    }
    match kernel {
        "invert" => invert(&name, run),
        "primes" => primes(&name, run),
        "wordcount" => words(&name, run),
        "broken" => broken(&name, run),
        _ => dice(&name, run),
    }
}

/// A program that reads one item and knows of no others.
#[track_caller]
fn command(name: &str, kernel: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let bytes: Vec<u8> = (0..=255).cycle().take(102_410).collect();
    if kernel == "invert" {
        let inverted: Vec<u8> = bytes.iter().map(|byte| 255 - byte).collect();
        same(name, "one item", run("", &bytes), &inverted);
        same(name, "many items", run("--split chunks:20000 --workers 2", &bytes), &inverted);
    } else {
        let complaint = run("--split lines --merge lines --on-error skip", b"1 10\n3 x\n0 3\n").code(3);
        assert_eq!(complaint.stdout, b"4\n1\n", "{name}");
        assert!(complaint.stderr.contains(COMPLAINT), "{name}:\n{}", complaint.stderr);
    }
}

#[track_caller]
fn same(name: &str, case: &str, outcome: Outcome, wanted: &[u8]) {
    let outcome = outcome.success();
    assert!(
        outcome.stdout == wanted,
        "{name}, {case}: {} bytes instead of {}; it begins with {:?}",
        outcome.stdout.len(),
        wanted.len(),
        String::from_utf8_lossy(&outcome.stdout[..outcome.stdout.len().min(200)])
    );
}

fn invert(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let bytes: Vec<u8> = (0..=255).cycle().take(102_410).collect();
    let inverted: Vec<u8> = bytes.iter().map(|byte| 255 - byte).collect();
    same(name, "as it describes itself", run("", &bytes), &inverted);
    same(name, "many small items", run("--split chunks:1000 --workers 2", &bytes), &inverted);
    same(name, "fresh for each item", run("--split chunks:40000 --fresh item", &bytes), &inverted);
    same(name, "empty lines are items", run("--split lines --merge lines", b"\n\n"), b"\n\n");
    same(name, "nothing", run("", b""), b"");
}

fn primes(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let ranges: Vec<(u64, u64)> = (0..40).map(|number| (number * 7, number * 50)).collect();
    let text: String =
        ranges.iter().map(|(low, high)| format!("{low} {high}\n")).filter(|line| line != "0 0\n").collect();
    let counts: Vec<u64> = ranges[1..].iter().map(|(low, high)| primes_between(*low, *high)).collect();
    let lines: String = counts.iter().map(|count| format!("{count}\n")).collect();
    same(name, "lines", run("", text.as_bytes()), lines.as_bytes());
    let sum = format!("{}\n", counts.iter().sum::<u64>());
    same(name, "their sum", run("--merge reduce --batch 3", text.as_bytes()), sum.as_bytes());
    same(name, "the sum of nothing", run("--merge reduce", b""), b"0\n");
    let complaint = run("--on-error skip", b"1 10\n3 x\n0 3\n").code(3);
    assert_eq!(complaint.stdout, b"4\n1\n", "{name}");
    assert!(complaint.stderr.contains(&format!("item 1 (at byte 5): {COMPLAINT}")), "{name}:\n{}", complaint.stderr);
}

fn words(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let mut numbers = Numbers::new(7);
    let mut text = Vec::new();
    while text.len() < 60_000 {
        match numbers.below(50) {
            0 => text.extend_from_slice(b"\xff\xfe not \xc3 utf-8 \0 nul\r\n"),
            1 => text.extend_from_slice("größer als\u{b} größe\n".as_bytes()),
            2 => text.push(b'\n'),
            number => text.extend_from_slice(format!("word{} ", number * number % 97).as_bytes()),
        }
    }
    text.push(b'\n');
    let wanted = wordcount(&text);
    same(name, "one block", run("", &text), &wanted);
    same(name, "many blocks", run("--split blocks:1000 --workers 2", &text), &wanted);
    same(name, "nothing", run("", b""), b"");
}

/// What a language's own way of giving up says becomes part of the item's error, and the next item has a fresh instance.
fn broken(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let outcome = run("--on-error skip --workers 1", b"a\nboom\nb\n").code(3);
    assert_eq!(outcome.stdout, b"a\nb\n", "{name}");
    let words = if name.contains(" in C") { "Assertion failed: " } else { "the item went boom" };
    let error =
        outcome.stderr.lines().find(|line| line.starts_with("error: -, item 1 (at byte 2): the kernel trapped"));
    assert!(error.unwrap_or_default().contains(words), "{name}:\n{}", outcome.stderr);
}

/// Random numbers follow from the kernel and the item.
fn dice(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let items: String = (0..50).map(|number| format!("{number}\n")).collect();
    let one = run("--workers 1", items.as_bytes()).success();
    let mut thrown: Vec<&str> = one.text().lines().collect();
    assert!(thrown.len() == 50 && thrown.iter().all(|dice| dice.len() == 16), "{name}: {thrown:?}");
    same(name, "seven workers", run("--workers 7 --batch 2", items.as_bytes()), &one.stdout);
    same(name, "always fresh", run("--workers 2 --fresh item", items.as_bytes()), &one.stdout);
    thrown.sort_unstable();
    thrown.dedup();
    assert_eq!(thrown.len(), 50, "{name}: items have random numbers of their own");
}
