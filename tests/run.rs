//! `taskhost run` as a user meets it: where results go, what is said, and what a second run costs.

use insta::assert_snapshot;
use serde_json::Value;

use crate::harness::Place;

const RANGES: &str = "0 10\n10 100\n100 1000\n";
const COUNTS: &str = "4\n21\n143\n";

#[test]
fn results_go_to_a_pipe_and_words_to_standard_error() {
    let outcome = Place::new().taskhost("run primes").input(RANGES).run().success();
    assert_eq!(outcome.text(), COUNTS);
    assert_snapshot!(outcome.messages(), @"3 items, 21 B in, 9 B out, TIME, WORKERS, SPEED-UP");
}

#[test]
fn results_go_to_the_file_that_is_named() {
    let place = Place::new();
    place.write("ranges.txt", RANGES);
    let outcome = place.taskhost("run primes ranges.txt -o counts.txt").run().success();
    assert_eq!(outcome.text(), "");
    assert_eq!(place.text("counts.txt"), COUNTS);
    assert_eq!(place.files(), ["counts.txt", "ranges.txt"]);
}

#[test]
fn results_go_to_a_regular_file_that_is_standard_output() {
    let place = Place::new();
    let file = std::fs::File::create(place.path("counts.txt")).unwrap();
    place.taskhost("run primes").input(RANGES).stdout(file).run().success();
    assert_eq!(place.text("counts.txt"), COUNTS);
}

#[test]
fn inputs_stand_before_and_after_flags() {
    let place = Place::new();
    place.write("ranges.txt", RANGES);
    for line in [
        "run primes ranges.txt --workers 1",
        "run primes --workers 1 ranges.txt",
        "run --workers 1 primes ranges.txt",
        "run primes --input ranges.txt --workers=1",
        "run -j1 -i ranges.txt primes",
        "run -qj1 primes ./ranges.txt",
        "run primes - ranges.txt --quiet",
    ] {
        let outcome = place.taskhost(line).run().success();
        assert_eq!(outcome.text(), COUNTS, "{line}");
    }
}

#[test]
fn a_kernel_in_the_place_of_an_input_is_told_its_place() {
    let place = Place::new();
    place.write("ranges.txt", RANGES);
    let outcome = place.taskhost("run ranges.txt filter.wasm").run().code(2);
    assert_snapshot!(outcome.stderr, @"error: the kernel comes first: taskhost run filter.wasm ranges.txt …");
    let outcome = place.taskhost("filter.wasm ranges.txt").run().code(2);
    assert!(outcome.stderr.contains("write: taskhost run filter.wasm INPUT"), "{}", outcome.stderr);
}

#[test]
fn a_kernel_is_a_file_or_a_bare_name() {
    let place = Place::new();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/dist/primes.wasm"), place.path("count.wasm")).unwrap();
    for kernel in ["primes", "count.wasm", "./count.wasm"] {
        let outcome = place.taskhost("run").argument(kernel).input(RANGES).run().success();
        assert_eq!(outcome.text(), COUNTS, "{kernel}");
    }
    // An installed kernel is found by its name, too.
    place.write("data/taskhost/kernels/mine.wasm", place.read("count.wasm"));
    let outcome = place.taskhost("run mine").env("XDG_DATA_HOME", place.path("data")).input(RANGES).run().success();
    assert_eq!(outcome.text(), COUNTS);
}

#[test]
fn quiet_leaves_nothing_but_results() {
    let outcome = Place::new().taskhost("run primes -q").input(RANGES).run().success();
    assert_eq!((outcome.text(), outcome.stderr.as_str()), (COUNTS, ""));
}

#[test]
fn the_report_says_what_happened() {
    let place = Place::new();
    place.write("ranges.txt", RANGES);
    place.taskhost("run primes ranges.txt -j 2 -o counts.txt --report report.json").run().success();
    let report: Value = serde_json::from_slice(&place.read("report.json")).unwrap();
    assert_eq!(report["exit_code"], 0);
    assert_eq!((&report["items"], &report["jobs"], &report["failed_jobs"]), (&3.into(), &1.into(), &0.into()));
    assert_eq!((&report["input_bytes"], &report["output_bytes"]), (&21.into(), &9.into()));
    assert_eq!((&report["kernel"]["name"], &report["kernel"]["kind"]), (&"primes".into(), &"component".into()));
    assert_eq!(report["kernel"]["blake3"].as_str().unwrap().len(), 64);
    assert_eq!(report["command"][1], "run");
    assert_eq!(report["failures"], Value::Array(Vec::new()));
    for number in ["wall_seconds", "cpu_seconds", "speed_up"] {
        assert!(report[number].as_f64().unwrap() > 0.0, "{number}");
    }
    let workers = report["workers"].as_array().unwrap();
    assert!(!workers.is_empty());
    for worker in workers {
        assert!(worker["max_resident_bytes"].as_u64().unwrap() > 0, "{worker}");
    }
}

#[test]
fn a_report_on_standard_output_follows_the_results() {
    let outcome = Place::new().taskhost("run primes --report -").input(RANGES).run().success();
    let report = outcome.text().strip_prefix(COUNTS).unwrap();
    assert_eq!(serde_json::from_str::<Value>(report).unwrap()["items"], 3);
}

#[test]
fn a_second_run_compiles_nothing() {
    let place = Place::new();
    let compiled = || {
        let run =
            place.taskhost("run primes -o out.txt --report report.json").env("XDG_CACHE_HOME", place.path("cache"));
        run.input(RANGES).run().success();
        serde_json::from_slice::<Value>(&place.read("report.json")).unwrap()["kernel"]["compiled"].clone()
    };
    assert_eq!(compiled(), true);
    assert_eq!(compiled(), false);
    place.taskhost("cache clear").env("XDG_CACHE_HOME", place.path("cache")).run().success();
    assert_eq!(compiled(), true);
}

#[test]
fn a_run_without_a_cache_works() {
    let outcome = Place::new().taskhost("run primes").env("HOME", "").env("XDG_CACHE_HOME", "").input(RANGES).run();
    assert_eq!(outcome.success().text(), COUNTS);
}

#[test]
fn help_and_version_are_printed() {
    let place = Place::new();
    for line in ["-h", "--help", "run -h", "run --help", "inspect -h", "--version"] {
        let outcome = place.taskhost(line).run().success();
        assert!(outcome.text().contains("taskhost"), "{line}");
        assert_eq!(outcome.stderr, "", "{line}");
    }
    for line in ["completions bash", "completions zsh", "completions fish"] {
        assert!(place.taskhost(line).run().success().text().contains("workers"), "{line}");
    }
    assert!(place.taskhost("man").run().success().text().starts_with(".ie"));
    place.write("pages/.keep", "");
    place.taskhost("man pages").run().success();
    assert!(place.text("pages/taskhost-run.1").contains("Number of workers"));
}
