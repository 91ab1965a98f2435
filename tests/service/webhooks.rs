//! Who is told of the end of a job without asking, and who can be told nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Client, Server};
use crate::harness::{Place, eventually, skipped};

/// Somebody who is told.
pub(super) struct Receiver(TcpListener);

/// What somebody was told.
#[derive(Debug)]
pub(super) struct Told {
    head: Vec<String>,
    body: String,
}

impl Receiver {
    pub(super) fn new() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?x=y", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    /// Takes one message, and answers it like this.
    pub(super) fn take(&self, answer: &str) -> Told {
        let (stream, _) = self.0.accept().unwrap();
        let mut lines = BufReader::new(&stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let mut told = Told { head, body: String::new() };
        let mut body = vec![0; told.field("content-length").parse().unwrap()];
        lines.read_exact(&mut body).unwrap();
        told.body = String::from_utf8(body).unwrap();
        (&stream)
            .write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        told
    }
}

impl Told {
    #[track_caller]
    fn field(&self, name: &str) -> &str {
        let value = |line: &str| line.split_once(':').filter(|(known, _)| known.eq_ignore_ascii_case(name)).is_some();
        let line = self.head.iter().find(|line| value(line)).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        line.split_once(':').unwrap().1.trim()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The signature that it should have, by a program that nobody wrote for this project. None when that is not there.
    fn expected(&self, secret: &str) -> Option<String> {
        let text = format!("{}.{}.{}", self.field("webhook-id"), self.field("webhook-timestamp"), self.body);
        let script = format!(
            "key=$(printf %s '{}' | base64 -d | od -An -vtx1 | tr -d ' \\n') &&
             openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary | base64",
            secret.strip_prefix("whsec_").unwrap()
        );
        let mut shell = Command::new("sh");
        let mut shell = shell
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = shell.wait_with_output().unwrap();
        output.status.success().then(|| format!("v1,{}", String::from_utf8(output.stdout).unwrap().trim()))
    }
}

fn create(client: &Client, url: &str) -> Value {
    client.post("/v1/webhooks", json!({ "url": url }).to_string()).is(201).json()
}

#[test]
fn the_end_of_a_job_is_told_until_somebody_takes_it() {
    let place = Place::new();
    let server = Server::start_with(&place, "--webhook-network 127.0.0.0/8");
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let (receiver, url) = Receiver::new();
    let webhook = create(&anna, &url);
    let (id, secret) = (webhook["id"].as_str().unwrap(), webhook["secret"].as_str().unwrap());
    assert!(!anna.get("/v1/webhooks").is(200).text().contains(secret), "the secret is told once");
    let job = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 100\n" } }));
    let first = receiver.take("503 Service Unavailable");
    // What comes meanwhile waits behind it.
    let other = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" } }));
    anna.post(&format!("/v1/jobs/{other}/cancel"), "").is(202);
    let again = receiver.take("204 No Content");
    let second = receiver.take("200 OK");
    assert_eq!(first.head[0], "POST /hook?x=y HTTP/1.1");
    assert_eq!((first.field("webhook-id"), &first.body), (again.field("webhook-id"), &again.body));
    assert_eq!(first.json()["type"], "job.ended");
    let data = &first.json()["data"];
    assert_eq!((&data["id"], &data["state"], &data["exit_code"]), (&json!(job), &json!("succeeded"), &json!(0)));
    assert_eq!((&second.json()["data"]["id"], &second.json()["data"]["state"]), (&json!(other), &json!("cancelled")));
    let deliveries = || anna.get(&format!("/v1/webhooks/{id}/deliveries")).is(200).json()["deliveries"].clone();
    eventually("both have got through", || {
        deliveries().as_array().unwrap().iter().filter(|delivery| !delivery["delivered"].is_null()).count() == 2
    });
    assert_eq!((&deliveries()[1]["attempts"], &deliveries()[1]["status"]), (&json!(2), &json!(204)));
    // What was lost behind the place can be had again, as the same message.
    let message = second.field("webhook-id");
    anna.post(&format!("/v1/webhooks/{id}/deliveries/{message}/retry"), "").is(202);
    let repeated = receiver.take("200 OK");
    assert_eq!((repeated.field("webhook-id"), &repeated.body), (message, &second.body));
    anna.post(&format!("/v1/webhooks/{id}/deliveries/msg_x/retry"), "").is(404);
    anna.post(&format!("/v1/webhooks/{id}/test"), "").is(202);
    let ping = receiver.take("200 OK");
    assert_eq!(ping.json()["type"], "ping");
    assert!(anna.get("/v1/audit").is(200).text().contains("webhook.create"));
    anna.send("DELETE", &format!("/v1/webhooks/{id}"), "", b"").is(204);
    anna.get(&format!("/v1/webhooks/{id}/deliveries")).is(404);
    for told in [&first, &again, &second, &repeated, &ping] {
        let Some(expected) = told.expected(secret) else {
            skipped(
                "the_end_of_a_job_is_told_until_somebody_takes_it: signatures",
                "no openssl: apt-get install openssl",
            );
            break;
        };
        assert_eq!(told.field("webhook-signature"), expected);
    }
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(!log.contains(secret), "{log}");
}

/// What was not told when a server was killed, the next one tells.
#[test]
fn a_server_that_is_killed_forgets_no_message() {
    let place = Place::new();
    let network = "--webhook-network 127.0.0.0/8";
    let server = Server::start_with(&place, network);
    let anna = server.tenant(&place, "anna", "");
    anna.kernel("primes");
    let (receiver, url) = Receiver::new();
    create(&anna, &url);
    let job = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 100\n" } }));
    // It is asked, and hears nothing for good.
    let (held, _) = receiver.0.accept().unwrap();
    server.end(Signal::KILL);
    drop(held);
    let server = Server::start_with(&place, network);
    assert_eq!(receiver.take("200 OK").json()["data"]["id"], json!(job));
    server.end(Signal::TERM).code(0);
}

#[test]
fn what_is_inside_is_told_nothing() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", "--requests 100000"), server.tenant(&place, "bert", ""));
    let (receiver, url) = Receiver::new();
    receiver.0.set_nonblocking(true).unwrap();
    let port = receiver.0.local_addr().unwrap().port();
    for inside in [
        url.as_str(),
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "http://example.org/",
        "https://name:password@example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https://example.org:99999/",
        "https://example.org:0/",
    ] {
        let refused = anna.post("/v1/webhooks", json!({ "url": inside }).to_string()).is(422);
        assert_eq!(refused.code(), "bad-target", "{inside}");
    }
    // A name is looked at when something is sent to it.
    let webhook = create(&anna, &format!("https://localhost:{port}/"));
    let id = webhook["id"].as_str().unwrap();
    anna.post(&format!("/v1/webhooks/{id}/test"), "").is(202);
    let tried = || anna.get(&format!("/v1/webhooks/{id}/deliveries")).is(200).json()["deliveries"][0].clone();
    eventually("it was tried", || tried()["attempts"] != 0);
    assert_eq!(tried()["error"], "the place has no address that may be reached from here");
    // Somebody else's is not there.
    assert_eq!(bert.get("/v1/webhooks").is(200).json()["webhooks"], json!([]));
    bert.get(&format!("/v1/webhooks/{id}/deliveries")).is(404);
    bert.post(&format!("/v1/webhooks/{id}/test"), "").is(404);
    bert.send("DELETE", &format!("/v1/webhooks/{id}"), "", b"").is(404);
    assert!(receiver.0.accept().is_err(), "somebody came");
    server.end(Signal::TERM).code(0);
}

/// A place of the job's own hears of that job alone, signed with the secret that came with it.
#[test]
fn a_job_names_who_is_told_of_its_end() {
    let place = Place::new();
    let server = Server::start_with(&place, "--webhook-network 127.0.0.0/8");
    let anna = server.tenant(&place, "anna", "--requests 100000");
    let bert = server.tenant(&place, "bert", "");
    anna.kernel("primes");
    let (receiver, url) = Receiver::new();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let callback = json!({ "url": url, "secret": secret });
    let asked = json!({ "kernel": "primes", "input": { "text": "0 100\n" }, "callback": callback });
    let job = anna.submit(&asked);
    anna.wait(&anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 10\n" } })));
    let first = receiver.take("503 Service Unavailable");
    let again = receiver.take("200 OK");
    assert_eq!((&first.json()["type"], &first.json()["data"]["id"]), (&json!("job.ended"), &json!(job)));
    assert_eq!((first.field("webhook-id"), &first.body), (again.field("webhook-id"), &again.body));
    if let Some(expected) = again.expected(secret) {
        assert_eq!(again.field("webhook-signature"), expected);
    }
    let path = format!("/v1/jobs/{job}/callback");
    let told = || anna.get(&path).is(200).json();
    eventually("it has got through", || told()["deliveries"][0]["delivered"].is_i64());
    assert_eq!((&told()["url"], &told()["deliveries"][0]["attempts"]), (&json!(url), &json!(2)));
    bert.get(&path).is(404);
    assert_eq!(anna.get("/v1/webhooks").is(200).json()["webhooks"], json!([]));
    // Those of a batch, too.
    let many = json!({ "jobs": [asked, { "kernel": "primes", "input": { "text": "" } }] });
    let jobs = anna.post("/v1/jobs/batch", many.to_string()).is(202).json();
    assert_eq!(receiver.take("200 OK").json()["data"]["id"], jobs["jobs"][0]["id"]);
    anna.get(&format!("/v1/jobs/{}/callback", jobs["jobs"][1]["id"].as_str().unwrap())).is(404);
    for (callback, status, code) in [
        (json!({ "url": "https://127.0.0.1/", "secret": "whsec_eA==" }), 422, "bad-secret"),
        (json!({ "url": "http://10.0.0.1/", "secret": secret }), 422, "bad-target"),
        (json!({ "url": "https://127.0.0.1:99999/", "secret": secret }), 422, "bad-target"),
        (json!({ "url": url }), 400, "bad-request"),
    ] {
        let job = json!({ "kernel": "primes", "input": { "text": "" }, "callback": callback });
        assert_eq!(anna.post("/v1/jobs", job.to_string()).is(status).code(), code, "{job}");
    }
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(!log.contains(secret), "{log}");
}
