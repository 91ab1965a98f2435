//! A server under test, and the little of HTTP that talks to it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Outcome, Place, Program, Running};

/// What no answer takes, however slow the machine.
const LIMIT: Duration = Duration::from_secs(100);

/// What no test takes, those included that kill many servers on a slow machine.
const LIFE: Duration = Duration::from_secs(1200);

/// What a content counts at least.
pub(super) const BLOCK: u64 = 4096;

/// A server in a folder of its own.
pub(super) struct Server {
    pub(super) running: Running,
    pub(super) address: String,
}

/// Somebody with a token.
pub(super) struct Client {
    pub(super) address: String,
    pub(super) token: String,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// All of them, in lower case.
    pub(super) head: String,
    /// The cookie that it sets, as it is sent back.
    pub(super) cookie: Option<String>,
    pub(super) body: Vec<u8>,
    /// Whether all of it came.
    pub(super) is_whole: bool,
}

/// An answer that comes by and by.
pub(super) struct Coming {
    pub(super) status: u16,
    lines: BufReader<TcpStream>,
}

impl Server {
    pub(super) fn start(place: &Place) -> Self {
        Self::start_with(place, "")
    }

    pub(super) fn start_with(place: &Place, more: &str) -> Self {
        Self::start_as(place, "data", &format!("--listen 127.0.0.1:0 {more}"))
    }

    /// Where another one was.
    pub(super) fn start_at(place: &Place, address: &str) -> Self {
        Self::start_as(place, "data", &format!("--listen {address}"))
    }

    /// The same, with more settings.
    pub(super) fn start_as_before(place: &Place, address: &str, more: &str) -> Self {
        Self::start_as(place, "data", &format!("--listen {address} {more}"))
    }

    /// One whose data folder is called otherwise.
    pub(super) fn start_in(place: &Place, data: &str, more: &str) -> Self {
        Self::start_as(place, data, &format!("--listen 127.0.0.1:0 {more}"))
    }

    /// One whose system calls are counted, and those of all its processes; the table is in `calls` after its end.
    pub(super) fn start_counted(place: &Place) -> Self {
        // Its tracer is no parent of it, so that it is this process that gets signals.
        let traced = Program::of(OsStr::new("strace"), &place.path("")).arguments("-D -f -qq -c -o calls");
        let serve = "serve --data data --sandbox auto -j 2 --drain-time 0s --listen 127.0.0.1:0";
        Self::start_by(traced.argument(env!("CARGO_BIN_EXE_taskhost")).arguments(serve))
    }

    /// One that may have so many descriptors.
    pub(super) fn start_with_few(place: &Place, descriptors: usize) -> Self {
        let limited = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        let shell = Program::of(OsStr::new("sh"), &place.path("")).argument("-c").argument(limited);
        let serve = "serve --data data --sandbox auto -j 2 --drain-time 0s --listen 127.0.0.1:0";
        Self::start_by(shell.argument(env!("CARGO_BIN_EXE_taskhost")).arguments(serve))
    }

    /// One that is a copy of the program, in the place.
    pub(super) fn start_copy(place: &Place, copy: &str) -> Self {
        // By another process: what this one writes, its children have open for a moment, and what is written cannot be started.
        let copying = Program::of(OsStr::new("cp"), &place.path("")).argument(env!("CARGO_BIN_EXE_taskhost"));
        copying.argument(copy).run().success();
        let serve = "serve --data data --sandbox auto -j 2 --drain-time 0s --listen 127.0.0.1:0";
        Self::start_by(Program::of(place.path(copy).as_os_str(), &place.path("")).arguments(serve))
    }

    fn start_as(place: &Place, data: &str, more: &str) -> Self {
        let mut serve = format!("serve --data {data} --sandbox auto -j 2");
        if !more.contains("--drain-time") {
            // Most tests end their server while something runs.
            serve.push_str(" --drain-time 0s");
        }
        Self::start_by(place.taskhost(&format!("{serve} {more}")))
    }

    fn start_by(program: Program) -> Self {
        let mut running = program.within(LIFE).start();
        let line = running.line();
        let address = line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { running, address }
    }

    /// A new tenant.
    pub(super) fn tenant(&self, place: &Place, name: &str, more: &str) -> Client {
        let token = place.taskhost(&format!("tenant create {name} --data data {more}")).run().code(0);
        Client { address: self.address.clone(), token: token.text().trim().to_owned() }
    }

    /// Ends it, one way or the other.
    #[track_caller]
    pub(super) fn end(self, signal: Signal) -> Outcome {
        self.running.process.signal(signal);
        self.running.end()
    }
}

impl Client {
    /// The same one at another server.
    pub(super) fn at(&self, server: &Server) -> Self {
        Self { address: server.address.clone(), token: self.token.clone() }
    }

    pub(super) fn send(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Answer {
        let head = format!("Authorization: Bearer {}\r\n{head}", self.token);
        raw(&self.address, method, path, &head, body)
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", b"")
    }

    pub(super) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", path, "", body.as_ref())
    }

    /// Asks for something that comes by and by.
    pub(super) fn open(&self, path: &str, head: &str) -> Coming {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let (address, token) = (&self.address, &self.token);
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{head}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        while line.trim_end() != "" {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        Coming { status, lines }
    }

    /// How much of something it used, since yesterday: midnight may pass while a test runs.
    #[track_caller]
    pub(super) fn used(&self, what: &str) -> u64 {
        let usage = self.get("/v1/usage?days=2").is(200).json();
        usage["days"].as_array().unwrap().iter().map(|day| day[what].as_u64().unwrap()).sum()
    }

    /// Submits a job.
    #[track_caller]
    pub(super) fn submit(&self, job: &Value) -> String {
        self.post("/v1/jobs", job.to_string()).is(202).json()["id"].as_str().unwrap().to_owned()
    }

    /// Stores a first-party kernel under its name.
    #[track_caller]
    pub(super) fn kernel(&self, name: &str) -> String {
        let file = format!("{}/plugins/dist/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
        let stored = self.post("/v1/kernels", std::fs::read(file).unwrap()).is(201).json();
        let digest = stored["digest"].as_str().unwrap().to_owned();
        let meaning = format!("{{\"digest\": \"{digest}\"}}");
        self.send("PUT", &format!("/v1/aliases/{name}"), "", meaning.as_bytes()).is(200);
        digest
    }

    /// Stores a kernel from its text.
    #[track_caller]
    pub(super) fn kernel_of(&self, bytes: impl AsRef<[u8]>) -> String {
        let stored = self.post("/v1/kernels", bytes).is(201).json();
        stored["digest"].as_str().unwrap().to_owned()
    }

    /// Calls a kernel.
    pub(super) fn call(&self, kernel: &str, item: impl AsRef<[u8]>) -> Answer {
        self.post(&format!("/v1/kernels/{kernel}/invoke"), item)
    }

    /// A connection that stays open.
    pub(super) fn connect(&self) -> Connection<'_> {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { client: self, stream }
    }

    /// Waits for the end of a job.
    #[track_caller]
    pub(super) fn wait(&self, job: &str) -> Value {
        for _ in 0..10 {
            let job = self.send("GET", &format!("/v1/jobs/{job}"), "Prefer: wait=30\r\n", b"").is(200).json();
            if !job["ended"].is_null() {
                return job;
            }
        }
        panic!("job {job} never ends");
    }
}

/// Several requests on one connection, one after the other.
pub(super) struct Connection<'a> {
    client: &'a Client,
    stream: TcpStream,
}

impl Connection<'_> {
    /// Sends a request, and reads what is answered as far as its length says.
    pub(super) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let (Client { address, token }, length) = (self.client, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
                let answer = Answer { status, head, cookie: None, body: bytes[end + 4..].to_vec(), is_whole: true };
                let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
                if answer.body.len() >= length {
                    return answer;
                }
            }
            match self.stream.read(&mut buffer).unwrap() {
                0 => panic!("the server ended the connection"),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    pub(super) fn call(&mut self, kernel: &str, item: &[u8]) -> Answer {
        self.send("POST", &format!("/v1/kernels/{kernel}/invoke"), item)
    }
}

/// One request on a connection of its own.
pub(super) fn raw(address: &str, method: &str, path: &str, head: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n"
    );
    talk(address, &[text.as_bytes(), body].concat())
}

/// Sends bytes, and reads what is answered to its end.
pub(super) fn talk(address: &str, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    // A server that refuses early does not read all of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
    let cookie = cookie.map(str::to_owned);
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.get(end + 4..).unwrap_or_default();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let (body, is_whole) = if head.contains("transfer-encoding: chunked") {
        dechunk(body)
    } else {
        (body.to_vec(), length.is_none_or(|length: usize| length == body.len()))
    };
    Answer { status, head, cookie, body, is_whole }
}

/// What is in the chunks of a body, and whether the last one came.
fn dechunk(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&body[..end]).ok().and_then(|length| usize::from_str_radix(length, 16).ok());
        let Some(length) = length.filter(|length| body.len() >= end + 4 + length) else { break };
        if length == 0 {
            return (all, true);
        }
        all.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
    (all, false)
}

impl Coming {
    /// The next line; none at the end. Of chunks only what is in them.
    pub(super) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    }
}

impl Answer {
    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a problem.
    #[track_caller]
    pub(super) fn code(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
