//! One tenant that wants everything, and others that want little.

use rustix::process::Signal;
use serde_json::json;

use super::client::{Client, Server};
use crate::harness::{Place, eventually, rounds};

/// Jobs that one tenant has in line, at most: it is asked for less every day.
const FLOOD: u64 = 10_000;

/// Bytes of memory that ten thousand jobs in line may cost.
const MEMORY: u64 = 50 << 20;

fn resident(server: &Server) -> u64 {
    server.running.process.status("VmRSS").trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Has so many jobs submitted, over a few connections.
fn flood(client: &Client, jobs: u64) {
    let job = json!({ "kernel": "primes", "input": { "text": "0 4000000000\n".repeat(10) } }).to_string();
    std::thread::scope(|scope| {
        for part in 0..8 {
            let job = &job;
            scope.spawn(move || {
                let mut connection = client.connect();
                for _ in 0..(jobs + part) / 8 {
                    connection.send("POST", "/v1/jobs", job.as_bytes()).is(202);
                }
            });
        }
    });
}

#[test]
fn a_flood_of_jobs_costs_little_memory_and_nobody_else_much_time() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--queued-jobs 20000 --requests 1000000");
    let bert = server.tenant(&place, "bert", "--requests 1000000");
    anna.kernel("primes");
    bert.kernel("primes");
    bert.call("primes", "0 100").is(200);
    flood(&anna, 16);
    let (before, jobs) = (resident(&server), rounds(20) * 100);
    let jobs = jobs.min(FLOOD);
    flood(&anna, jobs);
    let grown = resident(&server).saturating_sub(before);
    assert!(grown <= MEMORY * jobs / FLOOD + (8 << 20), "{grown} bytes for {jobs} jobs");
    let mut connection = bert.connect();
    for _ in 0..100 {
        assert_eq!(connection.call("primes", b"0 100").is(200).text(), "25");
    }
    let job = json!({ "kernel": "primes", "input": { "text": "0 100\n" } }).to_string();
    let short = bert.post("/v1/jobs", job).is(202).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(bert.wait(&short)["state"], "succeeded");
    assert_eq!(anna.get("/v1/jobs?limit=500").is(200).json()["jobs"].as_array().unwrap().len(), 500);
    assert_eq!(anna.used("jobs"), 0, "the flood is still there");
    server.end(Signal::TERM).code(0);
}

/// Long calls of one tenant leave room for the calls and the jobs of another.
#[test]
fn a_flood_of_calls_leaves_room_for_others() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    let bert = server.tenant(&place, "bert", "--requests 1000000");
    anna.kernel("primes");
    bert.kernel("primes");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = anna.connect();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(connection.call("primes", b"0 200000").is(200).text(), "17984");
                }
            });
        }
        eventually("they are at it", || anna.used("calls") > 4);
        for _ in 0..5 {
            assert_eq!(bert.call("primes", "0 100").is(200).text(), "25");
        }
        let job = json!({ "kernel": "primes", "input": { "text": "0 100\n".repeat(10) } }).to_string();
        let short = bert.post("/v1/jobs", job).is(202).json()["id"].as_str().unwrap().to_owned();
        assert_eq!(bert.wait(&short)["state"], "succeeded");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    server.end(Signal::TERM).code(0);
}
