//! Workers that die, a coordinator that dies, and what is left of them.

use rustix::process::Signal;
use std::time::Duration;

use crate::harness::{Place, Process, Running, eventually};
use crate::native::{Picture, Sample};

/// Long after a process must be gone, and short of a test that hangs.
const SOON: Duration = Duration::from_secs(20);

/// Starts a run that has done one item and goes on as long as its input does.
fn running(place: &Place, line: &str) -> Running {
    let mut running = place.taskhost(line).start();
    running.write("0 10\n");
    assert_eq!(running.line(), "4");
    running
}

/// A worker of the run that is computing, if one is just now.
fn computing(running: &Running) -> Option<Process> {
    running.process.workers().into_iter().find(|worker| worker.status("State").starts_with('R'))
}

/// A worker of the run that is computing; the run has enough to do.
fn busy_worker(running: &Running) -> Process {
    let mut found = None;
    eventually("a worker computes", || {
        found = computing(running);
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_worker_that_is_killed_costs_nothing_but_time() {
    let place = Place::new();
    let ranges: String = (0..60).map(|n| format!("0 {}\n", 20_000 + n)).collect();
    let wanted = place.taskhost("run primes -j 1").input(&ranges).run().success();
    for workers in ["1", "2"] {
        let mut running = running(&place, &format!("run primes -j {workers} --report {workers}.json"));
        // Again and again, until one is seen at it: what it has to do may be done before anybody looks.
        let (mut rounds, mut done, mut victim) = (0, String::new(), None);
        while victim.is_none() {
            (done.lines().count()..60 * rounds).for_each(|_| done += &(running.line() + "\n"));
            running.write(&ranges);
            rounds += 1;
            victim = (0..20).find_map(|_| computing(&running));
        }
        let victim = victim.unwrap();
        victim.signal(Signal::KILL);
        assert!(victim.is_gone_within(SOON));
        let outcome = running.end().success();
        assert!(done + outcome.text() == wanted.text().repeat(rounds), "{workers} workers");
        assert!(place.text(&format!("{workers}.json")).contains("died of signal 9"), "{}", outcome.stderr);
    }
}

#[test]
fn an_idle_worker_that_is_killed_is_not_missed() {
    let place = Place::new();
    let mut running = running(&place, "run primes -j 2");
    for worker in running.process.workers() {
        worker.signal(Signal::KILL);
        assert!(worker.is_gone_within(SOON));
    }
    running.write("10 100\n");
    assert_eq!(running.line(), "21");
    running.end().success();
}

/// The same work killing workers over and over is not tried for ever.
#[test]
fn an_item_whose_workers_die_again_and_again_has_failed() {
    // No worker needs as much to start.
    const AT_WORK: Duration = Duration::from_millis(100);
    for retries in [0, 1, 2] {
        let place = Place::new();
        let mut running = running(&place, &format!("run primes -j 1 --errors errors --retries {retries}"));
        // Hours of work.
        running.write("0 4000000000\n");
        let mut killed = Vec::new();
        eventually("the run gives up", || {
            for worker in running.process.workers() {
                if worker.cpu_time() >= AT_WORK && !killed.contains(&worker.id) {
                    worker.signal(Signal::KILL);
                    killed.push(worker.id);
                }
            }
            running.process.is_gone_within(Duration::ZERO)
        });
        let outcome = running.end().code(3);
        assert_eq!(killed.len(), retries + 1, "{}", outcome.stderr);
        let says = "error: -, item 1 (at byte 5): its worker died of signal 9";
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
        let error = place.text("errors");
        let told = format!(r#""attempts":{},"#, retries + 1);
        assert!(error.contains(r#""verdict":"killed","blame":"nobody""#) && error.contains(&told), "{error}");
    }
}

/// The worker that decodes, those that filter, and the one that encodes: each is killed in one of the runs.
#[test]
fn a_worker_that_is_killed_costs_no_picture() {
    let place = Place::new();
    let picture = Picture::noise((900, 700), 3, Sample::U8);
    place.write("in.ppm", [b"P6\n900 700\n255\n".as_slice(), &picture.bytes()].concat());
    place.taskhost("run gaussian-blur in.ppm -o wanted.png -j 2").run().success();
    for victim in 0..4 {
        let running = place.taskhost("run gaussian-blur in.ppm -o out.png -j 2").start();
        let mut seen = Vec::new();
        eventually("the victim computes, or it is too late", || {
            for worker in running.process.workers() {
                if worker.status("State").starts_with('R') && !seen.contains(&worker.id) {
                    seen.push(worker.id);
                    if seen.len() == victim + 1 {
                        worker.signal(Signal::KILL);
                    }
                }
            }
            seen.len() > victim || running.process.is_gone_within(Duration::ZERO)
        });
        running.end().success();
        assert!(place.read("out.png") == place.read("wanted.png"), "victim {victim}");
    }
}

#[test]
fn a_compiler_that_is_killed_is_told() {
    let place = Place::new();
    let running = place.taskhost("compile grep").env("XDG_CACHE_HOME", place.path("cache")).start();
    eventually("it compiles, or has done so", || match computing(&running) {
        Some(worker) => {
            worker.signal(Signal::KILL);
            true
        }
        None => running.process.is_gone_within(Duration::ZERO),
    });
    let outcome = running.end();
    // It may have been killed a moment too late.
    if outcome.code != 0 {
        let outcome = outcome.code(1);
        assert!(
            outcome.stderr.contains("compiling the kernel failed: the compiler process died of signal 9"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn workers_do_not_outlive_their_coordinator() {
    let place = Place::new();
    let mut running = running(&place, "run primes -j 3");
    running.write("0 4000000000\n0 4000000000\n0 4000000000\n");
    busy_worker(&running);
    let workers = running.process.workers();
    assert!(!workers.is_empty());
    running.process.signal(Signal::KILL);
    for worker in workers {
        assert!(worker.is_gone_within(SOON), "worker process {} lives on", worker.id);
    }
    running.end().code(128 + 9);
}

#[test]
fn an_interrupted_run_leaves_no_worker_and_no_file() {
    let place = Place::new();
    place.write("ranges.txt", "0 4000000000\n".repeat(10));
    let running = place.taskhost("run primes -j 3 ranges.txt -o out.txt").start();
    busy_worker(&running);
    let workers = running.process.workers();
    running.process.signal(Signal::INT);
    running.end().code(130);
    for worker in workers {
        assert!(worker.is_gone_within(Duration::ZERO), "worker process {} lives on", worker.id);
    }
    assert_eq!(place.files(), ["ranges.txt"]);
}

/// Whatever it is doing at that moment: starting, compiling, computing.
#[test]
fn an_interrupt_at_any_time_leaves_nothing() {
    let place = Place::new();
    place.write("ranges.txt", "0 4000000000\n");
    for milliseconds in [0, 1, 2, 4, 8, 16, 32, 64] {
        let run = place.taskhost("run primes ranges.txt -o out.txt").env("XDG_CACHE_HOME", place.path("cache"));
        let running = run.start();
        running.process.is_gone_within(Duration::from_millis(milliseconds));
        running.process.signal(Signal::INT);
        running.end().code(130);
        assert!(!place.path("out.txt").exists());
    }
}
