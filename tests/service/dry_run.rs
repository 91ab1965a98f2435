//! What would be done, said without doing it.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Server;
use crate::harness::Place;

#[test]
fn what_would_be_done_is_said_and_nothing_is_kept() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000 --stored 1MB --queued-jobs 1 --worker-memory 64MiB");
    let digest = anna.kernel("primes");
    let plan = |job: Value| {
        let mut job = job;
        job["dry_run"] = json!(true);
        anna.post("/v1/jobs", job.to_string()).is(200).json()
    };
    let blob = anna.post("/v1/blobs", "0 10\n").is(201).json()["digest"].clone();
    let inputs = json!([{ "text": "0 10\n5 7\n", "name": "a.txt" }, { "blob": blob }]);
    let usage = || {
        let usage = anna.get("/v1/usage").is(200).json();
        [usage["stored_bytes"].clone(), usage["open_jobs"].clone()]
    };
    let before = usage();
    let planned =
        plan(json!({ "kernel": "primes", "input": inputs, "parameters": { "memory": 1 << 20, "workers": 1 } }));
    assert_eq!((&planned["accepted"], &planned["refusal"]), (&json!(true), &Value::Null), "{planned}");
    assert_eq!(planned["kernel"], json!(digest));
    assert_eq!(planned["split"], json!({ "how": "lines", "said_by": "kernel" }), "{planned}");
    assert_eq!(planned["merge"]["how"], json!("lines"), "{planned}");
    let named = json!([{ "name": "a.txt", "bytes": 9 }, { "name": "input1", "bytes": 5 }]);
    assert_eq!((&planned["inputs"], &planned["input_bytes"]), (&named, &json!(14)));
    assert_eq!((&planned["limits"]["memory"], &planned["limits"]["workers"]), (&json!(1 << 20), &json!(1)));
    let by_flag = plan(json!({ "kernel": "primes", "input": { "text": "" }, "parameters": { "split": "whole" } }));
    assert_eq!(by_flag["split"], json!({ "how": "whole", "said_by": "parameter" }));
    // Each refusal is the one that a job would meet.
    let missing = format!("blake3:{}", "0".repeat(64));
    for (job, status, code) in [
        (json!({ "kernel": "nothing", "input": { "text": "" } }), 404, "not-found"),
        (json!({ "kernel": "primes", "input": { "blob": missing } }), 422, "unknown-blob"),
        (json!({ "kernel": "primes", "input": {} }), 422, "bad-job"),
        (json!({ "kernel": "primes", "input": { "text": "", "name": "a\nb" } }), 422, "bad-job"),
        (json!({ "kernel": "primes", "input": { "text": "x" }, "priority": 101 }), 422, "bad-job"),
        (json!({ "kernel": "primes", "input": { "text": "x".repeat(1_000_000) } }), 429, "quota-exceeded"),
    ] {
        let planned = plan(job.clone());
        let refusal = &planned["refusal"];
        assert_eq!((&planned["accepted"], &refusal["status"]), (&json!(false), &json!(status)), "{planned}");
        let met = anna.post("/v1/jobs", job.to_string()).is(status);
        assert_eq!((met.code().as_str(), &refusal["code"]), (code, &json!(code)));
        assert_eq!(met.json()["detail"], refusal["detail"]);
    }
    assert_eq!(usage(), before);
    assert!(anna.get("/v1/jobs").is(200).json()["jobs"].as_array().unwrap().is_empty());
    // A queue that is full refuses, too.
    let long = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" } }));
    let full = plan(json!({ "kernel": "primes", "input": { "text": "0 10\n" } }));
    assert_eq!((&full["refusal"]["quota"], &full["split"]["how"]), (&json!("queued_jobs"), &json!("lines")), "{full}");
    anna.post(&format!("/v1/jobs/{long}/cancel"), "").is(202);
    let both = json!({ "jobs": [{ "kernel": "primes", "input": { "text": "" }, "dry_run": true }] });
    assert_eq!(anna.post("/v1/jobs/batch", both.to_string()).is(422).code(), "bad-job");
    server.end(Signal::TERM).code(0);
}
