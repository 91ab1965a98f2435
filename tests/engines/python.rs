//! Engines that pipe: the recipes of `examples/engines`, each on two workers on this machine, give what a run here gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Outcome, Place, Program, skipped};
use crate::native::Numbers;

/// What it takes to start a cluster in Java on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(900);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs of an engine, when it was fetched.
fn programs(engine: &str) -> Option<PathBuf> {
    let folder = root().join("target/engines").join(engine);
    if folder.join("complete").exists() {
        return Some(folder.join("bin"));
    }
    skipped(&format!("engines: {engine}"), &format!("it was not fetched: tests/engines/python.sh {engine}"));
    None
}

/// Lines of which some fail, and what a run here makes of them.
fn lines(place: &Place) -> Outcome {
    let mut numbers = Numbers::new(61);
    let line = |number: usize| {
        let low = numbers.below(9000);
        if number % 400 == 7 { "seven".to_owned() } else { format!("{low} {}", low + 99) }
    };
    let lines: Vec<String> = (0..2000).map(line).collect();
    place.write("lines", lines.join("\n") + "\n");
    place.taskhost("run primes lines --on-error skip --errors here.jsonl -q").run().code(3)
}

/// Numbers of lines, from 1, that failed here.
fn failed_here(place: &Place) -> Vec<u64> {
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["item"].as_u64().unwrap() + 1;
    place.text("here.jsonl").lines().map(number).collect()
}

#[test]
fn dask_gives_what_a_run_here_gives() {
    let Some(programs) = programs("dask") else { return };
    let place = Place::new();
    let here = lines(&place);
    let python = Program::of(programs.join("python").as_os_str(), &place.path("")).within(PATIENCE);
    let recipe = python.argument(root().join("examples/engines/dask_map.py"));
    let recipe = recipe.arguments("primes lines out --block 4kB --taskhost").argument(env!("CARGO_BIN_EXE_taskhost"));
    let outcome = recipe.run().code(3);
    assert!(place.read("out") == here.stdout, "{}", outcome.stderr);
    let records = outcome.stderr.lines().filter(|line| line.starts_with('{'));
    let failed: Vec<u64> =
        records.map(|line| serde_json::from_str::<Value>(line).unwrap()["line"].as_u64().unwrap()).collect();
    assert_eq!(failed, failed_here(&place));
    assert_eq!(failed.len(), 5);
}

#[test]
fn spark_gives_what_a_run_here_gives() {
    let Some(programs) = programs("spark") else { return };
    let place = Place::new();
    let here = lines(&place);
    // Executors are processes of their own, as on machines of their own.
    let submit = Program::of(programs.join("spark-submit").as_os_str(), &place.path("")).within(PATIENCE);
    let submit = submit.env("SPARK_LOCAL_IP", "127.0.0.1").env("PYSPARK_PYTHON", programs.join("python"));
    let submit = submit.arguments("--master local-cluster[2,1,1024] --conf spark.ui.enabled=false");
    let recipe = submit.argument(root().join("examples/engines/spark.py")).arguments("primes lines out 6");
    let outcome = recipe.argument(env!("CARGO_BIN_EXE_taskhost")).run().code(3);
    let parts: Vec<String> = place.files().into_iter().filter(|name| name.starts_with("out/part-")).collect();
    assert!(parts.len() >= 6, "{parts:?}");
    let there: Vec<u8> = parts.iter().flat_map(|name| place.read(name)).collect();
    assert!(there == here.stdout, "{}", outcome.stderr);
    // That is where spark-submit puts what Python says.
    let said = outcome.text();
    assert_eq!(said.lines().filter(|line| line.contains("found `seven`")).count(), 5, "{said}");
}

#[test]
fn the_page_shows_the_recipes_as_they_are() {
    let page = std::fs::read_to_string(root().join("docs/engines.md")).unwrap();
    for name in ["spark.py", "dask_map.py"] {
        let recipe = std::fs::read_to_string(root().join("examples/engines").join(name)).unwrap();
        // What it does, without how it is called.
        let (shown, _) = recipe.split_once("\n\nif __name__").unwrap();
        let (_, shown) = shown.split_once("\n\n").unwrap();
        assert!(page.contains(shown.trim()), "docs/engines.md does not show examples/engines/{name} as it is");
    }
}
