//! Limits of an item, a worker and a run: what is over one ends, and nothing else does.

mod dirt;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::faults::{LINES, component, errors, export, kernel};
use crate::harness::{Place, Program};

fn run(place: &Place, name: &str, flags: &str) -> Program {
    place.taskhost("run").argument(kernel(name)).arguments(LINES).arguments(flags)
}

/// What `--report` wrote.
fn report(place: &Place) -> Value {
    serde_json::from_str(&place.text("report")).unwrap()
}

/// Lines without an end, each at the end of many that are done in no time and share a batch with it.
#[test]
fn what_never_returns_is_ended_and_its_neighbours_are_neither_lost_nor_doubled() {
    let place = Place::new();
    for misdeed in ["loop", "block", "spin"] {
        let items: Vec<String> =
            (0..900).map(|at| if at % 300 == 250 { misdeed.to_owned() } else { format!("item {at}") }).collect();
        place.write("in", items.iter().map(|item| format!("{item}\n")).collect::<String>());
        let good: String = items.iter().filter(|item| *item != misdeed).map(|item| format!("{item}\n")).collect();
        for (workers, batch) in [("1", "auto"), ("2", "auto"), ("2", "300"), ("3", "7")] {
            let flags = "in -o out --timeout 100ms --on-error skip --errors errors --report report -j";
            let run = run(&place, "misbehave", flags).argument(workers).arguments("--batch").argument(batch);
            let outcome = run.run().code(3);
            assert!(place.text("out") == good, "{misdeed} -j {workers} --batch {batch}: {}", outcome.stderr);
            let told: Vec<u64> = errors(&place, "errors").iter().map(|line| line["item"].as_u64().unwrap()).collect();
            assert_eq!(told, [250, 550, 850], "{misdeed} -j {workers} --batch {batch}");
            // Each item was run once, but those of a batch that was cut short may be counted only once as well.
            let report = report(&place);
            assert_eq!(report["items"], 900, "{misdeed} -j {workers} --batch {batch}");
            // Three loops of 100 ms; the rest is room for a coordinator that comes late, and is CPU time of workers.
            assert!(report["cpu_seconds"].as_f64().unwrap() < 10.0, "{report}");
        }
    }
}

/// Items that are quick at first, so that many are put into one call, and then slow, so that the call takes far longer
/// than one item may.
#[test]
fn a_slow_but_innocent_call_for_many_items_loses_nothing() {
    let place = Place::new();
    // An item of `s…` counts down from many.
    let slow = "(local.set $left (i32.const 3000000))
        (loop $more
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $more (local.get $left)))";
    let process = format!(
        "(local $left i32)
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 115)) (then {slow}))
        (call $ok (local.get $at) (local.get $len))"
    );
    // Items end to end and their ends come in, and go out again.
    let packed = format!(
        "(local $left i32) (local $number i32) (local $at i32)
        (local.set $at (local.get $bytes))
        (loop $next
            (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 115)) (then {slow}))
            (local.set $at (i32.add
                (local.get $bytes)
                (i32.load (i32.add (local.get $ends) (i32.shl (local.get $number) (i32.const 2))))))
            (local.set $number (i32.add (local.get $number) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $number) (local.get $count))))
        (i32.store (i32.const 64) (local.get $bytes)) (i32.store (i32.const 68) (local.get $len))
        (i32.store (i32.const 72) (local.get $ends)) (i32.store (i32.const 76) (local.get $count))
        (i64.store (i32.const 80) (i64.const 0)) (i64.store (i32.const 88) (i64.const 0))
        (i32.const 64)"
    );
    let functions = [
        export("mapper", "process", "(param $at i32) (param $len i32)", &process),
        export(
            "packed-mapper",
            "process",
            "(param $bytes i32) (param $len i32) (param $ends i32) (param $count i32)",
            &packed,
        ),
    ];
    place.write("kernel.wasm", component(&["mapper", "packed-mapper"], &functions.concat()));
    let lines: String = "q\n".repeat(20_000) + &"s\n".repeat(300) + &"q\n".repeat(20_000);
    place.write("in", &lines);
    for workers in ["1", "2"] {
        let flags = "run kernel.wasm in -o out --timeout 50ms --split lines --merge lines -j";
        place.taskhost(flags).argument(workers).run().success();
        assert!(place.text("out") == lines, "-j {workers}");
    }
}

/// Joining belongs to no item, so it fails the run, whatever `--on-error` says.
#[test]
fn results_that_take_for_ever_to_be_joined_fail_the_run() {
    for (combine, finish) in [("(loop $ever (br $ever))", ""), ("", "(loop $ever (br $ever))")] {
        let place = Place::new();
        let text = "(module
            (memory (export \"memory\") 16)
            (func (export \"taskhost_alloc\") (param i32) (result i32) (i32.const 1024))
            (func (export \"taskhost_process\") (param i32 i32) (result i64) (i64.const 0))
            (func (export \"taskhost_combine\") (param i32 i32) (result i64) COMBINE (i64.const 0))
            (func (export \"taskhost_finish\") (param i32 i32) (result i64) FINISH (i64.const 0)))";
        place.write("kernel.wat", text.replace("COMBINE", combine).replace("FINISH", finish));
        let flags = "run kernel.wat -o out --split lines --merge reduce --timeout 100ms --on-error skip -j 2";
        let outcome = place.taskhost(flags).input("1\n2\n3\n").run().code(3);
        let says = if finish.is_empty() { "the kernel's `combine`" } else { "the kernel's `finish`" };
        assert!(outcome.stderr.contains(says) && outcome.stderr.contains("--timeout"), "{}", outcome.stderr);
        assert_eq!(place.files(), ["kernel.wat"]);
    }
}

#[test]
fn a_run_over_its_deadline_has_written_what_comes_first() {
    let place = Place::new();
    let lines: String = (0..10).map(|at| format!("item {at}\n")).collect();
    place.write("in", lines.clone() + "loop\n" + &lines);
    let outcome = run(&place, "misbehave", "in --deadline 300ms -j 2 --batch 1").run().code(7);
    assert!(outcome.stderr.contains("--deadline"), "{}", outcome.stderr);
    assert!(lines.starts_with(outcome.text()), "{}", outcome.text());
    run(&place, "misbehave", "in --deadline 300ms -o out").run().code(7);
    run(&place, "misbehave", "in --deadline 300ms -o out/").run().code(7);
    assert_eq!(place.files(), ["in"]);
    // One that is met changes nothing.
    run(&place, "misbehave", "--deadline 1h").input(&lines).run().success();
}

/// Takes memory and uses all of it, until it gets no more, and traps then.
const BOMB: &str = r#"(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $page i32)
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 98)) (then
      (loop $more
        (local.set $page (memory.grow (i32.const 1)))
        (if (i32.eq (local.get $page) (i32.const -1)) (then unreachable))
        (memory.fill (i32.shl (local.get $page) (i32.const 16)) (i32.const 1) (i32.const 65536))
        (br $more))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))"#;

#[test]
fn a_bomb_of_memory_is_one_failed_item_and_stays_within_its_limit() {
    const ROOM: u64 = 32 << 20;
    let place = Place::new();
    place.write("bomb.wat", BOMB);
    place.write("in", "one\ntwo\nbomb\nthree\nbomb\nfour\n");
    for mebibytes in [8, 64, 256] {
        let run = place.taskhost("run bomb.wat in -o out --split lines --merge lines --on-error skip --errors errors");
        run.arguments(&format!("--report report -j 1 --memory {mebibytes}MiB")).run().code(3);
        assert_eq!(place.text("out"), "one\ntwo\nthree\nfour\n");
        let verdicts: Vec<Value> = errors(&place, "errors").iter().map(|line| line["verdict"].clone()).collect();
        assert_eq!(verdicts, ["memory-limit", "memory-limit"], "{mebibytes} MiB");
        for worker in report(&place)["workers"].as_array().unwrap() {
            let peak = worker["max_resident_bytes"].as_u64().unwrap();
            assert!(peak <= (mebibytes << 20) + ROOM, "{mebibytes} MiB: a worker had {peak} bytes");
            assert_eq!(worker["death"], Value::Null, "a trap costs an instance and no worker");
        }
    }
}

/// The limit is the longest result that is let through.
#[test]
fn a_result_may_be_as_long_as_the_limit_and_no_longer() {
    let place = Place::new();
    place.write("in", "123456789\n1234567890\n12345678901\n\n");
    for (split, flags) in [("--split lines --merge lines", ""), ("--split lines --merge concat", "-j 3 --batch 1")] {
        let run = place.taskhost("run").argument(kernel("echo")).arguments(split).arguments(flags);
        let run = run.arguments("in -o out --max-output 10 --on-error skip --errors errors").run().code(3);
        let errors = errors(&place, "errors");
        assert_eq!(errors.len(), 1, "{}", run.stderr);
        assert_eq!((&errors[0]["verdict"], &errors[0]["line"]), (&"output-limit".into(), &3.into()));
        assert_eq!(
            place.text("out"),
            if split.ends_with("lines") { "123456789\n1234567890\n\n" } else { "1234567891234567890" }
        );
    }
}

/// Counts down from the number that the length of its item is, times a thousand.
const COUNTS: &str = r#"(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $left i32)
    (local.set $left (i32.mul (local.get $len) (i32.const 1000)))
    (loop $more
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (i32.gt_s (local.get $left) (i32.const 0))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))"#;

#[test]
fn fuel_is_the_same_for_every_worker_and_every_run() {
    let place = Place::new();
    place.write("counts.wat", COUNTS);
    place.write("in", (0..400).map(|at| "x".repeat(at % 40) + "\n").collect::<String>());
    let flags = "run counts.wat in -o out --split lines --merge lines --on-error skip --errors errors --fuel";
    let mut by_fuel = BTreeMap::new();
    for fuel in [5_000, 60_000, 100_000] {
        for (workers, batch) in [("1", "auto"), ("2", "1"), ("3", "7"), ("1", "400")] {
            let run = place.taskhost(flags).argument(fuel.to_string()).arguments("-j").argument(workers);
            run.arguments("--batch").argument(batch).run().code(3);
            let errors = errors(&place, "errors");
            assert!(errors.iter().all(|line| line["verdict"] == "fuel" && line["blame"] == "item"));
            let lines: Vec<u64> = errors.iter().map(|line| line["line"].as_u64().unwrap()).collect();
            let first = by_fuel.entry(fuel).or_insert_with(|| lines.clone());
            assert_eq!(*first, lines, "{fuel} -j {workers} --batch {batch}");
        }
    }
    let failed: Vec<usize> = by_fuel.values().map(Vec::len).collect();
    assert!(failed[0] > failed[1] && failed[1] > failed[2] && failed[2] > 0, "{failed:?}");
    // Each item has its own: forty times as many of them use no more.
    let run = place.taskhost("run counts.wat --split lines --merge lines --fuel 100000 -j 1");
    run.input("xxx\n".repeat(4_000)).run().success();
}

/// What counts fuel is compiled in another way, and found again.
#[test]
fn fuel_takes_an_artifact_of_its_own() {
    let place = Place::new();
    let compiled = |flags: &str| {
        let run = run(&place, "echo", "--report report").env("XDG_CACHE_HOME", place.path("cache"));
        run.arguments(flags).input("1\n").run().success();
        report(&place)["kernel"]["compiled"].as_bool().unwrap()
    };
    assert!(compiled("") && compiled("--fuel 1000000"));
    assert!(!compiled("") && !compiled("--fuel 1000000") && !compiled("--fuel 2000000"));
}

/// Writes lines to the log for ever when an item says so.
const CHATTER: &str = r#"(module
  (import "taskhost" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $left i32)
    (local.set $left (i32.const 300))
    (memory.fill (i32.const 65536) (i32.const 120) (i32.const 4000))
    (loop $more
      (call $log (i32.const 2) (i32.const 65536) (i32.const 4000))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (i32.or
        (i32.gt_s (local.get $left) (i32.const 0))
        (i32.eq (i32.load8_u (local.get $at)) (i32.const 101)))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))"#;

#[test]
fn a_kernel_that_talks_without_end_costs_the_coordinator_nothing() {
    const COORDINATOR: u64 = 64 << 20;
    let place = Place::new();
    place.write("chatter.wat", CHATTER);
    let run = place.taskhost("run chatter.wat --split lines --merge lines --timeout 300ms --on-error skip -j 2");
    let mut running = run.arguments("--batch 1 --errors errors").start();
    for round in 0..3 {
        running.write("a\n".repeat(100) + "ever\nz\n");
        for _ in 0..100 {
            assert_eq!(running.line(), "a", "{round}");
        }
        assert_eq!(running.line(), "z");
    }
    let peak = running.process.peak();
    assert!(peak < COORDINATOR, "the coordinator had {peak} bytes");
    let outcome = running.end().code(3);
    assert_eq!(errors(&place, "errors").len(), 3);
    // Of each of the 300 items, and of the three that were ended, 64 lines of 4 kB, where there was time to write so many. A worker
    // that is ended has at most two more in hand, which are run again.
    let runs = 306 + 2 * 3;
    let lines = outcome.stderr.lines().filter(|line| line.contains("xxxx")).count();
    assert!(lines <= 64 * runs, "{lines} lines of log");
    assert!(outcome.stderr.len() < 64 * runs * 4200, "{} bytes of log", outcome.stderr.len());
    assert!(outcome.stderr.contains("more log lines were dropped"));
}
