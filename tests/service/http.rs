//! What a tenant does: kernels, inputs, jobs, results.

use rustix::process::Signal;
use serde_json::json;

use super::client::{Server, raw, talk};
use crate::harness::{Place, eventually};

#[test]
fn from_a_kernel_to_the_result_of_a_job() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    let digest = anna.kernel("primes");
    let shown = anna.get("/v1/kernels/primes").is(200).json();
    assert_eq!((&shown["digest"], &shown["info"]["kind"]), (&json!(digest), &json!("component")));
    let input = "0 10\n0 100\nno numbers\n5 7\n";
    place.write("in", input);
    let local = place.taskhost("run primes in --on-error skip").run().code(3);
    let asked = json!({
        "kernel": "primes",
        "input": { "text": input },
        "parameters": { "on_error": "skip" },
        "labels": { "who": "test" },
    });
    let accepted = anna.post("/v1/jobs", asked.to_string()).is(202);
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(accepted.header("location"), Some(format!("/v1/jobs/{}", id.to_lowercase()).as_str()));
    let job = anna.wait(&id);
    assert_eq!(job["state"], "partial", "{job}");
    assert_eq!((&job["items"], &job["failed_items"], &job["exit_code"]), (&json!(4), &json!(1), &json!(3)));
    let result = anna.get(&format!("/v1/jobs/{id}/result")).is(200);
    assert_eq!(result.text(), local.text());
    let failures = anna.get(&format!("/v1/jobs/{id}/failures")).is(200);
    assert!(failures.text().lines().count() == 1 && failures.text().contains("no numbers"), "{}", failures.text());
    // Nobody learns where the server keeps it.
    assert!(!format!("{job}{}", failures.text()).contains("/data/"), "{job}{}", failures.text());
    let part = anna.send("GET", &format!("/v1/jobs/{id}/result"), "Range: bytes=1-2\r\n", b"").is(206);
    assert_eq!(part.body, local.text().as_bytes()[1..3]);
    let listed = anna.get("/v1/jobs?state=partial&limit=1").is(200).json();
    assert_eq!(listed["jobs"][0]["id"], json!(id));
    assert_eq!(anna.used("jobs"), 1);
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_short_job_is_answered_with_its_result() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    anna.kernel("sobel");
    let picture = format!("{}/examples/pictures/astronaut.png", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&picture).unwrap();
    let path = "/v1/jobs?kernel=sobel&name=a.png";
    let answer = anna.send("POST", path, "Prefer: wait=30\r\nIdempotency-Key: one\r\n", &bytes).is(200);
    assert_eq!(answer.header("content-type"), Some("image/png"));
    place.taskhost("run sobel").argument(picture).arguments("-o local.png").run().code(0);
    assert_eq!(answer.body, place.read("local.png"));
    // The same request again is the same job.
    let again = anna.send("POST", path, "Prefer: wait=30\r\nIdempotency-Key: one\r\n", &bytes).is(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("taskhost-job"), answer.header("taskhost-job"));
    let other = anna.send("POST", path, "Idempotency-Key: one\r\n", b"something else").is(422);
    assert_eq!(other.code(), "key-reused");
    assert_eq!(anna.get("/v1/jobs").is(200).json()["jobs"].as_array().unwrap().len(), 1);
    server.end(Signal::TERM).code(0);
}

#[test]
fn what_is_wrong_is_said_and_nothing_of_others_is_seen() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", ""), server.tenant(&place, "bert", ""));
    let reader = server.tenant(&place, "clara", "--scope jobs:read");
    let digest = anna.kernel("primes");
    let blob = anna.post("/v1/blobs", "0 10\n").is(201).json()["digest"].as_str().unwrap().to_owned();
    let asked = json!({ "kernel": digest, "input": { "blob": blob } }).to_string();
    let job = anna.post("/v1/jobs", &asked).is(202).json()["id"].as_str().unwrap().to_owned();
    anna.wait(&job);
    // Of somebody else's things there is no trace: as if they were not there, whatever is done.
    let things = [
        format!("/v1/kernels/{digest}"),
        "/v1/aliases/primes".into(),
        format!("/v1/blobs/{blob}"),
        format!("/v1/jobs/{job}"),
        format!("/v1/jobs/{job}/result"),
        format!("/v1/jobs/{job}/failures"),
    ];
    for thing in &things {
        anna.get(thing).is(200);
        assert_eq!(bert.get(thing).is(404).code(), "not-found", "{thing}");
        assert_eq!(raw(&server.address, "GET", thing, "", b"").is(401).code(), "unauthorized");
    }
    bert.send("DELETE", &things[0], "", b"").is(404);
    bert.send("DELETE", &things[2], "", b"").is(404);
    bert.post(&format!("/v1/jobs/{job}/cancel"), "").is(404);
    bert.post("/v1/jobs", &asked).is(404);
    reader.get("/v1/jobs").is(200);
    assert_eq!(reader.get("/v1/kernels").is(403).code(), "scope-missing");
    // What is held stays.
    assert_eq!(anna.send("DELETE", &things[0], "", b"").is(409).code(), "in-use");
    assert_eq!(anna.send("DELETE", &things[2], "", b"").is(409).code(), "in-use");
    let wrong = format!("/v1/kernels/blake3:{}", "0".repeat(64));
    assert_eq!(anna.send("PUT", &wrong, "", b"something").is(422).code(), "digest-mismatch");
    assert_eq!(anna.post("/v1/kernels", "no kernel").is(422).code(), "kernel-refused");
    assert_eq!(anna.send("PUT", "/v1/kernels/../../etc", "", b"").status, 404);
    assert_eq!(anna.get("/v1/kernels/sha1:00").is(400).code(), "bad-digest");
    let meaning = json!({ "digest": digest }).to_string();
    let late = anna.send("PUT", "/v1/aliases/primes", "If-Match: \"7\"\r\n", meaning.as_bytes()).is(412);
    assert_eq!(late.code(), "changed");
    for name in ["A", "..%2F", "%00", "a%20b"] {
        let answer = anna.send("PUT", &format!("/v1/aliases/{name}"), "", meaning.as_bytes());
        assert_eq!((answer.status, answer.code()), (400, "bad-name".into()), "{name}");
    }
    let senseless = [
        (json!({ "kernel": "primes" }), 400),
        (json!({ "kernel": "primes", "input": { "text": "x" }, "sandbox": "off" }), 400),
        (json!({ "kernel": "primes", "input": { "text": "x", "name": "a\u{1b}b" } }), 422),
        (json!({ "kernel": "primes", "input": {} }), 422),
        (json!({ "kernel": "primes", "input": { "blob": format!("blake3:{}", "0".repeat(64)) } }), 422),
        (json!({ "kernel": "nothing", "input": { "text": "x" } }), 404),
    ];
    for (job, status) in senseless {
        assert_eq!(anna.post("/v1/jobs", job.to_string()).status, status, "{job}");
    }
    assert_eq!(anna.send("POST", "/v1/blobs", "Content-Encoding: gzip\r\n", b"x").is(415).code(), "encoded");
    assert_eq!(anna.send("PATCH", "/v1/jobs", "", b"").is(405).code(), "method-not-allowed");
    server.end(Signal::TERM).code(0);
}

/// What a request smuggler, a log forger and a liar about lengths would send.
#[test]
fn heads_that_lie_are_refused_and_the_log_stays_a_log() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    let token = format!("Authorization: Bearer {}\r\n", anna.token);
    let two =
        format!("POST /v1/blobs HTTP/1.1\r\nHost: x\r\n{token}Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde");
    assert_eq!(talk(&server.address, two.as_bytes()).status, 400);
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(1000));
    assert_eq!(talk(&server.address, many.as_bytes()).status, 431);
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(1 << 20));
    assert!(matches!(talk(&server.address, long.as_bytes()).status, 0 | 431));
    let forged = "/v1/jobs/\"}%0d%0a{\"at\":0,\"tenant\":\"root\"%1b[31m";
    anna.get(forged).is(404);
    anna.send("GET", "/healthz", "X-Request-Id: a\"b\r\n", b"").is(200);
    assert_eq!(raw(&server.address, "GET", "/healthz", "", b"").is(200).text(), "ok\n");
    assert_eq!(raw(&server.address, "GET", "/readyz", "", b"").is(200).text(), "ready\n");
    let metrics = raw(&server.address, "GET", "/metrics", "", b"").is(200).text();
    assert!(metrics.contains("route=\"/v1/jobs/{job}\",status=\"404\"}") && !metrics.contains("anna"), "{metrics}");
    let outcome = server.end(Signal::TERM).code(0);
    assert!(outcome.stderr.lines().count() >= 5, "{}", outcome.stderr);
    for line in outcome.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(line["tenant"], "root");
    }
    // The secret is nowhere.
    assert!(!outcome.stderr.contains(&anna.token[14..50]), "{}", outcome.stderr);
}

/// What comes says what it should be: of a part, what all of it is.
#[test]
fn contents_and_results_say_what_they_are() {
    const ABC: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("echo");
    let digests = |path: &str, head: &str, status: u16| {
        let answer = anna.send("GET", path, head, b"").is(status);
        ["repr-digest", "content-digest"].map(|name| answer.header(name).map(str::to_owned))
    };
    let abc = Some(ABC.to_ascii_lowercase());
    let blob = anna.post("/v1/blobs", "abc").is(201).json()["digest"].as_str().unwrap().to_owned();
    let path = format!("/v1/blobs/{blob}");
    assert_eq!(digests(&path, "", 200), [abc.clone(), abc.clone()]);
    assert_eq!(digests(&path, "Range: bytes=1-\r\n", 206), [abc.clone(), None]);
    let bert = server.tenant(&place, "bert", "");
    bert.kernel("echo");
    let parameters = json!({ "split": "whole", "merge": "concat" });
    let job = bert.submit(&json!({ "kernel": "echo", "input": { "text": "abc" }, "parameters": parameters }));
    assert_eq!(bert.wait(&job)["state"], "succeeded");
    let result = bert.get(&format!("/v1/jobs/{job}/result")).is(200);
    assert_eq!((result.text().as_str(), result.header("repr-digest").map(str::to_owned)), ("abc", abc));
    server.end(Signal::TERM).code(0);
}

/// Whoever waits for a result is sent a small one at once; of a large one it hears where it is.
#[test]
fn a_large_result_is_named_and_not_sent() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    // A megabyte for each item.
    let text = std::fs::read(format!("{}/tests/kernels/huge-result.wat", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let kernel = anna.kernel_of(text);
    let waited_for = |items: usize| {
        let parameters = json!({ "split": "lines", "merge": "concat" });
        let job = json!({ "kernel": kernel, "input": { "text": "x\n".repeat(items) }, "parameters": parameters });
        anna.send("POST", "/v1/jobs", "Prefer: wait=30\r\n", job.to_string().as_bytes()).is(200)
    };
    // Up to six of them.
    let small = waited_for(6);
    assert_eq!((small.body.len(), small.header("content-type")), (6 << 20, Some("application/octet-stream")));
    let large = waited_for(7);
    let job = large.json();
    assert_eq!(large.header("content-type"), Some("application/json"));
    assert_eq!((&job["state"], &job["output_bytes"]), (&json!("succeeded"), &json!(7 << 20)), "{job}");
    assert_eq!(large.header("taskhost-job"), job["id"].as_str().map(str::to_ascii_lowercase).as_deref());
    assert_eq!(anna.get(job["result"]["href"].as_str().unwrap()).is(200).body.len(), 7 << 20);
    server.end(Signal::TERM).code(0);
}
