//! A server that is told to end, or to read again what may have changed.

use rustix::process::Signal;
use serde_json::json;

use super::chaos::runs_of;
use super::client::{Client, Server, raw};
use crate::harness::{GONE_WITHIN, Place, Process, eventually};

/// So many items of some hundredths of a second each.
fn submit(client: &Client, items: usize) -> String {
    let text = "0 300000\n".repeat(items);
    let job = json!({ "kernel": "primes", "input": { "text": text }, "parameters": { "batch": 1, "workers": 2 } });
    client.post("/v1/jobs", job.to_string()).is(202).json()["id"].as_str().unwrap().to_owned()
}

fn is_running(client: &Client, job: &str) {
    eventually("it runs", || client.get(&format!("/v1/jobs/{job}")).is(200).json()["state"] == "running");
}

#[test]
fn what_is_short_comes_to_its_end_and_nothing_new_is_taken() {
    let place = Place::new();
    let server = Server::start_with(&place, "--drain-time 100s");
    let anna = server.tenant(&place, "anna", "--concurrent-jobs 1 --requests 1000000");
    anna.kernel("primes");
    let (short, waits) = (submit(&anna, 100), submit(&anna, 1));
    is_running(&anna, &short);
    server.running.process.signal(Signal::TERM);
    eventually("it is not ready", || raw(&server.address, "GET", "/readyz", "", b"").status == 503);
    let refused =
        anna.post("/v1/jobs", json!({ "kernel": "primes", "input": { "text": "0 1\n" } }).to_string()).is(503);
    assert!(refused.code() == "busy" && refused.header("retry-after").is_some(), "{}", refused.head);
    assert_eq!(anna.call("primes", "0 10").is(503).code(), "busy");
    // Whoever waits for what is under way is still answered.
    assert_eq!(anna.wait(&short)["state"], "succeeded");
    server.running.end().code(0);
    let server = Server::start(&place);
    let anna = anna.at(&server);
    let done = anna.get(&format!("/v1/jobs/{short}")).is(200).json();
    assert_eq!((&done["state"], &done["attempts"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(anna.wait(&waits)["state"], "succeeded");
    server.end(Signal::TERM).code(0);
}

#[test]
fn whoever_asks_twice_does_not_wait() {
    let place = Place::new();
    let server = Server::start_with(&place, "--drain-time 1h");
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    let long = submit(&anna, 10_000);
    let journal = place.path(format!("data/work/{long}/journal"));
    eventually("something is done", || journal.metadata().is_ok_and(|journal| journal.len() > 4096));
    server.running.process.signal(Signal::TERM);
    eventually("it is not ready", || raw(&server.address, "GET", "/readyz", "", b"").status == 503);
    server.end(Signal::TERM).code(0);
    assert!(journal.exists(), "it is parked");
    let server = Server::start(&place);
    let anna = anna.at(&server);
    assert_eq!(anna.post(&format!("/v1/jobs/{long}/cancel"), "").is(202).json()["state"], "cancelled");
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_server_that_hears_sighup_goes_on() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    let long = submit(&anna, 5000);
    is_running(&anna, &long);
    for _ in 0..3 {
        server.running.process.signal(Signal::HUP);
        assert_eq!(anna.call("primes", "0 10").is(200).text(), "4");
    }
    assert_eq!(raw(&server.address, "GET", "/readyz", "", b"").is(200).text(), "ready\n");
    assert_eq!(anna.get(&format!("/v1/jobs/{long}")).is(200).json()["attempts"], 1);
    anna.post(&format!("/v1/jobs/{long}/cancel"), "").is(202);
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    server.end(Signal::TERM).code(0);
}

#[test]
fn of_a_hundred_jobs_none_is_lost_and_no_process_stays() {
    const TENANTS: usize = 10;
    const JOBS: usize = 10;
    let place = Place::new();
    let server = Server::start(&place);
    let tenants: Vec<Client> = (0..TENANTS)
        .map(|number| {
            let tenant = server.tenant(&place, &format!("tenant{number}"), "--requests 1000000");
            tenant.kernel("primes");
            tenant
        })
        .collect();
    let submit = |tenant: &Client, items: usize| {
        let input = "0 100000\n".repeat(items);
        tenant.submit(&json!({ "kernel": "primes", "input": { "text": input }, "parameters": { "batch": 1 } }))
    };
    // From each tenant in turn, so that all of them have some that run.
    let jobs: Vec<(usize, usize, String)> = (1..=JOBS)
        .flat_map(|items| (0..TENANTS).map(move |tenant| (tenant, items)))
        .map(|(tenant, items)| (tenant, items, submit(&tenants[tenant], items)))
        .collect();
    let mut runs = Vec::new();
    eventually("some run", || {
        runs = runs_of(&server);
        runs.len() >= 4
    });
    let workers: Vec<_> = runs.iter().flat_map(Process::workers).collect();
    server.end(Signal::TERM).code(0);
    for process in runs.iter().chain(&workers) {
        assert!(process.is_gone_within(GONE_WITHIN), "process {}", process.id);
    }
    let server = Server::start(&place);
    for (tenant, items, job) in &jobs {
        let tenant = tenants[*tenant].at(&server);
        let ended = tenant.wait(job);
        assert_eq!((&ended["state"], &ended["items"]), (&json!("succeeded"), &json!(items)), "{ended}");
        assert_eq!(tenant.get(&format!("/v1/jobs/{job}/result")).is(200).text(), "9592\n".repeat(*items));
    }
    for tenant in &tenants {
        assert_eq!(tenant.at(&server).used("jobs"), JOBS as u64);
    }
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    server.end(Signal::TERM).code(0);
}
