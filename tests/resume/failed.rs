//! Items that failed: written down once, however often the run is killed, and run again when asked for.

use crate::harness::{Outcome, Place, rounds};

use super::{KILLS, Scenario, kernel};

/// Numbers, one a line; a tenth of them begins with 7.
fn numbers(count: u64) -> String {
    (0..count)
        .map(|number| format!("{number:03}\n"))
        .map(|line| line.chars().rev().skip(1).chain(['\n']).collect::<String>())
        .collect()
}

/// Those of [`numbers`] that fail, as they stand in the error file.
fn offsets_of_failed(text: &str) -> Vec<u64> {
    let starts =
        text.lines().map(|line| line.len() as u64 + 1).scan(0, |at, len| Some(std::mem::replace(at, *at + len)));
    starts.zip(text.lines()).filter(|(_, line)| line.starts_with('7')).map(|(at, _)| at).collect()
}

/// Where the failed items of an error file begin.
fn offsets_in(place: &Place, name: &str) -> Vec<u64> {
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["offset"].as_u64().unwrap();
    place.text(name).lines().map(line).collect()
}

fn retry(place: &Place, flags: &str) -> Outcome {
    place.taskhost("resume run.journal --retry-failed").arguments(flags).run()
}

fn mended(place: &Place, name: &str) -> Outcome {
    place.taskhost("resume run.journal --retry-failed --kernel").argument(kernel(name)).run()
}

#[test]
fn failed_items_are_written_down_once() {
    let flags = "in.txt --split lines --on-error skip --errors errors.jsonl";
    let mut scenario = Scenario::new("failed", "slow-trap-on-7", flags);
    let text = numbers(500);
    scenario.place.write("in.txt", &text);
    let wanted: String = text.lines().filter(|line| !line.starts_with('7')).map(|line| format!("{line}\n")).collect();
    let mut kills = 0;
    while kills < rounds(KILLS) {
        kills += scenario.survive("out", 3).max(1);
        assert_eq!(scenario.place.text("out"), wanted);
        assert_eq!(offsets_in(&scenario.place, "errors.jsonl"), offsets_of_failed(&text));
        let outcome = scenario.place.taskhost("resume run.journal").run().code(3);
        assert!(outcome.stderr.starts_with("note: this run is finished, and 50 items failed\n"), "{}", outcome.stderr);
        mended(&scenario.place, "slow-echo").success();
        assert_eq!(scenario.place.text("out"), text);
        assert_eq!(scenario.place.files(), ["errors.jsonl", "in.txt", "out"]);
        std::fs::remove_file(scenario.place.path("out")).unwrap();
    }
}

/// A run of which items failed. They fail again, as often as one likes, and then the kernel is mended.
fn fails_until_mended(input: &[u8], split: &str, failing: &str, good: &str) {
    let place = Place::new();
    place.write("in", input);
    let run = |name: &str| place.taskhost("run").argument(kernel(name)).arguments(&format!("in --split {split}"));
    run(good).arguments("-o wanted").run().success();
    run(failing).arguments("-o out --on-error skip --journal run.journal").run().code(3);
    let without = place.read("out");
    for _ in 0..2 {
        retry(&place, "-j 2 --batch 3").code(3);
        assert!(place.read("out") == without, "as it was");
        place.taskhost("resume run.journal").run().code(3);
    }
    mended(&place, good).success();
    assert!(place.read("out") == place.read("wanted"), "as if it had never failed");
    assert_eq!(place.files(), ["in", "out", "wanted"]);
}

#[test]
fn failed_lines_are_run_again() {
    fails_until_mended(b"1\n7\n7\n8\n\n7\n", "lines", "trap-on-7", "echo");
    fails_until_mended(b"7\n", "lines", "error-on-7", "echo");
    fails_until_mended(numbers(300).as_bytes(), "lines", "slow-trap-on-7", "slow-echo");
}

#[test]
fn failed_records_are_run_again() {
    fails_until_mended(b"1234789a7777bbbb", "records:4", "slow-trap-on-7", "slow-echo");
    fails_until_mended(numbers(300).as_bytes(), "records:3", "slow-trap-on-7", "slow-echo");
}

#[test]
fn a_run_that_stopped_is_finished_by_a_mended_kernel() {
    for split in ["lines", "records:3"] {
        let place = Place::new();
        let text = numbers(600);
        // The first that fails stands far behind.
        let text = format!("{}{text}", text.replace('7', "8"));
        place.write("in", &text);
        let run = place.taskhost("run").argument(kernel("slow-trap-on-7"));
        let outcome = run.arguments(&format!("in --split {split} --journal run.journal -o out")).run().code(3);
        let hint =
            "to go on with a mended kernel, type: taskhost resume run.journal --retry-failed --kernel FIXED.wasm";
        assert!(outcome.stderr.contains(hint), "{}", outcome.stderr);
        assert!(!place.path("out").exists());
        place.taskhost("resume run.journal").run().code(3);
        mended(&place, "slow-echo").success();
        assert_eq!(place.text("out"), text);
        assert_eq!(place.files(), ["in", "out"]);
    }
}

/// What stopped a run is no reason to begin it anew: a limit that was too low, an item that is not worth it.
#[test]
fn a_run_goes_on_with_other_limits() {
    let place = Place::new();
    let numbers = numbers(600);
    place.write("in", format!("{}7\n{}", numbers.replace('7', "8"), numbers.replace('7', "9")));
    let run = place.taskhost("run").argument(kernel("slow-trap-on-7"));
    run.arguments("in --split lines --journal run.journal -o out").run().code(3);
    place.taskhost("resume run.journal --on-error skip --deadline 1ms").run().code(7);
    place.taskhost("resume run.journal --on-error skip --timeout 1m --memory 64MiB").run().code(3);
    assert_eq!(place.text("out"), format!("{}{}", numbers.replace('7', "8"), numbers.replace('7', "9")));
}

/// Killed at any moment while failed items are run again, nothing is lost either.
#[test]
fn running_again_can_be_killed() {
    let mut scenario = Scenario::new("again", "slow-trap-on-7", "in.txt --split lines --on-error skip");
    let text = numbers(999).replace('1', "7");
    scenario.place.write("in.txt", &text);
    scenario.run().arguments("-o out --journal run.journal").run().code(3);
    let without = scenario.place.read("out");
    for _ in 0..rounds(KILLS) {
        let again = scenario.place.taskhost("resume run.journal --retry-failed").start();
        scenario.kill(again);
        assert!(scenario.place.read("out") == without, "the output is what it was");
    }
    mended(&scenario.place, "slow-echo").success();
    assert_eq!(scenario.place.text("out"), text);
}
