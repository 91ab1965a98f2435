//! What every kernel has to give, whatever it was written in.

use std::path::Path;

use super::build::{Row, Tools};
use crate::harness::{Outcome, Place};
use crate::native::{Numbers, primes_between, wordcount};

/// The first three are there in every language; `broken` gives up, `dice` asks for random numbers, and the rest are of the
/// other worlds.
pub(super) const KERNELS: [&str; 10] =
    ["invert", "primes", "wordcount", "broken", "dice", "minimal", "words", "edges", "lengths", "prefix"];

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
        "dice" => dice(&name, run),
        "minimal" => minimal(&name, run),
        "words" => flat(&name, run),
        "edges" => edges(&name, run),
        "lengths" => lengths(&name, run),
        "prefix" => prefix(&name, run),
        _ => panic!("nothing is expected of {kernel}"),
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
    // Garbage is collected whenever that is due, also while room is made for an item.
    same(name, "small blocks in one instance", run("--split blocks:300 --workers 1", &text), &wanted);
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
    let errors = run("--on-error skip -q --errors -", b"a\nboom\n").code(3).stderr;
    let error = errors.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    assert!(error.contains(words) && error.contains(r#""item":1,"#), "{name}:\n{errors}");
    // Where in the source a panic was, as Rust tells it.
    assert!(!name.contains(" in Rust ") || error.contains("broken/src/lib.rs:8:"), "{name}:\n{errors}");
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

/// One function, and nothing said of itself.
fn minimal(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    same(name, "one item", run("", "größer, a-z\n".as_bytes()), "GRößER, A-Z\n".as_bytes());
    same(name, "lines", run("--split lines --merge lines --workers 2", b"a\n\nbc\n"), b"A\n\nBC\n");
}

/// None, one or many results for an item.
fn flat(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let words = |number: usize| (0..number % 4).map(move |word| format!("w{number}.{word}"));
    let text: String =
        (0..500).map(|number| format!(" {} \n", words(number).collect::<Vec<_>>().join("\t "))).collect();
    let wanted: String = (0..500).flat_map(words).map(|word| word + "\n").collect();
    same(name, "many lines", run("--workers 2", text.as_bytes()), wanted.as_bytes());
    same(name, "a few at a time", run("--batch 7", text.as_bytes()), wanted.as_bytes());
    same(name, "nothing", run("", b"\n \n"), b"");
    let complaint = run("--on-error skip", b"one two\nth\0ree\nfour\n").code(3);
    assert_eq!(complaint.stdout, b"one\ntwo\nfour\n", "{name}");
    let said = "item 1 (at byte 8): a NUL byte is in no word";
    assert!(complaint.stderr.contains(said), "{name}:\n{}", complaint.stderr);
}

/// Strips with a row of context on each side give what the whole picture gives.
fn edges(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let (width, height) = (37_usize, 120_usize);
    let mut numbers = Numbers::new(11);
    for (magic, channels) in [("P5", 1), ("P6", 3)] {
        let header = format!("{magic}\n{width} {height}\n255\n").into_bytes();
        let row = width * channels;
        let samples: Vec<u8> = (0..row * height).map(|_| numbers.below(256) as u8).collect();
        let at = |line: usize, x: usize| samples[line.min(height - 1) * row + x];
        let difference = |i: usize| at((i / row).saturating_sub(1), i % row).abs_diff(at(i / row + 1, i % row));
        let wanted = [header.clone(), (0..samples.len()).map(difference).collect()].concat();
        let picture = [header, samples].concat();
        same(name, "a picture", run("", &picture), &wanted);
        same(name, "strips", run("--workers 3 --batch 7", &picture), &wanted);
    }
    let deep = [b"P5\n2 1\n65535\n".as_slice(), &[0; 4]].concat();
    let refused = run("", &deep).code(3);
    assert!(refused.stderr.contains("expected samples of 8 bits"), "{name}:\n{}", refused.stderr);
}

/// Many small items in one call, and blame for one of them.
fn lengths(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    let line = |number: usize| "x".repeat(number * number % 83);
    let text: String = (0..3000).map(|number| line(number) + "\n").collect();
    let wanted: String = (0..3000).map(|number| format!("{}\n", line(number).len())).collect();
    same(name, "many lines", run("--workers 2", text.as_bytes()), wanted.as_bytes());
    same(name, "always fresh", run("--batch 2 --fresh batch", &text.as_bytes()[..800]), &{
        text[..800].lines().map(|line| format!("{}\n", line.len())).collect::<String>().into_bytes()
    });
    let complaint = run("--on-error skip", b"one\n#two\n\n").code(3);
    assert_eq!(complaint.stdout, b"3\n0\n", "{name}");
    let said = "item 1 (at byte 4): a comment has no length";
    assert!(complaint.stderr.contains(said), "{name}:\n{}", complaint.stderr);
}

/// A setting that is looked at once, before the first item.
fn prefix(name: &str, run: impl Fn(&str, &[u8]) -> Outcome) {
    same(name, "without the setting", run("--workers 2", b"a\n\nb\n"), b"> a\n> \n> b\n");
    same(name, "with it", run("--config with=++ --fresh item", b"a\nb\n"), b"++a\n++b\n");
    let refused = run("--config with=", b"a\n");
    assert!(refused.stdout.is_empty() && refused.code != 0, "{name}");
    assert!(refused.stderr.contains("`with` must have 1 to 63 bytes"), "{name}:\n{}", refused.stderr);
    let unknown = run("--config without=1", b"a\n");
    assert!(unknown.stderr.contains("`without`"), "{name}:\n{}", unknown.stderr);
}
