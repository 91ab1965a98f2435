//! What a machine does to a server: few descriptors, a pause, another program in its place.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::json;

use super::client::{Client, Server};
use super::restart::is_under_way;
use crate::harness::{Place, eventually};

/// Descriptors of a server that has few, and the connections that come to it at a time.
const DESCRIPTORS: usize = 80;
const CONNECTIONS: usize = 150;

/// So many items of some hundredths of a second each.
fn submit(client: &Client, items: usize) -> String {
    let parameters = json!({ "batch": 1, "workers": 2 });
    let text = "0 300000\n".repeat(items);
    client.submit(&json!({ "kernel": "primes", "input": { "text": text }, "parameters": parameters }))
}

/// Work of every sort that a server does.
#[track_caller]
fn all_goes_on(client: &Client) {
    assert_eq!(client.call("primes", "0 100").is(200).text(), "25");
    let job = submit(client, 2);
    assert_eq!(client.wait(&job)["state"], "succeeded");
    assert_eq!(client.get(&format!("/v1/jobs/{job}/result")).is(200).text(), "25997\n25997\n");
}

#[test]
fn a_server_without_descriptors_recovers() {
    let place = Place::new();
    let server = Server::start_with_few(&place, DESCRIPTORS);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    let process = &server.running.process;
    for _ in 0..3 {
        let connections: Vec<TcpStream> = (0..CONNECTIONS)
            .map(|_| {
                let mut stream = TcpStream::connect(&server.address).unwrap();
                stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
                stream
            })
            .collect();
        eventually("there are no more", || process.descriptors() + 1 >= DESCRIPTORS);
        drop(connections);
        eventually("they are closed", || process.descriptors() < DESCRIPTORS / 2);
        all_goes_on(&anna);
    }
    server.end(Signal::TERM).code(0);
}

/// Whoever looks at a clock after it takes nobody for one that hangs.
#[test]
fn while_a_server_is_stopped_its_jobs_go_on() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    anna.call("primes", "0 100").is(200);
    let job = submit(&anna, 200);
    is_under_way(&place, &job);
    server.running.process.signal(Signal::STOP);
    eventually("it is stopped", || server.running.process.status("State").starts_with('T'));
    // A run takes its journal away when it is over.
    let journal = place.path(format!("data/work/{job}/journal"));
    eventually("the job comes to its end", || !journal.exists());
    assert!(server.running.process.status("State").starts_with('T'), "nobody else woke it");
    server.running.process.signal(Signal::CONT);
    let ended = anna.wait(&job);
    assert_eq!((&ended["state"], &ended["attempts"], &ended["items"]), (&json!("succeeded"), &json!(1), &json!(200)));
    all_goes_on(&anna);
    server.end(Signal::TERM).code(0);
}

/// An update puts another program where this one was: one that knows nothing of what it is asked to do.
#[test]
fn a_server_is_the_program_that_was_started() {
    let place = Place::new();
    let server = Server::start_copy(&place, "program");
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    let job = submit(&anna, 200);
    is_under_way(&place, &job);
    let other = place.write("other", "#!/bin/sh\necho another program >&2\nexit 99\n");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&other, place.path("program")).unwrap();
    // What runs, what is called for the first time, what is looked at and compiled, and what begins.
    all_goes_on(&anna);
    anna.kernel("echo");
    assert_eq!(anna.call("echo", "x").is(200).text(), "x");
    let ended = anna.wait(&job);
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("succeeded"), &json!(1)), "{ended}");
    // And when there is no program at all.
    fs::remove_file(place.path("program")).unwrap();
    all_goes_on(&anna);
    server.end(Signal::TERM).code(0);
}
