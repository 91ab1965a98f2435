//! Failed items: what is said of them, what `--errors` and `--report` write, what `--on-error` does.

use std::path::{Path, PathBuf};

use crate::harness::{Place, Program};

/// Ten lines of which the seventh is one that kernels of these tests do not like.
const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

const SPLIT: &str = "--split lines --merge lines";

fn kernel(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{name}.wat"))
}

fn run(place: &Place, name: &str, flags: &str) -> Program {
    place.taskhost("run").argument(kernel(name)).arguments(SPLIT).arguments(flags)
}

/// The lines of an error file without what depends on which worker was the faster.
fn errors(place: &Place, name: &str) -> Vec<String> {
    let line = regex::Regex::new(r#""worker":\d+,"core":(\d+|null)"#).unwrap();
    place.text(name).lines().map(|text| line.replace(text, "WORKER").into_owned()).collect()
}

#[test]
fn a_line_of_json_for_each_failed_item() {
    let place = Place::new();
    place.write("a.txt", LINES);
    let outcome = run(&place, "trap-on-7", "a.txt -o out --errors errors.jsonl").run().code(3);
    let expected = concat!(
        r#"{"version":1,"item":6,"source":"a.txt","offset":12,"length":1,"line":7,"verdict":"kernel-trap","#,
        r#""blame":"kernel","message":"the kernel trapped: wasm `unreachable` instruction executed","backtrace":["#,
    );
    let errors = errors(&place, "errors.jsonl");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with(expected), "{errors:?}");
    assert!(errors[0].ends_with(r#""attempts":1,WORKER}"#), "{errors:?}");
    let last = outcome.stderr.lines().last().unwrap();
    assert_eq!(last, "failed: no output: out; to have it without the items that fail, type --on-error skip");
    assert!(!place.path("out").exists());
}

#[test]
fn the_file_is_there_and_empty_when_nothing_fails() {
    let place = Place::new();
    place.write("errors.jsonl", "of another run\n");
    run(&place, "trap-on-7", "--errors errors.jsonl").input("1\n2\n").run().success();
    assert_eq!(place.text("errors.jsonl"), "");
}

#[test]
fn a_path_that_cannot_be_written_costs_no_work() {
    let place = Place::new();
    let outcome = run(&place, "trap-on-7", "-o out --errors missing/errors.jsonl").input(LINES).run().code(5);
    assert!(outcome.stderr.starts_with("error: --errors missing/errors.jsonl: "), "{}", outcome.stderr);
    assert_eq!(place.files(), <[&str; 0]>::default());
}

#[test]
fn a_dry_run_makes_no_file() {
    let place = Place::new();
    run(&place, "trap-on-7", "--dry-run --errors errors.jsonl --capture capsules").input(LINES).run().success();
    assert_eq!(place.files(), <[&str; 0]>::default());
    assert!(!place.path("capsules").exists());
}

#[test]
fn skipping_writes_the_other_items() {
    for workers in ["1", "3"] {
        let place = Place::new();
        let flags = "-o out --on-error skip --errors errors.jsonl --report report.json -j";
        let outcome = run(&place, "trap-on-7", flags).argument(workers).input(LINES.repeat(3)).run().code(3);
        assert_eq!(place.text("out"), LINES.replace("7\n", "").repeat(3));
        let offsets: Vec<String> = errors(&place, "errors.jsonl");
        assert_eq!(offsets.len(), 3);
        // In the order of the input.
        for (line, offset) in offsets.iter().zip([12, 33, 54]) {
            assert!(line.contains(&format!(r#""offset":{offset},"#)), "{line}");
        }
        assert!(outcome.stderr.ends_with("failed: output written without 3 items: out\n"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("30 items, 3 failed, "), "{}", outcome.stderr);
        let report = place.text("report.json");
        assert!(report.contains(r#""failed_items": 3"#) && report.contains(r#""kernel-trap": 3"#), "{report}");
    }
}

#[test]
fn errors_on_standard_error_are_lines_of_json_in_place_of_words() {
    let outcome = run(&Place::new(), "trap-on-7", "-q --on-error skip --errors -").input(LINES).run().code(3);
    assert!(outcome.stderr.starts_with(r#"{"version":1,"#), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1);
}

#[test]
fn many_failures_are_shown_to_a_number_and_then_counted() {
    let place = Place::new();
    let outcome = run(&place, "trap-on-7", "--on-error skip --errors errors.jsonl").input("7\n".repeat(100));
    let outcome = outcome.run().code(3);
    assert_eq!(outcome.stderr.matches("error: -, item ").count(), 20);
    assert!(outcome.stderr.contains("error: 80 more items failed\n"), "{}", outcome.stderr);
    assert_eq!(errors(&place, "errors.jsonl").len(), 100);
}

#[test]
fn of_many_results_one_lacks_the_item_that_failed() {
    for (flags, made) in [("", &["out/a", "out/b", "out/c"][..]), ("--on-error fail", &["out/a"])] {
        let place = Place::new();
        for (name, content) in [("in/a", "1\n"), ("in/b", "7\n8\n"), ("in/c", "9\n")] {
            place.write(name, content);
        }
        let outcome = run(&place, "trap-on-7", "in -o out/").arguments(flags).run().code(3);
        let files = place.files();
        // Whatever was begun beside the one that fails may be made.
        assert!(made.iter().all(|name| files.iter().any(|file| file == name)), "{flags}: {files:?}");
        assert_eq!(files.contains(&"out/b".to_owned()), flags.is_empty(), "{flags}: {files:?}");
        assert!(outcome.stderr.ends_with("failed: output written without 1 item: out/\n"), "{}", outcome.stderr);
    }
}

/// A flag that is a limit, and the verdict on an item that is over it.
#[test]
fn each_limit_has_a_verdict() {
    let cases = [
        ("never-returns", "--timeout 50ms", "deadline"),
        ("never-returns", "--fuel 100000", "fuel"),
        ("huge-result", "--max-output 1KiB", "output-limit"),
    ];
    for (name, flags, verdict) in cases {
        let place = Place::new();
        let outcome = run(&place, name, "--errors errors.jsonl -o out").arguments(flags).input("7\n").run();
        let errors = errors(&place, "errors.jsonl");
        assert!(outcome.code == 3 && errors.len() == 1, "{name}: {}{errors:?}", outcome.stderr);
        assert!(errors[0].contains(&format!(r#""verdict":"{verdict}","blame":"item""#)), "{name}: {errors:?}");
    }
}

/// 256 MiB, and no way to go on without them.
const NEEDS_MEMORY: &str = r#"(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param i32 i32) (result i64)
    (if (i32.eq (memory.grow (i32.const 4096)) (i32.const -1)) (then unreachable))
    (i64.const 0)))"#;

#[test]
fn a_kernel_that_traps_for_want_of_memory_needs_more() {
    let place = Place::new();
    place.write("needs-memory.wat", NEEDS_MEMORY);
    let line = "run needs-memory.wat --split lines --errors errors.jsonl --memory";
    place.taskhost(line).argument("512MiB").input("7\n").run().success();
    place.taskhost(line).argument("64MiB").input("7\n").run().code(3);
    let errors = errors(&place, "errors.jsonl");
    assert!(errors[0].contains(r#""verdict":"memory-limit","blame":"item""#), "{errors:?}");
}

#[test]
fn a_run_over_its_deadline_is_7() {
    let place = Place::new();
    let outcome = run(&place, "never-returns", "--deadline 100ms -o out").input("7\n").run().code(7);
    assert!(outcome.stderr.contains("--deadline"), "{}", outcome.stderr);
    assert_eq!(place.files(), <[&str; 0]>::default());
}
