//! Contents and kernels by the other name that they have: SHA-256.

use std::collections::HashMap;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{BLOCK, Server};
use crate::harness::Place;

/// A kernel that gives each item back, to its last letter.
const KERNEL: &str = super::signatures::KERNEL;
const OF_KERNEL: &str = "sha256:226b774ffae16f78b5840565b92fdc227c27fcf54cdb76e6f01b7ca053c70c2d";

/// That of `abc`, and of nothing.
const OF_ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const OF_NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_content_is_found_by_both_of_its_names_and_kept_once() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", ""), server.tenant(&place, "bert", ""));
    let wrong = anna.send("PUT", &format!("/v1/blobs/{OF_NOTHING}"), "", b"abc").is(422);
    assert_eq!(wrong.code(), "digest-mismatch");
    anna.get(&format!("/v1/blobs/{OF_NOTHING}")).is(404);
    let stored = anna.send("PUT", &format!("/v1/blobs/{OF_ABC}"), "", b"abc").is(201).json();
    let digest = stored["digest"].as_str().unwrap().to_owned();
    assert!(digest.starts_with("blake3:"), "{digest}");
    for name in [OF_ABC, &digest] {
        assert_eq!(anna.get(&format!("/v1/blobs/{name}")).is(200).text(), "abc");
        bert.get(&format!("/v1/blobs/{name}")).is(404);
    }
    // Stored under either name it is the same.
    assert_eq!(anna.send("PUT", &format!("/v1/blobs/{digest}"), "", b"abc").is(201).json(), stored);
    assert_eq!(anna.get("/v1/usage").is(200).json()["stored_bytes"], BLOCK);
    let parts = anna.send("PUT", &format!("/v1/blobs/{OF_NOTHING}"), "Content-Range: bytes 0-2/5\r\n", b"abc").is(400);
    assert_eq!(parts.code(), "bad-range");
    // One that came in parts has both names.
    anna.send("DELETE", &format!("/v1/blobs/{OF_ABC}"), "", b"").is(204);
    anna.get(&format!("/v1/blobs/{digest}")).is(404);
    for (range, part, status) in [("bytes 0-1/3", "ab", 202), ("bytes 2-2/3", "c", 201)] {
        let head = format!("Content-Range: {range}\r\n");
        anna.send("PUT", &format!("/v1/blobs/{digest}"), &head, part.as_bytes()).is(status);
    }
    assert_eq!(anna.get(&format!("/v1/blobs/{OF_ABC}")).is(200).text(), "abc");
    for bad in [OF_ABC.to_uppercase(), "sha256:".into(), "sha512:00".into(), "x".into()] {
        assert_eq!(anna.get(&format!("/v1/blobs/{bad}")).is(400).code(), "bad-digest", "{bad}");
    }
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_content_is_an_input_by_both_of_its_names() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", ""), server.tenant(&place, "bert", ""));
    let digest = anna.post("/v1/blobs", "abc").is(201).json()["digest"].as_str().unwrap().to_owned();
    let job = |kernel: &str, name: &str| json!({ "kernel": kernel, "input": { "blob": name, "range": [1, 3] } });
    let (annas, berts) = (anna.kernel_of(KERNEL), bert.kernel_of(KERNEL));
    for name in [OF_ABC, &digest] {
        let id = anna.submit(&job(&annas, name));
        anna.wait(&id);
        assert_eq!(anna.get(&format!("/v1/jobs/{id}/result")).is(200).text(), "bc");
        let mut dry = job(&annas, name);
        dry["dry_run"] = json!(true);
        let planned = anna.post("/v1/jobs", dry.to_string()).is(200).json();
        assert_eq!((&planned["accepted"], &planned["input_bytes"]), (&json!(true), &json!(2)), "{planned}");
        let refused = bert.post("/v1/jobs", job(&berts, name).to_string()).is(422);
        assert!(refused.code() == "unknown-blob" && refused.text().contains(name), "{}", refused.text());
    }
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_kernel_is_called_by_both_of_its_names() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", ""), server.tenant(&place, "bert", ""));
    let other = KERNEL.replace("1024", "2048");
    let wrong = anna.send("PUT", &format!("/v1/kernels/{OF_KERNEL}"), "", other.as_bytes()).is(422);
    assert_eq!(wrong.code(), "digest-mismatch");
    let stored = anna.send("PUT", &format!("/v1/kernels/{OF_KERNEL}"), "", KERNEL.as_bytes()).is(201).json();
    let digest = stored["digest"].as_str().unwrap().to_owned();
    assert_eq!(stored["sha256"], OF_KERNEL);
    for name in [OF_KERNEL, &digest] {
        assert_eq!(anna.get(&format!("/v1/kernels/{name}")).is(200).json(), stored);
        // What is there need not be read again.
        anna.send("PUT", &format!("/v1/kernels/{name}"), "", b"").is(200);
        assert_eq!(anna.call(name, "x").is(200).text(), "x");
        let job = anna.submit(&json!({ "kernel": name, "input": { "text": "x" } }));
        assert_eq!(anna.wait(&job)["kernel"], digest.as_str());
        bert.get(&format!("/v1/kernels/{name}")).is(404);
    }
    // A name means it by either, and once only.
    let name = |meaning: Value| anna.send("PUT", "/v1/aliases/same", "", meaning.to_string().as_bytes());
    assert_eq!(name(json!({ "digest": OF_KERNEL })).is(200).json()["digest"], digest.as_str());
    let second = anna.kernel_of(other);
    let twice = [(OF_KERNEL, 0.1), (&*digest, 0.1)].into_iter().collect::<HashMap<_, _>>();
    for weights in [json!({ OF_KERNEL: 0.5 }), json!({ &*digest: 0.5 })] {
        assert_eq!(name(json!({ "digest": digest, "weights": weights })).is(422).code(), "bad-weights");
        assert_eq!(name(json!({ "digest": second, "weights": weights })).is(200).json()["weights"][&digest], 0.5);
    }
    assert_eq!(name(json!({ "digest": second, "weights": twice })).is(422).code(), "bad-weights");
    name(json!({ "digest": OF_ABC })).is(404);
    anna.send("DELETE", "/v1/aliases/same", "", b"").is(204);
    // One that an earlier program stored has its other name when it is stored once more.
    server.end(Signal::TERM).code(0);
    let store = rusqlite::Connection::open(place.path("data/store.db")).unwrap();
    store.execute("UPDATE kernels SET sha256 = NULL", []).unwrap();
    drop(store);
    let server = Server::start(&place);
    let (anna, bert) = (anna.at(&server), bert.at(&server));
    anna.get(&format!("/v1/kernels/{OF_KERNEL}")).is(404);
    assert_eq!(anna.send("PUT", &format!("/v1/kernels/{OF_KERNEL}"), "", KERNEL.as_bytes()).is(200).json(), stored);
    // The operator blocks it by either, and it is gone by either.
    place.taskhost(&format!("tenant block {OF_KERNEL} --data data")).run().code(0);
    let blocked = place.taskhost("tenant blocked --data data").run().code(0);
    assert_eq!(blocked.text().trim(), digest);
    for name in [OF_KERNEL, &digest] {
        assert_eq!(
            bert.send("PUT", &format!("/v1/kernels/{name}"), "", KERNEL.as_bytes()).is(403).code(),
            "kernel-blocked"
        );
    }
    let unknown = place.taskhost(&format!("tenant block {OF_ABC} --data data")).run().code(2);
    assert!(unknown.stderr.contains("nobody has stored"), "{}", unknown.stderr);
    anna.send("DELETE", &format!("/v1/kernels/{OF_KERNEL}"), "", b"").is(204);
    anna.get(&format!("/v1/kernels/{digest}")).is(404);
    server.end(Signal::TERM).code(0);
}
