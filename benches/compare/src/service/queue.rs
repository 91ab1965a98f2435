//! Jobs in line: what they cost the server, and what it takes to hand in one more and to look at some.

use std::path::Path;
use std::thread;

use serde_json::json;

use crate::connection::Connection;
use crate::load::Asked;
use crate::server::{Server, Tenant};
use crate::{Figures, Outcome};

/// Connections over which they come.
const CONNECTIONS: usize = 8;

/// Requests that are timed when the line is long.
const TIMED: usize = 500;

/// A job of some hours.
pub(crate) fn long_job() -> String {
    json!({ "kernel": "primes", "input": { "text": "0 4000000000\n".repeat(10) } }).to_string()
}

/// Hands in so many jobs, as fast as they are taken.
pub(crate) fn hand_in(tenant: &Tenant, jobs: usize) -> Outcome {
    let request = tenant.request("POST /v1/jobs", long_job().as_bytes());
    let request = &request;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|part| {
                scope.spawn(move || -> Outcome {
                    let mut connection = Connection::new(tenant.address)?;
                    for _ in 0..(jobs + part) / CONNECTIONS {
                        let status = connection.ask(request)?.status;
                        if status != 202 {
                            return Err(format!("a job is answered with {status}").into());
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "whoever asks has panicked")?)
    })
}

pub(crate) fn run(program: &Path, folder: &Path, jobs: usize) -> Outcome<Figures> {
    let server = Server::taskhost(program, folder)?;
    let tenant = server.tenant("anna", "primes")?;
    // The first ones run from now on.
    hand_in(&tenant, 2 * CONNECTIONS)?;
    let before = server.memory()?;
    let timed = TIMED.min(jobs / 2);
    hand_in(&tenant, jobs - timed)?;
    let ask = |line: &str, body: &[u8], expected: &[u8]| {
        let request = tenant.request(line, body);
        Asked { address: server.address, request: &request, expected }.times(timed)
    };
    let submit = ask("POST /v1/jobs", long_job().as_bytes(), b"queued")?;
    let list = ask("GET /v1/jobs?limit=100", b"", b"queued")?;
    let now = server.memory()?;
    Ok(vec![
        ("grown_mb", 1e-6 * (now - before)),
        ("server_mb", 1e-6 * now),
        ("submit_p50_ms", 1e-3 * submit.micros(0.5)),
        ("submit_p99_ms", 1e-3 * submit.micros(0.99)),
        ("list_p50_ms", 1e-3 * list.micros(0.5)),
        ("list_p99_ms", 1e-3 * list.micros(0.99)),
    ])
}
