//! What of a job can be said otherwise afterwards: its labels, how long what came of it is kept, and, before it has begun, how
//! urgent it is.

use rustix::process::Signal;
use serde_json::json;

use super::client::Server;
use crate::harness::{Place, eventually};

#[test]
fn labels_and_the_time_to_keep_are_changed_and_nothing_else() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", "--requests 100000"), server.tenant(&place, "bert", ""));
    anna.kernel("primes");
    let asked = json!({ "kernel": "primes", "input": { "text": "0 10\n" }, "labels": { "a": "1", "b": "2" } });
    let job = anna.submit(&asked);
    let path = format!("/v1/jobs/{job}");
    let patch = |change: serde_json::Value| anna.send("PATCH", &path, "", change.to_string().as_bytes());
    let changed = patch(json!({ "labels": { "a": null, "c": "3" }, "keep_seconds": 600 })).is(200).json();
    assert_eq!(changed["labels"], json!({ "b": "2", "c": "3" }));
    let ended = anna.wait(&job);
    assert_eq!(ended["expires"].as_i64().unwrap() - ended["ended"].as_i64().unwrap(), 600_000, "{ended}");
    let found =
        |label: &str| anna.get(&format!("/v1/jobs?label={label}")).is(200).json()["jobs"].as_array().unwrap().len();
    assert_eq!((found("a=1"), found("b=2"), found("c=3")), (0, 1, 1));
    for (change, status, code) in [
        (json!({ "kernel": "primes" }), 400, "bad-request"),
        (json!({ "priority": 101 }), 422, "bad-job"),
        (json!({ "labels": { "": "x" } }), 422, "bad-job"),
        (json!({ "keep_seconds": u64::MAX }), 422, "bad-job"),
        (json!([]), 400, "bad-request"),
    ] {
        assert_eq!(patch(change.clone()).is(status).code(), code, "{change}");
    }
    assert_eq!(bert.send("PATCH", &path, "", b"{}").is(404).code(), "not-found");
    assert_eq!(patch(json!({})).is(200).json()["labels"], changed["labels"]);
    // Whoever asks again and again hears of it when something is otherwise.
    let tag = anna.get(&path).is(200).header("etag").unwrap().to_owned();
    let known = format!("If-None-Match: {tag}\r\n");
    assert_eq!(anna.send("GET", &path, &known, b"").is(304).text(), "");
    patch(json!({ "labels": { "e": "5" } })).is(200);
    assert_ne!(anna.send("GET", &path, &known, b"").is(200).header("etag"), Some(tag.as_str()));
    // A time that is over is one, too.
    patch(json!({ "keep_seconds": 0 })).is(200);
    eventually("it is gone", || anna.get(&path).is(200).json()["gone"] == true);
    assert_eq!(patch(json!({ "labels": { "d": "4" } })).is(410).code(), "gone");
    assert!(anna.get("/v1/audit").is(200).text().contains("job.change"));
    server.end(Signal::TERM).code(0);
}

#[test]
fn jobs_of_a_tenant_are_begun_by_how_urgent_they_are_and_that_can_be_said_until_they_have_begun() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000 --concurrent-jobs 1");
    anna.kernel("primes");
    let job = |text: &str, priority: i64| {
        let input = json!({ "text": text });
        anna.submit(&json!({ "kernel": "primes", "input": input, "priority": priority }))
    };
    let show = |id: &str| anna.get(&format!("/v1/jobs/{id}")).is(200).json();
    let patch = |id: &str, change: serde_json::Value| {
        anna.send("PATCH", &format!("/v1/jobs/{id}"), "", change.to_string().as_bytes())
    };
    let first = job("0 4000000000\n", 0);
    eventually("the first runs", || show(&first)["state"] == "running");
    let (late, soon, low) = (job("0 10\n", 0), job("0 10\n", 5), job("0 10\n", -5));
    let plain = anna.post("/v1/jobs?kernel=primes&priority=7&ready_by=1", "0 10\n").is(202).json();
    assert_eq!((&plain["priority"], &plain["ready_by"]), (&json!(7), &json!(1)));
    let plain = plain["id"].as_str().unwrap();
    let before = |id: &str| anna.get(&format!("/v1/jobs/{id}/explain")).is(200).json()["wait"]["jobs_before"].clone();
    assert_eq!([plain, &soon, &late, &low].map(before), [0, 1, 2, 3].map(|number| json!(number)));
    let listed = anna.get("/v1/jobs").is(200).json();
    let priorities = listed["jobs"].as_array().unwrap().iter().map(|job| job["priority"].as_i64().unwrap());
    assert_eq!(priorities.sum::<i64>(), 7 + 5 - 5);
    // The last becomes the first of those of its priority.
    assert_eq!(patch(&low, json!({ "priority": 7, "ready_by": 0 })).is(200).json()["priority"], 7);
    assert_eq!([&low, plain, &soon, &late].map(before), [0, 1, 2, 3].map(|number| json!(number)));
    assert_eq!(patch(&first, json!({ "priority": 9 })).is(409).code(), "begun");
    patch(&first, json!({ "priority": 0 })).is(200);
    anna.post(&format!("/v1/jobs/{first}/cancel"), "").is(202);
    let started = [&low, plain, &soon, &late].map(|id| anna.wait(id)["started"].as_i64().unwrap());
    assert!(started.is_sorted(), "{started:?}");
    assert_eq!(patch(&late, json!({ "ready_by": 5 })).is(409).code(), "begun");
    let bad = json!({ "kernel": "primes", "input": { "text": "" }, "priority": -101 });
    assert_eq!(anna.post("/v1/jobs", bad.to_string()).is(422).code(), "bad-job");
    server.end(Signal::TERM).code(0);
}
