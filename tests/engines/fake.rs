//! Against a scheduler that only answers like one: what it is asked, and what becomes of its words.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::{input, local};
use crate::harness::{Place, Program, eventually};

/// A place with a fake Slurm on its PATH.
struct Fake {
    place: Place,
}

impl Fake {
    fn new() -> Self {
        let place = Place::new();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/fake-slurm.sh");
        place.write("slurm/calls", "");
        std::fs::create_dir(place.path("bin")).unwrap();
        for name in ["sbatch", "squeue", "sacct", "scancel", "scontrol", "release"] {
            symlink(&script, place.path("bin").join(name)).unwrap();
        }
        input(&place);
        Self { place }
    }

    fn with_slurm(&self, program: Program) -> Program {
        let path = format!("{}:{}", self.place.path("bin").display(), std::env::var("PATH").unwrap());
        program.env("PATH", path).env("FAKE_SLURM", self.place.path("slurm"))
    }

    fn taskhost(&self, arguments: &str) -> Program {
        self.with_slurm(self.place.taskhost(arguments))
    }

    /// The run of these tests, on the fake, with more words.
    fn run(&self, more: &str) -> Program {
        self.taskhost(&format!("run grep -c pattern=7 input -o out --engine slurm --shards 4 -q {more}"))
    }

    /// Has something go wrong.
    fn wrong(&self, what: &str, how: &str) {
        self.place.write(&format!("slurm/{what}"), format!("{how}\n"));
    }

    /// What it was asked by this command.
    fn calls(&self, program: &str) -> Vec<String> {
        let text = self.place.text("slurm/calls");
        let of = |line: &&str| line.split(' ').next() == Some(program);
        text.lines().filter(of).map(str::to_owned).collect()
    }

    #[track_caller]
    fn assert_made(&self) {
        assert!(self.place.read("out") == local(&self.place), "the bytes of a run on one machine");
        assert!(!self.place.path("out.plan").exists(), "the plan was made for this run alone");
        assert!(!self.place.path("out.plan.parts").exists());
    }

    fn arrays(&self) -> Vec<String> {
        let array = |call: String| call.split(' ').find_map(|word| word.strip_prefix("--array=").map(str::to_owned));
        self.calls("sbatch").into_iter().filter_map(array).collect()
    }
}

#[test]
fn one_command_gives_the_bytes_of_a_run_here() {
    let fake = Fake::new();
    fake.run("-j 3 --memory 2GiB --deadline 10m -- --partition=fast --account=me --qos=low").run().success();
    fake.assert_made();
    let calls = fake.calls("sbatch");
    let [array, merge] = calls.as_slice() else { panic!("an array and a merge: {calls:?}") };
    for word in ["--array=0-3", "--cpus-per-task=3", "--hint=nomultithread", "--mem=6592M", "--time=11"] {
        assert!(array.contains(&format!(" {word}")), "{word} in {array}");
    }
    for word in ["--partition=fast", "--account=me", "--qos=low", "--parsable"] {
        assert!(array.contains(word) && merge.contains(word), "{word}");
    }
    // Behind what is derived, so that it wins.
    assert!(array.find("--mem").unwrap() < array.find("--partition").unwrap());
    assert!(merge.contains("--dependency=afterany:101") && !merge.contains("--array"), "{merge}");
}

#[test]
fn only_what_is_missing_is_handed_in_again() {
    let fake = Fake::new();
    fake.wrong("lose-1", "NODE_FAIL once");
    fake.wrong("lose-3", "PREEMPTED once");
    fake.run("").run().success();
    fake.assert_made();
    assert_eq!(fake.arrays(), ["0-3", "1,3"]);
}

#[test]
fn what_would_end_so_again_is_not_handed_in_again() {
    for (state, code, says) in [
        ("OUT_OF_MEMORY", 7, "shard 2 had too little memory; ask for more: -- --mem=SIZE"),
        ("TIMEOUT", 7, "shard 2 was not done in time"),
        ("CANCELLED", 143, "shard 2 was cancelled"),
    ] {
        let fake = Fake::new();
        fake.wrong("lose-2", state);
        let said = fake.run("").run().code(code).stderr;
        assert!(said.contains("1 of 4 shards have no whole part: 2, after 1 round") && said.contains(says), "{said}");
        assert_eq!(fake.arrays().len(), 1);
        assert!(fake.place.path("out.plan").exists() && !fake.place.path("out").exists());
    }
}

#[test]
fn there_is_an_end_to_handing_in() {
    for (state, says) in [("NODE_FAIL", "was lost with its machine"), ("FAILED", "failed or was killed")] {
        let fake = Fake::new();
        fake.wrong("lose-0", state);
        let said = fake.run("--rounds 2").run().code(1).stderr;
        assert!(said.contains("after 3 rounds") && said.contains(says), "{said}");
        assert_eq!(fake.arrays(), ["0-3", "0", "0"]);
        // Whoever comes back has other luck.
        std::fs::remove_file(fake.place.path("slurm/lose-0")).unwrap();
        fake.taskhost("attach out.plan -q").run().success();
        fake.assert_made();
    }
}

#[test]
fn failed_items_are_those_of_a_run_here() {
    let fake = Fake::new();
    fake.place.write("numbers", "1 9\n2 9\nx\n4 9\ny\n");
    let run = "run primes numbers -q -o primes";
    let said = fake.taskhost(&format!("{run} --engine slurm --shards 2")).run().code(3).stderr;
    assert!(said.contains("numbers, item 2 (at byte 8)") && said.contains("no output: primes"), "{said}");
    assert_eq!(fake.arrays(), ["0-1"], "an item that fails does so again");
    std::fs::remove_dir_all(fake.place.path("primes.plan.parts")).unwrap();
    std::fs::remove_file(fake.place.path("primes.plan")).unwrap();
    fake.taskhost(&format!("{run} --on-error skip --engine slurm --shards 2")).run().code(3);
    assert_eq!(fake.place.text("primes").lines().count(), 3);
}

#[test]
fn a_merge_that_was_killed_is_made_up_for() {
    let fake = Fake::new();
    fake.wrong("no-merge", "");
    fake.run("").run().success();
    fake.assert_made();
}

#[test]
fn an_engine_that_refuses_is_quoted() {
    let fake = Fake::new();
    fake.wrong("refuse", "sbatch: error: invalid partition specified: fast");
    let said = fake.run("-- --partition=fast").run().code(1).stderr;
    assert!(said.contains("sbatch says: sbatch: error: invalid partition specified: fast"), "{said}");
    // It is typed again, as it should have been.
    std::fs::remove_file(fake.place.path("slurm/refuse")).unwrap();
    fake.run("-- --partition=slow").run().success();
    fake.assert_made();
}

#[test]
fn a_run_that_has_begun_is_not_begun_again() {
    let fake = Fake::new();
    fake.place.write("out.plan", "{}");
    let said = fake.run("").run().code(2).stderr;
    assert!(said.contains("taskhost attach out.plan"), "{said}");
    assert!(fake.arrays().is_empty());
}

#[test]
fn what_the_user_says_stands_in_for_what_would_be_derived() {
    let fake = Fake::new();
    fake.run("--memory 2GiB -- --mem-per-cpu=3G --threads-per-core=1").run().success();
    let calls = fake.calls("sbatch");
    assert!(!calls[0].contains("--hint") && !calls[0].contains("--mem="), "sbatch takes one of them: {calls:?}");
}

#[test]
fn what_was_never_handed_in_is_handed_in() {
    let fake = Fake::new();
    fake.wrong("hold", "");
    let running = fake.run("").start();
    let round: PathBuf = fake.place.path("out.plan.parts/round-0.json");
    eventually("the shards are handed in", || round.exists());
    running.process.signal(Signal::KILL);
    running.end().code(137);
    // As if it had been killed a moment earlier.
    for name in ["slurm/hold", "slurm/held", "out.plan.parts/round-0.json", "out.plan.parts/round-0.claim"] {
        std::fs::remove_file(fake.place.path(name)).unwrap();
    }
    fake.taskhost("attach out.plan -q").run().success();
    fake.assert_made();
}

#[test]
fn two_can_look_on() {
    let fake = Fake::new();
    fake.wrong("hold", "");
    let one = fake.run("").start();
    let round: PathBuf = fake.place.path("out.plan.parts/round-0.json");
    eventually("the shards are handed in", || round.exists());
    // What it asks stands apart from what the first one asks.
    let asked = fake.place.write("slurm/calls of the other", "");
    let other = fake.taskhost("attach out.plan").env("FAKE_SLURM_CALLS", &asked).start();
    eventually("it looks on", || std::fs::read_to_string(&asked).unwrap().contains("squeue"));
    let release = Program::of(fake.place.path("bin/release").as_os_str(), &fake.place.path("."));
    fake.with_slurm(release).run().success();
    // Whoever is first puts the plan away.
    one.end().success();
    other.end().success();
    fake.assert_made();
}

#[test]
fn a_machine_without_an_engine_says_so() {
    let fake = Fake::new();
    let run = "run grep -c pattern=7 input -o out --engine slurm";
    let said = fake.place.taskhost(run).env("PATH", "/nowhere").run().code(2).stderr;
    assert!(said.contains("scontrol cannot be started"), "{said}");
    let said = fake.taskhost(&format!("{run} --shards 13")).run().code(2).stderr;
    assert!(said.contains("this cluster takes 12 elements"), "{said}");
    let said = fake.taskhost("run grep input --engine slurm").run().code(2).stderr;
    assert!(said.contains("name it with -o"), "{said}");
}

#[test]
fn interrupting_cancels_and_one_can_come_back() {
    let fake = Fake::new();
    fake.wrong("hold", "");
    let running = fake.run("").start();
    let round: PathBuf = fake.place.path("out.plan.parts/round-0.json");
    eventually("the shards are handed in", || round.exists());
    running.process.signal(Signal::INT);
    let said = running.end().code(130).stderr;
    assert!(said.contains("taskhost attach out.plan") || said.contains("out.plan"), "{said}");
    assert!(fake.calls("scancel")[0].ends_with(" 102 101"), "{:?}", fake.calls("scancel"));
    std::fs::remove_file(fake.place.path("slurm/hold")).unwrap();
    fake.taskhost("attach out.plan -q").run().success();
    fake.assert_made();
}

#[test]
fn whoever_goes_away_can_come_back() {
    let fake = Fake::new();
    fake.wrong("hold", "");
    let running = fake.run("").start();
    let round: PathBuf = fake.place.path("out.plan.parts/round-0.json");
    eventually("the shards are handed in", || round.exists());
    running.process.signal(Signal::KILL);
    running.end().code(137);
    assert!(fake.calls("scancel").is_empty(), "the jobs stay");
    let release = Program::of(fake.place.path("bin/release").as_os_str(), &fake.place.path("."));
    fake.with_slurm(release).run().success();
    fake.taskhost("attach out.plan -q").run().success();
    fake.assert_made();
}
