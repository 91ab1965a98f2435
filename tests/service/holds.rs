//! What the operator holds back: tenants that are paused, and kernels that nobody may run.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Client, Server, raw};
use crate::harness::{Place, eventually};

/// Some hours of work, and none.
const LONG: &str = "0 4000000000\n";
const SHORT: &str = "0 10\n";

fn job(kernel: &str, text: &str) -> Value {
    json!({ "kernel": kernel, "input": { "text": text }, "parameters": { "workers": 1 } })
}

fn reason(client: &Client, job: &str) -> Value {
    client.get(&format!("/v1/jobs/{job}/explain")).is(200).json()["wait"]["reason"].clone()
}

fn state(client: &Client, job: &str) -> Value {
    client.get(&format!("/v1/jobs/{job}")).is(200).json()["state"].clone()
}

#[test]
fn of_a_tenant_that_is_paused_nothing_is_started() {
    let place = Place::new();
    let operator = |command: &str| place.taskhost(&format!("tenant {command} --data data")).run().code(0);
    let server = Server::start(&place);
    let (anna, bert) =
        (server.tenant(&place, "anna", "--requests 1000000"), server.tenant(&place, "bert", "--requests 1000000"));
    anna.kernel("primes");
    bert.kernel("primes");
    let runs = anna.submit(&job("primes", LONG));
    eventually("it runs", || state(&anna, &runs) == "running");
    operator("pause anna");
    let waits = anna.submit(&job("primes", SHORT));
    eventually("it waits", || reason(&anna, &waits) == "paused");
    assert_eq!(anna.call("primes", SHORT.trim()).is(503).code(), "paused");
    assert!(anna.call("primes", SHORT.trim()).header("retry-after").is_some());
    // What runs goes on; others are as they were, and the server is ready.
    assert_ne!(reason(&anna, &runs), "paused");
    assert_eq!(bert.call("primes", "0 10").is(200).text(), "4");
    raw(&server.address, "GET", "/readyz", "", b"").is(200);
    assert!(operator("list").text().contains("today  paused\n"), "{}", operator("list").text());
    assert!(operator("show anna").text().starts_with("anna (paused)\n"));
    assert!(operator("show bert").text().starts_with("bert\n"));
    // It survives a server.
    server.end(Signal::TERM).code(0);
    let server = Server::start(&place);
    let (anna, bert) = (anna.at(&server), bert.at(&server));
    eventually("both wait", || [&runs, &waits].iter().all(|job| reason(&anna, job) == "paused"));
    operator("resume anna");
    assert_eq!(anna.wait(&waits)["state"], "succeeded");
    eventually("it goes on", || reason(&anna, &runs) != "paused");
    // Everybody, and what runs gives its process up.
    operator("pause --park");
    eventually("it is parked", || reason(&anna, &runs) == "paused");
    let other = bert.submit(&job("primes", SHORT));
    eventually("it waits", || reason(&bert, &other) == "paused");
    assert!(operator("list").text().lines().all(|line| line.ends_with("  parked")));
    // Who is paused by name stays so when everybody goes on.
    operator("pause anna");
    operator("resume");
    assert_eq!(bert.wait(&other)["state"], "succeeded");
    eventually("it waits", || reason(&anna, &runs) == "paused");
    operator("resume anna");
    eventually("it goes on", || reason(&anna, &runs) != "paused");
    anna.post(&format!("/v1/jobs/{runs}/cancel"), "").is(202);
    let audit = operator("audit").text().to_owned();
    for action in ["tenant.pause", "tenant.park", "tenant.resume"] {
        assert!(audit.contains(&format!("\"action\":\"{action}\"")), "{audit}");
    }
    let unknown = place.taskhost("tenant pause nobody --data data").run().code(2);
    assert!(unknown.stderr.contains("there is no tenant \"nobody\""), "{}", unknown.stderr);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_kernel_that_is_blocked_is_nobodys() {
    let place = Place::new();
    let operator = |command: &str| place.taskhost(&format!("tenant {command} --data data")).run().code(0);
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--concurrent-jobs 1 --requests 1000000");
    let bert = server.tenant(&place, "bert", "");
    let digest = anna.kernel("primes");
    anna.kernel("wordcount");
    let (runs, waits) = (anna.submit(&job("primes", LONG)), anna.submit(&job("primes", SHORT)));
    let other = anna.submit(&job("wordcount", "a b\n"));
    eventually("it runs", || state(&anna, &runs) == "running");
    assert_eq!(anna.call("primes", "0 10").is(200).text(), "4");
    let blocked = operator(&format!("block {digest} --reason CVE-2026-1"));
    assert!(blocked.stderr.contains("2 jobs ended"), "{}", blocked.stderr);
    let end = |job: &str| {
        let job = anna.wait(job);
        (job["state"].clone(), job["exit_code"].clone(), job["message"].as_str().unwrap_or_default().to_owned())
    };
    let said = "kernel-blocked: the operator has blocked this kernel: CVE-2026-1".to_owned();
    assert_eq!(end(&runs), (json!("cancelled"), json!(null), said.clone()));
    assert_eq!(end(&waits), (json!("failed"), json!(4), said));
    assert_eq!(end(&other).0, "succeeded");
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    // Nobody stores it, hands in a job of it or calls it, in whatever way it is named.
    let file = std::fs::read(format!("{}/plugins/dist/primes.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let one = job("primes", SHORT).to_string();
    let batch = json!({ "jobs": [job("wordcount", "a"), job(&digest, SHORT)] }).to_string();
    let refused = [
        bert.post("/v1/kernels", &file),
        bert.send("PUT", &format!("/v1/kernels/{digest}"), "", &file),
        anna.send("PUT", &format!("/v1/kernels/{digest}"), "", &file),
        anna.post("/v1/jobs", one),
        anna.post("/v1/jobs?kernel=primes", SHORT),
        anna.post("/v1/jobs/batch", batch),
        anna.call("primes", "0 10"),
        anna.call(&digest, "0 10"),
    ];
    for answer in refused {
        let answer = answer.is(403);
        assert_eq!(answer.code(), "kernel-blocked");
        assert!(answer.text().contains("CVE-2026-1"), "{}", answer.text());
    }
    let list = operator("blocked").text().to_owned();
    assert_eq!(list, format!("{digest}  CVE-2026-1\n"));
    assert!(anna.get("/v1/audit").is(200).text().contains("kernel.block"));
    assert!(!bert.get("/v1/audit").is(200).text().contains("kernel.block"));
    // It stays blocked with the next server, until the operator says otherwise.
    server.end(Signal::TERM).code(0);
    let server = Server::start(&place);
    let (anna, bert) = (anna.at(&server), bert.at(&server));
    assert_eq!(anna.call("primes", "0 10").is(403).code(), "kernel-blocked");
    operator(&format!("unblock {digest}"));
    assert_eq!(operator("blocked").text(), "");
    assert_eq!(anna.call("primes", "0 10").is(200).text(), "4");
    bert.post("/v1/kernels", &file).is(201);
    for wrong in ["block x".to_owned(), format!("unblock {digest}")] {
        place.taskhost(&format!("tenant {wrong} --data data")).run().code(2);
    }
    server.end(Signal::TERM).code(0);
}
