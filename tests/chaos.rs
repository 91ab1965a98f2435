//! Workers that are killed and stopped at any moment of one run: nothing is lost, nothing comes twice, nothing is left.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Place, Process, Random, Running, eventually, rounds};

/// Blows in everyday's tests.
const BLOWS: u64 = 60;

/// Long after a blow its victim must be gone: a stopped worker is found by looking, which happens some ten times a second.
const SOON: Duration = Duration::from_secs(60);

/// Lines that are given to the run before each blow: they take some milliseconds.
const LINES: u64 = 12;

/// Descriptors that a run may have open beyond those it had at first: a worker that is being started has seven, and
/// one that died keeps its own until that was noticed.
const DESCRIPTORS: usize = 64;

/// Blows that stop a worker, at most: each takes until somebody looks, and no run of the tests may take for ever.
const STOPS: u64 = 300;

/// The run under test, what it was given so far, and what came back.
struct Run {
    running: Running,
    random: Random,
    given: String,
    back: String,
}

impl Run {
    fn start(place: &Place, name: &str, flags: &str) -> Self {
        let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/slow-count.wat");
        // So many retries: the same item may be hit again and again, and it is nobody's fault.
        place.taskhost("compile").argument(&kernel).run().success();
        let program = place.taskhost("run").argument(kernel).arguments("--split lines --retries 100").arguments(flags);
        let (running, random) = (program.start(), Random::new(name));
        let mut run = Self { running, random, given: String::new(), back: String::new() };
        run.give();
        run.take();
        run
    }

    /// Waits for the results of what it was given: a run that gets nowhere between the blows gives up, and should.
    fn take(&mut self) {
        while self.back.len() < self.given.len() {
            let line = self.running.line();
            if line.is_empty() {
                break;
            }
            self.back.push_str(&line);
            self.back.push('\n');
        }
    }

    /// Gives it some more to do. Waits when it has enough.
    fn give(&mut self) {
        let from = self.given.len();
        for _ in 0..LINES {
            let number = self.random.below(1_000_000_000);
            let width = usize::try_from(1 + number % 30).unwrap();
            self.given.push_str(&format!("{number:0width$}\n"));
        }
        let more = self.given[from..].to_owned();
        // One that has ended says why when it is asked.
        if !self.running.process.is_gone_within(Duration::ZERO) {
            self.running.write(more);
        }
    }

    /// One of its workers, at some moment; none when the run has ended.
    fn victim(&mut self) -> Option<Process> {
        self.running.process.is_gone_within(self.random.time(20));
        let mut workers = Vec::new();
        eventually("there is a worker", || {
            workers = self.running.process.workers();
            !workers.is_empty() || self.running.process.is_gone_within(Duration::ZERO)
        });
        let chosen = self.random.below(workers.len().max(1) as u64);
        workers.into_iter().nth(usize::try_from(chosen).unwrap())
    }
}

/// Blows at workers of one run, and what came of it.
fn survives(name: &str, flags: &str, blows: u64, blow: impl Fn(&mut Random) -> Signal) {
    let place = Place::new();
    let mut run = Run::start(&place, name, &format!("{flags} --report report.json"));
    let process = Process::open(run.running.process.id).unwrap();
    let descriptors = process.descriptors();
    let mut most = descriptors;
    for _ in 0..blows {
        run.give();
        let Some(victim) = run.victim() else { break };
        let signal = blow(&mut run.random);
        victim.signal(signal);
        if signal == Signal::KILL {
            assert!(victim.is_gone_within(SOON));
        }
        run.take();
        most = most.max(process.descriptors());
    }
    run.give();
    let Run { running, given, back, .. } = run;
    let outcome = running.end().success();
    assert!(back + outcome.text() == given, "{}", outcome.stderr);
    let report: serde_json::Value = serde_json::from_str(&place.text("report.json")).unwrap();
    let lines = given.lines().count() as u64;
    assert_eq!(report["items"], lines);
    assert_eq!(report["counters"]["items"], lines, "{}", outcome.stderr);
    assert_eq!(report["counters"]["bytes"], given.len() as u64 - lines, "{}", outcome.stderr);
    assert_eq!(report["failed_items"], 0);
    assert!(most <= descriptors + DESCRIPTORS, "from {descriptors} to {most} descriptors");
    assert_eq!(place.files(), ["report.json"]);
}

#[test]
fn kills_at_any_moment() {
    survives("kills", "-j 2", rounds(BLOWS), |_| Signal::KILL);
}

#[test]
fn stops_at_any_moment() {
    survives("stops", "-j 2 --batch 3", rounds(BLOWS).min(STOPS), |_| Signal::STOP);
}

#[test]
fn stops_and_kills_of_the_only_worker() {
    survives(
        "both",
        "-j 1",
        rounds(BLOWS).min(STOPS),
        |random| if random.below(2) == 0 { Signal::KILL } else { Signal::STOP },
    );
}

#[test]
fn everything_that_a_worker_can_be_sent() {
    let all = [
        Signal::TERM,
        Signal::INT,
        Signal::HUP,
        Signal::SEGV,
        Signal::ABORT,
        Signal::USR1,
        Signal::PIPE,
        Signal::STOP,
        Signal::CONT,
        Signal::KILL,
    ];
    survives("all", "-j 3", rounds(BLOWS).min(STOPS), move |random| {
        all[usize::try_from(random.below(all.len() as u64)).unwrap()]
    });
}

/// Every worker at once, again and again.
#[test]
fn kills_of_all_workers_at_once() {
    let place = Place::new();
    let mut run = Run::start(&place, "at once", "-j 3");
    for _ in 0..rounds(BLOWS) / 6 {
        run.give();
        if run.victim().is_none() {
            break;
        }
        for worker in run.running.process.workers() {
            worker.signal(Signal::KILL);
        }
        run.take();
    }
    let Run { running, given, back, .. } = run;
    let outcome = running.end().success();
    assert!(back + outcome.text() == given, "{}", outcome.stderr);
}
