//! Whoever asks for something and goes away, and what is asked for and refused: nothing half done is left.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Client, Server};
use crate::harness::{Place, eventually};

/// Asks for something, and is gone after so many milliseconds, with the answer or without.
fn go_away(client: &Client, (method, path): (&str, &str), body: &str, after: u64) {
    let mut stream = TcpStream::connect(&client.address).unwrap();
    let (address, token, length) = (&client.address, &client.token, body.len());
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(after))).unwrap();
    let _ = stream.read(&mut [0]);
}

fn jobs(client: &Client, query: &str) -> Vec<Value> {
    client.get(&format!("/v1/jobs?limit=500{query}")).is(200).json()["jobs"].as_array().unwrap().clone()
}

/// What is kept is followed by all that has to follow: a job runs or ends, a token is good no more.
#[test]
fn what_was_asked_for_is_carried_out_when_whoever_asked_has_gone() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000 --concurrent-jobs 2");
    anna.kernel("primes");
    let job = |text: &str| json!({ "kernel": "primes", "input": { "text": text } }).to_string();
    for round in 0..100 {
        go_away(&anna, ("POST", "/v1/jobs"), &job("0 10\n"), 1 + round % 10);
    }
    let states = || jobs(&anna, "").iter().map(|job| job["state"].clone()).collect::<Vec<_>>();
    eventually("each job that was kept is done", || states().iter().all(|state| state == "succeeded"));
    assert!(states().len() > 10, "{}", states().len());
    // One that is told to end, ends.
    for round in 0..10 {
        let long = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" } }));
        let state = || anna.get(&format!("/v1/jobs/{long}")).is(200).json()["state"].clone();
        eventually("it runs", || state() == "running");
        go_away(&anna, ("POST", &format!("/v1/jobs/{long}/cancel")), "", 1 + round % 4);
        eventually("it is cancelled", || state() == "cancelled");
    }
    eventually("nothing runs", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    // A token that is ended is good no more.
    for round in 0..10 {
        let made = anna.post("/v1/tokens", json!({ "scopes": ["jobs:read"] }).to_string()).is(201).json();
        let token = made["token"].as_str().unwrap().to_owned();
        let other = Client { address: anna.address.clone(), token };
        other.get("/v1/jobs").is(200);
        let path = format!("/v1/tokens/{}", made["key"].as_str().unwrap());
        go_away(&anna, ("DELETE", &path), "", 1 + round % 3);
        eventually("it is good no more", || other.get("/v1/jobs").status == 401);
    }
    // What nobody waited for stands in the log.
    let endless = json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" } }).to_string();
    let mut stream = TcpStream::connect(&anna.address).unwrap();
    let (address, token, length) = (&anna.address, &anna.token, endless.len());
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nX-Request-Id: gone-1\r\n"
    );
    stream.write_all(format!("{head}Prefer: wait=30\r\nContent-Length: {length}\r\n\r\n{endless}").as_bytes()).unwrap();
    eventually("it is kept", || jobs(&anna, "").iter().any(|job| job["ended"].is_null()));
    drop(stream);
    for job in jobs(&anna, "").iter().filter(|job| job["ended"].is_null()) {
        anna.post(&format!("/v1/jobs/{}/cancel", job["id"].as_str().unwrap()), "").is(202);
    }
    let log = server.end(Signal::TERM).code(0).stderr;
    let line = log.lines().find(|line| line.contains("gone-1")).unwrap_or_default();
    assert!(line.contains("499"), "{line}");
}

/// Files of contents, and what counts of them.
fn stored(place: &Place, client: &Client) -> (usize, u64) {
    let files = place.files().iter().filter(|name| name.contains("/blobs/")).count();
    (files, client.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap())
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000 --queued-jobs 2 --concurrent-jobs 1 --stored 5MB");
    anna.kernel("primes");
    let blob = anna.post("/v1/blobs", vec![b'x'; 2_000_000]).is(201).json()["digest"].clone();
    let text = |number: usize| format!("{number} {}\n", "x".repeat(50_000));
    let job = |more: Value| {
        let mut job = json!({ "kernel": "primes", "input": { "text": text(0) } });
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        job
    };
    let before = stored(&place, &anna);
    let refused = |job: Value| {
        let answer = anna.post("/v1/jobs", job.to_string());
        assert!((400..500).contains(&answer.status), "{}", answer.text());
    };
    refused(job(json!({ "priority": 120 })));
    refused(job(json!({ "kernel": "none" })));
    refused(job(json!({ "input": vec![json!({ "text": "x" }); 1001] })));
    refused(job(json!({ "input": [{ "text": text(1) }, { "blob": format!("blake3:{}", "0".repeat(64)) }] })));
    refused(job(json!({ "input": [{ "text": text(2) }, { "text": text(3), "name": "a\nb" }] })));
    // Copies of parts have no room.
    let part = json!({ "blob": blob, "range": [0, 1_900_000] });
    refused(job(json!({ "input": [{ "text": text(4) }, part.clone(), part] })));
    for path in ["/v1/jobs?kernel=primes&name=a%0Ab", "/v1/jobs?kernel=primes&priority=120"] {
        anna.post(path, text(5)).is(422);
    }
    let batch = |jobs: Vec<Value>| anna.post("/v1/jobs/batch", json!({ "jobs": jobs }).to_string());
    batch((0..3).map(|number| job(json!({ "input": { "text": text(number) } }))).collect()).is(429);
    batch(vec![job(json!({})), job(json!({ "priority": 120 }))]).is(422);
    batch(vec![job(json!({})), job(json!({ "kernel": "none" }))]).is(404);
    let texts = || json!({ "kernel": "primes", "input": vec![json!({ "text": "x" }); 700] });
    batch((0..3).map(|_| texts()).collect()).is(422);
    assert_eq!(stored(&place, &anna), before);
    // Nor what comes when there are too many jobs: of two at once one sees so when it is kept.
    let long: Vec<String> =
        (0..2).map(|_| anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" } }))).collect();
    let full = stored(&place, &anna);
    anna.post("/v1/jobs?kernel=primes", text(6)).is(429);
    refused(job(json!({})));
    assert_eq!(stored(&place, &anna), full);
    for job in long {
        anna.post(&format!("/v1/jobs/{job}/cancel"), "").is(202);
        anna.send("DELETE", &format!("/v1/jobs/{job}"), "", b"").is(204);
    }
    assert_eq!(stored(&place, &anna), before);
    server.end(Signal::TERM).code(0);
}
