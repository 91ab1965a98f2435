//! A hundred bad items among thousands: the others come out as if the bad ones had not been there, and the error file
//! has exactly the bad ones, however the input is cut and whoever runs it.

use std::fs;

use serde_json::{Value, json};

use super::{errors, kernel, misbehave};
use crate::harness::{Place, Program};
use crate::native::Numbers;

/// Ways to fail, with the verdict on each.
const WAYS: [(&str, &str); 5] = [
    ("trap", "kernel-trap"),
    ("error", "kernel-error"),
    ("huge", "output-limit"),
    ("segv", "crash"),
    ("temporary", "kernel-error"),
];

/// The same with one that needs a clock.
const LATE: [(&str, &str); 5] = [
    ("trap", "kernel-trap"),
    ("error", "kernel-error"),
    ("huge", "output-limit"),
    ("segv", "crash"),
    ("loop", "deadline"),
];

const WORKERS: [&str; 3] = ["1", "2", "3"];
const BATCHES: [&str; 3] = ["1", "7", "auto"];

/// Items of which some are bad.
struct Crowd {
    items: Vec<String>,
    /// Numbers and verdicts of those that are bad, in order.
    bad: Vec<(usize, &'static str)>,
}

impl Crowd {
    fn new(items: usize, bad: usize, ways: &[(&'static str, &'static str)]) -> Self {
        let mut numbers = Numbers::new((items * 31 + bad) as u64);
        let mut places = std::collections::BTreeSet::new();
        while places.len() < bad {
            places.insert(numbers.below(items as u64) as usize);
        }
        let mut crowd = Self { items: (0..items).map(|at| format!("item {at}")).collect(), bad: Vec::new() };
        for (at, place) in places.into_iter().enumerate() {
            let (name, verdict) = ways[at % ways.len()];
            name.clone_into(&mut crowd.items[place]);
            crowd.bad.push((place, verdict));
        }
        crowd
    }

    fn is_bad(&self, at: usize) -> bool {
        self.bad.iter().any(|(bad, _)| *bad == at)
    }

    /// All items, each with an end.
    fn lines(&self) -> String {
        self.items.iter().map(|item| format!("{item}\n")).collect()
    }

    /// The items that are not bad.
    fn good(&self) -> impl Iterator<Item = &str> {
        self.items.iter().enumerate().filter(|(at, _)| !self.is_bad(*at)).map(|(_, item)| item.as_str())
    }

    fn good_lines(&self) -> String {
        self.good().map(|item| format!("{item}\n")).collect()
    }

    /// What the error file has to say of each bad item: number, offset, length, line and verdict.
    fn expected(&self, header: usize) -> Vec<Value> {
        let offset = |number: usize| header + self.items[..number].iter().map(|item| item.len() + 1).sum::<usize>();
        let line = |number: usize| number + 1 + usize::from(header > 0);
        let bad = self.bad.iter();
        bad.map(|(at, verdict)| json!([at, offset(*at), self.items[*at].len(), line(*at), verdict])).collect()
    }
}

/// What the error file says of each item.
fn told(place: &Place) -> Vec<Value> {
    let fields = ["item", "offset", "length", "line", "verdict"];
    errors(place, "errors").iter().map(|line| fields.map(|field| line[field].clone()).into_iter().collect()).collect()
}

/// The run with each number of workers and each size of batches.
fn each_way(mut check: impl FnMut(&str, &dyn Fn(Program) -> Program)) {
    for workers in WORKERS {
        for batch in BATCHES {
            let how = format!("-j {workers} --batch {batch}");
            check(&how, &|program| program.arguments(&how).arguments("--on-error skip --errors errors"));
        }
    }
}

/// The kernel that does what its items ask for, with more exports.
fn with(place: &Place, functions: &str) {
    let text = fs::read_to_string(kernel("misbehave")).unwrap();
    let end = text.rfind(')').unwrap();
    place.write("kernel.wat", format!("{}{functions})", &text[..end]));
}

#[test]
fn lines_of_a_file_and_of_a_pipe() {
    let crowd = Crowd::new(5000, 100, &WAYS);
    let place = Place::new();
    place.write("in", crowd.lines());
    each_way(|how, run| {
        let outcome = run(misbehave(&place, "in -o out")).run().code(3);
        assert!(place.text("out") == crowd.good_lines(), "{how}: {}", outcome.stderr);
        assert_eq!(told(&place), crowd.expected(0), "{how}");
        assert!(outcome.stderr.contains("5,000 items, 100 failed, "), "{how}: {}", outcome.stderr);
    });
    let outcome = misbehave(&place, "-j 2 --on-error skip --errors errors").input(crowd.lines()).run().code(3);
    assert!(outcome.text() == crowd.good_lines());
    assert_eq!(told(&place), crowd.expected(0));
}

#[test]
fn items_that_never_end_among_them() {
    let crowd = Crowd::new(5000, 50, &LATE);
    let place = Place::new();
    place.write("in", crowd.lines());
    misbehave(&place, "in -o out -j 2 --timeout 150ms --on-error skip --errors errors").run().code(3);
    assert!(place.text("out") == crowd.good_lines());
    assert_eq!(told(&place), crowd.expected(0));
}

/// Items are counted without the header, lines with it.
#[test]
fn rows_below_a_header() {
    let crowd = Crowd::new(1000, 20, &WAYS);
    let place = Place::new();
    let header = "trap, this is no item\n";
    place.write("in", header.to_owned() + &crowd.lines());
    each_way(|how, run| {
        run(misbehave(&place, "in -o out --header --keep-header")).run().code(3);
        assert!(place.text("out") == header.to_owned() + &crowd.good_lines(), "{how}");
        assert_eq!(told(&place), crowd.expected(header.len()), "{how}");
    });
}

/// Results of a known length go straight to their places, and zeros are put where there is none.
#[test]
fn records_that_go_to_their_places() {
    const LENGTH: usize = 16;
    let crowd = Crowd::new(1000, 20, &WAYS);
    let place = Place::new();
    with(
        &place,
        r#"(data (i32.const 64) "result-length=same\0a")
        (func (export "taskhost_describe") (result i64) (i64.const 0x40_0000_0013))"#,
    );
    place.write("in", crowd.items.iter().map(|item| format!("{item:.<LENGTH$}")).collect::<String>());
    let skipped = "\0".repeat(LENGTH);
    let wanted: String = (0..crowd.items.len())
        .map(|at| if crowd.is_bad(at) { skipped.clone() } else { format!("{:.<LENGTH$}", crowd.items[at]) })
        .collect();
    let bad = crowd.bad.iter().map(|(at, verdict)| json!([at, at * LENGTH, LENGTH, null, verdict]));
    let bad: Vec<Value> = bad.collect();
    let run_of = |flags: &str| {
        place.taskhost("run kernel.wat in --split").argument(format!("records:{LENGTH}")).arguments(flags)
    };
    each_way(|how, run| {
        run(run_of("-o out")).run().code(3);
        assert!(place.text("out") == wanted, "{how}");
        assert_eq!(told(&place), bad, "{how}");
    });
    // In a stream there are no places: what failed is not there.
    let outcome = run_of("-j 2 --on-error skip --errors errors").run().code(3);
    let without: String = crowd.good().map(|item| format!("{item:.<LENGTH$}")).collect();
    let zeros = outcome.text() == wanted;
    assert!(zeros || outcome.text() == without, "{}", outcome.stderr);
    assert_eq!(told(&place), bad);
}

/// What is counted is what came out, however often it was run.
#[test]
fn counters_are_those_of_the_items_that_came_out() {
    let crowd = Crowd::new(2000, 40, &WAYS);
    let place = Place::new();
    with(&place, r#"(data (i32.const 64) "good")"#);
    let text = place.text("kernel.wat");
    let count = r#"(import "taskhost" "counter_add" (func $count (param i32 i32 i64)))"#;
    let text = text.replacen("(module", &format!("(module {count}"), 1);
    let end = text.rfind("(i64.or (i64.shl").unwrap();
    let call = "(call $count (i32.const 64) (i32.const 4) (i64.const 1))";
    place.write("kernel.wat", format!("{}{call}{}", &text[..end], &text[end..]));
    place.write("in", crowd.lines());
    each_way(|how, run| {
        let program = place.taskhost("run kernel.wat in -o out --split lines --merge lines --report report");
        run(program).run().code(3);
        assert!(place.text("out") == crowd.good_lines(), "{how}");
        let report: Value = serde_json::from_str(&place.text("report")).unwrap();
        assert_eq!(report["counters"], json!({ "good": 1960 }), "{how}");
        assert_eq!((&report["items"], &report["failed_items"]), (&json!(2000), &json!(40)), "{how}");
    });
}

/// The number of the item is also part of the order in which results are joined.
#[test]
fn parts_of_a_reduction() {
    let crowd = Crowd::new(1000, 20, &WAYS);
    let place = Place::new();
    // The parts, end to end, stand behind their number and their lengths.
    with(
        &place,
        r#"(func (export "taskhost_combine") (param $at i32) (param $len i32) (result i64)
            (local $head i32)
            (local.set $head (i32.add (i32.const 4) (i32.shl (i32.load (local.get $at)) (i32.const 2))))
            (i64.or
                (i64.shl (i64.extend_i32_u (i32.add (local.get $at) (local.get $head))) (i64.const 32))
                (i64.extend_i32_u (i32.sub (local.get $len) (local.get $head)))))
        (func (export "taskhost_finish") (param $at i32) (param $len i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))"#,
    );
    place.write("in", crowd.lines());
    let wanted: String = crowd.good().collect();
    each_way(|how, run| {
        run(place.taskhost("run kernel.wat in -o out --split lines --merge reduce")).run().code(3);
        assert!(place.text("out") == wanted, "{how}");
        assert_eq!(told(&place), crowd.expected(0), "{how}");
    });
}

/// In any order, each result once; what failed has a place in its source, but no number.
#[test]
fn results_in_any_order() {
    let crowd = Crowd::new(1000, 20, &WAYS);
    let place = Place::new();
    place.write("in", crowd.lines());
    let mut wanted: Vec<&str> = crowd.good().collect();
    wanted.sort_unstable();
    let mut bad = crowd.expected(0);
    for fields in &mut bad {
        (fields[0], fields[3]) = (Value::Null, Value::Null);
    }
    each_way(|how, run| {
        run(misbehave(&place, "in -o out --unordered")).run().code(3);
        let out = place.text("out");
        let mut lines: Vec<&str> = out.lines().collect();
        lines.sort_unstable();
        assert!(lines == wanted, "{how}");
        let mut told = told(&place);
        told.sort_by_key(|fields| fields[1].as_u64());
        assert_eq!(told, bad, "{how}");
    });
}

/// A file is an item: those that fail have no result, all others have.
#[test]
fn files_of_a_folder() {
    let crowd = Crowd::new(200, 20, &WAYS);
    let place = Place::new();
    for (at, item) in crowd.items.iter().enumerate() {
        place.write(&format!("in/{at:03}"), item);
    }
    for (workers, batch) in [("1", "auto"), ("2", "1"), ("3", "7"), ("3", "auto")] {
        let run = place.taskhost("run").argument(kernel("misbehave")).arguments("in -o out/ --errors errors -j");
        run.argument(workers).arguments("--batch").argument(batch).run().code(3);
        let made: Vec<String> = place.files().into_iter().filter(|name| name.starts_with("out/")).collect();
        let good = (0..crowd.items.len()).filter(|at| !crowd.is_bad(*at));
        assert_eq!(made, good.clone().map(|at| format!("out/{at:03}")).collect::<Vec<_>>(), "-j {workers}");
        assert!(good.into_iter().all(|at| place.text(&format!("out/{at:03}")) == crowd.items[at]));
        let mut told: Vec<(String, String)> = errors(&place, "errors")
            .iter()
            .map(|line| (line["source"].as_str().unwrap().into(), line["verdict"].as_str().unwrap().into()))
            .collect();
        told.sort();
        let expected = crowd.bad.iter().map(|(at, verdict)| (format!("{at:03}"), (*verdict).to_owned()));
        assert_eq!(told, expected.collect::<Vec<_>>(), "-j {workers}");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

/// Lines of many files, with a result for each: only the bad lines are missing.
#[test]
fn lines_of_many_files() {
    let crowd = Crowd::new(600, 30, &WAYS);
    let place = Place::new();
    let number_of = |file: usize| file * 10..(file + 1) * 10;
    for file in 0..60 {
        let lines: String = number_of(file).map(|at| format!("{}\n", crowd.items[at])).collect();
        place.write(&format!("in/{file:02}"), lines);
    }
    for (workers, batch) in [("1", "auto"), ("2", "1"), ("3", "7"), ("3", "auto")] {
        let run = misbehave(&place, "in -o out/ --on-error skip --errors errors -j").argument(workers);
        run.arguments("--batch").argument(batch).run().code(3);
        for file in 0..60 {
            let good = number_of(file).filter(|at| !crowd.is_bad(*at));
            let wanted: String = good.map(|at| format!("{}\n", crowd.items[at])).collect();
            assert_eq!(place.text(&format!("out/{file:02}")), wanted, "-j {workers} --batch {batch}: {file}");
        }
        let mut told: Vec<(String, u64, u64)> = errors(&place, "errors")
            .iter()
            .map(|line| {
                let number = |field: &str| line[field].as_u64().unwrap();
                (line["source"].as_str().unwrap().to_owned(), number("item"), number("line"))
            })
            .collect();
        told.sort();
        let place_of = |at: usize| (format!("{:02}", at / 10), at as u64 % 10, at as u64 % 10 + 1);
        assert_eq!(told, crowd.bad.iter().map(|(at, _)| place_of(*at)).collect::<Vec<_>>(), "-j {workers}");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

/// Several files are one input: items are counted through, offsets and lines begin anew.
#[test]
fn lines_of_several_files_as_one_input() {
    let crowd = Crowd::new(300, 15, &WAYS);
    let place = Place::new();
    for (file, items) in crowd.items.chunks(100).enumerate() {
        place.write(&format!("{file}"), items.iter().map(|item| format!("{item}\n")).collect::<String>());
    }
    each_way(|how, run| {
        run(misbehave(&place, "0 1 2 -o out")).run().code(3);
        assert!(place.text("out") == crowd.good_lines(), "{how}");
        let told: Vec<Value> =
            errors(&place, "errors").iter().map(|line| json!([line["source"], line["item"], line["line"]])).collect();
        let expected = crowd.bad.iter().map(|(at, _)| json!([(at / 100).to_string(), at, at % 100 + 1]));
        assert_eq!(told, expected.collect::<Vec<_>>(), "{how}");
    });
}
