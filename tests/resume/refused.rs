//! What is no longer what it was is not gone on with; and what makes no sense is refused before anything is done.

use std::fs;
use std::os::unix::fs::FileExt as _;

use rustix::process::Signal;

use crate::harness::{Outcome, Place};

use super::{Scenario, kernel, lines};

/// A run of some seconds that was killed when some of it was done.
fn killed(flags: &str) -> Scenario {
    let scenario = Scenario::new("refused", "slow-echo", flags);
    scenario.place.write("in", lines(2000));
    let running = scenario.run().arguments("-o out --journal run.journal -j 1 --batch 10").start();
    scenario.has_committed(&running);
    running.process.signal(Signal::KILL);
    running.end();
    assert!(!scenario.place.path("out").exists());
    scenario
}

/// All files, with what is in them; of a journal without the number of the process that had it last.
fn everything(place: &Place) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> =
        place.files().into_iter().map(|name| (name.clone(), place.read(&name))).collect();
    for (name, bytes) in &mut all {
        if name == "run.journal" {
            // What is behind is zeros: space that is kept for the last records.
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(end);
            bytes[12..16].fill(0);
        }
    }
    all
}

/// Going on is refused in these words, and touches nothing.
#[track_caller]
fn is_refused(place: &Place, says: &str) -> Outcome {
    let before = everything(place);
    let outcome = place.taskhost("resume run.journal").run().code(5);
    assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    assert!(everything(place) == before, "something was touched");
    outcome
}

/// The temporary file.
fn data(place: &Place) -> String {
    let files = place.files();
    files.into_iter().find(|name| name.contains(".taskhost-")).expect("what was written so far")
}

/// Removes what a test leaves on purpose.
fn clean(place: &Place) {
    fs::remove_file(place.path(data(place))).unwrap();
}

#[test]
fn changed_inputs_are_refused() {
    let scenario = killed("in --split lines");
    let place = &scenario.place;
    let text = place.text("in");
    place.write("in", text.replace("17", "71"));
    is_refused(place, "the content of in is not what it was when the run began");
    place.write("in", format!("{text}more\n"));
    is_refused(place, "bytes when the run began, and has");
    fs::remove_file(place.path("in")).unwrap();
    is_refused(place, "error: in: No such file or directory");
    place.write("in", &text);
    place.taskhost("resume run.journal").run().success();
    assert_eq!(place.text("out"), text);
}

#[test]
fn another_file_in_a_folder_is_refused() {
    let scenario = Scenario::new("folder", "slow-echo", "in --split lines");
    let place = &scenario.place;
    for name in ["in/a", "in/b"] {
        place.write(name, lines(1000));
    }
    let running = scenario.run().arguments("-o out --journal run.journal -j 1 --batch 10").start();
    scenario.has_committed(&running);
    running.process.signal(Signal::KILL);
    running.end();
    place.write("in/c", "new\n");
    is_refused(place, "the run had 2 inputs, and there are 3 now");
    fs::remove_file(place.path("in/a")).unwrap();
    is_refused(place, "the input was in/a when the run began, and is in/b now");
    clean(place);
}

#[test]
fn another_kernel_is_refused() {
    let scenario = Scenario::new("kernel", "slow-echo", "in --split lines");
    let place = &scenario.place;
    place.write("in", lines(2000));
    place.write("k.wat", fs::read(kernel("slow-echo")).unwrap());
    let running = place.taskhost("run k.wat in --split lines -o out --journal run.journal -j 1 --batch 10").start();
    scenario.has_committed(&running);
    running.process.signal(Signal::KILL);
    running.end();
    place.write("k.wat", fs::read(kernel("echo")).unwrap());
    is_refused(place, "is not the kernel that the run began with");
    let outcome = place.taskhost("resume run.journal --kernel k.wat").run().code(2);
    assert!(outcome.stderr.contains("--kernel is for --retry-failed"), "{}", outcome.stderr);
    clean(place);
}

#[test]
fn a_changed_output_is_refused() {
    for split in ["lines", "records:6"] {
        let scenario = killed(&format!("in --split {split}"));
        let place = &scenario.place;
        let name = data(place);
        let file = fs::File::options().read(true).write(true).open(place.path(&name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 3).unwrap();
        file.write_all_at(&[!byte[0]], 3).unwrap();
        is_refused(place, "of the output are not those that were written");
        file.write_all_at(&byte, 3).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(5).unwrap();
        is_refused(place, "the output has only 5 of the");
        file.set_len(len).unwrap();
        fs::rename(place.path(&name), place.path("elsewhere")).unwrap();
        is_refused(place, "is gone; run it from the start");
        fs::remove_file(place.path("elsewhere")).unwrap();
    }
}

/// Where the records of a journal end.
fn end_of(journal: &[u8]) -> usize {
    journal.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn a_torn_tail_is_done_again() {
    for cut in [1, 3, 20] {
        let scenario = killed("in --split lines");
        let place = &scenario.place;
        let journal = place.read("run.journal");
        place.write("run.journal", &journal[..end_of(&journal) - cut]);
        let outcome = place.taskhost("resume run.journal").run().success();
        assert!(outcome.stderr.contains("at the end of the journal were not complete"), "{}", outcome.stderr);
        assert_eq!(place.text("out"), lines(2000));
        assert_eq!(place.files(), ["in", "out"]);
    }
}

#[test]
fn a_journal_that_is_damaged_is_refused() {
    let scenario = killed("in --split lines");
    let place = &scenario.place;
    let journal = place.read("run.journal");
    let end = end_of(&journal);
    for at in [end / 4, end / 2, end * 2 / 3] {
        let mut damaged = journal.clone();
        damaged[at] ^= 1;
        place.write("run.journal", &damaged);
        is_refused(place, "is damaged at byte");
    }
    place.write("run.journal", "something else\n".repeat(10));
    is_refused(place, "is no journal of taskhost");
    clean(place);
}

#[test]
fn only_one_goes_on() {
    let scenario = Scenario::new("two", "slow-echo", "in --split lines");
    let place = &scenario.place;
    place.write("in", lines(3000));
    let running = scenario.run().arguments("-o out --journal run.journal -j 1").start();
    scenario.has_committed(&running);
    let outcome = place.taskhost("resume run.journal").run().code(5);
    let says = format!("is in use by process {}", running.process.id);
    assert!(outcome.stderr.contains(&says), "{}", outcome.stderr);
    let outcome = scenario.run().arguments("-o out --journal run.journal").run().code(5);
    assert!(outcome.stderr.contains("run.journal exists already: `taskhost resume "), "{}", outcome.stderr);
    running.end().success();
    assert_eq!(place.text("out"), lines(3000));
    assert_eq!(place.files(), ["in", "out"]);
}

#[test]
fn a_journal_needs_a_result_to_go_on_with() {
    let place = Place::new();
    place.write("in", "1\n");
    let run = |flags: &str| place.taskhost("run").argument(kernel("echo")).arguments(flags).run();
    let outcome = run("in --journal run.journal").code(2);
    assert_eq!(
        outcome.stderr,
        "error: --journal needs a result that can be gone on with: name a file or a folder with -o\n"
    );
    let outcome = run("in -o out --journal run.journal --unordered").code(2);
    assert!(outcome.stderr.contains("--journal") && outcome.stderr.contains("--unordered"), "{}", outcome.stderr);
    let outcome = run("- in -o out --journal run.journal").code(2);
    assert_eq!(outcome.stderr, "error: --journal with a pipe needs it to be the only input\n");
    place.write("run.journal", "");
    let outcome = run("in -o out --journal run.journal").code(5);
    assert!(outcome.stderr.contains("run.journal exists already"), "{}", outcome.stderr);
    let outcome = place.taskhost("resume missing.journal").run().code(5);
    let says = "error: there is no journal missing.journal; a run that ends well removes its own\n";
    assert_eq!(outcome.stderr, says);
    assert_eq!(place.files(), ["in", "run.journal"]);
}

/// A kernel that cuts or joins otherwise cannot mend single items.
#[test]
fn a_kernel_of_another_shape_is_refused() {
    let place = Place::new();
    place.write("in", "2 100\n3 x\n5 20\n");
    place.taskhost("run primes in -o out --journal run.journal --on-error skip").run().code(3);
    let outcome = place.taskhost("resume run.journal --retry-failed --kernel").argument(first_party("wordcount")).run();
    let says = "the run was one of --split lines --merge lines, and this kernel makes it one of ";
    assert!(outcome.code(5).stderr.contains(says));
    // Nothing was noted that would stand in the way of a better one.
    let outcome = place.taskhost("resume run.journal --retry-failed --kernel").argument(first_party("primes")).run();
    assert!(outcome.code(3).stderr.contains("found `3 x`"));
    assert_eq!(place.text("out"), "25\n6\n");
}

fn first_party(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plugins/dist/{name}.wasm"))
}
