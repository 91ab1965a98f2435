//! More connections than anybody needs, that say little or nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::{Resource, Signal, getrlimit};

use super::client::{Server, raw};
use crate::harness::{Place, eventually};

/// Connections; fewer where a process may not have so many descriptors.
const CROWD: u64 = 10_000;

/// Bytes that a connection may cost that was used and is kept: what a request was read into, and what goes with a task.
const EACH: u64 = 24 << 10;

/// What is not in proportion.
const REST: u64 = 8 << 20;

fn resident(server: &Server) -> u64 {
    server.running.process.status("VmRSS").trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn connections_that_wait_cost_little_and_whoever_works_is_served() {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Other tests have some open, too.
    let crowd = CROWD.min(most / 2);
    let place = Place::new();
    let more = format!("--max-connections {} --max-connections-per-address {}", crowd + 100, crowd + 100);
    let server = Server::start_with(&place, &more);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    assert_eq!(anna.call("primes", "0 100").is(200).text(), "25");
    let (memory, descriptors) = (resident(&server), server.running.process.descriptors());
    let connections: Vec<TcpStream> = (0..crowd)
        .map(|number| {
            let mut connection = TcpStream::connect(&server.address).unwrap();
            // Some were used and may be used again; of the others there is not a byte.
            if number % 4 == 0 {
                connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                let mut answer = [0; 12];
                connection.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"HTTP/1.1 200");
            }
            connection
        })
        .collect();
    let grown = resident(&server).saturating_sub(memory);
    assert!(grown <= crowd * EACH + REST, "{grown} bytes for {crowd} connections");
    raw(&server.address, "GET", "/healthz", "", b"").is(200);
    for _ in 0..100 {
        assert_eq!(anna.call("primes", "0 100").is(200).text(), "25");
    }
    drop(connections);
    eventually("they are gone", || server.running.process.descriptors() <= descriptors);
    server.end(Signal::TERM).code(0);
}
