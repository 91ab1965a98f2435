//! The HTTP interface against its own description: requests at random, by a tool that nobody wrote for this project.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::client::Server;
use crate::harness::{Place, Program, skipped};

/// Requests at random for each place.
const EXAMPLES: u32 = 12;

#[test]
fn answers_are_what_the_description_says() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/st");
    if !tool.exists() {
        return skipped("service: schemathesis", "it was not installed: tests/service/schemathesis.sh");
    }
    let place = Place::new();
    let server = Server::start(&place);
    // Nothing that is made up may wait for a quota.
    let anna = server.tenant(&place, "anna", "--requests 100000 --queued-jobs 100000 --stored 100MB");
    anna.kernel("primes");
    Program::of(tool.as_os_str(), &place.path(""))
        .arguments(&format!("run http://{}/v1/openapi.json", server.address))
        .argument(format!("--header=Authorization: Bearer {}", anna.token))
        .arguments(
            "--phases=examples,coverage,fuzzing --mode=all --seed=1 --workers=1 --no-color --suppress-health-check=all",
        )
        .arguments("--checks=not_a_server_error,status_code_conformance,content_type_conformance")
        .arguments("--checks=response_headers_conformance,response_schema_conformance,unsupported_method")
        .arguments(&format!("--max-examples={EXAMPLES} --request-timeout=30 --generation-deterministic"))
        .within(Duration::from_secs(600))
        .run()
        .success();
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
}
