//! Disks that are full, descriptors that are used up, inputs that get shorter.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::{Outcome, Place, Program, skipped};

use super::{Scenario, kernel, lines};

/// What an output of 20 MB is made of.
fn bytes() -> Vec<u8> {
    (0..20_000_000_u32).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}

/// A shell that may mount; in a folder of its own a small disk, `disk`.
fn with_disk(place: &Place, size: &str, script: &str) -> Program {
    fs::create_dir_all(place.path("disk")).unwrap();
    let taskhost = env!("CARGO_BIN_EXE_taskhost");
    Program::of("unshare".as_ref(), &place.path("")).arguments("-rm sh -c").argument(format!(
        "mount -t tmpfs -o size={size} disk disk || exit 99\ntaskhost() {{ {taskhost} \"$@\"; }}\n{script}"
    ))
}

/// Whether this machine lets its users mount something. Says so if it does not.
fn can_mount(test: &str) -> bool {
    let place = Place::new();
    let can = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none"]).arg(place.path("")).output();
    let can = can.is_ok_and(|output| output.status.success());
    if !can {
        skipped(test, "this machine does not let its users mount");
    }
    can
}

/// Runs on a disk that is too small, makes it larger, and goes on.
fn survives_a_full_disk(name: &str, flags: &str, journal: &str, output: &str) {
    if !can_mount(name) {
        return;
    }
    let place = Place::new();
    place.write("in", bytes());
    place.write("k.wat", fs::read(kernel("echo")).unwrap());
    let script = format!(
        "taskhost run k.wat in {flags} -o {output} --journal {journal}; echo $? > first
         ls -a disk > there; test -e {journal} || exit 98
         mount -o remount,size=64m disk
         taskhost resume {journal}; echo $? > second
         cmp in {output} && ls -A disk > left"
    );
    let Outcome { code, stderr, .. } = with_disk(&place, "10m", &script).run();
    assert_eq!((code, place.text("first").as_str(), place.text("second").as_str()), (0, "5\n", "0\n"), "{stderr}");
    assert!(stderr.contains("no space is left"), "{stderr}");
    assert!(stderr.contains(&format!("to go on, type: taskhost resume {journal}\n")), "{stderr}");
    let left = Path::new(output).strip_prefix("disk").map(|name| format!("{}\n", name.display())).unwrap_or_default();
    assert_eq!(place.text("left"), left, "{stderr}");
}

#[test]
fn a_full_disk_under_the_output() {
    survives_a_full_disk("appended", "--split chunks:1000", "run.journal", "disk/out");
}

#[test]
fn a_full_disk_under_output_and_journal() {
    survives_a_full_disk("both", "--split chunks:10000", "disk/run.journal", "disk/out");
}

/// The space is there or not before any work is done: nothing was begun that could be gone on with.
#[test]
fn a_full_disk_that_is_known_at_once() {
    if !can_mount("a_full_disk_that_is_known_at_once") {
        return;
    }
    let place = Place::new();
    place.write("in", bytes());
    place.write("k.wat", fs::read(kernel("slow-echo")).unwrap());
    let run = "taskhost run k.wat in --split records:20000 -o disk/out --journal run.journal";
    let script = format!("{run}; echo $? > first; ls -A disk > left; ls run.journal");
    let outcome = with_disk(&place, "10m", &script).run();
    assert_eq!(place.text("first"), "5\n", "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no space is left"), "{}", outcome.stderr);
    assert_eq!(place.text("left"), "", "{}", outcome.stderr);
}

#[test]
fn a_disk_without_room_for_a_journal() {
    if !can_mount("a_disk_without_room_for_a_journal") {
        return;
    }
    let place = Place::new();
    place.write("in", "1\n2\n");
    place.write("k.wat", fs::read(kernel("echo")).unwrap());
    let script =
        "taskhost run k.wat in --split lines -o out --journal disk/run.journal; echo $? > first; ls -A disk > left";
    let outcome = with_disk(&place, "64k", script).run();
    assert_eq!(place.text("first"), "5\n", "{}", outcome.stderr);
    assert!(outcome.stderr.contains("disk/run.journal"), "{}", outcome.stderr);
    assert_eq!(place.text("left"), "");
    assert!(!place.path("out").exists());
}

/// 40 descriptors: fewer than files, more than what is needed at a time.
#[test]
fn few_descriptors_and_many_files() {
    let place = Place::new();
    for number in 0..200 {
        place.write(&format!("in/{number:03}"), format!("{number:03}\n"));
    }
    let wanted: String = (0..200).map(|number| format!("{number:03}\n")).collect();
    for flags in ["", "--split lines --merge lines -j 3 --batch 1"] {
        let script = format!("ulimit -n 40; exec {} run echo in {flags}", env!("CARGO_BIN_EXE_taskhost"));
        let outcome = Program::of("sh".as_ref(), &place.path("")).arguments("-c").argument(script).run().success();
        assert_eq!(outcome.text(), wanted, "{flags}");
    }
    let script = format!("ulimit -n 40; exec {} run echo in -o out/ -j 2", env!("CARGO_BIN_EXE_taskhost"));
    Program::of("sh".as_ref(), &place.path("")).arguments("-c").argument(script).run().success();
    assert_eq!(place.files().len(), 400);
}

#[test]
fn an_input_that_gets_shorter_is_named() {
    for (split, output) in [("lines", "out"), ("records:6", "out"), ("blocks:100", "-")] {
        let scenario = Scenario::new("shorter", "slow-echo", "");
        let place = &scenario.place;
        place.write("in", lines(3000));
        let flags = if output == "-" { String::new() } else { "-o out --journal run.journal".to_owned() };
        let run = place.taskhost("run").argument(kernel("slow-echo"));
        let mut running = run.arguments(&format!("in --split {split} -j 1 --batch 10 {flags}")).start();
        if output == "-" {
            running.bytes(10);
        } else {
            scenario.has_committed(&running);
        }
        fs::File::options().write(true).open(place.path("in")).unwrap().set_len(1000).unwrap();
        let outcome = running.end().code(5);
        let first = outcome.stderr.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("error: in") && first.contains("when the run began: it was changed during the run"),
            "{}",
            outcome.stderr
        );
        assert!(!place.path("out").exists());
        for name in place.files().iter().filter(|name| name.contains(".taskhost-")) {
            fs::remove_file(place.path(name)).unwrap();
        }
    }
}

/// A journal that is a device or a folder is none.
#[test]
fn a_journal_is_a_file() {
    let place = Place::new();
    place.write("in", "1\n");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    for journal in ["/dev/null", "."] {
        place.taskhost(&format!("resume {journal}")).run().code(5);
        place.taskhost(&format!("run echo in -o out --journal {journal}")).run().code(5);
    }
    assert_eq!(place.files(), ["in"]);
}

/// Whoever goes on too early can go on again.
#[test]
fn a_disk_that_is_still_full() {
    if !can_mount("a_disk_that_is_still_full") {
        return;
    }
    let place = Place::new();
    place.write("in", bytes());
    place.write("k.wat", fs::read(kernel("echo")).unwrap());
    let script = "
        taskhost run k.wat in --split chunks:1000 -o disk/out --journal disk/run.journal
        taskhost resume disk/run.journal; test $? = 5 || exit 97
        taskhost resume disk/run.journal; test $? = 5 || exit 96
        mount -o remount,size=64m disk
        taskhost resume disk/run.journal && cmp in disk/out && ls -A disk > left";
    let outcome = with_disk(&place, "10m", script).run().success();
    assert_eq!(place.text("left"), "out\n", "{}", outcome.stderr);
}
