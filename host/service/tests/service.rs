//! The service over HTTP, with a stand-in for the program that runs jobs: what is kept, who sees it, what is refused.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use taskhost_service::admin::{AdminAnswer, AdminRequest, NewToken, ask};
use taskhost_service::call::{Attended, Callee, Engine, ItemFailure, OpenError, Outcome, Running, Told, Wanted};
use taskhost_service::fetch::{Fetched, Fetcher, Get};
use taskhost_service::http::{Elsewhere, Limits};
use taskhost_service::service::{Build, Changing, Doors, Options, Service};
use taskhost_service::tenant::{QuotaChange, Scopes};
use taskhost_service::webhook::{Courier, Letter, Networks, Undelivered};

/// A service in a folder of its own.
struct Place {
    folder: tempfile::TempDir,
    engine: Arc<StandIn>,
    /// Calls that may wait.
    waiting: usize,
    program: PathBuf,
}

/// The log of all services of this process.
static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Somebody with a token.
struct Client {
    address: SocketAddr,
    token: String,
}

/// Reaches nobody.
struct Nobody;

impl Fetcher for Nobody {
    fn fetch(&self, _: Get<'_>) -> Result<Fetched, Undelivered> {
        Err(Undelivered::Connection)
    }
}

impl Courier for Nobody {
    fn deliver(&self, _: &Letter) -> Result<u16, Undelivered> {
        Err(Undelivered::Connection)
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Stands in for the workers of calls: a thread for those that are run together.
#[derive(Default)]
struct StandIn {
    /// Calls of `slow` end when this is true.
    is_over: Arc<AtomicBool>,
    /// How many calls were run together, in each run of some.
    runs: Arc<Mutex<Vec<usize>>>,
    /// Kernels that were made ready, and gave up.
    opened: AtomicUsize,
    given_up: Arc<AtomicUsize>,
    cpu: Arc<AtomicU64>,
    /// No worker can be started when this is true.
    is_out_of_workers: AtomicBool,
}

struct Kernel(Arc<AtomicBool>, Arc<Mutex<Vec<usize>>>, Arc<AtomicUsize>, Arc<AtomicU64>);

/// Results that are told by others: nothing ever happens to this.
struct Silent((PipeReader, PipeWriter));

impl AsFd for Silent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl Attended for Silent {
    fn turn(&self) -> bool {
        false
    }
}

/// Notes that it is dropped before the items were run.
struct Run(Arc<AtomicBool>, Arc<AtomicUsize>);

impl Drop for Run {
    fn drop(&mut self) {
        if !self.0.swap(true, Ordering::SeqCst) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Engine for StandIn {
    fn open(&self, wanted: &Wanted) -> Result<Arc<dyn Callee>, OpenError> {
        let mut text = String::new();
        (&wanted.kernel).read_to_string(&mut text).unwrap();
        if wanted.purpose.function.as_deref() == Some("refused") {
            return Err(OpenError::Refused("it cannot be called".into()));
        }
        if self.is_out_of_workers.load(Ordering::SeqCst) {
            return Err(OpenError::Failed("no new process could be made".into()));
        }
        self.opened.fetch_add(1, Ordering::SeqCst);
        let Self { is_over, runs, given_up, cpu, .. } = self;
        Ok(Arc::new(Kernel(Arc::clone(is_over), Arc::clone(runs), Arc::clone(given_up), Arc::clone(cpu))))
    }
}

impl Callee for Kernel {
    fn submit(&self, items: &[Vec<u8>], mut told: Told) -> Result<Running, String> {
        if items.iter().any(|item| item == b"broken") {
            return Err("it is broken".into());
        }
        self.1.lock().unwrap().push(items.len());
        self.3.fetch_add(items.len() as u64 * 1_000_000, Ordering::SeqCst);
        let (items, is_over, is_done) = (items.to_vec(), Arc::clone(&self.0), Arc::new(AtomicBool::new(false)));
        let run = Run(Arc::clone(&is_done), Arc::clone(&self.2));
        std::thread::spawn(move || {
            for (number, item) in items.iter().enumerate() {
                while item == b"slow" && !is_over.load(Ordering::SeqCst) && !is_done.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                if number + 1 == items.len() {
                    // Whoever is told of the last one lets go of all.
                    is_done.store(true, Ordering::SeqCst);
                }
                let failure = || ItemFailure { verdict: "kernel-error", blame: "item", message: "no\u{1b}[31m".into() };
                told(
                    number,
                    if item == b"fails" {
                        Outcome::Failed(failure())
                    } else {
                        Outcome::Done(item.to_ascii_uppercase())
                    },
                );
            }
        });
        Ok(Box::new(run))
    }

    fn attend(&self) -> Option<Box<dyn Attended>> {
        Some(Box::new(Silent(std::io::pipe().unwrap())))
    }

    fn cpu_time(&self) -> Duration {
        Duration::from_nanos(self.3.load(Ordering::SeqCst))
    }
}

impl Place {
    fn new() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in.sh");
        Self { folder: tempfile::tempdir().unwrap(), engine: Arc::default(), waiting: 100, program }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn serve(&self) -> Service {
        LOG.get_or_init(|| {
            let log = Arc::<Mutex<Vec<u8>>>::default();
            let writer = Arc::clone(&log);
            let writer = move || Writer(Arc::clone(&writer));
            let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(writer).finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
            log
        });
        let options = Options {
            data: self.data(),
            doors: Doors {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                tls: None,
                metrics: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
                plain_beyond_loopback: false,
                kernel_keys: None,
            },
            program: self.program.clone(),
            sandbox: "full".into(),
            cores: 2,
            reserve: 1,
            waiting: self.waiting,
            engine: Arc::clone(&self.engine) as Arc<dyn Engine>,
            courier: Arc::new(Nobody),
            networks: Networks::default(),
            elsewhere: Elsewhere { registries: Vec::new(), sources: Vec::new(), fetcher: Arc::new(Nobody) },
            build: Build { wasmtime: "1.2.3", rustc: "4.5.6" },
            changing: Changing { limits: Limits::default(), keep_jobs: Duration::from_secs(86_400) },
        };
        Service::start(options).unwrap()
    }

    fn tenant(&self, service: &Service, name: &str, quotas: QuotaChange) -> Client {
        let token = NewToken { scopes: Scopes::ALL, life: None, networks: Networks::default() };
        let request = AdminRequest::Create { name: name.into(), weight: None, quotas, token };
        match ask(&self.data(), request).unwrap() {
            AdminAnswer::Token(token) => Client { address: service.address, token },
            other => panic!("{other:?}"),
        }
    }
}

impl Client {
    fn send(&self, method: &str, path: &str, head: &str, body: &str) -> Answer {
        let (token, length) = (&self.token, body.len());
        talk(
            self.address,
            &format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: {length}\r\n{head}\r\n{body}"
            ),
        )
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "")
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, "", body)
    }

    fn kernel(&self) -> String {
        self.post("/v1/kernels", "a kernel").is(201).json()["digest"].as_str().unwrap().to_owned()
    }

    fn job(&self, kernel: &str, text: &str) -> String {
        let job = json!({ "kernel": kernel, "input": { "text": text } }).to_string();
        self.post("/v1/jobs", &job).is(202).json()["id"].as_str().unwrap().to_owned()
    }

    fn ended(&self, job: &str) -> Value {
        let job = self.send("GET", &format!("/v1/jobs/{job}"), "Prefer: wait=30\r\n", "").is(200).json();
        assert!(!job["ended"].is_null(), "{job}");
        job
    }
}

fn talk(address: SocketAddr, text: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // A server that refuses early does not read all of it.
    let _ = stream.write_all(text.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

impl Answer {
    #[track_caller]
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    #[track_caller]
    fn code(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "this never came: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn from_a_kernel_to_the_result_of_a_job() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    anna.send("PUT", "/v1/aliases/mine", "", &json!({ "digest": kernel }).to_string()).is(200);
    assert_eq!(anna.get("/v1/kernels/mine").is(200).json()["info"]["kind"], "stand-in");
    let job = anna.job("mine", "text");
    let ended = anna.ended(&job);
    assert_eq!(
        (&ended["state"], &ended["kernel"], &ended["cpu_ms"]),
        (&json!("succeeded"), &json!(kernel), &json!(2000))
    );
    assert_eq!(anna.get(&format!("/v1/jobs/{job}/result")).is(200).body, "text");
    let part = anna.send("GET", &format!("/v1/jobs/{job}/result"), "Range: bytes=1-2\r\n", "").is(206);
    assert_eq!(part.body, "ex");
    let failed = anna.ended(&anna.job("mine", "fails"));
    assert_eq!((&failed["state"], &failed["message"]), (&json!("failed"), &json!("error: one item failed")));
    let failures = anna.get(failed["failures"]["href"].as_str().unwrap()).is(200);
    assert_eq!(failures.body, "{\"item\": 1}\n");
    let usage = anna.get("/v1/usage").is(200).json();
    assert_eq!(usage["today"]["jobs"], 2);
    // Looking at the kernel has cost some milliseconds more.
    assert!((2750..12_750).contains(&usage["today"]["cpu_ms"].as_u64().unwrap()), "{usage}");
    eventually("nothing is left", || std::fs::read_dir(place.data().join("work")).unwrap().count() == 0);
    service.stop();
}

#[test]
fn what_was_used_is_told_by_the_day_and_by_the_kernel() {
    let place = Place::new();
    let service = place.serve();
    let quotas = QuotaChange { requests_per_second: Some(100_000), ..QuotaChange::default() };
    let (anna, bert) = (place.tenant(&service, "anna", quotas), place.tenant(&service, "bert", quotas));
    let one = anna.kernel();
    let other = anna.post("/v1/kernels", "another kernel").is(201).json()["digest"].as_str().unwrap().to_owned();
    anna.ended(&anna.job(&one, "text"));
    anna.ended(&anna.job(&one, "fails"));
    anna.ended(&anna.job(&other, "text"));
    anna.post(&format!("/v1/kernels/{other}/invoke"), "text").is(200);
    // It may be past midnight by now.
    let kernels = || anna.get("/v1/usage?days=2&group_by=kernel").is(200).json()["kernels"].clone();
    let of = |kernels: &Value, digest: &str, what: &str| {
        let mut rows = kernels.as_array().unwrap().iter();
        rows.find(|row| row["kernel"] == digest).map(|row| row[what].as_u64().unwrap())
    };
    eventually("it is counted", || of(&kernels(), &other, "calls") == Some(1));
    let told = kernels();
    assert_eq!(told.as_array().unwrap().len(), 2, "all is told of kernels: {told}");
    assert_eq!([&one, &other].map(|digest| of(&told, digest, "jobs")), [Some(2), Some(1)], "{told}");
    assert_eq!([&one, &other].map(|digest| of(&told, digest, "items")), [Some(3), Some(1)], "{told}");
    assert_eq!(told[0]["kernel"], json!(one), "the one that has used most comes first");
    let days = || anna.get("/v1/usage?days=2").is(200).json();
    let sum = |rows: &Value, what: &str| rows.as_array().unwrap().iter().map(|row| row[what].as_u64().unwrap()).sum();
    let sums = |rows: &Value| -> [u64; 4] { ["cpu_ms", "jobs", "items", "calls"].map(|what| sum(rows, what)) };
    eventually("both tell all of it", || sums(&days()["days"]) == sums(&kernels()));
    let days = days();
    assert!(days.get("kernels").is_none(), "{days}");
    // A kernel that is gone has used what it has used.
    anna.send("DELETE", &format!("/v1/kernels/{other}"), "", "").is(204);
    assert_eq!(of(&kernels(), &other, "jobs"), Some(1));
    let first = days["days"][0]["date"].as_str().unwrap();
    let same = anna.get(&format!("/v1/usage?from={first}&to=2999-01-01&group_by=day"));
    assert_eq!(same.is(400).code(), "bad-request", "it is too long");
    let same = anna.get(&format!("/v1/usage?from={first}&to={first}")).is(200).json();
    assert_eq!(same["days"][0]["date"], json!(first));
    assert_eq!(anna.get("/v1/usage?from=2020-01-01&to=2020-12-31").is(200).json()["days"], json!([]));
    assert_eq!(bert.get("/v1/usage?group_by=kernel").is(200).json()["kernels"], json!([]));
    for senseless in [
        "days=367",
        "days=1&from=2026-01-01",
        "from=2026-02-30",
        "from=2026-01-01&to=2025-12-31",
        "from=2020-01-01&to=2021-01-01",
        "to=soon",
        "group_by=tenant",
    ] {
        assert_eq!(anna.get(&format!("/v1/usage?{senseless}")).is(400).code(), "bad-request", "{senseless}");
    }
    service.stop();
}

#[test]
fn what_a_name_has_meant_is_told() {
    let place = Place::new();
    let service = place.serve();
    let (anna, bert) = (
        place.tenant(&service, "anna", QuotaChange::default()),
        place.tenant(&service, "bert", QuotaChange::default()),
    );
    let one = anna.kernel();
    let other = anna.post("/v1/kernels", "another kernel").is(201).json()["digest"].as_str().unwrap().to_owned();
    for digest in [&one, &other] {
        anna.send("PUT", "/v1/aliases/mine", "", &json!({ "digest": digest }).to_string()).is(200);
    }
    anna.send("DELETE", "/v1/aliases/mine", "", "").is(204);
    let again = anna.send("PUT", "/v1/aliases/mine", "If-Match: \"0\"\r\n", &json!({ "digest": one }).to_string());
    assert_eq!(again.is(200).json()["version"], 3, "no version comes again");
    let told = anna.get("/v1/aliases/mine/history").is(200).json();
    let changes = told["changes"].as_array().unwrap();
    let row = |change: &Value| (change["version"].clone(), change["digest"].clone(), change["actor"].clone());
    let key = json!(anna.token[3..13]);
    assert_eq!(
        changes.iter().map(row).collect::<Vec<_>>(),
        [(3, json!(one)), (2, Value::Null), (2, json!(other)), (1, json!(one))].map(|(version, digest)| (
            json!(version),
            digest,
            key.clone()
        ))
    );
    let times: Vec<i64> = changes.iter().map(|change| change["at"].as_i64().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    assert_eq!(bert.get("/v1/aliases/mine/history").is(404).code(), "not-found");
    assert_eq!(anna.get("/v1/aliases/none/history").is(404).code(), "not-found");
    service.stop();
}

#[test]
fn a_request_that_comes_again_is_the_same_job() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    anna.send("PUT", "/v1/aliases/mine", "", &json!({ "digest": kernel }).to_string()).is(200);
    let path = "/v1/jobs?kernel=mine&name=a.txt";
    let head = "Prefer: wait=30\r\nIdempotency-Key: one\r\n";
    let first = anna.send("POST", path, head, "text").is(200);
    assert_eq!(first.body, "text");
    let again = anna.send("POST", path, head, "text").is(200);
    assert!(again.body == "text" && again.head.contains("idempotency-replayed: true"), "{}", again.head);
    // Also when its kernel has another name by now.
    anna.send("DELETE", "/v1/aliases/mine", "", "").is(204);
    assert_eq!(anna.send("POST", path, head, "text").is(200).body, "text");
    assert_eq!(anna.send("POST", path, head, "other").is(422).code(), "key-reused");
    assert_eq!(anna.get("/v1/jobs").is(200).json()["jobs"].as_array().unwrap().len(), 1);
    service.stop();
}

#[test]
fn of_the_things_of_others_there_is_no_trace() {
    let place = Place::new();
    let service = place.serve();
    let (anna, bert) = (
        place.tenant(&service, "anna", QuotaChange::default()),
        place.tenant(&service, "bert", QuotaChange::default()),
    );
    let kernel = anna.kernel();
    anna.send("PUT", "/v1/aliases/mine", "", &json!({ "digest": kernel }).to_string()).is(200);
    let blob = anna.post("/v1/blobs", "secret of anna").is(201).json()["digest"].as_str().unwrap().to_owned();
    let asked = json!({ "kernel": kernel, "input": { "blob": blob } }).to_string();
    let job = anna.post("/v1/jobs", &asked).is(202).json()["id"].as_str().unwrap().to_owned();
    anna.ended(&job);
    let things = ["", "/result", "/failures"].map(|part| format!("/v1/jobs/{job}{part}"));
    let others = [format!("/v1/kernels/{kernel}"), "/v1/aliases/mine".into(), format!("/v1/blobs/{blob}")];
    for thing in things.iter().chain(&others) {
        anna.get(thing).is(200);
        assert_eq!(bert.get(thing).is(404).code(), "not-found", "{thing}");
        let nobody = Client { address: service.address, token: "th_x".into() };
        assert_eq!(nobody.get(thing).is(401).code(), "unauthorized", "{thing}");
    }
    bert.post("/v1/jobs", &asked).is(404);
    bert.post(&format!("/v1/jobs/{job}/cancel"), "").is(404);
    bert.send("DELETE", &others[0], "", "").is(404);
    bert.send("DELETE", &others[2], "", "").is(404);
    assert_eq!(anna.send("DELETE", &others[0], "", "").is(409).code(), "in-use");
    assert_eq!(anna.send("DELETE", &others[2], "", "").is(409).code(), "in-use");
    assert!(!bert.get("/v1/jobs").is(200).body.contains(&job));
    let log = String::from_utf8(LOG.get().unwrap().lock().unwrap().clone()).unwrap();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
    assert!(!log.contains("secret of anna") && !log.contains(&anna.token[14..50]), "{log}");
    service.stop();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    assert_eq!(anna.post("/v1/kernels", "refused").is(422).json()["detail"], "it is not WebAssembly");
    let wrong = format!("/v1/kernels/blake3:{}", "0".repeat(64));
    assert_eq!(anna.send("PUT", &wrong, "", "x").is(422).code(), "digest-mismatch");
    let late = anna.send("PUT", "/v1/aliases/a", "If-Match: \"7\"\r\n", &json!({ "digest": kernel }).to_string());
    assert_eq!(late.is(412).code(), "changed");
    for name in ["A", "..%2F", "%00", "a%20b"] {
        assert_eq!(anna.send("PUT", &format!("/v1/aliases/{name}"), "", "{}").is(400).code(), "bad-name", "{name}");
    }
    for (job, status) in [
        (json!({ "kernel": kernel }), 400),
        (json!({ "kernel": kernel, "input": { "text": "x" }, "sandbox": "off" }), 400),
        (json!({ "kernel": kernel, "input": { "text": "x" }, "parameters": { "dir": "/" } }), 400),
        (json!({ "kernel": kernel, "input": { "text": "x", "name": "a\nb" } }), 422),
        (json!({ "kernel": kernel, "input": {} }), 422),
        (json!({ "kernel": "nothing", "input": { "text": "x" } }), 404),
    ] {
        assert_eq!(anna.post("/v1/jobs", &job.to_string()).status, status, "{job}");
    }
    assert_eq!(anna.send("POST", "/v1/blobs", "Content-Encoding: gzip\r\n", "x").is(415).code(), "encoded");
    assert_eq!(anna.send("PATCH", "/v1/jobs", "", "").is(405).code(), "method-not-allowed");
    let two = "POST /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde";
    assert_eq!(talk(service.address, two).status, 400);
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(1000));
    assert_eq!(talk(service.address, &many).status, 431);
    assert_eq!(anna.get("/readyz").is(200).body, "ready\n");
    assert!(anna.get("/metrics").is(200).body.contains("taskhost_jobs"));
    service.stop();
}

#[test]
fn each_quota_is_refused_by_its_name() {
    let place = Place::new();
    let service = place.serve();
    let none = QuotaChange::default();
    let is_over = |answer: Answer, quota: &str| {
        let answer = answer.is(429);
        assert_eq!((answer.code(), &answer.json()["quota"]), ("quota-exceeded".into(), &json!(quota)));
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    };
    let stored = place.tenant(&service, "stored", QuotaChange { stored_bytes: Some(100), ..none });
    is_over(stored.post("/v1/blobs", &"x".repeat(200)), "stored_bytes");
    let small = place.tenant(&service, "small", QuotaChange { kernel_bytes: Some(10), ..none });
    assert_eq!(small.post("/v1/kernels", "more than ten").is(413).code(), "too-large");
    let requests = place.tenant(&service, "requests", QuotaChange { requests_per_second: Some(1), ..none });
    requests.get("/v1/jobs");
    is_over(requests.get("/v1/jobs"), "requests_per_second");
    let cpu = place.tenant(&service, "cpu", QuotaChange { cpu_seconds_per_day: Some(2), ..none });
    let kernel = cpu.kernel();
    let ended = cpu.ended(&cpu.job(&kernel, "text"));
    let refused = cpu.post("/v1/jobs", &json!({ "kernel": kernel, "input": { "text": "x" } }).to_string());
    let midnight = refused.json()["resets_at"].as_i64().unwrap();
    assert!(midnight % (24 * 60 * 60 * 1000) == 0 && midnight > ended["ended"].as_i64().unwrap(), "{midnight}");
    is_over(refused, "cpu_seconds_per_day");
    let queue = QuotaChange { queued_jobs: Some(2), concurrent_jobs: Some(1), ..none };
    let queue = place.tenant(&service, "queue", queue);
    let kernel = queue.kernel();
    let jobs = ["slow", "slow"].map(|text| queue.job(&kernel, text));
    is_over(queue.post("/v1/jobs", &json!({ "kernel": kernel, "input": { "text": "x" } }).to_string()), "queued_jobs");
    let state = |job: &str| queue.get(&format!("/v1/jobs/{job}")).is(200).json()["state"].clone();
    eventually("the first runs", || state(&jobs[0]) == "running");
    assert_eq!(state(&jobs[1]), "queued");
    for job in &jobs {
        for _ in 0..2 {
            assert_eq!(queue.post(&format!("/v1/jobs/{job}/cancel"), "").is(202).json()["state"], "cancelled");
        }
    }
    queue.ended(&queue.job(&kernel, "text"));
    eventually("nothing is left", || std::fs::read_dir(place.data().join("work")).unwrap().count() == 0);
    service.stop();
}

#[test]
fn guessing_tokens_is_slow() {
    let place = Place::new();
    let service = place.serve();
    let nobody = Client { address: service.address, token: "th_guess".into() };
    let answers: Vec<u16> = (0..40).map(|_| nobody.get("/v1/jobs").status).collect();
    assert_eq!((answers[0], answers[39]), (401, 429), "{answers:?}");
    service.stop();
}

#[test]
fn what_was_accepted_comes_to_its_end_after_a_restart() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange { concurrent_jobs: Some(1), ..QuotaChange::default() });
    let kernel = anna.kernel();
    let (slow, waits) = (anna.job(&kernel, "slow"), anna.job(&kernel, "text"));
    let journal = place.data().join("work").join(&slow).join("journal");
    eventually("it is under way", || journal.exists());
    service.stop();
    assert!(journal.exists());
    let service = place.serve();
    let anna = Client { address: service.address, token: anna.token };
    for (job, text, attempts) in [(slow, "slow", 2), (waits, "text", 1)] {
        let ended = anna.ended(&job);
        assert_eq!((&ended["state"], &ended["attempts"]), (&json!("succeeded"), &json!(attempts)));
        assert_eq!(anna.get(&format!("/v1/jobs/{job}/result")).is(200).body, text);
    }
    assert_eq!(anna.get("/v1/usage").is(200).json()["today"]["jobs"], 2);
    service.stop();
}

/// A process that dies for no reason that is known is no reason to lose a job; one that always does, is.
#[test]
fn a_process_that_dies_is_replaced_and_not_for_ever() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    // Its journal is there, so that the next one goes on and comes to the end.
    let ended = anna.ended(&anna.job(&kernel, "dies"));
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("succeeded"), &json!(2)));
    service.stop();
}

#[test]
fn a_call_is_answered_with_its_result() {
    let place = Place::new();
    let service = place.serve();
    let many = QuotaChange { requests_per_second: Some(100_000), ..QuotaChange::default() };
    let anna = place.tenant(&service, "anna", many);
    let kernel = anna.kernel();
    anna.send("PUT", "/v1/aliases/mine", "", &json!({ "digest": kernel }).to_string()).is(200);
    for _ in 0..3 {
        let answer = anna.post("/v1/kernels/mine/invoke", "text").is(200);
        assert_eq!(answer.body, "TEXT");
        assert!(answer.head.contains("content-type: application/octet-stream"), "{}", answer.head);
    }
    assert_eq!(anna.post(&format!("/v1/kernels/{kernel}/invoke"), "text").is(200).body, "TEXT");
    assert_eq!(place.engine.opened.load(Ordering::SeqCst), 1, "it is the same kernel by both names");
    let add = anna.post("/v1/kernels/mine/invoke/math%23add", "[1, 2]").is(200);
    assert!(add.head.contains("content-type: application/json"), "{}", add.head);
    let failed = anna.post("/v1/kernels/mine/invoke", "fails").is(422);
    assert_eq!((failed.code(), failed.json()["verdict"].clone()), ("item-failed".into(), json!("kernel-error")));
    assert_eq!(failed.json()["detail"], "no\\u{1b}[31m");
    assert_eq!(anna.post("/v1/kernels/mine/invoke/none", "[]").is(404).code(), "not-found");
    assert_eq!(anna.post("/v1/kernels/mine/invoke/refused", "[]").is(422).code(), "kernel-refused");
    assert_eq!(anna.post("/v1/kernels/nothing/invoke", "x").is(404).code(), "not-found");
    assert_eq!(anna.post("/v1/kernels/mine/invoke", &"x".repeat(2 << 20)).is(413).code(), "too-large");
    assert_eq!(anna.post("/v1/kernels/mine/invoke?timeout=soon", "x").is(400).code(), "bad-timeout");
    // One of which the workers are gone is lost, and the next finds others.
    assert_eq!(anna.post("/v1/kernels/mine/invoke", "broken").is(503).code(), "busy");
    assert_eq!(anna.post("/v1/kernels/mine/invoke", "text").is(200).body, "TEXT");
    // A name that means something else means that at once, and a kernel that is gone is not called.
    let other = anna.post("/v1/kernels", "another kernel").is(201).json()["digest"].as_str().unwrap().to_owned();
    anna.send("PUT", "/v1/aliases/mine", "", &json!({ "digest": other }).to_string()).is(200);
    anna.send("DELETE", &format!("/v1/kernels/{kernel}"), "", "").is(204);
    assert_eq!(anna.post(&format!("/v1/kernels/{kernel}/invoke"), "text").is(404).code(), "not-found");
    assert_eq!(anna.post("/v1/kernels/mine/invoke", "text").is(200).body, "TEXT");
    eventually("it is counted", || anna.get("/v1/usage").is(200).json()["today"]["calls"] == json!(9));
    assert!(anna.get("/metrics").is(200).body.contains("taskhost_calls_total{outcome=\"failed\"} 1"));
    service.stop();
}

#[test]
fn calls_that_come_at_once_are_run_together_and_a_kept_worker_is_for_others() {
    let place = Place::new();
    let service = place.serve();
    let quotas =
        QuotaChange { requests_per_second: Some(100_000), concurrent_calls: Some(20), ..QuotaChange::default() };
    let (anna, bert) = (place.tenant(&service, "anna", quotas), place.tenant(&service, "bert", quotas));
    let (hers, his) = (anna.kernel(), bert.kernel());
    let call = |client: &Client, kernel: &str, text: &str| {
        client.post(&format!("/v1/kernels/{kernel}/invoke?timeout=30s"), text)
    };
    assert_eq!(call(&anna, &hers, "warm").is(200).body, "WARM");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| call(&anna, &hers, "slow"));
        let busy = || anna.get("/metrics").body.contains("taskhost_call_workers_busy 1");
        eventually("it is at work", busy);
        let quick: Vec<_> = (0..19).map(|_| scope.spawn(|| call(&anna, &hers, "quick"))).collect();
        eventually("they wait", || anna.get("/metrics").body.contains("taskhost_queue_depth{class=\"call\"} 19"));
        // Of two workers one is kept for those who have none.
        assert_eq!(call(&bert, &his, "text").is(200).body, "TEXT");
        let one_too_many = call(&anna, &hers, "text").is(429);
        assert_eq!(one_too_many.json()["quota"], "concurrent_calls");
        let late = bert.post(&format!("/v1/kernels/{his}/invoke?timeout=50ms"), "slow").is(504);
        assert_eq!(late.code(), "late");
        eventually("it was given up", || place.engine.given_up.load(Ordering::SeqCst) == 1);
        place.engine.is_over.store(true, Ordering::SeqCst);
        assert_eq!(slow.join().unwrap().is(200).body, "SLOW");
        for call in quick {
            assert_eq!(call.join().unwrap().is(200).body, "QUICK");
        }
    });
    let runs = place.engine.runs.lock().unwrap().clone();
    assert_eq!(runs.iter().sum::<usize>(), 23, "{runs:?}");
    assert!(runs.len() < 23, "some were run together: {runs:?}");
    service.stop();
}

#[test]
fn calls_that_wait_find_other_workers_or_hear_that_their_kernel_is_gone() {
    let place = Place::new();
    let service = place.serve();
    let quotas = QuotaChange { requests_per_second: Some(100_000), ..QuotaChange::default() };
    let anna = place.tenant(&service, "anna", quotas);
    let kernel = anna.kernel();
    let call = |text: &str| anna.post(&format!("/v1/kernels/{kernel}/invoke?timeout=30s"), text);
    let waiting = |calls: usize| {
        let depth = format!("taskhost_queue_depth{{class=\"call\"}} {calls}\n");
        eventually("they wait", || anna.get("/metrics").body.contains(&depth));
    };
    let at_work = || anna.get("/metrics").body.contains("taskhost_call_workers_busy 1");
    std::thread::scope(|scope| {
        // One that loses its workers does not take those with it that wait behind it.
        let slow = scope.spawn(|| call("slow"));
        eventually("it is at work", at_work);
        let broken = scope.spawn(|| call("broken"));
        waiting(1);
        let behind: Vec<_> = (0..3).map(|_| scope.spawn(|| call("text"))).collect();
        waiting(4);
        place.engine.is_over.store(true, Ordering::SeqCst);
        assert_eq!(slow.join().unwrap().is(200).body, "SLOW");
        assert_eq!(broken.join().unwrap().is(503).code(), "busy");
        for call in behind {
            assert_eq!(call.join().unwrap().is(200).body, "TEXT");
        }
        assert_eq!(place.engine.opened.load(Ordering::SeqCst), 2);
        // Whoever waits for a kernel does not wait any more when it is deleted.
        place.engine.is_over.store(false, Ordering::SeqCst);
        let slow = scope.spawn(|| call("slow"));
        eventually("it is at work", at_work);
        let behind: Vec<_> = (0..3).map(|_| scope.spawn(|| call("text"))).collect();
        waiting(3);
        anna.send("DELETE", &format!("/v1/kernels/{kernel}"), "", "").is(204);
        for call in behind {
            assert_eq!(call.join().unwrap().is(404).code(), "not-found");
        }
        place.engine.is_over.store(true, Ordering::SeqCst);
        assert_eq!(slow.join().unwrap().is(200).body, "SLOW");
    });
    service.stop();
}

#[test]
fn a_call_that_finds_too_many_in_line_is_told_to_come_again() {
    let place = Place { waiting: 3, ..Place::new() };
    let service = place.serve();
    let tenant = |name| place.tenant(&service, name, QuotaChange::default());
    let (anna, bert) = (tenant("anna"), tenant("bert"));
    let (hers, his) = (anna.kernel(), bert.kernel());
    let call = |(client, kernel): (&Client, &String), text: &str| {
        client.post(&format!("/v1/kernels/{kernel}/invoke?timeout=30s"), text)
    };
    let (by_anna, by_bert) = ((&anna, &hers), (&bert, &his));
    let told = |line: &str| anna.get("/metrics").body.contains(line);
    std::thread::scope(|scope| {
        let begin = |who, text| scope.spawn(move || call(who, text));
        let slow = [by_anna, by_bert].map(|who| begin(who, "slow"));
        eventually("both are at work", || told("taskhost_call_workers_busy 2\n"));
        let behind = [by_anna, by_bert, by_anna].map(|who| begin(who, "text"));
        eventually("all wait that may", || told("taskhost_queue_depth{class=\"call\"} 3\n"));
        // Whoever's it is: the line is one of all.
        for who in [by_anna, by_bert] {
            let refused = call(who, "text").is(503);
            assert_eq!(refused.code(), "busy");
            assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
        }
        assert!(told("taskhost_queue_depth{class=\"call\"} 3\n"), "those in line are where they were");
        place.engine.is_over.store(true, Ordering::SeqCst);
        for slow in slow {
            assert_eq!(slow.join().unwrap().is(200).body, "SLOW");
        }
        for call in behind {
            assert_eq!(call.join().unwrap().is(200).body, "TEXT");
        }
    });
    assert_eq!(call(by_anna, "text").is(200).body, "TEXT");
    service.stop();
}

#[test]
fn a_call_for_which_no_worker_is_free_is_told_to_come_again() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    let path = format!("/v1/kernels/{kernel}/invoke");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| anna.post(&path, "slow"));
        eventually("it is at work", || anna.get("/metrics").body.contains("taskhost_call_workers_busy 1"));
        let busy = anna.send("POST", &path, "Taskhost-Timeout: 20ms\r\n", "text").is(503);
        assert_eq!(busy.code(), "busy");
        assert!(busy.head.contains("retry-after: 1"), "{}", busy.head);
        // A server that is told to stop takes nothing more, and ends what it has.
        service.drain();
        assert_eq!(anna.post(&path, "text").is(503).code(), "busy");
        assert_eq!(anna.get("/readyz").is(503).code(), "busy");
        let job = json!({ "kernel": kernel, "input": { "text": "x" } }).to_string();
        assert_eq!(anna.post("/v1/jobs", &job).is(503).code(), "busy");
        anna.get("/v1/jobs").is(200);
        assert!(!service.is_drained());
        place.engine.is_over.store(true, Ordering::SeqCst);
        assert_eq!(slow.join().unwrap().is(200).body, "SLOW");
        eventually("nothing is under way", || service.is_drained());
    });
    service.stop();
}

/// Who sends requests on is told when nothing that comes can be run, and when it can again.
#[test]
fn a_server_that_can_start_nothing_is_not_ready() {
    let mut place = Place::new();
    let program = place.folder.path().join("program");
    std::os::unix::fs::symlink(&place.program, &program).unwrap();
    place.program = program.clone();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    let outcome = |text: &str| anna.ended(&anna.job(&kernel, text))["exit_code"].clone();
    // Three tries, then the job is given up.
    std::fs::remove_file(&program).unwrap();
    assert_eq!(outcome("text"), 1);
    std::os::unix::fs::symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in.sh"), &program).unwrap();
    assert_eq!(outcome("no walls"), 6);
    anna.get("/readyz").is(200);
    assert_eq!(outcome("no walls"), 6);
    let refused = anna.get("/readyz").is(503);
    assert_eq!(
        (refused.code(), &refused.json()["detail"]),
        ("busy".into(), &json!("processes of jobs cannot be started"))
    );
    // One that fails by itself was started.
    assert_eq!(outcome("fails"), 3);
    anna.get("/readyz").is(200);
    let call = |text: &str| anna.post(&format!("/v1/kernels/{kernel}/invoke"), text);
    place.engine.is_out_of_workers.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        assert_eq!(call("text").is(503).code(), "busy");
    }
    anna.get("/readyz").is(200);
    call("text").is(503);
    let refused = anna.get("/readyz").is(503);
    assert_eq!(refused.json()["detail"], "workers of calls cannot be started");
    // That of jobs says nothing of calls.
    assert_eq!(outcome("text"), 0);
    anna.get("/readyz").is(503);
    place.engine.is_out_of_workers.store(false, Ordering::SeqCst);
    call("text").is(200);
    anna.get("/readyz").is(200);
    service.stop();
}

/// Whoever looks for a job finds it in the log: the requests about it, its beginnings and its end.
#[test]
fn the_log_tells_what_became_of_a_job() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    let (dies, fails, slow) = (anna.job(&kernel, "dies"), anna.job(&kernel, "fails"), anna.job(&kernel, "slow"));
    anna.ended(&dies);
    anna.ended(&fails);
    anna.post(&format!("/v1/jobs/{slow}/cancel"), "");
    anna.get(&format!("/v1/jobs/{slow}/log"));
    let lines = |job: &str| -> Vec<Value> {
        let log = String::from_utf8(LOG.get().unwrap().lock().unwrap().clone()).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|line: &Value| line["job"] == job).collect()
    };
    let about = |job: &str, message: &str, names: &[&str]| -> Vec<Value> {
        let lines = lines(job).into_iter().filter(|line| line["message"] == message);
        lines.map(|line| names.iter().map(|name| line[name].clone()).collect()).collect()
    };
    let ends = ["tenant", "state", "exit_code", "items", "cpu_ms", "level"];
    for job in [&dies, &fails, &slow] {
        eventually("its end is in the log", || !about(job, "job ends", &ends).is_empty());
    }
    let begins = ["tenant", "attempt", "level"];
    assert_eq!(about(&dies, "job begins", &begins), [json!(["anna", 1, "INFO"]), json!(["anna", 2, "INFO"])]);
    assert_eq!(about(&fails, "job begins", &begins), [json!(["anna", 1, "INFO"])]);
    let [ended] = &about(&dies, "job ends", &ends)[..] else { panic!("it ends once") };
    assert_eq!((&ended[1], &ended[2], &ended[3]), (&json!("succeeded"), &json!(0), &json!(1)));
    assert_eq!(about(&fails, "job ends", &ends), [json!(["anna", "failed", 3, 2, 750, "INFO"])]);
    let [ended] = &about(&slow, "job ends", &ends)[..] else { panic!("it ends once") };
    assert_eq!((&ended[0], &ended[1], &ended[2]), (&json!("anna"), &json!("cancelled"), &json!(null)));
    let asked = about(&slow, "request", &["method", "path"]);
    for (method, path) in [
        ("POST", "/v1/jobs".to_owned()),
        ("POST", format!("/v1/jobs/{slow}/cancel")),
        ("GET", format!("/v1/jobs/{slow}/log")),
    ] {
        assert!(asked.contains(&json!([method, path])), "{path}: {asked:?}");
    }
    service.stop();
}

/// What calls use and how they fail is counted beside what jobs do.
#[test]
fn numbers_are_of_jobs_and_of_calls() {
    let place = Place::new();
    let service = place.serve();
    let anna = place.tenant(&service, "anna", QuotaChange::default());
    let kernel = anna.kernel();
    let numbers = || anna.get("/metrics").is(200).body;
    assert!(numbers().contains("wasmtime=\"1.2.3\",rustc=\"4.5.6\"} 1\n"), "{}", numbers());
    anna.ended(&anna.job(&kernel, "dies"));
    let call = |text: &str| anna.post(&format!("/v1/kernels/{kernel}/invoke"), text);
    call("text").is(200);
    call("fails").is(422);
    // Two calls of a millisecond each, and what the job says of its last process.
    for line in [
        "taskhost_worker_cpu_seconds_total{class=\"call\"} 0.002\n",
        "taskhost_traps_total{kind=\"kernel-error\"} 1\n",
        "taskhost_worker_restarts_total{reason=\"killed\"} 1\n",
        "taskhost_worker_restarts_total{reason=\"failed\"} 0\n",
        "taskhost_worker_restarts_total{reason=\"journal\"} 0\n",
    ] {
        eventually(line, || numbers().contains(line));
    }
    service.stop();
}
