//! Many jobs in one request: all or none, once.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Server;
use crate::harness::Place;

fn jobs(texts: impl IntoIterator<Item = String>) -> String {
    let job = |text: String| json!({ "kernel": "primes", "input": { "text": text } });
    json!({ "jobs": texts.into_iter().map(job).collect::<Vec<Value>>() }).to_string()
}

#[test]
fn a_thousand_jobs_are_handed_in_at_once() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--queued-jobs 1010");
    anna.kernel("primes");
    let few = jobs((0..3).map(|number| format!("0 {}\n", 10 + number)));
    let hand_in = |body: &str| anna.send("POST", "/v1/jobs/batch", "Idempotency-Key: few\r\n", body.as_bytes());
    let accepted = hand_in(&few).is(202).json()["jobs"].clone();
    for (number, job) in accepted.as_array().unwrap().iter().enumerate() {
        let id = job["id"].as_str().unwrap();
        assert_eq!(anna.wait(id)["state"], "succeeded");
        let result = anna.get(&format!("{}/result", job["href"].as_str().unwrap())).is(200).text();
        assert_eq!(result, ["4\n", "4\n", "5\n"][number]);
    }
    // The same again is the same; others with this key are refused.
    let again = hand_in(&few).is(202);
    assert_eq!((again.header("idempotency-replayed"), &again.json()["jobs"]), (Some("true"), &accepted));
    assert_eq!(hand_in(&jobs(["0 1\n".into()])).is(422).code(), "key-reused");
    let many = jobs((0..1000).map(|_| "0 4000000000\n".into()));
    let ids = anna.post("/v1/jobs/batch", &many).is(202).json();
    assert_eq!(ids["jobs"].as_array().unwrap().len(), 1000);
    // None of those that are too many.
    let refused = anna.post("/v1/jobs/batch", &many).is(429);
    assert_eq!(refused.json()["quota"], "queued_jobs");
    assert_eq!(anna.get("/v1/usage").is(200).json()["open_jobs"], 1000);
    server.end(Signal::TERM).code(0);
}

#[test]
fn one_that_is_wrong_is_named_and_none_is_taken() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    anna.kernel("primes");
    let good = json!({ "kernel": "primes", "input": { "text": "0 10\n" } });
    let unknown = format!("blake3:{}", "0".repeat(64));
    for (bad, code) in [
        (json!({ "kernel": "nobody", "input": { "text": "" } }), "not-found"),
        (json!({ "kernel": "primes", "input": { "blob": unknown } }), "unknown-blob"),
        (json!({ "kernel": "primes", "input": {} }), "bad-job"),
    ] {
        let refused = anna.post("/v1/jobs/batch", json!({ "jobs": [good, bad] }).to_string());
        assert_eq!((refused.code().as_str(), &refused.json()["index"]), (code, &json!(1)), "{bad}");
    }
    for wrong in [json!({ "jobs": [] }).to_string(), jobs((0..1001).map(|_| String::new()))] {
        assert_eq!(anna.post("/v1/jobs/batch", wrong).is(422).code(), "bad-job");
    }
    assert_eq!(anna.get("/v1/jobs").is(200).json()["jobs"], json!([]));
    server.end(Signal::TERM).code(0);
}
