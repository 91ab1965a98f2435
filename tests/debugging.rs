//! What a kernel's author is told: lines of the source in backtraces, and where the time goes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::Place;

fn kernel(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels").join(name)
}

#[test]
fn a_trap_says_file_and_line() {
    let place = Place::new();
    let run = place.taskhost("run").argument(kernel("crash.wasm"));
    let outcome = run.arguments("--split lines --errors errors.jsonl -o out").input("6\n7\n8\n").run().code(3);
    let frames = "\n    at refuse (./crash.c:11:15)\n    at look (./crash.c:17:9)\n    at process (./crash.c:21:5)\n";
    assert!(outcome.stderr.contains(frames), "{}", outcome.stderr);
    let errors = place.text("errors.jsonl");
    assert!(errors.contains(r#""backtrace":["refuse (./crash.c:11:15)","look (./crash.c:17:9)","#), "{errors}");
}

#[test]
fn a_profile_says_where_the_time_goes() {
    let place = Place::new();
    let lines: String = (0..60).map(|line| format!("{line}\n")).collect();
    let run = place.taskhost("run").argument(kernel("busy.wat")).arguments("--split lines --batch 5 -j 2");
    let outcome = run.arguments("--profile profile.json").input(&lines).run().success();
    assert_eq!(outcome.text(), lines, "a kernel that is looked at computes the same");
    assert!(outcome.stderr.contains("samples, most of them in: long "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("profile: open profile.json with"), "{}", outcome.stderr);
    let profile: Value = serde_json::from_slice(&place.read("profile.json")).unwrap();
    let threads = profile["threads"].as_array().unwrap();
    assert!(!threads.is_empty());
    let samples: u64 = threads.iter().map(|thread| thread["samples"]["length"].as_u64().unwrap()).sum();
    assert!(samples > 20, "{samples} samples");
    let text = place.text("profile.json");
    for name in ["process", "both", "long", "short"] {
        assert!(text.contains(&format!("{name:?}")), "{name}");
    }
}

#[test]
fn every_kind_of_kernel_has_a_profile() {
    let place = Place::new();
    let program = place.taskhost("run").argument(kernel("program.wat")).arguments("--split lines --profile a.json");
    assert_eq!(program.input("a\nb\n").run().success().text(), "a\nb\n");
    let component = place.taskhost("run primes --profile b.json").input("0 100000\n").run().success();
    assert_eq!(component.text(), "9592\n");
    for name in ["a.json", "b.json"] {
        assert!(serde_json::from_slice::<Value>(&place.read(name)).unwrap()["threads"].is_array(), "{name}");
    }
}

#[test]
fn a_profile_that_cannot_be_written_is_said() {
    let place = Place::new();
    let outcome = place.taskhost("run primes --profile missing/profile.json").input("0 9\n").run().code(5);
    assert_eq!(outcome.text(), "4\n", "the results are there all the same");
    assert!(outcome.stderr.contains("error: --profile missing/profile.json: "), "{}", outcome.stderr);
    let outcome = place.taskhost("run primes --profile p.json --fuel 9").input("0 9\n").run().code(2);
    assert!(outcome.stderr.contains("--fuel"), "{}", outcome.stderr);
}
