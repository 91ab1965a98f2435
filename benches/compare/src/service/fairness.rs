//! One tenant floods, another calls: what a call takes while nobody else wants anything, while the flood comes, and while it is
//! there.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::load::Asked;
use crate::queue;
use crate::server::Server;
use crate::{Figures, Outcome};

/// How the other tenant calls: so many in a second over so many connections.
const PER_SECOND: u32 = 200;
const CONNECTIONS: u32 = 2;

/// Until what was started runs as it will.
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) fn run(program: &Path, folder: &Path, jobs: usize, time: Duration) -> Outcome<Figures> {
    let server = Server::taskhost(program, folder)?;
    let (anna, bert) = (server.tenant("anna", "primes")?, server.tenant("bert", "primes")?);
    let request = bert.request("POST /v1/kernels/primes/invoke", b"0 100");
    let call = Asked { address: server.address, request: &request, expected: b"25" };
    let calls = |time| call.at_a_pace(CONNECTIONS, PER_SECOND, time);
    calls(SETTLE)?;
    let quiet = calls(time)?;
    let coming = thread::scope(|scope| {
        let flood = scope.spawn(|| queue::hand_in(&anna, jobs));
        let mut coming = Vec::new();
        while !flood.is_finished() {
            coming.push(calls(SETTLE)?.micros(0.99));
        }
        flood.join().map_err(|_| "whoever floods has panicked")??;
        coming.sort_by(f64::total_cmp);
        Outcome::Ok(coming.get(coming.len() / 2).copied().unwrap_or_default())
    })?;
    calls(SETTLE)?;
    let there = calls(time)?;
    Ok(vec![
        ("quiet_p50_us", quiet.micros(0.5)),
        ("quiet_p99_us", quiet.micros(0.99)),
        ("coming_p99_us", coming),
        ("there_p50_us", there.micros(0.5)),
        ("there_p99_us", there.micros(0.99)),
    ])
}
