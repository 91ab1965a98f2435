//! Connections: slow ones, many of them, secret ones.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskhost_service::call::{Callee, Engine, OpenError, Wanted};
use taskhost_service::fetch::{Fetched, Fetcher, Get};
use taskhost_service::http::{Elsewhere, Limits};
use taskhost_service::service::{Build, Changing, Doors, Options, Service, ServiceError};
use taskhost_service::webhook::{Courier, Letter, Networks, Undelivered};

/// What no answer takes, however slow the machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls nothing.
struct NoWorkers;

impl Engine for NoWorkers {
    fn open(&self, _: &Wanted) -> Result<Arc<dyn Callee>, OpenError> {
        Err(OpenError::Failed("there are no workers".into()))
    }
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

fn options(data: &Path, limits: Limits) -> Options {
    Options {
        data: data.join("data"),
        doors: Doors {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            metrics: None,
            plain_beyond_loopback: false,
            kernel_keys: None,
        },
        program: PathBuf::from("/nonexistent"),
        sandbox: "full".into(),
        cores: 1,
        reserve: 0,
        waiting: 10,
        engine: Arc::new(NoWorkers),
        courier: Arc::new(Nobody),
        networks: Networks::default(),
        elsewhere: Elsewhere { registries: Vec::new(), sources: Vec::new(), fetcher: Arc::new(Nobody) },
        build: Build { wasmtime: "1.2.3", rustc: "4.5.6" },
        changing: changing(limits),
    }
}

fn changing(limits: Limits) -> Changing {
    Changing { limits, keep_jobs: Duration::from_secs(86_400) }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// All that comes on a connection until the other side closes it.
#[track_caller]
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // One that is reset is closed, too.
    let end = stream.read_to_end(&mut bytes).map_err(|error| error.kind());
    assert_ne!(end, Err(std::io::ErrorKind::WouldBlock), "it stays open");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_alive(address: SocketAddr) -> bool {
    let mut stream = connect(address);
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    rest(stream).ends_with("ok\n")
}

/// So short that waiting for it takes little, and longer than a machine rests that has something to do.
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn who_is_slow_is_given_up_and_others_are_answered() {
    let place = tempfile::tempdir().unwrap();
    // One after the other: of those that say what they have to say in time, none is to be too slow on a busy machine.
    let limits = Limits { head: SHORT, ..Limits::default() };
    let service = Service::start(options(place.path(), limits)).unwrap();
    let address = service.address;
    let silent = connect(address);
    let mut half_a_head = connect(address);
    half_a_head.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
    // A head that comes letter by letter never ends.
    let mut drip = connect(address);
    let began = Instant::now();
    let mut sent = 0;
    while drip.write_all(b"x").is_ok() && began.elapsed() < LIMIT {
        sent += 1;
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(began.elapsed() < LIMIT, "{sent} letters were taken");
    assert_eq!(rest(silent), "");
    assert!(!rest(half_a_head).contains("200 OK"));
    let limits = Limits { silence: SHORT, ..Limits::default() };
    service.reload(Some(changing(limits))).unwrap();
    let mut half_a_body = connect(address);
    half_a_body.write_all(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    let mut between_two = connect(address);
    between_two.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(is_alive(address));
    assert!(rest(half_a_body).contains("405 Method Not Allowed"));
    let answered = rest(between_two);
    assert_eq!(answered.matches("200 OK").count(), 1, "{answered}");
    assert!(is_alive(address));
    service.stop();
}

#[test]
fn there_are_only_so_many_and_that_may_change() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { per_address: 5, ..Limits::default() };
    let service = Service::start(options(place.path(), limits)).unwrap();
    let address = service.address;
    let many: Vec<TcpStream> = (0..50).map(|_| connect(address)).collect();
    let began = Instant::now();
    // Those that are too many are closed without a word.
    let mut closed = 0;
    for stream in &many {
        stream.set_nonblocking(true).unwrap();
    }
    while closed < 45 {
        let is_closed = |mut stream: &TcpStream| matches!(stream.read(&mut [0]), Ok(0));
        closed = many.iter().filter(|stream| is_closed(stream)).count();
        assert!(began.elapsed() < LIMIT, "{closed} were closed");
    }
    assert_eq!(closed, 45);
    drop(many);
    while !is_alive(address) {
        assert!(began.elapsed() < LIMIT, "nobody is answered");
    }
    service.reload(Some(changing(Limits { per_address: 0, ..limits }))).unwrap();
    assert!(!is_alive(address));
    // What is not said anew stays as it is.
    service.reload(None).unwrap();
    assert!(!is_alive(address));
    service.reload(Some(changing(limits))).unwrap();
    assert!(is_alive(address));
    service.stop();
}

/// A certificate for this machine, which nobody vouches for.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

/// What is answered over TLS to whoever trusts this certificate.
fn ask(address: SocketAddr, trusted: &Path) -> String {
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-alpn",
            "http/1.1",
            "-connect",
            &address.to_string(),
            "-CAfile",
        ])
        .arg(trusted)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // It stays open: one that ends its input ends the connection.
    let mut input = client.stdin.take().unwrap();
    let _ = input.write_all(request);
    let mut answer = String::new();
    client.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    drop(input);
    client.wait().unwrap();
    answer
}

#[test]
fn with_a_certificate_nobody_on_the_way_reads_along() {
    if Command::new("openssl").arg("version").output().is_err() {
        let required = std::env::var_os("TASKHOST_REQUIRE").is_some_and(|value| value == "full");
        assert!(!required, "there is no openssl");
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED with_a_certificate_nobody_on_the_way_reads_along: there is no openssl"
        );
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let pair = certificate(place.path(), "first");
    let first = place.path().join("first.pem");
    std::fs::copy(&pair.0, &first).unwrap();
    let limits = Limits::default();
    // With it, it may be reached from elsewhere.
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let doors = |tls| Doors { listen, tls, metrics: None, plain_beyond_loopback: false, kernel_keys: None };
    let open = Service::start(Options { doors: doors(None), ..options(place.path(), limits) });
    assert!(matches!(open, Err(ServiceError::Plain(_))));
    let service = Service::start(Options { doors: doors(Some(pair)), ..options(place.path(), limits) }).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], service.address.port()));
    assert!(service.is_secret());
    assert!(ask(address, &first).ends_with("ready\n"));
    // Whoever speaks plainly, or begins and says no more, is not heard.
    let mut plain = connect(address);
    plain.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(!rest(plain).contains("ready"));
    service.reload(Some(changing(Limits { head: SHORT, ..limits }))).unwrap();
    let mut half = connect(address);
    half.write_all(&[22, 3, 1]).unwrap();
    assert_eq!(rest(half), "");
    service.reload(Some(changing(limits))).unwrap();
    // Another one takes its place without a pause, and one that is none does not.
    let (second, key) = certificate(place.path(), "second");
    service.reload(None).unwrap();
    assert!(ask(address, &second).ends_with("ready\n"));
    assert_eq!(ask(address, &first), "");
    std::fs::write(key, "no key").unwrap();
    service.reload(None).unwrap_err();
    assert!(ask(address, &second).ends_with("ready\n"));
    service.stop();
}
