//! House rules that no compiler knows, held over the files of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Longest source file in lines, its tests apart: what a reader can hold in the head.
const MOST_LINES: usize = 500;

/// Folders that hold what was built, or belongs to other tools.
const NOT_OURS: [&str; 3] = ["target", ".git", "__pycache__"];

/// A file of the repository by its path from the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Whether all of it is tests.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The part in front of its tests.
    fn without_tests(&self) -> &str {
        if self.is_test() {
            return "";
        }
        self.text.split_once("\n#[cfg(test)]\n").map_or(&self.text, |(code, _)| code)
    }

    /// Code without comments and with what stands in quotes left out, line by line.
    fn code(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        let quoted = Regex::new(r#""(?:[^"\\]|\\.)*""#).unwrap();
        let lines = self.without_tests().lines().enumerate();
        lines.map(move |(number, line)| {
            let line = quoted.replace_all(line, "\"\"").into_owned();
            let code = line.split_once("//").map_or(line.as_str(), |(code, _)| code);
            (number + 1, code.to_owned())
        })
    }
}

/// All files with one of these endings.
fn files(endings: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !NOT_OURS.contains(&name) {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let path_from_root = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path: path_from_root, text: fs::read_to_string(path).unwrap() });
            }
        }
    }
    assert!(!found.is_empty());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust() -> Vec<Source> {
    files(&[".rs"])
}

/// Places where the pattern stands in code, as `path:line`.
fn places(pattern: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    let mut places = Vec::new();
    for source in rust() {
        for (number, code) in source.code() {
            if pattern.is_match(&code) {
                places.push(format!("{}:{number}", source.path));
            }
        }
    }
    places
}

/// Asserts that all places lie in files whose paths begin with one of these, and that each of these is needed.
#[track_caller]
fn only_in(places: &[String], allowed: &[&str]) {
    let is_allowed = |place: &&String| !allowed.iter().any(|path| place.starts_with(path));
    let wrong: Vec<&String> = places.iter().filter(is_allowed).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for path in allowed {
        assert!(places.iter().any(|place| place.starts_with(path)), "{path} does not need its exception any more");
    }
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<String> =
        rust().into_iter().filter(|source| !source.text.starts_with("//! ")).map(|source| source.path).collect();
    assert!(silent.is_empty(), "these do not open with `//!`: {silent:#?}");
}

#[test]
fn files_are_short() {
    for source in rust() {
        let lines = source.without_tests().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines without its tests: divide it", source.path);
    }
}

/// A file that no `mod` names is not compiled, and nobody notices.
#[test]
fn every_file_is_part_of_its_crate() {
    let sources = rust();
    for source in &sources {
        let path = Path::new(&source.path);
        let (folder, stem) = (path.parent().unwrap(), path.file_stem().unwrap().to_str().unwrap());
        let is_root = ["lib", "main", "build", "mod"].contains(&stem)
            || folder.ends_with("examples")
            || folder.ends_with("languages/rust/command")
            || folder.ends_with("fuzz_targets");
        // An integration test of one file is a crate of its own.
        if is_root || (folder.ends_with("tests") && folder.parent().unwrap().join("Cargo.toml").exists()) {
            continue;
        }
        let beside = folder.with_extension("rs");
        let parents: Vec<PathBuf> =
            ["mod.rs", "lib.rs", "main.rs"].iter().map(|name| folder.join(name)).chain([beside]).collect();
        let declares = |parent: &Source| parents.contains(&PathBuf::from(&parent.path)) && declared(&parent.text, stem);
        assert!(sources.iter().any(declares), "{} is declared nowhere", source.path);
    }
}

fn declared(text: &str, module: &str) -> bool {
    text.lines().any(|line| line.trim_end().ends_with(&format!("mod {module};")))
}

#[test]
fn unsafe_code_is_in_its_two_places() {
    only_in(&places(r"(?-u:\b)unsafe(?-u:\b)"), &["host/os/", "host/engine/src/artifact.rs"]);
}

#[test]
fn only_the_command_prints_or_exits() {
    let allowed = [
        // `run_if_worker`, which never returns.
        "host/worker/src/lib.rs",
        // Speaks to cargo.
        "build.rs",
        // Programs of their own, for those who embed the pool.
        "examples/articles/",
        "examples/embed/main.rs",
        // A program that knows nothing of taskhost.
        "plugins/languages/rust/command/primes.rs",
        "examples/pipeline/main.rs",
        // Programs of their own, for measuring.
        "benches/compare/src/library/main.rs",
        "benches/compare/src/main.rs",
        "benches/compare/src/service/main.rs",
        "host/engine/examples/call_cost.rs",
    ];
    let found = places(r"(?-u:\b)(e?println|e?print|dbg)!|process::exit\(");
    let elsewhere: Vec<String> = found.into_iter().filter(|place| !place.starts_with("host/cli/")).collect();
    only_in(&elsewhere, &allowed);
}

#[test]
fn nothing_but_tests_unwraps() {
    only_in(&places(r"\.unwrap\(\)"), &[]);
}

/// An exception without a reason stays when the reason is gone.
#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    only_in(&places(r"#!?\[allow\("), &[]);
}

#[test]
fn nothing_is_left_to_do() {
    let marks = Regex::new(&[r"(?-u:\b)(TO", "DO|FIX", r"ME)(?-u:\b)"].concat()).unwrap();
    for source in files(&[".rs", ".md", ".sh", ".toml", ".wit"]) {
        assert!(!marks.is_match(&source.text), "{} has a note that something is to be done", source.path);
    }
}

/// A test that waits a fixed time is slow on every machine and wrong on some.
#[test]
fn tests_do_not_wait_and_are_not_switched_off() {
    let bad = Regex::new(&[r"thread::sle", r"ep|#\[ign", "ore"].concat()).unwrap();
    for source in rust() {
        assert!(!bad.is_match(&source.text), "{}", source.path);
    }
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let machine = Regex::new(r#"["'`( =]/(home|root|work|Users)/[a-z]"#).unwrap();
    for source in files(&[".rs", ".md", ".sh", ".toml", ".wit", ".wat", ".py"]) {
        let line = source.text.lines().find(|line| machine.is_match(line));
        assert_eq!(line, None, "{}", source.path);
    }
}

#[test]
fn no_snapshot_waits_for_a_decision() {
    let pending: Vec<String> =
        files(&[".rs", ".pending-snap", ".snap.new"]).into_iter().map(|file| file.path).collect();
    assert!(pending.iter().all(|path| path.ends_with(".rs")), "{pending:#?}");
}

fn architecture() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md")).unwrap()
}

#[test]
fn the_architecture_names_what_exists() {
    let ticked = Regex::new(r"`([a-z.][A-Za-z0-9_./-]*/[A-Za-z0-9_./-]*)(?:::[a-z0-9_:]+)?`").unwrap();
    let text = architecture();
    let paths: BTreeSet<&str> = ticked.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "ARCHITECTURE.md names {path}");
    }
}

#[test]
fn every_folder_of_the_code_is_in_the_architecture() {
    let text = architecture();
    for folder in ["host", "plugins"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !NOT_OURS.contains(&name) {
                assert!(text.contains(&format!("`{folder}/{name}/")), "ARCHITECTURE.md does not name {folder}/{name}/");
            }
        }
    }
}

#[test]
fn every_invariant_names_a_test() {
    let held = Regex::new(r"\(held by `([^`]+\.rs)::([a-z0-9_]+)`\)").unwrap();
    let text = architecture();
    let mut count = 0;
    for line in text.lines().filter(|line| line.starts_with("**Invariant:**")) {
        let found = held.captures(line).unwrap_or_else(|| panic!("this names no test: {line}"));
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&found[1])).unwrap_or_default();
        assert!(source.contains(&format!("fn {}(", &found[2])), "{}::{} does not exist", &found[1], &found[2]);
        count += 1;
    }
    assert!(count >= 8, "{count} invariants");
}

/// What is promised in the documentation of security is worth as much as the test that holds it.
#[test]
fn every_promise_of_security_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (_, promises) = text.split_once("## What is promised").unwrap();
    let (promises, _) = promises.split_once("\n## ").unwrap();
    let held = Regex::new(r"`([^`]+\.rs)::([a-z0-9_]+)` \|$").unwrap();
    let rows: Vec<&str> = promises.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() >= 15, "{} promises", rows.len());
    for row in rows {
        let found = held.captures(row).unwrap_or_else(|| panic!("this names no test: {row}"));
        let source = fs::read_to_string(root.join(&found[1])).unwrap_or_default();
        assert!(source.contains(&format!("fn {}(", &found[2])), "{}::{} does not exist", &found[1], &found[2]);
    }
    let path = Regex::new(r"`((?:tests|host)/[a-z_/]+\.rs)").unwrap();
    for found in path.captures_iter(&text) {
        assert!(root.join(&found[1]).exists(), "docs/security.md names {}", &found[1]);
    }
}
