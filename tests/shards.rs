//! A run that is cut into shards gives the bytes of a run on one machine, whoever runs the shards, and how often.

mod kinds;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Outcome, Place};
use crate::native::Numbers;

/// A plan, named `run.plan`, in a folder.
pub(crate) struct Planned<'a> {
    place: &'a Place,
    /// How many shards it has.
    pub(crate) shards: u32,
}

impl<'a> Planned<'a> {
    #[track_caller]
    fn new(place: &'a Place, run: &str, shards: u32) -> Self {
        place.taskhost(&format!("plan {run} -o run.plan --shards {shards} -q")).run().success();
        let plan: Value = serde_json::from_slice(&place.read("run.plan")).unwrap();
        Self { place, shards: u32::try_from(plan["shards"].as_array().unwrap().len()).unwrap() }
    }

    #[track_caller]
    fn run(&self, shard: u32) -> Outcome {
        self.place.taskhost(&format!("shard run --plan run.plan --index {shard}")).run()
    }

    #[track_caller]
    fn run_all(self) -> Self {
        // In whatever order.
        (0..self.shards).rev().for_each(|shard| drop(self.run(shard).success()));
        self
    }

    #[track_caller]
    fn merge(&self) -> Outcome {
        self.place.taskhost("merge --plan run.plan -q").run()
    }

    /// The parts that are there.
    fn parts(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.place.path("run.plan.parts")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut parts: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "part")).collect();
        parts.sort();
        parts
    }
}

/// Runs `run` in one go and in shards, and asserts that the outputs are the same.
#[track_caller]
fn same(place: &Place, run: &str) {
    let whole = place.taskhost(&format!("run {run} -q")).run().success().stdout;
    for shards in [1, 2, 5] {
        let merged = Planned::new(place, run, shards).run_all().merge().success().stdout;
        assert!(merged == whole, "{run}, in {shards} shards");
        std::fs::remove_dir_all(place.path("run.plan.parts")).unwrap();
    }
}

fn words(count: u64) -> String {
    let mut numbers = Numbers::new(11);
    let mut text = String::new();
    for _ in 0..count {
        let space = [" ", "\n", "\t", "  \r\n"][numbers.below(4) as usize];
        write!(text, "w{}{space}", numbers.below(500)).unwrap();
    }
    text
}

#[test]
fn results_of_unknown_lengths_follow_each_other() {
    let place = Place::new();
    place.write("input", words(4000));
    same(&place, "grep -c pattern=w1 input");
    same(&place, "echo --split lines --header --keep-header input input");
}

#[test]
fn results_of_known_lengths_are_put_in_their_places() {
    let place = Place::new();
    place.write("input", Numbers::new(12).bytes(70_000));
    same(&place, "invert --split records:700 input");
    same(&place, "invert --split chunks:3000 input input");
}

#[test]
fn a_reduction_has_the_tree_of_one_run() {
    let place = Place::new();
    let mut numbers = Numbers::new(13);
    let mut table = String::from("value\n");
    for _ in 0..4000 {
        writeln!(table, "{}", numbers.next() as f64 / 1e7).unwrap();
    }
    place.write("table", &table);
    // Sums of floating-point numbers: any other tree has other bits.
    same(&place, "csv-stats --header --split blocks:256 table");
    same(&place, "csv-stats --header --split blocks:256 table table table");
    place.write("input", words(6000));
    same(&place, "wordcount --split blocks:700 input");
}

#[test]
fn files_are_items_also_when_they_are_empty() {
    let place = Place::new();
    for number in 0..9 {
        place.write(&format!("in/{number}"), words(number * 40));
    }
    same(&place, "wordcount --split whole in");
    same(&place, "echo --split whole in");
    place.write("nothing", "");
    same(&place, "wordcount nothing");
    same(&place, "echo --split lines nothing");
}

#[test]
fn rows_of_a_picture_are_put_in_their_places() {
    let place = Place::new();
    place.write("input.raw", Numbers::new(14).bytes(3 * 120 * 90));
    let geometry = "--size 120x90 --channels 3";
    place.taskhost(&format!("run sobel input.raw {geometry} -q -o whole.raw")).run().success();
    place.taskhost(&format!("run sobel input.raw {geometry} -q -o whole.npy")).run().success();
    for (name, shards) in [("raw", 1), ("raw", 4), ("npy", 3)] {
        let planned = Planned::new(&place, &format!("sobel input.raw {geometry} --result merged.{name}"), shards);
        assert_eq!(planned.shards, shards);
        planned.run_all().merge().success();
        assert!(place.read(&format!("merged.{name}")) == place.read(&format!("whole.{name}")), "{name}, {shards}");
    }
    // What is decoded or encoded as a whole is not cut.
    place.taskhost("run sobel whole.npy -q -o whole.png").run().success();
    let planned = Planned::new(&place, "sobel whole.npy --result merged.png", 4);
    assert_eq!(planned.shards, 1);
    planned.run_all().merge().success();
    assert!(place.read("merged.png") == place.read("whole.png"));
}

#[test]
fn inputs_with_results_of_their_own_are_shared_out() {
    let place = Place::new();
    for number in 0..7 {
        place.write(&format!("in/{number}.txt"), words(number * 30));
    }
    place.taskhost("run wordcount in -q -o whole/").run().success();
    let planned = Planned::new(&place, "wordcount in --result merged/", 3).run_all();
    planned.merge().success();
    for number in 0..7 {
        assert!(place.read(&format!("merged/{number}.txt")) == place.read(&format!("whole/{number}.txt")));
    }
    // A result that was written to since is not what its shard made.
    place.write("merged/6.txt", "another");
    let said = planned.merge().code(5).stderr;
    assert!(said.contains("1 of 3 shards have no whole part: 2"), "{said}");
}

#[test]
fn failed_items_have_the_numbers_of_one_run() {
    let place = Place::new();
    let lines: String = (0..600)
        .map(|number| if number % 37 == 5 { "seven\n".into() } else { format!("{number} {}\n", number + 9) })
        .collect();
    place.write("a", &lines);
    place.write("b", &lines);
    let run = "primes a b --on-error skip";
    let whole = place.taskhost(&format!("run {run} --errors whole.jsonl -q")).run().code(3);
    let planned = Planned::new(&place, &format!("{run} --errors merged.jsonl"), 5).run_all();
    let merged = planned.merge().code(3);
    assert!(merged.stdout == whole.stdout);
    let errors = |name: &str| -> Vec<Value> {
        let text = place.read(name);
        let lines = str::from_utf8(&text).unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|mut line| {
                line["worker"] = Value::Null;
                line["core"] = Value::Null;
                line
            })
            .collect()
    };
    assert_eq!(errors("merged.jsonl"), errors("whole.jsonl"));
    assert_eq!(errors("whole.jsonl").len(), 34);
}

#[test]
fn the_first_failure_of_the_input_is_reported() {
    let place = Place::new();
    let lines: String = (0..900)
        .map(|number| if number % 300 == 250 { "bad\n".into() } else { format!("{number} {}\n", number + 9) })
        .collect();
    place.write("input", &lines);
    let planned = Planned::new(&place, "primes input --result out", 3);
    planned.run(2).code(3);
    planned.run(1).code(3);
    // A failure in front of them may still come.
    let said = planned.merge().code(5).stderr;
    assert!(said.contains("1 of 3 shards have no whole part: 0"), "{said}");
    planned.run(0).code(3);
    let said = planned.merge().code(3).stderr;
    let whole = place.taskhost("run primes input -q -o whole").run().code(3).stderr;
    assert_eq!(said.lines().next(), whole.lines().next());
    assert!(said.contains("no output: out") && !place.path("out").exists(), "{said}");
}

#[test]
fn what_is_missing_or_damaged_is_named_and_can_be_run_again() {
    let place = Place::new();
    place.write("input", words(4000));
    let planned = Planned::new(&place, "grep -c pattern=w1 input", 4);
    let said = planned.merge().code(5).stderr;
    assert!(said.contains("4 of 4 shards have no whole part: 0, 1, 2, 3"), "{said}");
    (0..4).for_each(|shard| drop(planned.run(shard).success()));
    let part = planned.parts().remove(2);
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let last = planned.parts().remove(3);
    let len = std::fs::metadata(&last).unwrap().len();
    std::fs::File::options().write(true).open(&last).unwrap().set_len(len - 1).unwrap();
    let said = planned.merge().code(5).stderr;
    assert!(said.contains("1 of 4 shards have no whole part: 3"), "what is cut off shows at a glance: {said}");
    planned.run(3).success();
    let said = planned.merge().code(5).stderr;
    assert!(said.contains("1 of 4 shards have no whole part: 2"), "a changed byte when it is read: {said}");
    planned.run(2).success();
    let whole = place.taskhost("run grep -c pattern=w1 input -q").run().success();
    assert!(planned.merge().success().stdout == whole.stdout);
}

#[test]
fn a_shard_that_is_run_twice_at_once_is_merged_once() {
    let place = Place::new();
    place.write("input", words(20_000));
    let planned = Planned::new(&place, "wordcount --split blocks:700 input", 2);
    let both: Vec<_> = (0..6)
        .map(|number| place.taskhost(&format!("shard run --plan run.plan --index {}", number % 2)).start())
        .collect();
    // Each looks after all processes that are there when it ends.
    let ids: Vec<i32> = both.into_iter().map(|one| one.end().code).collect();
    assert_eq!(ids, [0; 6]);
    assert!(planned.parts().len() >= 2);
    let whole = place.taskhost("run wordcount --split blocks:700 input -q").run().success();
    assert!(planned.merge().success().stdout == whole.stdout);
    let again = planned.run(0).success().stderr;
    assert!(again.contains("shard 0 is done"), "{again}");
}

#[test]
fn what_is_not_as_it_was_planned_is_refused() {
    let place = Place::new();
    place.write("input", words(400));
    let planned = Planned::new(&place, "grep -c pattern=w1 input", 2);
    let plan = String::from_utf8(place.read("run.plan")).unwrap();
    let refused = |from: &str, to: &str, code: i32, says: &str| {
        assert!(plan.contains(from), "{from}");
        place.write("other.plan", plan.replace(from, to));
        let said = place.taskhost("shard run --plan other.plan --index 0").run().code(code).stderr;
        assert!(said.contains(says), "{said}");
    };
    let architecture = format!("\"architecture\": \"{}\"", std::env::consts::ARCH);
    refused(&architecture, "\"architecture\": \"vax\"", 1, "was made on vax");
    refused("\"taskhost\": \"", "\"taskhost\": \"9", 5, "was made by taskhost 9");
    refused("\"kernel\": \"", "\"kernel\": \"0", 5, "is not the kernel that was planned with");
    refused("lines", "blocks:1MiB", 5, "describes itself otherwise");
    let said = planned.run(7).code(2).stderr;
    assert!(said.contains("there is no shard 7: the plan has 2 shards"), "{said}");
    place.write("input", words(401));
    let said = planned.run(0).code(5).stderr;
    assert!(said.contains("when it was planned"), "{said}");
    assert!(planned.parts().is_empty(), "what fails for such a reason leaves nothing");
}

#[test]
fn what_has_no_meaning_in_a_plan_is_refused() {
    let place = Place::new();
    place.write("input", "1 9\n");
    for (flags, says) in [
        ("primes input --journal j --result out", "--journal"),
        ("primes input --report r.json", "--report"),
        ("primes -", "standard input"),
        ("primes input --engine slurm", "--engine"),
        ("primes input --result out.gz", "out.gz would be compressed with gzip"),
        ("primes input --result out.db::rows", "out.db would be rows of the table rows of a database"),
    ] {
        let said = place.taskhost(&format!("plan {flags} -o run.plan")).run().code(2).stderr;
        assert!(said.contains(says), "{said}");
    }
    assert!(!place.path("run.plan").exists());
}

#[test]
fn the_number_of_shards_follows_from_what_the_work_costs() {
    let place = Place::new();
    place.write("input", words(400));
    let said = place.taskhost("plan grep -c pattern=w1 input -o run.plan").run().success().stderr;
    assert!(said.contains("run.plan: 1 shard of 1 input") && said.contains("of work for one core"), "{said}");
}
