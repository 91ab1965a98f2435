//! What is done for a call, counted: system calls are the same on every machine, times are not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::client::Server;
use crate::harness::strace::{Calls, can_trace, counted};
use crate::harness::{Place, eventually};

const FEW: u32 = 50;
const MANY: u32 = 350;

/// What a call may cost, in all processes.
const MOST: f64 = 24.0;

/// All system calls of a server that is called so often, one call after the other, on a connection that stays; and how long that
/// took. It takes no less than `lasting`: the calls are spread over that time.
fn of_calls(calls: u32, lasting: Duration) -> (Calls, Duration) {
    let place = Place::new();
    let server = Server::start_counted(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    let mut connection = anna.connect();
    let began = Instant::now();
    for number in 0..calls {
        assert_eq!(connection.call("primes", b"0 100").is(200).text(), "25");
        let rest = (lasting * (number + 1) / calls).saturating_sub(began.elapsed());
        assert!(!server.running.process.is_gone_within(rest), "the server has ended");
    }
    let took = began.elapsed();
    drop(connection);
    server.end(Signal::TERM).code(0);
    eventually("they are counted", || {
        std::fs::read_to_string(place.path("calls")).is_ok_and(|text| text.contains("total"))
    });
    (counted(&place.text("calls")), took)
}

/// Of the server: the request in, the answer out, a line of the log, and looks for what is there and what is not; a message to the
/// worker and one from it, and whoever waits for them woken. Of the worker: a message in, one out.
#[test]
fn system_calls_of_a_call() {
    if !can_trace("system_calls_of_a_call") {
        return;
    }
    // What is done once a second however many calls there are is no part of a call, and the slower a machine, the more there is of it:
    // so both take as long.
    let (many, took) = of_calls(MANY, Duration::ZERO);
    let (few, _) = of_calls(FEW, took);
    let each: BTreeMap<&String, f64> = many
        .iter()
        .filter(|(name, _)| *name != "total")
        .map(|(name, count)| {
            (name, count.saturating_sub(few.get(name).copied().unwrap_or(0)) as f64 / f64::from(MANY - FEW))
        })
        .filter(|(_, count)| *count >= 0.05)
        .collect();
    let total: f64 = each.values().sum();
    assert!(total <= MOST, "{total} system calls for each call: {each:#?}");
    // What needs no file, no memory and no thread of its own by now. One more worker in one of the two, as a busy machine may want
    // it, is some dozens in all of them.
    for name in ["openat", "mmap", "munmap", "clone3", "close"] {
        let count = each.get(&name.to_owned()).copied().unwrap_or(0.0);
        assert!(count < 0.5, "{name} for each call: {each:#?}");
    }
}
