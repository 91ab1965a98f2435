//! Kernels that are fetched from a registry, and contents from elsewhere: here from a server of a test's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::json;

use super::client::{Answer, Client, Server};
use super::signatures::KERNEL;
use crate::harness::Place;

/// Manifests, and what each is named by: of the kernel, of one that says what is not so, and of two kernels.
pub(super) const GOOD: (&str, &str) = (
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"mediaType":"application/wasm","digest":"sha256:226b774ffae16f78b5840565b92fdc227c27fcf54cdb76e6f01b7ca053c70c2d","size":287}]}"#,
    "sha256:76c1ff3d6535596d6dbcafd07dbfc791fe2981b1cabd124a61905ac484418352",
);
const LYING: (&str, &str) = (
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"mediaType":"application/wasm","digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3}]}"#,
    "sha256:040a9adab1ef702fa2136971142b350b22c377c051c5c7fc30bf8f70e4404297",
);
const TWO: (&str, &str) = (
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"mediaType":"application/wasm","digest":"sha256:226b774ffae16f78b5840565b92fdc227c27fcf54cdb76e6f01b7ca053c70c2d","size":287},{"mediaType":"application/wasm","digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3}]}"#,
    "sha256:7b156d6a977ae2e54b14d5ead2badfcda42146c3790c8ad287e4573b91b11908",
);

/// What a registry is asked for: a path, and what is shown.
pub(super) type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A registry that shows everybody who asks for a token what it has, and keeps contents elsewhere. Ends with the test.
pub(super) fn registry() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (own, asked) = (host.clone(), Asked::default());
    let all = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let Some(path) = lines.next().and_then(|line| Some(line.split(' ').nth(1)?.to_owned())) else { continue };
            let is_shown = |line: &String| line.to_ascii_lowercase().starts_with("authorization: ");
            let shown = lines.filter(is_shown).last().map(|line| line["authorization: ".len()..].to_owned());
            if path == "/silent" {
                // It says something, and nothing more as long as the test lasts.
                stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nx").unwrap();
                std::mem::forget(stream);
                all.lock().unwrap().push((path, shown));
                continue;
            }
            let (status, head, body) = answer(&own, &path, shown.as_deref());
            all.lock().unwrap().push((path, shown));
            let length = body.len();
            let text =
                format!("HTTP/1.1 {status} x\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            // One that has read enough goes.
            let _ = stream.write_all(text.as_bytes());
        }
    });
    (host, asked)
}

fn answer(host: &str, path: &str, shown: Option<&str>) -> (u16, String, String) {
    let plain = |status: u16, body: &str| (status, String::new(), body.to_owned());
    if path == "/token?service=r&scope=repository:anna/echo:pull" {
        return plain(200, r#"{"token": "word"}"#);
    }
    match path.split('?').next() {
        Some("/elsewhere") => return plain(200, KERNEL),
        Some("/nothing") => return plain(404, ""),
        Some("/moved") => return (302, format!("Location: http://{host}/elsewhere\r\n"), String::new()),
        _ => {}
    }
    if shown != Some("Bearer word") {
        let realm = format!("Bearer realm=\"http://{host}/token\",service=\"r\",scope=\"repository:anna/echo:pull\"");
        return (401, format!("WWW-Authenticate: {realm}\r\n"), String::new());
    }
    let Some(what) = path.strip_prefix("/v2/anna/echo/") else { return plain(404, "") };
    match [GOOD, LYING, TWO].iter().find(|(_, digest)| what == format!("manifests/{digest}")) {
        Some((manifest, _)) => plain(200, manifest),
        // Another one than was asked for.
        None if what.starts_with("manifests/sha256:00") => plain(200, GOOD.0),
        None if what.starts_with("blobs/") => (307, format!("Location: http://{host}/elsewhere\r\n"), String::new()),
        None => plain(404, ""),
    }
}

fn pull(client: &Client, host: &str, rest: &str) -> Answer {
    client.post("/v1/kernels:pull", json!({ "ref": format!("oci://{host}/{rest}") }).to_string())
}

#[test]
fn a_kernel_is_fetched_from_a_registry_that_is_listed() {
    let place = Place::new();
    let (host, asked) = registry();
    let more = format!("--registry ghcr.io --registry http://{host} --webhook-network 127.0.0.0/8");
    let server = Server::start_with(&place, &more);
    let (anna, small) = (server.tenant(&place, "anna", ""), server.tenant(&place, "small", "--kernel-size 100"));
    let good = format!("anna/echo@{}", GOOD.1);
    let stored = pull(&anna, &host, &good).is(201).json();
    assert_eq!(anna.call(stored["digest"].as_str().unwrap(), "x").is(200).text(), "x");
    // What was shown to the registry is for it alone.
    let all = asked.lock().unwrap().clone();
    let shown: Vec<(&str, Option<&str>)> =
        all.iter().map(|(path, shown)| (path.split('?').next().unwrap(), shown.as_deref())).collect();
    let manifest = format!("/v2/anna/echo/manifests/{}", GOOD.1);
    let layer = format!("/v2/anna/echo/blobs/{}", stored["sha256"].as_str().unwrap());
    let word = Some("Bearer word");
    assert_eq!(
        shown,
        [(&*manifest, None), ("/token", None), (&*manifest, word), (&*layer, word), ("/elsewhere", None)]
    );
    // It is there, and is not fetched again.
    assert_eq!(pull(&anna, &host, &good).is(200).json(), stored);
    assert_eq!(asked.lock().unwrap().len(), all.len() + 3);
    let audit = anna.get("/v1/audit").is(200).text();
    assert!(audit.contains("kernel.pull") && audit.contains(&good), "{audit}");
    for (rest, status, code) in [
        (format!("anna/echo@{}", LYING.1), 422, "digest-mismatch"),
        (format!("anna/echo@{}", TWO.1), 422, "bad-reference"),
        (format!("anna/echo@sha256:{}", "0".repeat(64)), 422, "digest-mismatch"),
        (format!("anna/echo@sha256:{}", "1".repeat(64)), 422, "bad-reference"),
        ("anna/echo:latest".into(), 422, "bad-reference"),
        ("../x@sha256:00".into(), 422, "bad-reference"),
    ] {
        assert_eq!(pull(&anna, &host, &rest).is(status).code(), code, "{rest}");
    }
    assert_eq!(pull(&small, &host, &good).is(413).code(), "too-large");
    assert_eq!(pull(&anna, "registry.example.org", &good).is(403).code(), "registry-not-listed");
    assert_eq!(anna.get("/v1/kernels").is(200).json()["kernels"].as_array().unwrap().len(), 1);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_registry_inside_is_not_reached_unless_its_network_is_listed() {
    let place = Place::new();
    let (host, asked) = registry();
    let server = Server::start_with(&place, &format!("--registry http://{host}"));
    let anna = server.tenant(&place, "anna", "");
    let refused = pull(&anna, &host, &format!("anna/echo@{}", GOOD.1)).is(502);
    assert_eq!(refused.code(), "registry-failed");
    assert!(asked.lock().unwrap().is_empty());
    let reader = place.taskhost("tenant create bert --data data --scope kernels:read").run().code(0);
    let bert = Client { address: server.address.clone(), token: reader.text().trim().to_owned() };
    assert_eq!(pull(&bert, &host, &format!("anna/echo@{}", GOOD.1)).is(403).code(), "scope-missing");
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_content_is_fetched_from_a_host_that_is_listed() {
    let place = Place::new();
    let (host, asked) = registry();
    let more =
        format!("--content-source storage.example.org --content-source http://{host} --webhook-network 127.0.0.0/8");
    let server = Server::start_with(&place, &more);
    let (anna, small) = (server.tenant(&place, "anna", ""), server.tenant(&place, "small", "--stored 100"));
    let pull = |client: &Client, url: &str| client.post("/v1/blobs:pull", json!({ "url": url }).to_string());
    let at = |path: &str| format!("http://{host}{path}");
    let stored = pull(&anna, &at("/elsewhere?signature=secret")).is(201).json();
    assert_eq!(stored["bytes"], KERNEL.len());
    let digest = stored["digest"].as_str().unwrap();
    assert_eq!(anna.get(&format!("/v1/blobs/{digest}")).is(200).text(), KERNEL);
    assert_eq!(*asked.lock().unwrap(), [("/elsewhere?signature=secret".to_owned(), None)]);
    // What opens it is not told to others.
    let audit = anna.get("/v1/audit").is(200).text();
    assert!(audit.contains(&at("/elsewhere\"")) && !audit.contains("secret"), "{audit}");
    for (url, status, code) in [
        (at("/nothing"), 422, "bad-source"),
        (at("/v2/anna/echo/blobs/x"), 502, "source-failed"),
        ("https://storage.example.com/x".into(), 403, "source-not-listed"),
        (format!("https://{host}/elsewhere"), 403, "source-not-listed"),
        (format!("http://{host}@storage.example.org/elsewhere"), 422, "bad-source"),
        ("/etc/passwd".into(), 422, "bad-source"),
        ("file:///etc/passwd".into(), 422, "bad-source"),
    ] {
        let refused = pull(&anna, &url).is(status);
        assert_eq!(refused.code(), code, "{url}");
        assert!(!refused.text().contains("secret"), "{}", refused.text());
    }
    // Only what was asked for is kept, and only as much as there is room.
    let wrong = json!({ "url": at("/elsewhere"), "digest": format!("sha256:{}", "0".repeat(64)) });
    assert_eq!(anna.post("/v1/blobs:pull", wrong.to_string()).is(422).code(), "digest-mismatch");
    assert_eq!(pull(&small, &at("/elsewhere")).is(429).code(), "quota-exceeded");
    assert_eq!(small.get("/v1/usage").is(200).json()["stored_bytes"], 0);
    // One that says no more is given up, and the next one is fetched.
    let silent = pull(&anna, &at("/silent")).is(502);
    assert!(silent.code() == "source-failed" && silent.text().contains("cannot be read"), "{}", silent.text());
    pull(&anna, &at("/elsewhere")).is(201);
    // Nobody follows where it sends one on to.
    let before = asked.lock().unwrap().len();
    assert_eq!(pull(&anna, &at("/moved")).is(502).code(), "source-failed");
    assert_eq!(asked.lock().unwrap().len(), before + 1);
    server.end(Signal::TERM).code(0);
}
