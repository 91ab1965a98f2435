//! A tool that others load servers with, on loopback and for seconds: nothing is refused, lost or left.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::client::Server;
use crate::harness::{Place, Program, eventually, rounds, skipped};

const CALLS: &str = r#"
wrk.method = "POST"
wrk.body = "0 100"
"#;

/// Whether wrk is there. It tells its version with an exit code of 1.
fn has_wrk() -> bool {
    Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What stands before this word, as a number.
fn number_before(text: &str, word: &str) -> u64 {
    let line = text.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn a_tool_that_asks_as_often_as_it_can_is_answered() {
    if !has_wrk() {
        return skipped("service::load::a_tool_that_asks_as_often_as_it_can_is_answered", "apt-get install wrk");
    }
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000000 --concurrent-calls 64 --cpu-seconds 1000000");
    anna.kernel("primes");
    assert_eq!(anna.call("primes", "0 100").is(200).text(), "25");
    eventually("it is counted", || anna.used("calls") == 1);
    place.write("calls.lua", CALLS);
    let seconds = rounds(2).min(60);
    let wrk = |connections: u32, more: &str, path: &str| {
        let place_of = format!("http://{}{path}", server.address);
        let token = format!("Authorization: Bearer {}", anna.token);
        let wrk = Program::of(OsStr::new("wrk"), &place.path(""));
        let wrk = wrk.arguments(&format!("-t 2 -c {connections} -d {seconds}s {more} -H")).argument(token);
        let outcome = wrk.argument(place_of).run().success();
        let said = outcome.text();
        assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
        number_before(said, "requests in")
    };
    let asked = wrk(32, "-s calls.lua", "/v1/kernels/primes/invoke");
    assert!(asked > 0);
    // Those of its last moment were under way when it went.
    eventually("each is counted", || (asked..=asked + 32).contains(&(anna.used("calls") - 1)));
    // All workers and threads that there may be are there by now.
    wrk(300, "", "/v1/jobs");
    let descriptors = || server.running.process.descriptors();
    // Neither has any left anything for each connection.
    eventually("its connections are gone", || descriptors() < 100);
    let settled = descriptors();
    wrk(300, "", "/healthz");
    eventually("nothing is left", || descriptors() <= settled);
    assert_eq!(anna.call("primes", "0 100").is(200).text(), "25");
    server.end(Signal::TERM).code(0);
}
