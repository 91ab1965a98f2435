//! Compiled kernels: kept, listed, and never loaded when they are not what was written.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use serde_json::Value;

use crate::harness::{Outcome, Place};

/// A run with a cache within the folder, and whether it had to compile.
#[track_caller]
fn run(place: &Place) -> (Outcome, bool) {
    let run = place.taskhost("run primes --report report.json").env("XDG_CACHE_HOME", place.path("cache"));
    let outcome = run.input("0 10\n").run().success();
    assert_eq!(outcome.text(), "4\n", "{}", outcome.stderr);
    let report: Value = serde_json::from_slice(&place.read("report.json")).unwrap();
    (outcome, report["kernel"]["compiled"].as_bool().unwrap())
}

/// The one artifact of the cache.
fn artifact(place: &Place) -> String {
    let files = place.files();
    let mut artifacts = files.into_iter().filter(|name| name.ends_with(".cwasm"));
    let artifact = artifacts.next().expect("an artifact");
    assert_eq!(artifacts.next(), None);
    artifact
}

/// The artifact is native code: what was changed must never be loaded.
#[test]
fn a_damaged_artifact_is_compiled_again() {
    let place = Place::new();
    assert!(run(&place).1);
    assert!(!run(&place).1);
    let artifact = artifact(&place);
    let whole = place.read(&artifact);
    // Magic, MAC, lengths, name, information, code.
    let damaged = [0, 20, 50, 60, 70, 75, 90, whole.len() / 2, whole.len() - 1].map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    });
    let cut = [0, 10, 40, 72, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec());
    let longer = [whole.as_slice(), b"x"].concat();
    for bytes in damaged.into_iter().chain(cut).chain([longer]) {
        place.write(&artifact, bytes);
        let (outcome, compiled) = run(&place);
        assert!(compiled);
        assert!(outcome.stderr.contains("damaged or was not made by this user"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(".cwasm"), "{}", outcome.stderr);
        assert!(!run(&place).1);
    }
}

#[test]
fn an_artifact_that_another_key_vouches_for_is_compiled_again() {
    let (place, other) = (Place::new(), Place::new());
    run(&place);
    run(&other);
    let artifact = artifact(&place);
    place.write(&artifact, other.read(&artifact));
    let (outcome, compiled) = run(&place);
    assert!(compiled && outcome.stderr.contains("damaged or was not made by this user"), "{}", outcome.stderr);
}

/// Both were made by this user, so that the key vouches for both.
#[test]
fn an_artifact_of_another_kernel_is_compiled_again() {
    let place = Place::new();
    run(&place);
    let primes = artifact(&place);
    let whole = place.read(&primes);
    place.taskhost("compile echo").env("XDG_CACHE_HOME", place.path("cache")).run().success();
    let echo = place.files().into_iter().find(|name| name.ends_with(".cwasm") && *name != primes).unwrap();
    let other = place.read(&echo);
    place.write(&primes, &other);
    place.write(&echo, &whole);
    let (outcome, compiled) = run(&place);
    assert!(compiled && outcome.stderr.contains("damaged or was not made by this user"), "{}", outcome.stderr);
    // So is one of another build or of other options: its name says which, and it has only that one.
    let older = primes.replace(".cwasm", "0.cwasm");
    std::fs::rename(place.path(&primes), place.path(&older)).unwrap();
    assert!(run(&place).1);
}

#[test]
fn what_stands_where_an_artifact_belongs_costs_only_time() {
    let place = Place::new();
    run(&place);
    let artifact = artifact(&place);
    let kept = place.path("kept");
    std::fs::rename(place.path(&artifact), &kept).unwrap();
    std::fs::create_dir(place.path(&artifact)).unwrap();
    assert!(run(&place).1, "a folder");
    std::fs::remove_dir(place.path(&artifact)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path(&artifact),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(run(&place).1, "a pipe that nobody writes to");
    // Another name of a file that is good is good: what is in it is what counts.
    std::fs::remove_file(place.path(&artifact)).unwrap();
    std::fs::hard_link(&kept, place.path(&artifact)).unwrap();
    assert!(!run(&place).1);
}

#[test]
fn a_link_in_place_of_an_artifact_is_not_followed() {
    let place = Place::new();
    run(&place);
    let artifact = artifact(&place);
    std::fs::rename(place.path(&artifact), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path(&artifact)).unwrap();
    assert!(run(&place).1);
}

#[test]
fn nobody_else_can_read_the_key_or_put_anything_beside_it() {
    let place = Place::new();
    run(&place);
    let mode = |name: &str| std::fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("cache/taskhost/key"), 0o600);
    assert_eq!(mode("cache/taskhost/artifacts"), 0o700);
    assert_eq!(std::fs::metadata(place.path("cache/taskhost/key")).unwrap().size(), 32);
}

#[test]
fn the_cache_is_shown_listed_and_cleared() {
    let place = Place::new();
    let cache = |command: &str| {
        place.taskhost("cache").arguments(command).env("XDG_CACHE_HOME", place.path("cache")).run().success()
    };
    run(&place);
    assert_eq!(cache("path").text(), format!("{}\n", place.path("cache/taskhost").display()));
    let listed = cache("ls");
    assert!(listed.text().lines().count() == 1 && listed.text().ends_with("  primes\n"), "{}", listed.text());
    let cleared = cache("clear");
    assert!(cleared.text().starts_with("deleted 1 compiled kernel, "), "{}", cleared.text());
    assert_eq!(cache("ls").text(), "");
    assert!(cache("clear").text().starts_with("deleted 0 compiled kernels, "));
}

#[test]
fn compiling_beforehand_saves_the_first_run() {
    let place = Place::new();
    let compile = || place.taskhost("compile primes").env("XDG_CACHE_HOME", place.path("cache")).run().success();
    assert!(compile().text().starts_with("primes: compiled, "));
    assert!(compile().text().starts_with("primes: was compiled already, "));
    assert!(!run(&place).1);
}

#[test]
fn first_runs_at_the_same_time_do_not_disturb_each_other() {
    let place = Place::new();
    let start = || place.taskhost("run primes").env("XDG_CACHE_HOME", place.path("cache")).start();
    let mut running: Vec<_> = (0..4).map(|_| start()).collect();
    for run in &mut running {
        run.write("0 10\n");
    }
    for run in running {
        assert_eq!(run.end().success().text(), "4\n");
    }
    artifact(&place);
    assert!(!run(&place).1);
}

#[test]
fn a_cache_that_cannot_be_used_costs_only_time() {
    let place = Place::new();
    let outcome = place.taskhost("run primes").env("XDG_CACHE_HOME", "/proc").input("0 10\n").run().success();
    assert_eq!(outcome.text(), "4\n");
    assert!(outcome.stderr.contains("warning: the cache at /proc/taskhost"), "{}", outcome.stderr);
}
