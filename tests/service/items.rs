//! What is told of one item of a job: what was said while it was run, and how it failed.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Server;
use crate::harness::Place;

/// Prints each item, and gives up at `7`.
const TALKS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $len))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 64)))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 55)) (then (return (i64.const -2))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))"#;

#[test]
fn what_is_told_of_one_item_is_of_no_other() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", "--requests 100000"), server.tenant(&place, "bert", ""));
    let kernel = anna.kernel_of(TALKS);
    let job = json!({
        "kernel": &kernel,
        "input": [{ "text": "5\n7\n55\n", "name": "folder/a.txt" }, { "text": "7\n9\n", "name": "b" }],
        "parameters": { "split": "lines", "on_error": "skip" },
    });
    let job = anna.submit(&job);
    assert_eq!(anna.wait(&job)["failed_items"], 2);
    let log = |which: &str| anna.get(&format!("/v1/jobs/{job}/log?{which}"));
    for (which, said) in [
        ("offset=0&source=folder/a.txt", "[folder/a.txt:0] info 5\n"),
        ("offset=2&source=folder%2Fa.txt", "[folder/a.txt:2] info 7\n"),
        ("offset=4&source=folder/a.txt", "[folder/a.txt:4] info 55\n"),
        ("offset=2&source=b", "[b:2] info 9\n"),
        ("offset=1&source=b", ""),
        ("offset=0&source=c", ""),
        // Those that failed have numbers by which they are known.
        ("item=1", "[folder/a.txt:2] info 7\n"),
        ("item=3", "[b:0] info 7\n"),
    ] {
        let answer = log(which).is(200);
        assert_eq!(answer.text(), said, "{which}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!(log("item=0").is(404).code(), "not-found");
    for senseless in ["offset=2", "source=b", "item=1&offset=2", "item=x", "item=-1", "number=1"] {
        assert_eq!(log(senseless).is(400).code(), "bad-request", "{senseless}");
    }
    let failed = |which: &str| anna.get(&format!("/v1/jobs/{job}/failures?{which}")).is(200).text();
    for which in ["item=3", "offset=0&source=b"] {
        let lines = failed(which);
        let line: Value = serde_json::from_str(&lines).unwrap();
        assert_eq!((&line["item"], &line["source"]), (&json!(3), &json!("b")), "{which}");
        assert_eq!(lines.lines().count(), 1);
    }
    assert_eq!(failed("item=0"), "");
    assert_eq!(failed("").lines().count(), 2);
    for part in ["log", "failures"] {
        assert_eq!(bert.get(&format!("/v1/jobs/{job}/{part}?item=1")).is(404).code(), "not-found");
    }
    place.write("token", &anna.token);
    let there = format!("--server http://{} --token-file token", server.address);
    let logs = |more: &str| place.taskhost(&format!("job logs {job} {there} {more}")).run();
    let said = logs("--item 3").code(0);
    assert!(said.text().starts_with("[b:0] info 7\n") && !said.text().contains("a.txt"), "{}", said.text());
    assert!(logs("--item 3 --json").code(0).text().starts_with('{'));
    assert!(logs("--item 0").code(5).stderr.contains("item"), "nothing is known of it");
    // Without its kernel nothing of it can be run again, and nothing is accepted that cannot be run.
    anna.send("DELETE", &format!("/v1/kernels/{kernel}"), "", b"").is(204);
    let answer = anna.post(&format!("/v1/jobs/{job}/retry"), "").is(404);
    assert!(answer.text().contains("no such kernel"), "{}", answer.text());
    assert_eq!(anna.get("/v1/jobs").is(200).json()["jobs"].as_array().unwrap().len(), 1);
    server.end(Signal::TERM).code(0);
}
