//! A server that has done much has no more than one that has done little.

use rustix::process::Signal;
use serde_json::json;

use super::client::{Client, Server};
use crate::harness::{Place, eventually, rounds};

/// What the memory of a server may differ by from one look to the next: its allocator keeps some of what it had.
const SLACK: u64 = 24 << 20;

/// Kernels that are ready at a time, at most, and workers beyond those that can be at work.
const READY: usize = 64;
const WARM: usize = 16;

fn resident(server: &Server) -> u64 {
    server.running.process.status("VmRSS").trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn work(client: &Client, calls: u64, jobs: u64) {
    let mut connection = client.connect();
    for number in 0..calls {
        let (item, status) = if number % 10 == 9 { ("no numbers", 422) } else { ("0 100", 200) };
        connection.call("primes", item.as_bytes()).is(status);
    }
    let job = json!({ "kernel": "primes", "input": { "text": "0 100\n7 12\n" } }).to_string();
    for _ in 0..jobs {
        let answer = client.send("POST", "/v1/jobs", "Prefer: wait=30\r\n", job.as_bytes()).is(200);
        assert_eq!(answer.text(), "25\n2\n");
    }
}

#[test]
fn calls_and_jobs_leave_nothing() {
    let place = Place::new();
    let server = Server::start(&place);
    let clients = ["anna", "bert"].map(|name| server.tenant(&place, name, "--requests 1000000"));
    clients.iter().for_each(|client| drop(client.kernel("primes")));
    let all = |calls, jobs| {
        std::thread::scope(|scope| {
            clients.iter().for_each(|client| drop(scope.spawn(move || work(client, calls, jobs))))
        });
    };
    all(200, 3);
    let process = &server.running.process;
    let threads = || process.status("Threads").parse::<usize>().unwrap();
    eventually("the jobs are gone", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    let (memory, descriptors, then) = (resident(&server), process.descriptors(), threads());
    for _ in 0..rounds(3) {
        all(1000, 5);
        // Somebody loses a worker, and has another one by the next call that is taken.
        let lost = process.workers().pop().expect("they are kept");
        lost.signal(Signal::KILL);
        eventually("it is gone", || lost.is_reaped());
        for client in &clients {
            eventually("calls are answered", || client.call("primes", "0 100").status == 200);
        }
        // Connections are closed, and what ran is reaped, a moment after the last answer.
        eventually("no descriptor is left over", || process.descriptors() <= descriptors + 4);
        eventually("no thread is left over", || threads() <= then + 4);
        eventually("all that ended were taken note of", || process.zombies() == 0);
        let now = resident(&server);
        assert!(now <= memory + SLACK, "{memory} bytes, and then {now}");
    }
    server.end(Signal::TERM).code(0);
}

/// Of many kernels that are called, the least recently used lose their workers first, and are ready again when they are called.
#[test]
fn workers_are_kept_up_to_a_limit() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    let text = std::fs::read_to_string(format!("{}/tests/kernels/echo.wat", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let kernels: Vec<String> = (0..24).map(|number| anna.kernel_of(format!("{text}\n;; {number}\n"))).collect();
    for kernel in &kernels {
        anna.call(kernel, "x").is(200);
    }
    let workers = || server.running.process.workers();
    eventually("some are ended", || workers().len() <= WARM + 2);
    assert!(kernels.len() < READY);
    // More of those that rest may be ended meanwhile; none is started.
    let before: Vec<u32> = workers().iter().map(|worker| worker.id).collect();
    anna.call(kernels.last().unwrap(), "y").is(200);
    let all_known = || workers().iter().all(|worker| before.contains(&worker.id));
    assert!(all_known(), "the last one is ready");
    anna.call(&kernels[0], "y").is(200);
    assert!(!all_known(), "the first one was not");
    server.end(Signal::TERM).code(0);
}
