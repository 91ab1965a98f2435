//! Signals: what is running is finished or ended, time stands still while a run is stopped, and nobody is left behind.

use std::time::Duration;

use rustix::process::Signal;

use crate::faults::{LINES, kernel};
use crate::harness::{Place, Process, Program, Running, eventually};

/// Long after a process must be gone, and short of a test that hangs.
const SOON: Duration = Duration::from_secs(20);

/// Some hours of work.
const LONG: &str = "0 4000000000\n";

/// Whether the process was sent that signal and did not take it yet.
fn is_pending(process: &Process, signal: Signal) -> bool {
    let pending = u64::from_str_radix(&process.status("ShdPnd"), 16).unwrap_or(0);
    pending >> (signal.as_raw() - 1) & 1 == 1
}

/// Sends a signal and waits until it was taken.
fn deliver(process: &Process, signal: Signal) {
    process.signal(signal);
    eventually("the signal is taken", || !is_pending(process, signal));
}

/// CPU time that no worker needs to start.
const AT_WORK: Duration = Duration::from_millis(100);

/// Waits until so many workers compute, and gives all of them.
fn busy(running: &Running, count: usize) -> Vec<Process> {
    let computes = |worker: &Process| worker.status("State").starts_with('R') && worker.cpu_time() >= AT_WORK;
    eventually("workers compute", || running.process.workers().into_iter().filter(computes).count() >= count);
    running.process.workers()
}

#[track_caller]
fn all_gone(workers: &[Process]) {
    for worker in workers {
        assert!(worker.is_gone_within(SOON), "worker process {} lives on", worker.id);
    }
}

/// Items that take some tenths of a second each, with what comes of each.
fn ranges(count: usize) -> (String, String) {
    let range = "0 1000000\n";
    (range.repeat(count), "78498\n".repeat(count))
}

#[test]
fn what_is_running_is_finished_and_written() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let place = Place::new();
        let (input, wanted) = ranges(100);
        place.write("in", input);
        let mut running = place.taskhost("run primes in -j 2 --batch 1 --drain-timeout 100s").start();
        // One is done, so others are running.
        assert_eq!(running.line(), "78498");
        let workers = busy(&running, 1);
        running.process.signal(signal);
        let outcome = running.end().code(code);
        all_gone(&workers);
        let rest = outcome.text();
        assert!(!rest.is_empty(), "what was running was not written: {}", outcome.stderr);
        // As many as can be under way, whole; not all that there is to do.
        assert!(wanted.starts_with(rest) && rest.len() < wanted.len() / 2, "{rest}");
    }
}

/// Who comes too late to stop anything has stopped nothing: all of it is there, with its report, and nothing is to be gone on with.
#[test]
fn a_run_whose_last_item_is_finished_is_done() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        place.write("in", "0 6000000\n");
        let flags = "-j 1 --split whole --journal j --report r.json --drain-timeout 100s";
        let running = place.taskhost(&format!("run primes in -o out {flags}")).start();
        busy(&running, 1);
        running.process.signal(signal);
        running.end().code(0);
        assert_eq!(place.text("out"), "412849\n");
        assert_eq!(place.files(), ["in", "out", "r.json"]);
        assert!(place.text("r.json").contains("\"items\": 1"), "{}", place.text("r.json"));
    }
}

/// With a result for each input, those that are done stay, and what is not done is not there.
#[test]
fn results_that_are_whole_stay() {
    let place = Place::new();
    for at in 0..60 {
        place.write(&format!("in/{at:02}"), "0 1000000\n");
    }
    let running = place.taskhost("run primes in -o out/ -j 2 --drain-timeout 100s").start();
    eventually("a result is there", || place.path("out/00").exists());
    running.process.signal(Signal::INT);
    running.end().code(130);
    let made: Vec<String> = place.files().into_iter().filter(|name| name.starts_with("out/")).collect();
    assert!((1..60).contains(&made.len()), "{made:?}");
    assert!(made.iter().all(|name| place.text(name) == "78498\n"), "{made:?}");
}

#[test]
fn one_file_is_there_as_a_whole_or_not_at_all() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let place = Place::new();
        let (input, _) = ranges(100);
        place.write("in", input);
        place.write("out", "of another run");
        let running = place.taskhost("run primes in -o out -j 2 --batch 1").start();
        busy(&running, 1);
        running.process.signal(signal);
        running.end().code(if signal == Signal::TERM { 143 } else { 130 });
        assert_eq!(place.text("out"), "of another run");
        assert_eq!(place.files(), ["in", "out"]);
    }
}

/// A terminal that goes away ends a run, unless it was started to go on without one.
#[test]
fn a_run_started_with_nohup_does_not_hear_that_its_terminal_is_gone() {
    let place = Place::new();
    let (input, wanted) = ranges(3);
    let run = Program::of("nohup".as_ref(), &place.path("")).argument(env!("CARGO_BIN_EXE_taskhost"));
    let mut running = run.arguments("run primes -j 1 --batch 1").start();
    running.write(&input);
    assert_eq!(running.line(), "78498");
    running.process.signal(Signal::HUP);
    assert_eq!(running.end().success().text(), &wanted["78498\n".len()..]);
}

/// Whoever asks twice does not want to wait.
#[test]
fn a_second_signal_ends_everything_at_once() {
    for second in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let mut running = place.taskhost("run primes -j 2 --batch 1 --drain-timeout 100h").start();
        // From here on nobody compiles any more.
        running.write("0 10\n");
        assert_eq!(running.line(), "4");
        running.write(LONG.repeat(4));
        let workers = busy(&running, 2);
        deliver(&running.process, Signal::INT);
        // It waits for what is running.
        assert!(!workers.iter().any(|worker| worker.is_gone_within(Duration::ZERO)));
        running.process.signal(second);
        assert!(running.process.is_gone_within(SOON));
        let code = running.end().code;
        assert!(code == 130 || code == 143, "{code}");
        all_gone(&workers);
    }
}

#[test]
fn what_is_not_finished_in_time_is_ended() {
    for drain in ["0s", "100ms"] {
        let place = Place::new();
        let mut running = place.taskhost("run primes -j 2 --batch 1 --drain-timeout").argument(drain).start();
        running.write("0 10\n");
        assert_eq!(running.line(), "4");
        running.write(LONG.repeat(4));
        let workers = busy(&running, 2);
        running.process.signal(Signal::TERM);
        let outcome = running.end().code(143);
        assert_eq!(outcome.text(), "");
        all_gone(&workers);
    }
}

/// Nothing is wrong with an input that is still open.
#[test]
fn a_run_that_waits_for_input_is_ended_too() {
    let place = Place::new();
    let mut running = place.taskhost("run primes -j 2").start();
    running.write("0 10\n");
    assert_eq!(running.line(), "4");
    let workers = running.process.workers();
    running.process.signal(Signal::INT);
    assert!(running.process.is_gone_within(SOON));
    running.end().code(130);
    all_gone(&workers);
}

/// A kernel whose start never ends.
const NEVER_STARTS: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "taskhost_start") (result i64) (loop $ever (br $ever)) (i64.const 0))
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param i32 i32) (result i64) (i64.const 0)))"#;

const NEVER_DESCRIBES: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "taskhost_describe") (result i64) (loop $ever (br $ever)) (i64.const 0))
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param i32 i32) (result i64) (i64.const 0)))"#;

#[test]
fn a_kernel_that_never_starts_can_be_interrupted() {
    const RUN: &str = "run kernel.wat in -o out";
    // To look at a kernel does not start it.
    for (text, command) in [(NEVER_STARTS, RUN), (NEVER_DESCRIBES, RUN), (NEVER_DESCRIBES, "inspect kernel.wat")] {
        let place = Place::new();
        place.write("kernel.wat", text);
        place.write("in", "1\n");
        let running = place.taskhost(command).start();
        let workers = busy(&running, 1);
        running.process.signal(Signal::INT);
        assert!(running.process.is_gone_within(SOON), "{command}");
        running.end().code(130);
        all_gone(&workers);
        assert_eq!(place.files(), ["in", "kernel.wat"]);
    }
}

/// Ctrl-Z stops the workers too, and what they are at does not become late.
#[test]
fn time_stands_still_while_a_run_is_stopped() {
    // More than the clock would ever allow an item: four times 200 ms.
    const PAUSE: Duration = Duration::from_secs(1);
    let place = Place::new();
    // So much that it is not done while somebody looks; each item so short that it is not late on a busy machine either.
    let (input, wanted) = ranges(240);
    place.write("in", input.replace("1000000", "100000"));
    let wanted = wanted.replace("78498", "9592");
    let mut running = place.taskhost("run primes in -j 2 --batch 1 --timeout 200ms").start();
    for _ in 0..2 {
        assert_eq!(running.line(), "9592");
        let workers = busy(&running, 1);
        running.process.signal(Signal::TSTP);
        eventually("all are stopped", || {
            let all = std::iter::once(&running.process).chain(&workers);
            all.into_iter()
                .all(|process| process.status("State").starts_with('T') || process.is_gone_within(Duration::ZERO))
        });
        assert!(running.process.status("State").starts_with('T'));
        assert!(!running.process.is_gone_within(PAUSE));
        assert!(running.process.status("State").starts_with('T'));
        running.process.signal(Signal::CONT);
    }
    let outcome = running.end().success();
    assert_eq!(outcome.text(), &wanted["9592\n".len() * 2..], "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("warning") && !outcome.stderr.contains("error"), "{}", outcome.stderr);
}

/// A run that is stopped can be ended, and its deadline does not come nearer.
#[test]
fn a_run_that_is_stopped_can_still_be_ended() {
    let place = Place::new();
    let mut running = place.taskhost("run primes -j 2 --batch 1 --deadline 100h").start();
    running.write("0 10\n");
    assert_eq!(running.line(), "4");
    running.write(LONG.repeat(2));
    let workers = busy(&running, 2);
    running.process.signal(Signal::TSTP);
    eventually("it is stopped", || running.process.status("State").starts_with('T'));
    running.process.signal(Signal::KILL);
    all_gone(&workers);
    running.end().code(128 + 9);
}

/// Somebody else stops a worker: it is ended, and its work is done by another.
#[test]
fn a_worker_that_somebody_stopped_is_replaced() {
    let place = Place::new();
    let (input, wanted) = ranges(20);
    place.write("in", input);
    let mut running = place.taskhost("run primes in -j 2 --batch 1 --report report").start();
    assert_eq!(running.line(), "78498");
    let victim = busy(&running, 1).remove(0);
    victim.signal(Signal::STOP);
    let outcome = running.end().success();
    assert_eq!(outcome.text(), &wanted["78498\n".len()..]);
}

#[test]
fn a_reader_that_goes_away_ends_a_run_without_a_word() {
    for flags in ["", "--unordered", "--timeout 10s"] {
        let place = Place::new();
        place.write("in", "item\n".repeat(1_000_000));
        let run = place.taskhost("run").argument(kernel("echo")).arguments(LINES).arguments("in -j 2");
        let mut running = run.arguments(flags).start();
        assert_eq!(running.line(), "item");
        let workers = running.process.workers();
        running.stop_reading();
        let outcome = running.end().code(141);
        assert_eq!(outcome.stderr, "", "{flags}");
        all_gone(&workers);
    }
}

/// Whatever it is doing at that moment, and whatever they are.
#[test]
fn a_coordinator_that_is_killed_takes_its_workers_along() {
    for milliseconds in [0, 1, 2, 4, 8, 16, 32, 64, 128] {
        let place = Place::new();
        place.write("in", LONG.repeat(4));
        let running = place.taskhost("run primes in -j 3").env("XDG_CACHE_HOME", place.path("cache")).start();
        running.process.is_gone_within(Duration::from_millis(milliseconds));
        let workers = running.process.workers();
        running.process.signal(Signal::KILL);
        all_gone(&workers);
        running.end().code(128 + 9);
        // What it had half written then lies there until the cache is swept.
        let _ = std::fs::remove_dir_all(place.path("cache"));
    }
}
