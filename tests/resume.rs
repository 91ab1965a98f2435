//! Runs that are killed and gone on with: whatever the moment, the output is that of a run that nobody disturbed.

mod failed;
mod refused;
mod storage;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Outcome, Place, Program, Random, Running, eventually, rounds};

/// Kills of one scenario in everyday's tests.
const KILLS: u64 = 12;

/// Kills of one run before it may end: so that several runs are killed, too.
const KILLS_OF_A_RUN: u64 = 3;

/// Within this time from its begin a run is killed. It takes longer on two cores, and there is no harm if not.
const WITHIN: u64 = 350;

/// A kernel of the tests.
fn kernel(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{name}.wat"))
}

/// Numbered lines of different lengths.
fn lines(count: u64) -> String {
    (0..count).map(|number| format!("{number:0width$}\n", width = 3 + usize::try_from(number % 40).unwrap())).collect()
}

/// A run with a journal `run.journal`, in a folder.
struct Scenario {
    place: Place,
    kernel: &'static str,
    flags: String,
    /// What comes through a pipe.
    input: Option<Vec<u8>>,
    random: Random,
}

impl Scenario {
    fn new(name: &str, kernel: &'static str, flags: &str) -> Self {
        Self { place: Place::new(), kernel, flags: flags.to_owned(), input: None, random: Random::new(name) }
    }

    fn journal(&self) -> PathBuf {
        self.place.path("run.journal")
    }

    /// The run, without its output.
    fn run(&self) -> Program {
        let kernel = if self.kernel.starts_with(char::is_lowercase) && kernel(self.kernel).exists() {
            kernel(self.kernel)
        } else {
            PathBuf::from(self.kernel)
        };
        self.piped(self.place.taskhost("run").argument(kernel).arguments(&self.flags))
    }

    fn piped(&self, program: Program) -> Program {
        let Some(input) = self.input.clone() else { return program };
        let (ours, mut theirs) = std::io::pipe().unwrap();
        // The reader may be killed before it has all.
        std::thread::spawn(move || theirs.write_all(&input));
        program.stdin(ours)
    }

    fn begin(&mut self, output: &str) -> Program {
        let (workers, batch) = self.pace();
        self.run().arguments(&format!("-o {output} --journal run.journal -j {workers} --batch {batch}"))
    }

    /// Goes on, with other workers and other batches.
    fn resume(&mut self) -> Program {
        let (workers, batch) = self.pace();
        self.piped(self.place.taskhost(&format!("resume run.journal -j {workers} --batch {batch}")))
    }

    fn pace(&mut self) -> (&'static str, &'static str) {
        (self.random.one_of(&["1", "2", "3"]), self.random.one_of(&["auto", "1", "7", "40"]))
    }

    /// Kills a run at some moment; mostly one at which it has something to lose.
    fn kill(&mut self, running: Running) -> Outcome {
        if self.random.below(4) > 0 {
            let journal = self.journal();
            eventually("the journal is there", || {
                journal.exists() || running.process.is_gone_within(Duration::from_millis(1))
            });
        }
        running.process.is_gone_within(self.random.time(WITHIN));
        running.process.signal(Signal::KILL);
        running.end()
    }

    /// Runs to the end with this exit code, however often it is killed. Says how often that was.
    #[track_caller]
    fn survive(&mut self, output: &str, code: i32) -> u64 {
        let mut kills = 0;
        loop {
            let go_on = self.journal().exists();
            let program = if go_on { self.resume() } else { self.begin(output) };
            let outcome = if kills < KILLS_OF_A_RUN { self.kill(program.start()) } else { program.start().end() };
            if go_on && outcome.stderr.contains("had not begun") {
                assert_eq!(outcome.code, 5, "{}", outcome.stderr);
                std::fs::remove_file(self.journal()).unwrap();
                continue;
            }
            if outcome.code != 128 + 9 {
                outcome.code(code);
                return kills;
            }
            kills += 1;
            // Killed in its last moment: everything was done.
            if code == 0 && !self.journal().exists() && self.place.path(output).exists() {
                return kills;
            }
        }
    }

    /// Runs of this scenario, killed again and again, make what an undisturbed run makes, and leave nothing else.
    #[track_caller]
    fn is_survived(&mut self) {
        self.run().arguments("-o wanted").run().success();
        let wanted = self.place.read("wanted");
        let files = self.place.files();
        let mut kills = 0;
        while kills < rounds(KILLS) {
            let before = kills;
            kills += self.survive("out", 0).max(1);
            assert!(self.place.read("out") == wanted, "after kills {before} to {kills}");
            std::fs::remove_file(self.place.path("out")).unwrap();
            assert_eq!(self.place.files(), files, "after kills {before} to {kills}");
        }
    }
}

#[test]
fn lines_that_are_appended() {
    let mut scenario = Scenario::new("lines", "slow-echo", "in.txt --split lines");
    scenario.place.write("in.txt", lines(600));
    scenario.is_survived();
}

#[test]
fn records_that_go_to_their_places() {
    let mut scenario = Scenario::new("records", "slow-echo", "in.bin --split records:1000");
    let bytes: Vec<u8> = (0..600_000_u32).map(|at| (at ^ at >> 8) as u8).collect();
    scenario.place.write("in.bin", bytes);
    scenario.is_survived();
}

#[test]
fn blocks_of_several_files() {
    let mut scenario = Scenario::new("blocks", "slow-echo", "a.txt b.txt c.txt --split blocks:100");
    for name in ["a.txt", "b.txt", "c.txt"] {
        scenario.place.write(name, lines(700));
    }
    scenario.is_survived();
}

#[test]
fn whole_files_as_one_output() {
    let mut scenario = Scenario::new("whole", "slow-echo", "in");
    for number in 0..400 {
        // An empty file is an item, too.
        scenario.place.write(&format!("in/{number:03}"), lines(number % 7));
    }
    scenario.is_survived();
}

#[test]
fn rows_below_a_header() {
    let mut scenario = Scenario::new("header", "slow-echo", "a.txt b.txt --split lines --header --keep-header");
    for name in ["a.txt", "b.txt"] {
        scenario.place.write(name, format!("the header of {name}\n{}", lines(300)));
    }
    scenario.is_survived();
}

#[test]
fn a_pipe_with_the_same_bytes_again() {
    let mut scenario = Scenario::new("pipe", "slow-echo", "- --split lines");
    scenario.input = Some(lines(600).into_bytes());
    scenario.is_survived();
}

#[test]
fn work_that_takes_time() {
    let mut scenario = Scenario::new("primes", "primes", "in.txt");
    scenario.place.write("in.txt", (0..200).map(|n| format!("{n} {}\n", 20_000 + 13 * n)).collect::<String>());
    scenario.is_survived();
}

#[test]
fn sums_of_what_takes_time() {
    let mut scenario = Scenario::new("sums", "primes", "in.txt --merge reduce");
    scenario.place.write("in.txt", (0..200).map(|n| format!("{n} {}\n", 20_000 + 13 * n)).collect::<String>());
    scenario.is_survived();
}

#[test]
fn a_result_for_each_of_many_files() {
    let mut scenario = Scenario::new("many", "slow-echo", "in --split lines");
    for number in 0..60 {
        scenario.place.write(&format!("in/{}/{number}.txt", number % 3), lines(number % 11));
    }
    scenario.run().arguments("-o wanted/").run().success();
    let files = scenario.place.files();
    let mut kills = 0;
    while kills < rounds(KILLS) {
        kills += scenario.survive("out/", 0).max(1);
        for number in 0..60 {
            let name = format!("{}/{number}.txt", number % 3);
            assert_eq!(scenario.place.text(&format!("out/{name}")), lines(number % 11), "{name}");
        }
        let out = |name: &String| name.strip_prefix("out/").map(str::to_owned);
        assert_eq!(scenario.place.files().iter().filter_map(out).collect::<Vec<_>>().len(), 60);
        std::fs::remove_dir_all(scenario.place.path("out")).unwrap();
        assert_eq!(scenario.place.files(), files);
    }
}

/// Nothing is in the way of a hint that is typed as it stands.
#[test]
fn an_interrupted_run_goes_on_as_it_says() {
    let mut scenario = Scenario::new("interrupt", "slow-echo", "in.txt --split lines");
    scenario.place.write("in.txt", lines(3000));
    let running = scenario.begin("out").start();
    scenario.has_committed(&running);
    running.process.signal(Signal::INT);
    let outcome = running.end().code(130);
    assert!(outcome.stderr.contains("to go on, type: taskhost resume run.journal\n"), "{}", outcome.stderr);
    assert!(!scenario.place.path("out").exists());
    scenario.place.taskhost("resume run.journal").run().success();
    assert_eq!(scenario.place.text("out"), lines(3000));
    assert!(!scenario.journal().exists());
}

/// What a run has not done itself, its report counts and says so.
#[test]
fn the_report_of_a_run_that_is_gone_on_with() {
    let scenario = Scenario::new("report", "slow-echo", "in.txt --split lines --report report.json");
    let place = &scenario.place;
    place.write("in.txt", lines(3000));
    let running = scenario.run().arguments("-o out --journal run.journal -j 2").start();
    scenario.has_committed(&running);
    running.process.signal(Signal::KILL);
    running.end().code(137);
    place.taskhost("resume run.journal").run().success();
    let written = || serde_json::from_slice::<Value>(&place.read("report.json")).unwrap();
    let report = written();
    let number = |value: &Value| value.as_u64().unwrap();
    let own: u64 = report["workers"].as_array().unwrap().iter().map(|worker| number(&worker["items"])).sum();
    let earlier = &report["earlier"];
    let done = number(&earlier["items"]);
    assert!(done > 0 && own + done == 3000 && number(&report["items"]) == 3000, "{report}");
    // Nobody has counted processes.
    assert!(earlier["processes"].is_null() && earlier["cpu_seconds"].is_null(), "{earlier}");
    scenario.run().arguments("-o out").run().success();
    assert!(written()["earlier"].is_null());
}

/// Killed when the output had its name already, and the journal could not yet be removed.
#[test]
fn a_journal_that_was_not_told_of_the_end() {
    let scenario = Scenario::new("end", "slow-echo", "in.txt --split lines");
    let place = &scenario.place;
    place.write("in.txt", lines(3000));
    let running = scenario.run().arguments("-o out --journal run.journal -j 2 --progress-file far.json").start();
    scenario.has_committed(&running);
    std::fs::hard_link(scenario.journal(), place.path("kept.journal")).unwrap();
    running.end().success();
    // It was killed before it could say how far it was.
    std::fs::remove_file(place.path("far.json")).unwrap();
    let outcome = place.taskhost("resume kept.journal").run().success();
    assert_eq!(outcome.stderr, "note: this run had done all its work; its output is in its place\n");
    assert_eq!(place.text("out"), lines(3000));
    let far: Value = serde_json::from_slice(&place.read("far.json")).unwrap();
    let bytes = lines(3000).len();
    assert_eq!((&far["items"], &far["failed_items"]), (&json!(3000), &json!(0)));
    assert_eq!((&far["input_bytes"], &far["saved_bytes"]), (&json!(bytes), &json!(bytes)));
    assert_eq!(place.files(), ["far.json", "in.txt", "out"]);
}

impl Scenario {
    /// Waits until a run has written some of its output, and committed some of that.
    #[track_caller]
    fn has_committed(&self, running: &Running) {
        let journal = self.journal();
        let last_byte = || {
            let bytes = std::fs::read(&journal).unwrap_or_default();
            bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0)
        };
        let mut seen = 0;
        for _ in 0..4 {
            eventually("the journal grows", || {
                assert!(!running.process.is_gone_within(Duration::from_millis(1)), "the run has ended");
                last_byte() > seen
            });
            seen = last_byte();
        }
    }
}
