//! `--capture` and `replay`: a failed item is kept with its kernel, and run again.

use std::path::{Path, PathBuf};

use crate::harness::{Place, Program};

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

fn kernel(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{name}.wat"))
}

fn run(place: &Place, name: &str, flags: &str) -> Program {
    place.taskhost("run").argument(kernel(name)).arguments("--split lines --merge lines").arguments(flags)
}

/// The capsules that a run over some lines of a file makes.
fn capsules(name: &str, flags: &str) -> Place {
    let place = Place::new();
    place.write("a.txt", LINES);
    run(&place, name, "a.txt -o out --capture capsules").arguments(flags).run().code(3);
    place
}

#[test]
fn a_failed_item_fails_again_alone() {
    let place = capsules("trap-on-7", "");
    assert_eq!(place.files(), ["a.txt", "capsules/a-12.tar"]);
    let outcome = place.taskhost("replay capsules/a-12.tar").run().code(3);
    let says =
        "error: a.txt, item 6 (at byte 12): the kernel trapped: wasm `unreachable` instruction executed\n    at ";
    assert!(outcome.stderr.starts_with(says), "{}", outcome.stderr);
    let last = "replay: the item fails with kernel-trap (blame: kernel), as before\n";
    assert!(outcome.stderr.ends_with(last), "{}", outcome.stderr);
    assert_eq!(outcome.text(), "");
}

#[test]
fn a_mended_kernel_succeeds() {
    let place = capsules("trap-on-7", "");
    let outcome = place.taskhost("replay capsules/a-12.tar --kernel").argument(kernel("echo")).run().success();
    assert_eq!(outcome.text(), "7\n");
    assert_eq!(outcome.stderr, "replay: the item succeeds now; it failed with kernel-trap\n");
}

#[test]
fn another_verdict_is_told() {
    let place = capsules("trap-on-7", "");
    let outcome = place.taskhost("replay capsules/a-12.tar --kernel").argument(kernel("error-on-7")).run().code(3);
    let last = "replay: the item fails with kernel-error (blame: item), before it was kernel-trap\n";
    assert!(outcome.stderr.ends_with(last), "{}", outcome.stderr);
}

#[test]
fn limits_travel_with_the_item() {
    for (name, flags, verdict) in
        [("never-returns", "--timeout 50ms", "deadline"), ("never-returns", "--fuel 100000", "fuel")]
    {
        let place = capsules(name, flags);
        let outcome = place.taskhost("replay capsules/a-12.tar").run().code(3);
        assert!(outcome.stderr.contains(&format!("fails with {verdict} ")), "{}", outcome.stderr);
    }
}

#[test]
fn settings_and_the_header_travel_with_the_item() {
    let place = Place::new();
    place.write("t.csv", "value\n1\nx\n");
    place.taskhost("run csv-stats -c column=other --header t.csv --capture capsules").run().code(3);
    let outcome = place.taskhost("replay capsules/t-6.tar").run().code(3);
    assert!(outcome.stderr.contains("other"), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with(", as before\n"), "{}", outcome.stderr);
}

#[test]
fn a_capsule_for_each_failed_item_and_none_is_overwritten() {
    let place = Place::new();
    place.write("a.txt", "7\n1\n7\n");
    for _ in 0..2 {
        run(&place, "trap-on-7", "a.txt -o out --on-error skip --capture capsules").run().code(3);
    }
    let names: Vec<String> = place.files().into_iter().filter(|name| name.starts_with("capsules/")).collect();
    assert_eq!(names, ["capsules/a-0-2.tar", "capsules/a-0.tar", "capsules/a-4-2.tar", "capsules/a-4.tar"]);
}

#[test]
fn items_of_a_pipe_are_kept_too() {
    let place = Place::new();
    run(&place, "trap-on-7", "-o out --capture capsules").input(LINES).run().code(3);
    let outcome = place.taskhost("replay capsules/stdin-12.tar").run().code(3);
    assert!(outcome.stderr.starts_with("error: -, item 6 (at byte 12): the kernel trapped"), "{}", outcome.stderr);
}

#[test]
fn nothing_is_kept_when_nothing_fails() {
    let place = Place::new();
    run(&place, "trap-on-7", "-o out --capture capsules").input("1\n").run().success();
    assert_eq!(place.files(), ["out"]);
}

#[test]
fn what_is_no_capsule_is_refused() {
    let place = capsules("trap-on-7", "");
    place.write("text.tar", "this is text");
    let capsule = place.read("capsules/a-12.tar");
    place.write("short.tar", &capsule[..capsule.len() / 2]);
    // The kernel is the last entry; in front of the end of the archive.
    let mut other = capsule.clone();
    let at = capsule.windows(7).rposition(|window| window == b"(module").unwrap();
    other[at] = b' ';
    place.write("other.tar", other);
    for (name, says) in [
        ("text.tar", "it is no capsule, or damaged"),
        ("short.tar", "cannot be replayed"),
        ("other.tar", "the kernel in it is not the one that failed"),
        ("missing.tar", "No such file"),
        ("capsules", "it is no file"),
    ] {
        let outcome = place.taskhost("replay").argument(name).run().code(5);
        assert!(outcome.stderr.contains(says), "{name}: {}", outcome.stderr);
    }
}
