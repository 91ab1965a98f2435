//! Calls: one item in, one result out, on workers that are kept ready.

use std::io::Write as _;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::client::{Server, raw};
use crate::harness::{Place, Process, eventually};
use crate::invoke::library;

/// A kernel of the tests, from its text.
fn wat(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/kernels/{name}.wat", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn metrics(server: &Server) -> String {
    raw(&server.address, "GET", "/metrics", "", b"").is(200).text()
}

#[test]
fn a_call_gives_what_a_run_gives() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    let echo = anna.kernel_of(wat("echo"));
    let local = place.taskhost("run primes").input("0 100\n7 12\n").run().success();
    let called: String = ["0 100", "7 12"].map(|item| anna.call("primes", item).is(200).text() + "\n").concat();
    assert_eq!(called, local.text());
    for item in [Vec::new(), (0..=255).collect(), vec![b'\n'; 100_000]] {
        assert_eq!(anna.call(&echo, &item).is(200).body, item);
    }
    let failed = anna.call("primes", "no numbers").is(422);
    let problem = failed.json();
    assert_eq!(
        (failed.code(), &problem["verdict"], &problem["blame"]),
        ("item-failed".into(), &json!("kernel-error"), &json!("item"))
    );
    assert!(problem["detail"].as_str().unwrap().contains("no numbers"), "{problem}");
    assert_eq!(anna.call("primes", vec![b'x'; 2 << 20]).is(413).code(), "too-large");
    // What gives no result for an item is refused, and so is what filters pictures.
    anna.kernel("sobel");
    assert_eq!(anna.call("sobel", "x").is(422).code(), "kernel-refused");
    assert_eq!(anna.call("nothing", "x").is(404).code(), "not-found");
    let (bert, reader) = (server.tenant(&place, "bert", ""), server.tenant(&place, "clara", "--scope jobs:read"));
    assert_eq!(bert.call("primes", "0 10").is(404).code(), "not-found");
    assert_eq!(reader.call("primes", "0 10").is(403).code(), "scope-missing");
    eventually("they count", || anna.used("calls") == 6);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_function_of_any_component_is_called_with_json() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    let digest = anna.kernel_of(library::library());
    let function = |name: &str, arguments: &str| anna.post(&format!("/v1/kernels/{digest}/invoke/{name}"), arguments);
    assert_eq!(function("is-prime", "7").is(200).text(), "true");
    assert_eq!(function("divide", "[7, 2]").is(200).text(), "3");
    let answer = function("math%23add", "{\"b\": -5, \"a\": 3}").is(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("-2", Some("application/json")));
    assert_eq!(function("divide", "[1, 0]").is(422).code(), "item-failed");
    assert_eq!(function("divide", "[1").is(422).code(), "item-failed");
    assert_eq!(function("no-such-function", "[]").is(404).code(), "not-found");
    assert_eq!(anna.call(&digest, "x").is(422).code(), "function-missing");
    server.end(Signal::TERM).code(0);
}

/// Whoever calls, and whatever: no process serves two.
#[test]
fn a_worker_serves_one_tenant_and_one_kernel() {
    let place = Place::new();
    let server = Server::start(&place);
    let clients = ["anna", "bert"].map(|name| server.tenant(&place, name, ""));
    for client in &clients {
        for kernel in ["primes", "echo"] {
            client.kernel(kernel);
            client.call(kernel, "0 10").is(200);
        }
    }
    let workers = || server.running.process.workers().into_iter().map(|worker| worker.id).collect::<Vec<_>>();
    let before = workers();
    assert_eq!(before.len(), 4);
    for client in &clients {
        for kernel in ["primes", "echo"] {
            client.call(kernel, "0 10").is(200);
        }
    }
    assert_eq!(workers(), before, "they are kept");
    // A tenant that is kept out has no workers, and a kernel that is deleted has none.
    place.taskhost("tenant disable bert --data data").run().code(0);
    eventually("they are gone", || workers().len() == 2);
    clients[0].call("echo", "still there").is(200);
    server.end(Signal::TERM).code(0);
}

/// An item that never ends costs its caller the time it allows, and nobody else anything.
#[test]
fn a_call_that_takes_too_long_is_given_up() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    let (never, echo) = (anna.kernel_of(wat("never-returns")), anna.kernel_of(wat("echo")));
    anna.call(&echo, "x").is(200);
    for _ in 0..3 {
        // On a busy machine it takes longer than that to get a worker, which is said in other words.
        let mut answer = None;
        eventually("it is begun in time", || {
            let late = anna.post(&format!("/v1/kernels/{never}/invoke?timeout=100ms"), "7");
            let has_begun = late.status != 503;
            answer = Some(late);
            has_begun
        });
        let late = answer.expect("it was answered").is(504);
        assert_eq!((late.code(), &late.json()["verdict"]), ("late".into(), &json!("deadline")));
        assert_eq!(anna.call(&echo, "y").is(200).text(), "y");
    }
    eventually("nobody is at work", || metrics(&server).contains("taskhost_call_workers_busy 0"));
    // A caller that goes away is no reason to go on, either.
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    let token = &anna.token;
    let head = "HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nAuthorization: Bearer";
    write!(stream, "POST /v1/kernels/{never}/invoke {head} {token}\r\n\r\n7").unwrap();
    eventually("it is at work", || metrics(&server).contains("taskhost_call_workers_busy 1"));
    // However busy the machine is: so much of it that it is seen in what is owed.
    let used = |worker: &Process| worker.cpu_time() > Duration::from_millis(200);
    eventually("it has used something", || server.running.process.workers().iter().any(used));
    drop(stream);
    eventually("it is given up", || metrics(&server).contains("taskhost_call_workers_busy 0"));
    // What it used is owed.
    eventually("it is accounted for", || anna.used("cpu_ms") > 100);
    server.end(Signal::TERM).code(0);
}

/// With both workers at something long, the next call is told to come again, unless a worker is kept for such.
#[test]
fn a_worker_that_is_kept_is_free_for_who_has_none() {
    let place = Place::new();
    for (flags, status) in [("", 503), ("--reserve 1", 200)] {
        let server = Server::start_with(&place, flags);
        let (anna, bert) = (format!("anna{status}"), format!("bert{status}"));
        let (anna, bert) = (server.tenant(&place, &anna, ""), server.tenant(&place, &bert, ""));
        let (never, echo) = (anna.kernel_of(wat("never-returns")), bert.kernel_of(wat("echo")));
        bert.call(&echo, "warm").is(200);
        let path = format!("/v1/kernels/{never}/invoke?timeout=300s");
        std::thread::scope(|scope| {
            let long: Vec<_> = (0..2).map(|_| scope.spawn(|| anna.post(&path, "7"))).collect();
            let busy = if status == 503 { 2 } else { 1 };
            eventually("they are at work", || metrics(&server).contains(&format!("taskhost_call_workers_busy {busy}")));
            // Who waits in vain waits shortly, and who is answered is answered while the others are still at work.
            let patience = if status == 503 { "300ms" } else { "60s" };
            let answer = bert.post(&format!("/v1/kernels/{echo}/invoke?timeout={patience}"), "x").is(status);
            if status == 503 {
                assert_eq!((answer.code(), answer.header("retry-after")), ("busy".into(), Some("1")));
            }
            assert!(long.iter().all(|call| !call.is_finished()), "they were given up");
            server.running.process.signal(Signal::TERM);
            long.into_iter().for_each(|call| drop(call.join()));
        });
        server.end(Signal::TERM).code(0);
    }
}

#[test]
fn a_worker_that_is_killed_costs_no_call() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    let mut connection = anna.connect();
    for round in 0..10 {
        assert_eq!(connection.call("primes", b"0 100").is(200).text(), "25", "{round}");
        server.running.process.workers().iter().for_each(|worker| worker.signal(Signal::KILL));
    }
    assert_eq!(connection.call("primes", b"0 100").is(200).text(), "25");
    server.end(Signal::TERM).code(0);
}

/// What workers have to themselves is told, and how many there are.
#[test]
fn workers_and_their_memory_are_told() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let number = |name: &str| {
        let metrics = metrics(&server);
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().parse::<u64>().unwrap()
    };
    let told = || (number("taskhost_workers{state=\"alive\"}"), number("taskhost_worker_resident_bytes"));
    eventually("who looked at the kernel is gone", || told() == (0, 0));
    // The worker of a call is kept.
    anna.call("primes", "0 10").is(200);
    let (count, memory) = told();
    assert!(count == 1 && (50_000..100_000_000).contains(&memory), "{count}, {memory}");
    server.end(Signal::TERM).code(0);
}
