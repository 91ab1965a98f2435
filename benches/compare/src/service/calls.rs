//! Small calls: what one takes while there are some, and how many there can be.

use std::path::Path;
use std::time::Duration;

use crate::load::Asked;
use crate::server::Server;
use crate::{Figures, Outcome, connection};

/// The primes below a hundred: a microsecond of work.
const ITEM: &[u8] = b"0 100";
const RESULT: &[u8] = b"25";

/// Moderate load: so many in a second over so many connections.
const PER_SECOND: u32 = 1000;
const CONNECTIONS: u32 = 4;

/// Connections that ask as fast as they are answered.
const MANY: u32 = 16;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// `POST /v1/kernels/primes/invoke`.
pub(crate) fn ours(program: &Path, folder: &Path, time: Duration) -> Outcome<Figures> {
    let server = Server::taskhost(program, folder)?;
    let tenant = server.tenant("anna", "primes")?;
    let request = tenant.request("POST /v1/kernels/primes/invoke", ITEM);
    measure(Asked { address: server.address, request: &request, expected: RESULT }, time)
}

/// A component that does the same work with each request.
pub(crate) fn wasmtime(program: &Path, component: &Path, time: Duration) -> Outcome<Figures> {
    let server = Server::wasmtime(program, component)?;
    let request = connection::request(server.address, "POST /", None, ITEM);
    measure(Asked { address: server.address, request: &request, expected: RESULT }, time)
}

fn measure(asked: Asked<'_>, time: Duration) -> Outcome<Figures> {
    asked.as_fast_as_it_goes(CONNECTIONS, WARM_UP)?;
    let moderate = asked.at_a_pace(CONNECTIONS, PER_SECOND, time)?;
    let full = asked.as_fast_as_it_goes(MANY, time)?;
    let alone = asked.times(1000)?;
    Ok(vec![
        ("p50_us", moderate.micros(0.5)),
        ("p99_us", moderate.micros(0.99)),
        ("per_second", full.per_second()),
        ("full_p50_us", full.micros(0.5)),
        ("full_p99_us", full.micros(0.99)),
        ("alone_p50_us", alone.micros(0.5)),
    ])
}
