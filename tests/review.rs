//! What a careless or unlucky user comes upon: nothing of theirs is lost or overwritten, and numbers stay right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Place, eventually};

fn kernel(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{name}.wat"))
}

/// A run of the kernel that does what its items ask for, line by line.
fn misbehave(place: &Place, flags: &str) -> crate::harness::Program {
    place.taskhost("run").argument(kernel("misbehave")).arguments("--split lines").arguments(flags)
}

fn sources(place: &Place) -> Vec<String> {
    let source = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{}:{}", line["source"].as_str().unwrap(), line["line"])
    };
    let mut sources: Vec<String> = place.text("errors.jsonl").lines().map(source).collect();
    sources.sort();
    sources
}

#[test]
fn failed_items_of_many_results_are_run_again() {
    let place = Place::new();
    place.write("in/a", "one\ntrap\n");
    place.write("in/b", "two\n");
    place.write("in/c", "error\nthree\n");
    misbehave(&place, "in -o out/ --journal j --errors errors.jsonl").run().code(3);
    assert_eq!((place.text("out/a"), place.text("out/c")), ("one\n".into(), "three\n".into()));
    assert_eq!(sources(&place), ["a:2", "c:1"]);
    let outcome = place.taskhost("resume j").run().code(3);
    assert!(outcome.stderr.contains("this run is finished, and 2 items failed"), "{}", outcome.stderr);
    // As often as one likes.
    place.taskhost("resume j --retry-failed").run().code(3);
    assert_eq!(sources(&place), ["a:2", "c:1"]);
    place.taskhost("resume j --retry-failed --kernel").argument(kernel("echo")).run().success();
    for name in ["a", "b", "c"] {
        assert_eq!(place.text(&format!("out/{name}")), place.text(&format!("in/{name}")));
    }
    assert!(!place.path("j").exists());
}

#[test]
fn a_result_that_lacks_items_is_made_anew_though_it_exists() {
    let place = Place::new();
    place.write("in/a", "one\ntrap\n");
    misbehave(&place, "in -o out/ --journal j --skip-existing").run().code(3);
    place.taskhost("resume j --retry-failed --kernel").argument(kernel("echo")).run().success();
    assert_eq!(place.text("out/a"), "one\ntrap\n");
}

#[test]
fn failed_items_of_results_that_were_complete_are_not_forgotten_by_a_crash() {
    let place = Place::new();
    place.write("in/a", "one\ntrap\n");
    place.write("in/b", "loop\ntwo\n");
    let flags = "in -o out/ --journal j --errors errors.jsonl --timeout 2s -j 2";
    let running = misbehave(&place, flags).start();
    eventually("a result is there", || place.path("out/a").exists());
    running.process.signal(Signal::KILL);
    running.end();
    place.taskhost("resume j").run().code(3);
    assert_eq!(sources(&place), ["a:2", "b:1"]);
    assert_eq!((place.text("out/a"), place.text("out/b")), ("one\n".into(), "two\n".into()));
    place.taskhost("resume j --retry-failed --kernel").argument(kernel("echo")).run().success();
    assert_eq!(place.text("out/a") + &place.text("out/b"), "one\ntrap\nloop\ntwo\n");
}

#[test]
fn one_file_is_not_used_twice() {
    let place = Place::new();
    place.write("in.txt", "one\n");
    place.write("deep/other", "");
    let cases = [
        ("-o out --journal out", "--output and --journal are both out: name two files"),
        ("-o out --journal deep/../out", "--output and --journal are both deep/../out: name two files"),
        ("-o out --errors out", "--output and --errors are both out: name two files"),
        ("-o out --errors j --report j", "--errors and --report are both j: name two files"),
        ("-o out --errors in.txt", "in.txt is an input: --errors would destroy it; name another file"),
        ("-o out --report ./in.txt", "in.txt is an input: --report would destroy it; name another file"),
    ];
    for (flags, text) in cases {
        let outcome = misbehave(&place, "in.txt").arguments(flags).run().code(2);
        assert_eq!(outcome.stderr, format!("error: {text}\n"), "{flags}");
        assert_eq!(place.files(), ["deep/other", "in.txt"]);
        assert_eq!(place.text("in.txt"), "one\n");
    }
    misbehave(&place, "in.txt -o /dev/null --errors /dev/null --report /dev/null").run().success();
}

#[test]
fn nobody_is_told_to_delete_what_is_no_journal() {
    let place = Place::new();
    place.write("in.txt", "one\n");
    place.write("precious", "data");
    let outcome = misbehave(&place, "in.txt -o out --journal precious").run().code(5);
    assert_eq!(outcome.stderr, "error: precious is there already, and is no journal: name another file\n");
    assert_eq!(place.text("precious"), "data");
}

#[test]
fn a_run_that_is_refused_leaves_the_files_of_the_run_before() {
    let place = Place::new();
    place.write("in.txt", "one\ntrap\n");
    let flags = "in.txt -o out --on-error skip --journal j --errors errors.jsonl";
    misbehave(&place, flags).run().code(3);
    let errors = place.text("errors.jsonl");
    misbehave(&place, flags).run().code(5);
    assert!(!errors.is_empty() && place.text("errors.jsonl") == errors);
}

#[test]
fn a_run_that_cannot_begin_leaves_no_journal() {
    let place = Place::new();
    place.write("first/a", "one\n");
    place.write("second/a", "two\n");
    misbehave(&place, "first second -o out/ --journal j").run().code(2);
    assert_eq!(place.files(), ["first/a", "second/a"]);
}

#[test]
fn numbers_are_those_of_the_whole_run() {
    let place = Place::new();
    let text: String =
        (0..60_000).map(|number| if number == 50_000 { "trap\n".into() } else { format!("{number}\n") }).collect();
    place.write("in.txt", &text);
    misbehave(&place, "in.txt -o out --journal j --report report.json").run().code(3);
    let number =
        |name: &str| serde_json::from_str::<serde_json::Value>(&place.text("report.json")).unwrap()[name].clone();
    assert_eq!((number("items"), number("failed_items")), (50_001.into(), 1.into()));
    place.taskhost("resume j --retry-failed --kernel").argument(kernel("echo")).run().success();
    assert_eq!((number("items"), number("failed_items")), (60_000.into(), 0.into()));
    assert_eq!((number("input_bytes"), number("output_bytes")), (text.len().into(), text.len().into()));
    assert!(place.text("out") == text);
}

#[test]
fn failed_items_whose_results_are_counted_only_are_run_again() {
    let place = Place::new();
    place.write("in.txt", "one\ntrap\ntwo\nerror\n");
    let flags = "in.txt --merge discard -o out --on-error skip --journal j --errors errors.jsonl";
    misbehave(&place, flags).run().code(3);
    place.taskhost("resume j --retry-failed").run().code(3);
    assert_eq!(sources(&place), ["in.txt:2", "in.txt:4"]);
    place.taskhost("resume j --retry-failed --kernel").argument(kernel("echo")).run().success();
    assert_eq!((place.text("out"), place.text("errors.jsonl")), (String::new(), String::new()));
}

#[test]
fn a_journal_needs_a_result_that_stays() {
    let place = Place::new();
    place.write("in.txt", "one\n");
    for flags in ["", "-o -", "-o /dev/null", "-o /dev/stdout"] {
        let outcome = misbehave(&place, "in.txt --journal j").arguments(flags).run().code(2);
        assert!(outcome.stderr.contains("--journal needs a result that can be gone on with"), "{}", outcome.stderr);
        assert_eq!(place.files(), ["in.txt"]);
    }
}

#[test]
fn what_was_done_stays_done_when_resuming_is_interrupted() {
    // As much time as it takes to do something at all: a machine may be busy.
    let stopped = |seconds| {
        let place = Place::new();
        place.write("in/a", "one\n");
        place.write("in/b", "loop\n");
        misbehave(&place, &format!("in -o out/ --journal j --deadline {seconds}s")).run().code(7);
        place.path("out/a").exists().then_some(place)
    };
    let place = [1, 4, 16, 64].into_iter().find_map(stopped).expect("a file of one line was done in time");
    assert_eq!(place.files(), ["in/a", "in/b", "j", "out/a"]);
    // Nothing new is done.
    place.taskhost("resume j").run().code(7);
    assert_eq!(place.files(), ["in/a", "in/b", "j", "out/a"]);
}

#[test]
fn what_ends_before_anything_is_done_leaves_nothing() {
    let place = Place::new();
    place.write("in.txt", "loop\n");
    misbehave(&place, "in.txt -o out --journal j --deadline 500ms").run().code(7);
    assert_eq!(place.files(), ["in.txt"]);
}

#[test]
fn failed_items_of_a_reduction_are_counted() {
    let place = Place::new();
    place.write("in.txt", "1 10\nten\n20 30\n");
    place.taskhost("run primes in.txt --merge reduce -o out --on-error skip --journal j").run().code(3);
    let outcome = place.taskhost("resume j").run().code(3);
    assert!(outcome.stderr.contains("this run is finished, and 1 item failed"), "{}", outcome.stderr);
}

#[test]
fn a_picture_is_decoded_though_somebody_stops_who_decodes() {
    const SIDE: u32 = 5000;
    let place = Place::new();
    let mut file = Vec::new();
    let samples = vec![7; (SIDE * SIDE) as usize];
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    image::ImageEncoder::write_image(encoder, &samples, SIDE, SIDE, image::ExtendedColorType::L8).unwrap();
    place.write("in.png", &file);
    let running = place.taskhost("run sobel in.png -o out.pgm -j 1").start();
    // One that runs the kernel, and then one that decodes.
    eventually("somebody decodes", || running.process.workers().len() > 1);
    for worker in running.process.workers().iter().skip(1) {
        // It is at work by then, and not only about to begin.
        let enough = Duration::from_millis(40);
        eventually("it decodes", || worker.cpu_time() > enough || worker.is_gone_within(Duration::ZERO));
        worker.signal(Signal::STOP);
    }
    running.end().success();
    assert!(place.read("out.pgm").ends_with(&[0; 100]));
}
