//! Parts of a content as inputs.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Server;
use crate::harness::Place;

#[test]
fn parts_of_one_content_are_inputs_like_others() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000 --stored 1MB");
    anna.kernel("primes");
    let (first, second) = ("0 10\n5 7\n", "0 100\nno numbers\n0 10");
    let all = format!("{first}{second}");
    let blob = anna.post("/v1/blobs", &all).is(201).json()["digest"].clone();
    let cut = first.len();
    let input = json!([
        { "blob": blob, "range": [cut, all.len()], "name": "b" },
        { "blob": blob, "range": [0, cut], "name": "a" },
        { "blob": blob, "range": [cut, cut], "name": "c" },
    ]);
    let mut asked = json!({ "kernel": "primes", "input": input, "parameters": { "on_error": "skip" } });
    let job = anna.submit(&asked);
    let ended = anna.wait(&job);
    assert_eq!((&ended["state"], &ended["items"], &ended["failed_items"]), (&json!("partial"), &json!(5), &json!(1)));
    assert_eq!((&ended["inputs"], &ended["input_bytes"]), (&input, &json!(all.len())));
    assert_eq!(anna.get(&format!("/v1/jobs/{job}/result")).is(200).text(), "25\n4\n4\n1\n");
    let failed: Value = anna.get(&format!("/v1/jobs/{job}/failures")).is(200).json();
    assert_eq!((&failed["source"], &failed["offset"]), (&json!("b"), &json!(6)));
    // What failed is cut out of the part, and not out of all of it.
    let again = anna.post(&format!("/v1/jobs/{job}/retry"), "").is(202).json();
    let again = anna.wait(again["id"].as_str().unwrap());
    assert_eq!((&again["items"], &again["failed_items"], &again["input_bytes"]), (&json!(1), &json!(1), &json!(11)));
    let retried = anna.get(&format!("/v1/blobs/{}", again["inputs"][0]["blob"].as_str().unwrap())).is(200);
    assert_eq!(retried.text(), "no numbers\n");
    // The first line of a part is its header.
    asked["parameters"]["header"] = json!(true);
    let headed = anna.wait(&anna.submit(&asked));
    assert_eq!((&headed["items"], &headed["failed_items"]), (&json!(3), &json!(1)));
    let again = anna.post(&format!("/v1/jobs/{}/retry", headed["id"].as_str().unwrap()), "").is(202).json();
    let retried = anna.wait(again["id"].as_str().unwrap());
    let retried = anna.get(&format!("/v1/blobs/{}", retried["inputs"][0]["blob"].as_str().unwrap())).is(200);
    assert_eq!(retried.text(), "0 100\nno numbers\n");
    for (input, status, code) in [
        (json!({ "blob": blob, "range": [0, all.len() + 1] }), 422, "bad-range"),
        (json!({ "blob": blob, "range": [2, 1] }), 422, "bad-range"),
        (json!({ "text": "x", "range": [0, 1] }), 422, "bad-job"),
        (json!({ "blob": blob, "range": [0] }), 400, "bad-request"),
        (json!({ "blob": blob, "range": [-1, 1] }), 400, "bad-request"),
    ] {
        let mut job = json!({ "kernel": "primes", "input": input });
        assert_eq!(anna.post("/v1/jobs", job.to_string()).is(status).code(), code, "{job}");
        if status == 422 {
            job["dry_run"] = json!(true);
            assert_eq!(anna.post("/v1/jobs", job.to_string()).is(200).json()["refusal"]["code"], json!(code));
        }
    }
    // There has to be room for the copies, however small what they are of is.
    let large = anna.post("/v1/blobs", vec![b'x'; 300_000]).is(201).json()["digest"].clone();
    let parts: Vec<_> = (0..3).map(|_| json!({ "blob": large, "range": [0, 300_000] })).collect();
    let job = json!({ "kernel": "primes", "input": parts });
    assert_eq!(anna.post("/v1/jobs", job.to_string()).is(429).json()["quota"], json!("stored_bytes"));
    server.end(Signal::TERM).code(0);
}

/// A result that is lines can be had from an item on, whichever have failed; one that is not cannot.
#[test]
fn results_that_are_lines_can_be_had_from_an_item_on() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    anna.kernel("echo");
    let run = |kernel: &str, text: &str, parameters: Value| {
        let job = anna.submit(&json!({ "kernel": kernel, "input": { "text": text }, "parameters": parameters }));
        assert!(anna.wait(&job)["result"].is_object());
        job
    };
    let job = run("primes", "0 10\nno\n0 100\nno\n0 20\n", json!({ "on_error": "skip" }));
    let path = |job: &str, more: &str| format!("/v1/jobs/{job}/result?{more}");
    let from = |item: u64| anna.get(&path(&job, &format!("from={item}"))).is(200);
    let texts = [0, 1, 2, 3, 4].map(|item| from(item).text());
    assert_eq!(texts, ["4\n25\n8\n", "25\n8\n", "25\n8\n", "8\n", "8\n"]);
    assert_eq!((from(2).header("taskhost-from"), from(2).header("content-range")), (Some("2"), None));
    assert_eq!(anna.get(&path(&job, "from=5")).is(416).code(), "bad-range");
    assert_eq!(anna.get(&path(&job, "from=1&follow=true")).is(422).code(), "bad-range");
    assert_eq!(anna.send("GET", &path(&job, "from=1"), "Range: bytes=1-\r\n", b"").is(422).code(), "bad-range");
    let lost = run("primes", "0 10\nno\n", json!({ "on_error": "skip" }));
    assert_eq!(anna.get(&path(&lost, "from=1")).is(200).text(), "");
    let joined = run("echo", "a\nb\n", json!({ "split": "lines", "merge": "concat" }));
    assert_eq!(anna.get(&path(&joined, "from=1")).is(422).code(), "no-places");
    // An item whose result is two lines leaves none of them a place.
    let more = run("echo", "a\nb\n", json!({ "split": "whole", "merge": "lines" }));
    assert_eq!(anna.get(&path(&more, "from=0")).is(422).code(), "no-places");
    server.end(Signal::TERM).code(0);
}
