//! Names that mean another kernel now and then.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Client, Server};
use crate::harness::Place;

/// A kernel whose every result is this one byte, and which every change makes another one.
fn says(byte: u8) -> String {
    format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 8) "\{byte:02x}")
            (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "taskhost_process") (param i32 i32) (result i64) (i64.const {})))"#,
        (8_i64 << 32) | 1
    )
}

fn name(client: &Client, meaning: &Value) -> super::client::Answer {
    client.send("PUT", "/v1/aliases/k", "", meaning.to_string().as_bytes())
}

#[test]
fn each_job_and_each_call_has_one_of_them() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    let (old, new) = (anna.kernel_of(says(b'o')), anna.kernel_of(says(b'n')));
    for (weights, code) in [
        (json!({ &*new: 1.5 }), "bad-weights"),
        (json!({ &*new: 0 }), "bad-weights"),
        (json!({ &*old: 0.5 }), "bad-weights"),
    ] {
        assert_eq!(name(&anna, &json!({ "digest": old, "weights": weights })).is(422).code(), code, "{weights}");
    }
    // Which of the two is meant nobody can tell; and a name that is refused means nothing.
    let twice = format!(r#"{{"digest":"{old}","weights":{{"{new}":0.5,"{new}":0.6}}}}"#);
    assert_eq!(anna.send("PUT", "/v1/aliases/k", "", twice.as_bytes()).is(400).code(), "bad-request");
    anna.get("/v1/aliases/k").is(404);
    let unknown = format!("blake3:{}", "0".repeat(64));
    name(&anna, &json!({ "digest": old, "weights": { unknown: 0.5 } })).is(404);
    name(&anna, &json!({ "digest": old, "weights": { "new": 0.5 } })).is(400);
    // One of the two, and which is told.
    let half = name(&anna, &json!({ "digest": old, "weights": { &*new: 0.5 } })).is(200).json();
    assert_eq!((&half["digest"], &half["weights"]), (&json!(old), &json!({ &*new: 0.5 })));
    let (mut said, mut calls) = (Vec::new(), 0);
    while said.len() < 2 {
        calls += 1;
        assert!(calls < 1000, "always {said:?}");
        let answer = anna.call("k", "x").is(200);
        let kernel = if answer.text() == "n" { &new } else { &old };
        assert_eq!(answer.header("taskhost-kernel"), Some(&**kernel));
        if !said.contains(kernel) {
            said.push(kernel.clone());
        }
    }
    // All of a batch are drawn for each; what was drawn stays, also for a request that comes again.
    let job = json!({ "kernel": "k", "input": { "text": "x" } });
    let many = json!({ "jobs": vec![job.clone(); 64] }).to_string();
    let jobs = anna.post("/v1/jobs/batch", many).is(202).json();
    let of = |job: &Value| anna.wait(job["id"].as_str().unwrap())["kernel"].clone();
    let kernels: Vec<Value> = jobs["jobs"].as_array().unwrap().iter().map(of).collect();
    assert!(kernels.contains(&json!(old)) && kernels.contains(&json!(new)), "{kernels:?}");
    let again = || anna.send("POST", "/v1/jobs", "Idempotency-Key: one\r\n", job.to_string().as_bytes());
    let first = again().is(202).json();
    for _ in 0..20 {
        let same = again();
        assert_eq!((same.header("idempotency-replayed"), &same.json()["kernel"]), (Some("true"), &first["kernel"]));
    }
    // Always the other one; then it alone, and it is held as long as it is meant.
    name(&anna, &json!({ "digest": old, "weights": { &*new: 1.0 } })).is(200);
    assert!((0..20).all(|_| anna.call("k", "x").is(200).text() == "n"));
    assert_eq!(anna.send("DELETE", &format!("/v1/kernels/{new}"), "", b"").is(409).code(), "in-use");
    name(&anna, &json!({ "digest": old })).is(200);
    assert!((0..20).all(|_| anna.call("k", "x").is(200).text() == "o"));
    let history = anna.get("/v1/aliases/k/history").is(200).json();
    let meant: Vec<&Value> = history["changes"].as_array().unwrap().iter().map(|change| &change["weights"]).collect();
    assert_eq!(meant, [&json!({}), &json!({ &*new: 1.0 }), &json!({ &*new: 0.5 })]);
    // The log says which kernel each call had.
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(log.contains(&format!("\"kernel\":\"{new}\"")) && log.contains(&format!("\"kernel\":\"{old}\"")), "{log}");
}
