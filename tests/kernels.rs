//! Kernels that misbehave, each in a way of its own: what is said of it, and that it costs nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::harness::{Outcome, Place, Program, eventually};

/// What a run of a kernel of `tests/kernels` over the lines 1 to 10 comes to.
struct Case {
    kernel: &'static str,
    flags: &'static str,
    code: i32,
    /// What standard error has to contain.
    says: &'static str,
}

const fn case(kernel: &'static str, flags: &'static str, code: i32, says: &'static str) -> Case {
    Case { kernel, flags, code, says }
}

const LINES: &str = "--split lines --merge lines";
const REDUCE: &str = "--split lines --merge reduce";

const CASES: &[Case] = &[
    case("echo", LINES, 0, "10 items, "),
    case("misbehave", LINES, 0, "10 items, "),
    // One item fails, and is named.
    case("trap-on-7", LINES, 3, "-, item 6 (at byte 12): the kernel trapped: wasm `unreachable` instruction executed"),
    case("error-on-7", LINES, 3, "-, item 6 (at byte 12): seven is \\u{1b}[31mnot welcome\n"),
    case("failed-on-7", LINES, 3, "-, item 6 (at byte 12): the kernel gave no reason"),
    case("temporary-on-7", LINES, 3, "-, item 6 (at byte 12): the kernel gave no reason"),
    case("exits", LINES, 3, "-, item 6 (at byte 12): the kernel trapped: it called exit(0)"),
    // Every item fails.
    case("allocates-nothing", LINES, 3, "-, item 0 (at byte 0): the kernel has no room for an item of 1 bytes"),
    case("allocates-outside-memory", LINES, 3, "taskhost_alloc(1) gave 2147483392, which does not fit in its memory"),
    case(
        "error-outside-memory",
        LINES,
        3,
        "it returned 2147483647 bytes at 2147483647, which are not all in its memory",
    ),
    case("unknown-error", LINES, 3, "the kernel broke its contract: it returned -5, which is no error and no place"),
    case("result-outside-memory", LINES, 3, "it returned 256 bytes at 1048560, which are not all in its memory"),
    case("logs-outside-memory", LINES, 3, "it called a function of the host with a place outside its memory"),
    case("stack-overflow", LINES, 3, "the kernel trapped: call stack exhausted\n    at deeper\n"),
    case(
        "longer-than-described",
        "",
        3,
        "item 0 (at byte 0): the kernel broke its contract: it describes results of 4 bytes, but",
    ),
    // Limits.
    case(
        "huge-result",
        "--split lines --max-output 100K",
        3,
        "the result has 1048576 bytes, more than the 102400 that --max-output",
    ),
    // A table has a largest size, too small for it to count as memory.
    case("table-bomb", LINES, 3, "-, item 0 (at byte 0): the kernel trapped: wasm `unreachable` instruction executed"),
    case("memory-bomb", "--split lines --memory 16MiB", 3, "-, item 0 (at byte 0): no more memory"),
    case(
        "much-memory",
        "--memory 16MiB",
        4,
        "starts with 67108864 bytes of memory, more than the 16777216 that --memory",
    ),
    // Joining fails.
    case("combine-traps", REDUCE, 3, "`combine`"),
    case("finish-refuses", REDUCE, 3, "the kernel's `finish` failed: the kernel gave no reason"),
    // They are refused before their first item.
    case(
        "start-traps",
        LINES,
        4,
        "failed when it was instantiated: the kernel trapped: wasm `unreachable` instruction",
    ),
    case("start-refuses", LINES, 4, "the kernel's `start` failed: not today"),
    case(
        "imports-the-unknown",
        LINES,
        4,
        "the kernel imports env.launch, which is not offered; offered are config_get,",
    ),
    case("imports-wrongly", LINES, 4, "it imports taskhost.log as (i64) -> (), but that is (i32, i32, i32) -> ()"),
    case(
        "wrong-signature",
        LINES,
        4,
        "export taskhost_process is (i32) -> i32, but a raw module has taskhost_process: (i32",
    ),
    case(
        "exports-nothing",
        LINES,
        4,
        "it exports memory; a kernel is a component (or carries a component-type section), or",
    ),
    case("memory-of-64-bits", LINES, 4, "not a WebAssembly file that can be run: memory64 must be enabled"),
    case("describes-nonsense", "", 4, "the kernel describes its split as `bananas`: `bananas` is not a way to split"),
    case(
        "describes-outside-memory",
        LINES,
        4,
        "the kernel's `describe` failed: the kernel broke its contract: it returned",
    ),
    case("describes-control-characters", LINES, 2, "the kernel needs the setting `\\u{1b}[31mred` (\\u{7}bell)"),
    // They talk too much, and work.
    case("log-flood", LINES, 0, "[-:0] warn 936 more log lines were dropped"),
    case("counter-flood", LINES, 0, "is not counted: a run has at most 128"),
    case("prints", LINES, 0, "[-:18] info printed"),
];

/// Kernels with a test of their own.
const ELSEWHERE: &[&str] = &[
    "busy",
    "crash",
    "huge-then-never",
    "never-returns",
    "program",
    "slow-count",
    "slow-echo",
    "slow-trap-on-7",
    "speaks-of-room",
    "sum",
];

fn path(kernel: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{kernel}.wat"))
}

fn program(place: &Place, kernel: &str, flags: &str) -> Program {
    place.taskhost("run").argument(path(kernel)).arguments(flags)
}

/// What is true of every kernel: the exit code, the words, no output when there is an error, nothing left behind.
#[track_caller]
fn check(case: &Case, how: &str, outcome: &Outcome, place: &Place) {
    let Case { kernel, says, .. } = case;
    assert_eq!(outcome.code, case.code, "{kernel} {how}: exit code; standard error:\n{}", outcome.stderr);
    assert!(outcome.stderr.contains(says), "{kernel} {how}: standard error:\n{}", outcome.stderr);
    let is_shown_raw = |byte: u8| byte.is_ascii_control() && byte != b'\n' && byte != b'\t';
    assert!(!outcome.stderr.bytes().any(is_shown_raw), "{kernel} {how}: control characters in:\n{}", outcome.stderr);
    assert_eq!(place.path("out").exists(), case.code == 0, "{kernel} {how}: an output");
}

#[test]
fn every_kernel_that_misbehaves_comes_to_its_end() {
    let lines: String = (1..=10).map(|number| format!("{number}\n")).collect();
    for case in CASES {
        for (how, flags) in [("", ""), ("alone", "-j 1"), ("one by one", "--batch 1 -j 3")] {
            let place = Place::new();
            let run = program(&place, case.kernel, case.flags).arguments(flags).arguments("-o out");
            check(case, how, &run.input(&lines).run(), &place);
        }
        let place = Place::new();
        place.write("lines", &lines);
        let run = program(&place, case.kernel, case.flags).arguments("lines -o out");
        let from_file = Case { says: "", ..*case };
        check(&from_file, "from a file", &run.run(), &place);
        if case.code == 0 {
            assert_eq!(place.text("out"), lines, "{}", case.kernel);
        }
    }
}

#[test]
fn every_kernel_is_in_the_table() {
    let files = std::fs::read_dir(path("").parent().unwrap()).unwrap();
    let files: BTreeSet<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let named = CASES.iter().map(|case| case.kernel).chain(ELSEWHERE.iter().copied());
    assert_eq!(files, named.map(str::to_owned).collect::<BTreeSet<String>>());
}

/// Whichever worker comes to one first.
#[test]
fn the_first_failure_of_the_input_is_named() {
    let place = Place::new();
    let lines: String = (0..1000).map(|at| if [500, 501, 900].contains(&at) { "7\n" } else { "1\n" }).collect();
    place.write("lines", &lines);
    for workers in ["1", "3", "7"] {
        for batch in ["1", "10", "auto"] {
            let run = || program(&place, "error-on-7", LINES).arguments("-o out -j").argument(workers);
            let file = run().arguments("--batch").argument(batch).argument("lines").run().code(3);
            let pipe = run().arguments("--batch").argument(batch).input(&lines).run().code(3);
            let said = [(file, "lines, item 500 (at byte 1000): seven"), (pipe, "-, item 500 (at byte 1000): seven")];
            for (outcome, says) in said {
                assert!(outcome.stderr.contains(says), "{workers} workers, {batch}: {}", outcome.stderr);
            }
        }
    }
}

#[test]
fn the_log_is_shown_from_a_level_on() {
    let place = Place::new();
    for (flags, lines) in [("--log info", 65), ("--log warn", 1), ("--log error", 0), ("--log debug", 65)] {
        let outcome = program(&place, "log-flood", LINES).arguments(flags).input("1\n").run().success();
        assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with("[-:0] ")).count(), lines, "{flags}");
    }
}

/// One file that fails costs one file.
#[test]
fn a_failed_item_costs_its_own_result_only() {
    let place = Place::new();
    for number in 1..=10 {
        place.write(&format!("in/{number}"), number.to_string());
    }
    for kernel in ["trap-on-7", "error-on-7", "exits"] {
        let outcome = program(&place, kernel, "in -o").argument(format!("{kernel}/")).run().code(3);
        assert!(outcome.stderr.contains("error: 7: "), "{}", outcome.stderr);
        for number in (1..=10).filter(|number| *number != 7) {
            assert_eq!(place.text(&format!("{kernel}/{number}")), number.to_string(), "{kernel}");
        }
        assert!(!place.path(format!("{kernel}/7")).exists(), "{kernel}");
    }
}

#[test]
fn a_kernel_that_never_returns_can_be_interrupted() {
    let place = Place::new();
    let mut running = program(&place, "never-returns", LINES).arguments("-o out").start();
    running.write("7\n");
    eventually("the kernel computes", || {
        running.process.workers().iter().any(|worker| worker.status("State").starts_with('R'))
    });
    running.process.signal(Signal::INT);
    running.end().code(130);
    assert!(!place.path("out").exists());
}

#[test]
fn inspect_shows_no_control_characters() {
    let place = Place::new();
    for kernel in ["describes-control-characters", "describes-nonsense", "log-flood"] {
        let outcome = place.taskhost("inspect").argument(path(kernel)).run().success();
        let shown = outcome.text().bytes().chain(outcome.stderr.bytes());
        assert!(!shown.into_iter().any(|byte| byte.is_ascii_control() && byte != b'\n'), "{}", outcome.text());
    }
}
