//! What of a job can be said otherwise afterwards: its labels, and how long what came of it is kept.

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
        (json!({ "priority": 1 }), 400, "bad-request"),
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
