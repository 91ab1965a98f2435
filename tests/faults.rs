//! Misdeeds of one item: the verdict on each, who is blamed, how often it was tried, and that it costs no other item.

#[path = "../host/worker/src/tests/component.rs"]
mod component;
mod crowd;
mod pictures;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Outcome, Place, Program, eventually};

pub(crate) use component::{component, export};

pub(crate) const LINES: &str = "--split lines --merge lines";

/// A kernel of `tests/kernels`.
pub(crate) fn kernel(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{name}.wat"))
}

/// A run of the kernel that does what its items ask for.
fn misbehave(place: &Place, flags: &str) -> Program {
    place.taskhost("run").argument(kernel("misbehave")).arguments(LINES).arguments(flags)
}

/// The lines of an error file. Those fields that depend on which worker was the faster have to be numbers or null.
pub(crate) fn errors(place: &Place, name: &str) -> Vec<Value> {
    let lines = place.text(name);
    let read = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        for field in ["worker", "core"] {
            let taken = value.as_object_mut().unwrap().remove(field).unwrap();
            assert!(taken.is_u64() || taken.is_null(), "{line}");
        }
        value
    };
    lines.lines().map(read).collect()
}

/// What an item asks for, and what it comes to.
struct Misdeed {
    /// The item.
    item: &'static str,
    flags: &'static str,
    verdict: &'static str,
    blame: &'static str,
    attempts: u32,
    /// How the message begins.
    says: &'static str,
}

const fn misdeed(
    (item, flags): (&'static str, &'static str),
    (verdict, blame): (&'static str, &'static str),
    attempts: u32,
    says: &'static str,
) -> Misdeed {
    Misdeed { item, flags, verdict, blame, attempts, says }
}

const LATE: &str = "it took longer than the 200ms that --timeout allows";
const DIED: &str = "its worker crashed: it died of signal ";
const ASKED: &str = "as the item asked for";

const MISDEEDS: &[Misdeed] = &[
    // The kernel's: one try, since it would do the same again.
    misdeed(("trap", ""), ("kernel-trap", "kernel"), 1, "the kernel trapped: wasm `unreachable` instruction executed"),
    misdeed(("error", ""), ("kernel-error", "item"), 1, ASKED),
    misdeed(("huge", ""), ("output-limit", "item"), 1, "the result has 269484032 bytes, more than the 268435456 that"),
    misdeed(
        ("grow", "--memory 64MiB"),
        ("memory-limit", "item"),
        1,
        "the kernel needs more memory than the 67108864 bytes that --memory allows",
    ),
    // The process's: a second try, alone.
    misdeed(("abort", ""), ("crash", "kernel"), 2, DIED),
    misdeed(("segv", ""), ("crash", "kernel"), 2, DIED),
    misdeed(("exit", ""), ("crash", "kernel"), 2, "its worker crashed: it ended by itself with exit code 42"),
    misdeed(
        ("panic", ""),
        ("crash", "kernel"),
        2,
        "its worker crashed: it ended by itself with exit code 73 (it panic",
    ),
    misdeed(("stack", ""), ("crash", "kernel"), 2, "its worker crashed: it ended by itself with exit code 72 (its sta"),
    misdeed(("memory", ""), ("memory-limit", "item"), 2, "its worker ran out of memory; --memory allows more"),
    // Nobody's: as often as `--retries` says.
    misdeed(("temporary", ""), ("kernel-error", "nobody"), 3, ASKED),
    misdeed(("temporary", "--retries 0"), ("kernel-error", "nobody"), 1, ASKED),
    misdeed(("temporary", "--retries 5"), ("kernel-error", "nobody"), 6, ASKED),
    // The clock's: one try.
    misdeed(("loop", "--timeout 200ms"), ("deadline", "item"), 1, LATE),
    misdeed(("block", "--timeout 200ms"), ("deadline", "item"), 1, LATE),
    misdeed(("spin", "--timeout 200ms"), ("deadline", "item"), 1, LATE),
];

/// Lines in front of the bad one, and the number of all lines.
const BEFORE: usize = 37;
const ALL: usize = 100;

/// Lines of which one is bad.
fn lines(bad: &str) -> String {
    (0..ALL).map(|at| if at == BEFORE { format!("{bad}\n") } else { format!("item {at}\n") }).collect()
}

/// The lines in front of the bad one.
fn before() -> String {
    (0..BEFORE).map(|at| format!("item {at}\n")).collect()
}

#[test]
fn a_misdeed_costs_one_item_and_is_told_exactly() {
    for Misdeed { item, flags, verdict, blame, attempts, says } in MISDEEDS {
        let place = Place::new();
        place.write("in", lines(item));
        let run = misbehave(&place, "in -o out --on-error skip --errors errors --report report").arguments(flags);
        let outcome = run.run().code(3);
        let told = format!("{item} {flags}: {}", outcome.stderr);
        assert_eq!(place.text("out"), lines(item).replace(&format!("{item}\n"), ""), "{told}");
        let mut errors = errors(&place, "errors");
        assert_eq!(errors.len(), 1, "{told}");
        let mut error = errors.remove(0);
        let fields = error.as_object_mut().unwrap();
        let message = fields.remove("message").unwrap();
        assert!(message.as_str().unwrap().starts_with(says), "{told}{message}");
        let backtrace = fields.remove("backtrace").unwrap();
        assert_eq!(backtrace == json!([]), *item != "trap", "{told}{backtrace}");
        let expected = json!({
            "version": 1, "item": BEFORE, "source": "in", "offset": before().len(), "length": item.len(),
            "line": BEFORE + 1, "verdict": verdict, "blame": blame, "attempts": attempts,
        });
        assert_eq!(error, expected, "{told}");
        let report: Value = serde_json::from_str(&place.text("report")).unwrap();
        assert_eq!(report["verdicts"], json!({ *verdict: 1 }), "{told}");
        assert_eq!((&report["failed_items"], &report["items"]), (&json!(1), &json!(ALL)), "{told}");
    }
}

#[track_caller]
fn named(outcome: &Outcome, misdeed: &Misdeed) {
    let says = format!("error: in, item {BEFORE} (at byte {}): {}", before().len(), misdeed.says);
    assert!(outcome.stderr.contains(&says), "{} {}: {}", misdeed.item, misdeed.flags, outcome.stderr);
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{}", outcome.stderr);
}

#[test]
fn a_misdeed_ends_a_run_that_is_to_be_whole() {
    for misdeed in MISDEEDS {
        let place = Place::new();
        place.write("in", lines(misdeed.item));
        let run = |flags: &str| misbehave(&place, "in --errors errors").arguments(flags).arguments(misdeed.flags).run();
        named(&run("-o out").code(3), misdeed);
        assert_eq!(place.files(), ["errors", "in"], "{}", misdeed.item);
        let errors = errors(&place, "errors");
        assert_eq!(errors.len(), 1);
        let told = (&errors[0]["verdict"], &errors[0]["attempts"], &errors[0]["item"]);
        assert_eq!(told, (&json!(misdeed.verdict), &json!(misdeed.attempts), &json!(BEFORE)));
    }
}

/// What stands in front of the failed item does not depend on how the work was cut.
#[test]
fn a_stream_has_all_results_in_front_of_the_misdeed() {
    for misdeed in MISDEEDS.iter().filter(|misdeed| ["trap", "error", "segv", "exit", "loop"].contains(&misdeed.item)) {
        for workers in ["1", "3"] {
            for batch in ["1", "7", "50", "auto"] {
                let place = Place::new();
                place.write("in", lines(misdeed.item));
                let run = misbehave(&place, "in -j").argument(workers).arguments("--batch").argument(batch);
                let outcome = run.arguments(misdeed.flags).run().code(3);
                named(&outcome, misdeed);
                assert_eq!(outcome.text(), before(), "{} -j {workers} --batch {batch}", misdeed.item);
            }
        }
    }
}

/// Whatever comes first in the input is named, whatever fails first: a crash takes two tries and a trap one.
#[test]
fn the_earliest_failure_is_named_though_it_takes_longer() {
    for (first, second) in [("segv", "trap"), ("exit", "error"), ("loop", "trap"), ("temporary", "huge")] {
        for (workers, batch) in [("1", "auto"), ("2", "1"), ("3", "7"), ("3", "auto")] {
            let place = Place::new();
            place.write("in", lines(first).replace("item 45\n", &format!("{second}\n")).repeat(3));
            let run = misbehave(&place, "in -o out --timeout 200ms -j").argument(workers).arguments("--batch");
            let outcome = run.argument(batch).run().code(3);
            let says = format!("error: in, item {BEFORE} (at byte {}): ", before().len());
            assert!(outcome.stderr.contains(&says), "{first} {second} -j {workers}: {}", outcome.stderr);
        }
    }
}

/// A kernel that may have broken out is not run any more, whatever `--on-error` says.
#[test]
fn a_forbidden_system_call_ends_the_run_at_once() {
    for flags in ["--on-error skip", "--on-error fail", "--on-error skip -j 3 --batch 1"] {
        let place = Place::new();
        place.write("in", lines("sys").repeat(20));
        let outcome = misbehave(&place, "in -o out --report report").arguments(flags).run().code(3);
        assert!(outcome.stderr.contains("its worker made a system call that is forbidden"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("do not run it again"), "{}", outcome.stderr);
        assert_eq!(place.files(), ["in", "report"], "{flags}");
        let report = place.text("report");
        // Each worker may have made one such call before it was known.
        assert!((1..=3).contains(&report.matches("(SIGSYS: a forbidden system call)").count()), "{report}");
    }
}

#[test]
fn a_forbidden_system_call_ends_a_run_over_many_inputs() {
    let place = Place::new();
    for at in 0..50 {
        place.write(&format!("in/{at:02}"), if at % 5 == 4 { "a\nsys\n" } else { "a\nb\n" });
    }
    let outcome = misbehave(&place, "in -o out/ --on-error skip -j 2 --report report").run().code(3);
    assert!(outcome.stderr.contains("forbidden"), "{}", outcome.stderr);
    assert!(place.text("report").matches("SIGSYS").count() <= 2, "{}", place.text("report"));
    assert!(!place.path("out/04").exists() && !place.path("out/49").exists());
}

/// Of many results, with `fail`, none is begun behind the first that cannot be made.
#[test]
fn many_results_stop_at_the_first_failure_when_asked_to() {
    for bad in ["trap", "segv"] {
        let place = Place::new();
        for at in 0..300 {
            place.write(&format!("in/{at:03}"), if at == 2 { bad } else { "fine" });
        }
        let run = |flags: &str| place.taskhost("run").argument(kernel("misbehave")).arguments(flags).run().code(3);
        let outcome = run("in -o out/ --on-error fail -j 1");
        assert!(outcome.stderr.contains("002"), "{}", outcome.stderr);
        assert!(!place.path("out/002").exists(), "{bad}");
        let made = place.files().iter().filter(|name| name.starts_with("out/")).count();
        // While it is looked into why a worker died, others go on with other inputs.
        assert!(bad == "segv" || made < 299, "{bad}: {made} results were made all the same");
        // Without it, all others are made.
        run("in -o all/ -j 2");
        assert_eq!(place.files().iter().filter(|name| name.starts_with("all/")).count(), 299, "{bad}");
    }
}

/// Workers that crash are let go of: their descriptors, their arenas, their entries in the table of processes.
#[test]
fn a_crash_leaves_nothing_in_the_coordinator() {
    let place = Place::new();
    let mut running = misbehave(&place, "-j 2 --batch 1 --on-error skip --errors errors").start();
    let burst = |running: &mut crate::harness::Running, rounds: usize| {
        for round in 0..rounds {
            let bad = ["segv", "abort", "exit", "memory"][round % 4];
            running.write(format!("one\n{bad}\ntwo\n"));
            assert_eq!((running.line(), running.line()), ("one".into(), "two".into()), "{bad}");
        }
    };
    burst(&mut running, 4);
    eventually("all are taken note of", || running.process.zombies() == 0);
    let before = running.process.descriptors();
    burst(&mut running, 20);
    // At one time a worker more may be there than at the other; each of the forty that ended would have left one.
    const OF_WORKERS: usize = 24;
    let after = running.process.descriptors();
    assert!(after <= before + OF_WORKERS, "{after} descriptors, and {before} before twenty crashes");
    eventually("all are taken note of again", || running.process.zombies() == 0);
    running.end().code(3);
    assert_eq!(errors(&place, "errors").len(), 24);
}

/// A kernel whose own start ends its worker is given up soon, by what the system says of it.
#[test]
fn a_start_that_ends_the_worker_is_not_tried_for_ever() {
    let cases = [
        ("abort", "died of signal "),
        ("segv", "died of signal 11 (SIGSEGV)"),
        ("exit42", "ended by itself with exit code 42"),
        ("panic", "ended by itself with exit code 73 (it panicked)"),
        ("exhaust-memory", "ended by itself with exit code 71 (no memory was left)"),
        ("overflow-stack", "ended by itself with exit code 72 (its stack overflowed)"),
    ];
    let refused = "kernel.wat: when it starts: its worker made a system call that is forbidden";
    let cases = cases.map(|(misdeed, says)| (misdeed, 1, format!("no worker could be started: the worker {says}")));
    for (misdeed, code, says) in cases.into_iter().chain(["sys", "kill"].map(|call| (call, 4, refused.to_owned()))) {
        let place = Place::new();
        let text = r#"(module
            (import "taskhost-fault" "MISDEED" (func $misdeed))
            (memory (export "memory") 1)
            (func (export "taskhost_start") (result i64) (call $misdeed) (i64.const 0))
            (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "taskhost_process") (param i32 i32) (result i64) (i64.const 0)))"#;
        place.write("kernel.wat", text.replace("MISDEED", misdeed));
        let outcome = place.taskhost("run kernel.wat --split lines -o out -j 2").input("1\n").run().code(code);
        assert!(outcome.stderr.starts_with(&format!("error: {says}")), "{misdeed}: {}", outcome.stderr);
        assert_eq!(place.files(), ["kernel.wat"], "{misdeed}");
    }
}
