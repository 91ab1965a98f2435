//! What strangers try: things of others, wrong tokens, paths, heads and bodies that lie, lines in the log.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Answer, Client, Server, raw, talk};
use crate::harness::{Place, eventually};

/// What is whose: the places that a tenant's things are at.
struct Things {
    job: String,
    digest: String,
    blob: String,
    webhook: String,
    /// What it was told, or is to be.
    delivery: String,
    /// What a token of theirs is found by.
    key: String,
}

fn things(client: &Client, canary: &str) -> Things {
    let digest = client.kernel("primes");
    let blob =
        client.post("/v1/blobs", format!("0 10\n{canary}\n")).is(201).json()["digest"].as_str().unwrap().to_owned();
    let asked = json!({
        "kernel": digest,
        "input": [{ "blob": blob, "name": format!("{canary}.txt") }],
        "parameters": { "on_error": "skip", "config": { canary: canary }, "report": "html" },
        "labels": { canary: canary },
    });
    let job = client.submit(&asked);
    client.wait(&job);
    // Of the job it hears nothing, and nobody is asked: it is over.
    let webhook = client.post("/v1/webhooks", json!({ "url": format!("https://example.org/{canary}") }).to_string());
    let webhook = webhook.is(201).json()["id"].as_str().unwrap().to_owned();
    let delivery = client.post(&format!("/v1/webhooks/{webhook}/test"), "").is(202).json();
    let delivery = delivery["id"].as_str().unwrap().to_owned();
    Things { job, digest, blob, webhook, delivery, key: client.token[3..13].to_owned() }
}

/// Names of the same form that nothing has.
fn nothing_like(own: &Things) -> Things {
    let turned = |name: &String| name.chars().rev().collect();
    Things {
        job: turned(&own.job),
        digest: format!("blake3:{}", "1".repeat(64)),
        blob: format!("blake3:{}", "2".repeat(64)),
        webhook: turned(&own.webhook),
        delivery: turned(&own.delivery),
        key: turned(&own.key),
    }
}

/// Every place of the description of the interface, with somebody's things in it.
fn places(server: &Server, things: &Things) -> Vec<(String, String)> {
    let document = raw(&server.address, "GET", "/v1/openapi.json", "", b"").is(200).json();
    let mut places = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{job}", &things.job).replace("{digest}", &things.blob);
        let path = path.replace("{reference}", &things.digest).replace("{name}", "primes");
        let path = path.replace("{webhook}", &things.webhook).replace("{key}", &things.key);
        let path = path.replace("{delivery}", &things.delivery);
        let methods = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
        // What can be got can be looked at.
        let methods: Vec<String> = methods
            .flat_map(|method| if method == "GET" { vec![method, "HEAD".into()] } else { vec![method] })
            .collect();
        places.extend(methods.into_iter().map(|method| (method, path.clone())));
    }
    assert!(places.len() > 25, "{places:?}");
    places
}

/// What is said of one thing, with the name of the thing taken out.
fn said(answer: &Answer, things: &Things) -> String {
    let text = answer.text();
    [&things.job, &things.digest, &things.blob, &things.webhook, &things.delivery, &things.key]
        .iter()
        .fold(text, |text, name| text.replace(name.as_str(), "NAME"))
}

#[test]
fn of_the_things_of_others_there_is_no_trace_at_any_place() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) =
        (server.tenant(&place, "anna", "--requests 1000"), server.tenant(&place, "bert", "--requests 1000"));
    let canary = "CANARY-of-anna";
    let own = things(&anna, canary);
    let none = nothing_like(&own);
    let mut answers = String::new();
    let (with_own, with_none) = (places(&server, &own), places(&server, &none));
    for ((method, path), (_, nowhere)) in with_own.iter().zip(&with_none) {
        if !path.starts_with("/v1/") || path == "/v1/openapi.json" {
            answers += &raw(&server.address, method, path, "", b"").text();
            continue;
        }
        let without = raw(&server.address, method, path, "", b"");
        // After so many it hears of nothing but that.
        assert!([401, 429].contains(&without.status), "{method} {path}: {}", without.status);
        if method != "HEAD" {
            assert!(["unauthorized", "quota-exceeded"].contains(&without.code().as_str()), "{method} {path}");
        }
        let answer = bert.send(method, path, "", b"");
        let other = bert.send(method, nowhere, "", b"");
        if path != nowhere || path.contains("primes") {
            // What can be stored anew needs nobody else's.
            let expected = if method == "PUT" { 400..500 } else { 404..405 };
            assert!(expected.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
            assert_eq!((answer.status, said(&answer, &own)), (other.status, said(&other, &none)), "{method} {path}");
            assert_eq!(answer.header("content-length"), other.header("content-length"), "{method} {path}");
        }
        answers += &answer.head;
        answers += &answer.text();
    }
    // The same bytes are looked at and compiled again, for each who stores them.
    let caches = || place.files().into_iter().filter(|name| name.contains("/cache/")).count();
    let before = caches();
    let kernel = std::fs::read(format!("{}/plugins/dist/primes.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap();
    bert.send("PUT", &format!("/v1/kernels/{}", own.digest), "", &kernel).is(201);
    assert!(caches() > before, "{:?}", place.files());
    bert.send("PUT", &format!("/v1/kernels/{}", own.digest), "", &kernel).is(200);
    for path in [
        "/v1/jobs",
        "/v1/kernels",
        "/v1/aliases",
        "/v1/usage?days=2",
        "/v1/audit",
        "/v1/tokens",
        "/v1/webhooks",
        "/metrics",
    ] {
        answers += &bert.get(path).is(200).text();
    }
    for secret in [canary, &own.job, &own.blob, &own.webhook, &own.delivery, &own.key, "anna", "data/tenants"] {
        assert!(!answers.to_lowercase().contains(&secret.to_lowercase()), "{secret}: {answers}");
    }
    // What is in people's things is not in the log either.
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(!log.contains(canary) && log.contains("anna"), "{log}");
}

/// Whoever names things of others in what it asks for hears what it hears of things that are nowhere.
#[test]
fn things_of_others_cannot_be_named_in_what_is_asked_for() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) =
        (server.tenant(&place, "anna", "--requests 1000"), server.tenant(&place, "bert", "--requests 1000"));
    let own = things(&anna, "CANARY-of-anna");
    let none = nothing_like(&own);
    let kernel = bert.kernel("echo");
    let hook = bert.post("/v1/webhooks", json!({ "url": "https://example.org/bert" }).to_string()).is(201).json();
    let hook = hook["id"].as_str().unwrap();
    let text = json!([{ "text": "0 10\n" }]);
    let asked = |things: &Things| -> Vec<(&'static str, String, Value)> {
        let Things { digest, blob, webhook, delivery, .. } = things;
        let job = |kernel: &str, input: &Value| json!({ "kernel": kernel, "input": input });
        let of_blob = job(&kernel, &json!([{ "blob": blob }]));
        let part = job(&kernel, &json!([{ "text": "x" }, { "blob": blob, "range": [0, 3] }]));
        let of_kernel = job(digest, &text);
        let mut dry = of_blob.clone();
        dry["dry_run"] = json!(true);
        let half = json!({ "digest": kernel, "weights": { digest: 0.5 } });
        let message = |webhook: &str, delivery: &str| format!("/v1/webhooks/{webhook}/deliveries/{delivery}/retry");
        vec![
            ("POST", "/v1/jobs".into(), of_blob.clone()),
            ("POST", "/v1/jobs".into(), part.clone()),
            ("POST", "/v1/jobs".into(), of_kernel.clone()),
            ("POST", "/v1/jobs".into(), dry),
            ("POST", format!("/v1/jobs?kernel={digest}"), json!("x")),
            ("POST", "/v1/jobs/batch".into(), json!({ "jobs": [job(&kernel, &text), of_blob] })),
            ("POST", "/v1/jobs/batch".into(), json!({ "jobs": [part, job(&kernel, &text)] })),
            ("POST", "/v1/jobs/batch".into(), json!({ "jobs": [job(&kernel, &text), of_kernel] })),
            ("PUT", "/v1/aliases/mine".into(), json!({ "digest": digest })),
            ("PUT", "/v1/aliases/mine".into(), half),
            ("GET", format!("/v1/jobs?kernel={digest}"), Value::Null),
            ("POST", message(hook, delivery), Value::Null),
            ("POST", message(webhook, delivery), Value::Null),
            ("POST", format!("/v1/webhooks/{webhook}/test"), Value::Null),
        ]
    };
    for ((method, path, body), (_, nowhere, other)) in asked(&own).into_iter().zip(asked(&none)) {
        let send = |path: &str, body: &Value| bert.send(method, path, "", body.to_string().as_bytes());
        let (answer, other) = (send(&path, &body), send(&nowhere, &other));
        let shown = format!("{method} {path} {body}: {} {}", answer.status, answer.text());
        // To ask what would be done, or for jobs of some kernel, is no mistake.
        assert!([200, 404, 422].contains(&answer.status), "{shown}");
        assert!(answer.status != 200 || body["dry_run"] == true || method == "GET", "{shown}");
        assert_eq!((answer.status, said(&answer, &own)), (other.status, said(&other, &none)), "{shown}");
        assert!(!answer.text().contains("CANARY"), "{shown}");
    }
    // None of it was made, not even a part.
    assert_eq!(bert.get("/v1/jobs").is(200).json()["jobs"], json!([]));
    bert.get("/v1/aliases/mine").is(404);
    assert_eq!(bert.get(&format!("/v1/webhooks/{hook}/deliveries")).is(200).json()["deliveries"], json!([]));
    // A part of what somebody else has is a part of something new.
    let all = anna.send("HEAD", &format!("/v1/blobs/{}", own.blob), "", b"").is(200);
    let bytes = all.header("content-length").unwrap().to_owned();
    let begin = |blob: &str| {
        let first = format!("Content-Range: bytes 0-0/{bytes}\r\n");
        bert.send("PUT", &format!("/v1/blobs/{blob}"), &first, b"0")
    };
    let (answer, other) = (begin(&own.blob).is(202), begin(&none.blob).is(202));
    assert_eq!(said(&answer, &own), said(&other, &none));
    bert.get(&format!("/v1/blobs/{}", own.blob)).is(404);
    let job = json!({ "kernel": kernel, "input": [{ "blob": own.blob }] });
    assert_eq!(bert.post("/v1/jobs", job.to_string()).is(422).code(), "unknown-blob");
    server.end(Signal::TERM).code(0);
}

#[test]
fn no_text_becomes_a_path_or_a_line() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000");
    anna.kernel("primes");
    let before: Vec<String> = outside(&place);
    let long = "x".repeat(20_000);
    let names = [
        "..",
        "../..",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e",
        "/etc/passwd",
        "%00",
        "a%00b",
        "%ff%fe",
        "%c3%a4",
        "%0d%0a",
        "a%0aX:1",
        "%1b[31m",
        "%22%7d%0a%7b%22at%22:0",
        "con",
        "~",
        "*",
        "blake3:",
        "blake3:../../x",
        &long,
    ];
    for name in names {
        for (method, path) in [
            ("GET", "/v1/jobs/"),
            ("DELETE", "/v1/jobs/"),
            ("GET", "/v1/blobs/"),
            ("PUT", "/v1/blobs/"),
            ("DELETE", "/v1/blobs/"),
            ("GET", "/v1/kernels/"),
            ("PUT", "/v1/kernels/"),
            ("PUT", "/v1/aliases/"),
            ("DELETE", "/v1/aliases/"),
        ] {
            let answer = anna.send(method, &format!("{path}{name}"), "", b"x");
            assert!((400..500).contains(&answer.status), "{method} {path}{name}: {}", answer.status);
            answer.code();
        }
    }
    let forged = "\"}\n{\"at\":0,\"tenant\":\"root\",\"x\":\"\u{1b}[31m";
    for (field, value) in [
        ("kernel", json!(forged)),
        ("output", json!("../x")),
        ("output", json!("a/b")),
        ("input", json!([{ "text": "x", "name": forged }])),
        ("labels", json!({ "": "x" })),
        ("labels", json!({ "x": "y".repeat(5000) })),
        ("parameters", json!({ "split": "\0" })),
        ("parameters", json!({ "config": { "x": long.repeat(10) } })),
    ] {
        let mut job = json!({ "kernel": "primes", "input": [{ "text": "0 10\n" }] });
        job[field] = value;
        let answer = anna.post("/v1/jobs", job.to_string());
        assert!([400, 404, 422].contains(&answer.status), "{job}: {}", answer.status);
    }
    // A text that is allowed anywhere is nothing but a text.
    let names =
        ["/etc/passwd", "../../../x", "in-0-", "--output=/x"].map(|name| json!({ "text": "0 10\n", "name": name }));
    let odd = json!({ "kernel": "primes", "input": names, "labels": { forged: forged } });
    let job = anna.submit(&odd);
    let ended = anna.wait(&job);
    assert_eq!((&ended["labels"][forged], &ended["state"]), (&json!(forged), &json!("succeeded")), "{ended}");
    for head in [
        "X-Request-Id: a b\r\n",
        "X-Request-Id: \"}\r\n",
        "Traceparent: 00-\"}\r\n",
        "User-Agent: \u{1b}[31m\r\n",
        "Idempotency-Key: \"}{\"tenant\":\"root\r\n",
        "X-Forwarded-For: 1.2.3.4\r\n",
    ] {
        let answer = anna.send("GET", "/v1/jobs", head, b"");
        assert!([200, 400].contains(&answer.status), "{head}");
        assert!(!answer.head.contains("a b") && !answer.head.contains("\"}"), "{}", answer.head);
    }
    assert_eq!(outside(&place), before);
    let log = server.end(Signal::TERM).code(0).stderr;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(line["tenant"], "root");
        assert!(line["request"].is_string() || line["message"] != "request", "{line}");
    }
    assert!(!log.contains('\u{1b}') && !log.contains(&anna.token[14..50]), "{log}");
}

/// Files that are not below the data folder.
fn outside(place: &Place) -> Vec<String> {
    place.files().into_iter().filter(|name| !name.starts_with("data/")).collect()
}

#[test]
fn bodies_that_lie_about_themselves_leave_nothing_behind() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--stored 1MB --kernel-size 100kB");
    let token = format!("Authorization: Bearer {}\r\n", anna.token);
    let head =
        |path: &str, more: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}{more}\r\n");
    // Refused by what they say, before a byte of them is read.
    for (path, length, status) in
        [("/v1/blobs", "99999999999", 429), ("/v1/kernels", "200000", 413), ("/v1/jobs?kernel=x", "5", 404)]
    {
        let answer = talk(&server.address, head(path, &format!("Content-Length: {length}\r\n")).as_bytes());
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        answer.code();
    }
    // Without end: cut off at the quota.
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    let endless = head("/v1/blobs", "Transfer-Encoding: chunked\r\n") + &chunk.repeat(40);
    assert!([0, 429].contains(&talk(&server.address, endless.as_bytes()).status));
    let big_kernel = head("/v1/kernels", "Transfer-Encoding: chunked\r\n") + &chunk.repeat(3) + "0\r\n\r\n";
    assert!([0, 413].contains(&talk(&server.address, big_kernel.as_bytes()).status));
    let long_job = anna.post("/v1/jobs", format!("{{\"kernel\":\"{}\"", "x".repeat(2 << 20)));
    assert!([0, 413].contains(&long_job.status), "{}", long_job.status);
    // With less than they say: whoever sends goes away in the middle.
    for _ in 0..5 {
        let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
        let text = head("/v1/blobs", "Content-Length: 1000\r\n") + "half";
        std::io::Write::write_all(&mut stream, text.as_bytes()).unwrap();
    }
    // Two lengths, a length with chunks, chunks that are none: one request is one request.
    let next = format!("GET /v1/audit HTTP/1.1\r\nHost: x\r\n{token}\r\n");
    for more in [
        "Content-Length: 3\r\nContent-Length: 5\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        // On a connection that would take a second one.
        let first = head("/v1/blobs", more).replace("Connection: close\r\n", "");
        let answer = talk(&server.address, (first + "zzz\r\n" + &next).as_bytes());
        assert!([0, 400].contains(&answer.status), "{more}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("tenant.create"), "a second request was heard: {more}");
    }
    for encoding in ["gzip", "br", "deflate", "zstd", "x"] {
        let answer = anna.send("POST", "/v1/blobs", &format!("Content-Encoding: {encoding}\r\n"), b"x");
        assert_eq!(answer.is(415).code(), "encoded");
    }
    eventually("nothing of them is left", || !place.files().iter().any(|name| name.contains("/incoming/")));
    assert_eq!(anna.get("/v1/usage").is(200).json()["stored_bytes"], 0);
    assert!(!place.files().iter().any(|name| name.contains("/blobs/")), "{:?}", place.files());
    // Many at once have no more room than one after the other.
    let stored: usize = std::thread::scope(|scope| {
        let anna = &anna;
        let send = |number: u8| scope.spawn(move || anna.post("/v1/blobs", vec![number; 300_000]).status);
        let sent: Vec<_> = (0..8).map(send).collect();
        sent.into_iter().map(|sent| usize::from(sent.join().unwrap() == 201)).sum()
    });
    assert!((1..=3).contains(&stored), "{stored}");
    assert!(anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap() <= 1_000_000);
    assert_eq!(raw(&server.address, "GET", "/healthz", "", b"").is(200).text(), "ok\n");
    assert_eq!(raw(&server.address, "GET", "/startupz", "", b"").is(200).text(), "started\n");
    server.end(Signal::TERM).code(0);
}

#[test]
fn errors_are_told_alike_whoever_makes_them() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/v2/jobs", 404),
        ("PATCH", "/v1/jobs", 405),
        ("TRACE", "/healthz", 405),
        ("DELETE", "/v1/usage", 405),
        ("GET", "/v1/jobs?limit=x", 400),
        ("GET", "/v1/usage?days=0", 400),
        ("POST", "/v1/jobs", 400),
        ("GET", "/v1/audit?cursor=x", 400),
    ] {
        let answer = anna.send(method, path, "X-Request-Id: of-mine\r\n", b"");
        if status == 404 && path == "/" && answer.status == 200 {
            // There may be a page.
            continue;
        }
        assert_eq!(answer.status, status, "{method} {path}");
        answer.code();
        let problem = answer.json();
        assert_eq!((&problem["status"], problem["title"].is_string()), (&json!(status), true), "{problem}");
        assert!(problem["type"].as_str().unwrap().starts_with("urn:taskhost:problem:"), "{problem}");
        assert_eq!(answer.header("x-request-id"), Some("of-mine"));
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{method} {path}: {}", answer.head);
        }
    }
    let answer = anna.get("/v1/jobs").is(200);
    assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=100;w=1"));
    let left = answer.header("ratelimit").unwrap();
    assert!(left.starts_with("\"requests\";r=") && left.contains(";t="), "{left}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    server.end(Signal::TERM).code(0);
}
