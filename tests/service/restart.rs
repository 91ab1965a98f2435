//! A server that ends in whatever way, and one that goes on: what was accepted comes to its end, once.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Client, Server};
use crate::harness::{Place, eventually};

/// So many items of some hundredths of a second each.
fn work(items: usize) -> String {
    "0 300000\n".repeat(items)
}

fn submit(client: &Client, text: &str) -> String {
    let job = json!({ "kernel": "primes", "input": { "text": text }, "parameters": { "batch": 1, "workers": 2 } });
    client.post("/v1/jobs", job.to_string()).is(202).json()["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn succeeded(client: &Client, job: &str, wanted: &str) -> Value {
    let ended = client.wait(job);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(client.get(&format!("/v1/jobs/{job}/result")).is(200).text(), wanted);
    ended
}

/// Waits until the run of a job has written down that something is done.
pub(super) fn is_under_way(place: &Place, job: &str) {
    let journal = place.path(format!("data/work/{job}/journal"));
    eventually("something is done", || journal.metadata().is_ok_and(|journal| journal.len() > 4096));
}

#[test]
fn what_was_running_when_the_server_was_killed_goes_on() {
    let place = Place::new();
    let mut server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let (input, wanted) = (work(100), "25997\n".repeat(100));
    let jobs: Vec<String> = (0..3).map(|_| submit(&anna, &input)).collect();
    for _ in 0..3 {
        let state = |job: &String| anna.at(&server).get(&format!("/v1/jobs/{job}")).is(200).json();
        eventually("one runs", || jobs.iter().any(|job| state(job)["state"] == "running"));
        server.end(Signal::KILL).code(137);
        server = Server::start(&place);
    }
    let anna = anna.at(&server);
    let ended: Vec<Value> = jobs.iter().map(|job| succeeded(&anna, job, &wanted)).collect();
    assert!(ended.iter().any(|job| job["attempts"].as_u64().unwrap() > 1), "{ended:?}");
    // Each counts once.
    let used = anna.get("/v1/usage").is(200).json();
    assert_eq!((anna.used("jobs"), &used["open_jobs"]), (3, &json!(0)), "{used}");
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_server_that_is_told_to_end_parks_what_runs() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    anna.kernel("primes");
    let (input, wanted) = (work(300), "25997\n".repeat(300));
    let job = submit(&anna, &input);
    is_under_way(&place, &job);
    server.end(Signal::TERM).code(0);
    // What is done is done: the journal is there, and the job is not over.
    assert!(place.path(format!("data/work/{job}/journal")).exists());
    let server = Server::start(&place);
    let ended = succeeded(&anna.at(&server), &job, &wanted);
    assert_eq!(ended["attempts"], 2);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_second_server_is_refused_and_a_backup_is_whole() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    let second = place.taskhost("serve --data data --listen 127.0.0.1:0").run().code(5);
    assert!(second.stderr.contains("in use by another server"), "{}", second.stderr);
    let open = place.taskhost("serve --data other --listen 0.0.0.0:0").run().code(5);
    assert!(open.stderr.contains("no TLS"), "{}", open.stderr);
    anna.get("/v1/usage").is(200);
    server.end(Signal::TERM).code(0);
}
