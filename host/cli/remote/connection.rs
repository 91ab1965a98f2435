//! Asking a service, and asking again: a connection that is lost, a server that starts anew or has no room costs time, and
//! nothing else. What is asked for is such that it can be asked for twice.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{HeaderMap, Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Address;
use crate::exit_code::{Exit, Failure};
use crate::report;

/// How long a service that has never answered is asked again: the place may be a typing error.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);

/// How long one that has answered is: it may be started anew, on a machine that is started anew.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long after a failure it is asked again, at first and at most.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_AT_MOST: Duration = Duration::from_secs(5);

/// After so long, whoever waits is told why.
const TELL: Duration = Duration::from_secs(5);

/// How long a connection may be silent: longer than any answer is waited for.
const SILENCE: Duration = Duration::from_secs(60);

/// From so many bytes on, the service is asked whether it wants them before they are sent.
const LARGE: u64 = 1 << 20;

/// How a connection ends that was there.
const CUT_OFF: [io::ErrorKind; 4] = [
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::UnexpectedEof,
];

/// Longest answer that is read as a whole.
const ANSWER_BYTES: u64 = 16 << 20;

/// Says that a run is to stop, and remembers the jobs that it has begun.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<(Mutex<Begun>, Condvar)>);

#[derive(Default)]
struct Begun {
    is_stopped: bool,
    jobs: Vec<String>,
}

impl Stop {
    fn begun_so_far(&self) -> MutexGuard<'_, Begun> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is to stop. Returns the jobs that are to be cancelled.
    pub(super) fn set(&self) -> Vec<String> {
        let mut begun = self.begun_so_far();
        begun.is_stopped = true;
        self.0.1.notify_all();
        begun.jobs.clone()
    }

    pub(super) fn is_set(&self) -> bool {
        self.begun_so_far().is_stopped
    }

    /// Waits so long, but not when it is to stop.
    pub(super) fn pause(&self, time: Duration) {
        let waited = self.0.1.wait_timeout_while(self.begun_so_far(), time, |begun| !begun.is_stopped);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// A job was begun. Returns whether it is to be cancelled.
    pub(super) fn begun(&self, job: &str) -> bool {
        let mut begun = self.begun_so_far();
        begun.jobs.push(job.to_owned());
        begun.is_stopped
    }

    /// A job is over.
    pub(super) fn ended(&self, job: &str) {
        self.begun_so_far().jobs.retain(|known| known != job);
    }

    /// An error when it is to stop.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.is_set() { Err(Failure::new(Exit::Interrupted, "interrupted")) } else { Ok(()) }
    }
}

/// What is sent.
pub(super) enum Content {
    Nothing,
    Bytes(Vec<u8>),
    /// A file, from this byte to its end.
    File(PathBuf, u64),
}

/// A request that can be made again.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) head: Vec<(&'a str, String)>,
    pub(super) content: Content,
}

impl<'a> Asked<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, head: Vec::new(), content: Content::Nothing }
    }
}

/// What was answered, whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// How much is there of what is sent in parts.
    offset: Option<u64>,
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// As JSON; null when it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The failure that it is.
    pub(super) fn failure(&self) -> Failure {
        refusal(self.status, &self.json())
    }
}

/// The failure that a refusal is, which is told with a status and a problem.
pub(super) fn refusal(status: u16, problem: &Value) -> Failure {
    let Some(text) = problem["detail"].as_str() else {
        let text = format!("status {status}, and not in the words of a taskhost service: is one at that address?");
        return Failure::input(text);
    };
    let exit = match (status, problem["code"].as_str().unwrap_or_default()) {
        (_, "kernel-refused" | "kernel-blocked" | "signature-missing" | "signature-wrong") => Exit::Refused,
        (400 | 422, _) => Exit::Usage,
        // A quota is a limit of all that its tenant runs.
        (429, _) | (413, _) => Exit::RunLimit,
        (500.., _) => Exit::Host,
        _ => Exit::InputOutput,
    };
    Failure::new(exit, report::escape(text))
}

/// Why there is no answer.
enum Trouble {
    /// It may be there later.
    Passing(String, Option<Duration>),
    /// It will not.
    Lasting(String),
}

/// A service that can be asked.
pub(super) struct Connection {
    agent: ureq::Agent,
    url: String,
    authorization: String,
    has_answered: AtomicBool,
    pub(super) stop: Stop,
}

impl Connection {
    pub(super) fn new(address: &Address, stop: Stop) -> Result<Self, Failure> {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("taskhost/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE));
        if let Some(pem) = &address.trusted {
            let items = parse_pem(pem).filter_map(Result::ok);
            let certificates: Vec<Certificate<'static>> = items
                .filter_map(|item| if let PemItem::Certificate(certificate) = item { Some(certificate) } else { None })
                .collect();
            if certificates.is_empty() {
                return Err(Failure::input("the file of certificates holds none in PEM"));
            }
            config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build());
        }
        Ok(Self {
            agent: config.build().into(),
            url: address.url.clone(),
            authorization: format!("Bearer {}", address.token),
            has_answered: AtomicBool::new(false),
            stop,
        })
    }

    /// Where the service is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Makes a request once.
    fn once(&self, asked: &Asked<'_>) -> Result<Response<ureq::Body>, Trouble> {
        let lasting = |error: &dyn std::fmt::Display| Trouble::Lasting(error.to_string());
        let mut request = Request::builder().method(asked.method).uri(format!("{}{}", self.url, asked.path));
        request = request.header("authorization", &self.authorization);
        for (name, value) in &asked.head {
            request = request.header(*name, value);
        }
        let answer = match &asked.content {
            Content::Nothing => self.agent.run(request.body(()).map_err(|error| lasting(&error))?),
            Content::Bytes(bytes) => self.agent.run(request.body(bytes.as_slice()).map_err(|error| lasting(&error))?),
            Content::File(path, from) => {
                let unreadable = |error: io::Error| lasting(&format!("{} cannot be read: {error}", path.display()));
                let mut file = File::open(path).map_err(unreadable)?;
                let bytes = file.metadata().map_or(0, |metadata| metadata.len()).saturating_sub(*from);
                file.seek(SeekFrom::Start(*from)).map_err(unreadable)?;
                if bytes >= LARGE {
                    request = request.header("expect", "100-continue");
                }
                request = request.header("content-length", bytes);
                let mut rest = file.take(bytes);
                let body = ureq::SendBody::from_reader(&mut rest);
                self.agent.run(request.body(body).map_err(|error| lasting(&error))?)
            }
        };
        let answer = answer.map_err(|error| {
            // Somebody is there, and has gone in the middle of it.
            let is_there = matches!(&error, ureq::Error::Io(error) if CUT_OFF.contains(&error.kind()));
            self.has_answered.fetch_or(is_there, Ordering::Relaxed);
            trouble(error)
        })?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(answer)
    }

    /// Makes a request until it is answered, and reads the answer.
    pub(super) fn ask(&self, asked: &Asked<'_>) -> Result<Answer, Failure> {
        self.patiently(|| self.attempt(asked))
    }

    /// Makes a request once, even when it is to stop.
    pub(super) fn ask_once(&self, asked: &Asked<'_>) -> Option<Answer> {
        self.attempt(asked).ok()
    }

    fn attempt(&self, asked: &Asked<'_>) -> Result<Answer, Trouble> {
        let mut answer = self.once(asked)?;
        let mut body = Vec::new();
        let read = answer.body_mut().as_reader().take(ANSWER_BYTES).read_to_end(&mut body);
        read.map_err(|error| Trouble::Passing(error.to_string(), None))?;
        let offset = answer.headers().get("upload-offset").and_then(|offset| offset.to_str().ok()?.parse().ok());
        let whole = Answer { status: answer.status().as_u16(), body, offset };
        match again_after(&whole, answer.headers()) {
            Some(time) => Err(Trouble::Passing(whole.failure().message, Some(time))),
            None => Ok(whole),
        }
    }

    /// The same, for an answer that must be a good one.
    pub(super) fn ask_well(&self, asked: &Asked<'_>) -> Result<Value, Failure> {
        let answer = self.ask(asked)?;
        if answer.is_good() { Ok(answer.json()) } else { Err(self.refused(&answer)) }
    }

    /// Takes a file of so many bytes there, unless it is there already. When the connection is lost it goes on where it was.
    pub(super) fn store(&self, path: &str, file: &Path, bytes: u64) -> Result<Answer, Failure> {
        self.patiently(|| {
            let there = self.attempt(&Asked { method: "HEAD", ..Asked::get(path) })?;
            let from = there.offset.filter(|offset| *offset < bytes).unwrap_or(0);
            if there.is_good() || bytes == 0 {
                return Ok(there);
            }
            let head = vec![("content-range", format!("bytes {from}-{}/{bytes}", bytes - 1))];
            let content = Content::File(file.to_owned(), from);
            let answer = self.attempt(&Asked { method: "PUT", path, head, content })?;
            match answer.offset {
                // A connection that was thought lost has brought more, or the file has become longer meanwhile.
                Some(_) => Err(Trouble::Passing(answer.failure().message, Some(AGAIN))),
                None => Ok(answer),
            }
        })
    }

    /// What a refusal is to whoever asked.
    pub(super) fn refused(&self, answer: &Answer) -> Failure {
        let failure = answer.failure();
        match answer.status {
            401 => Failure::new(failure.exit, format!("{} does not accept the token", self.url)),
            _ => Failure::new(failure.exit, format!("{}: {}", self.url, failure.message)),
        }
    }

    /// Begins to read something long, from a byte on.
    pub(super) fn open(&self, path: &str, from: u64) -> Result<ureq::BodyReader<'static>, Failure> {
        let head = if from > 0 { vec![("range", format!("bytes={from}-"))] } else { Vec::new() };
        let asked = Asked { head, ..Asked::get(path) };
        let answer = self.patiently(|| {
            let answer = self.once(&asked)?;
            if answer.status().as_u16() == if from > 0 { 206 } else { 200 } {
                return Ok(answer);
            }
            let (head, mut body) = answer.into_parts();
            let mut bytes = Vec::new();
            // What it says helps, but is not needed.
            let _ = body.as_reader().take(ANSWER_BYTES).read_to_end(&mut bytes);
            let whole = Answer { status: head.status.as_u16(), body: bytes, offset: None };
            let message = self.refused(&whole).message;
            match again_after(&whole, &head.headers) {
                Some(time) => Err(Trouble::Passing(message, Some(time))),
                None => Err(Trouble::Lasting(message)),
            }
        })?;
        Ok(answer.into_body().into_with_config().limit(u64::MAX).reader())
    }

    /// Begins to read a result that may still be written, from a byte on. `None` when that cannot be had now.
    pub(super) fn open_growing(&self, path: &str, from: u64) -> Option<ureq::BodyReader<'static>> {
        let head = if from > 0 { vec![("range", format!("bytes={from}-"))] } else { Vec::new() };
        let answer = self.once(&Asked { head, ..Asked::get(path) }).ok()?;
        // One whose length is not known is no part of anything, and says where it begins.
        let begins = answer.headers().get("taskhost-from").and_then(|from| from.to_str().ok()?.parse().ok());
        let is_it = match answer.status().as_u16() {
            200 => begins.unwrap_or(0) == from,
            206 => true,
            _ => false,
        };
        is_it.then(|| answer.into_body().into_with_config().limit(u64::MAX).reader())
    }

    /// Cancels a job, as well as that goes: whoever does this waits for no answer but one.
    pub(super) fn cancel(&self, job: &str) {
        let path = format!("/v1/jobs/{job}/cancel");
        let _ =
            self.once(&Asked { method: "POST", path: &path, head: Vec::new(), content: Content::Bytes(Vec::new()) });
    }

    /// Does something again and again, as long as its trouble may pass.
    fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T, Failure> {
        let (began, mut pause, mut is_told) = (Instant::now(), AGAIN, false);
        loop {
            self.stop.check()?;
            let (why, wanted) = match attempt() {
                Ok(done) => return Ok(done),
                Err(Trouble::Lasting(why)) => return Err(Failure::input(format!("{}: {why}", self.url))),
                Err(Trouble::Passing(why, wanted)) => (why, wanted),
            };
            let patience = if self.has_answered.load(Ordering::Relaxed) { PATIENCE } else { FIRST_PATIENCE };
            if began.elapsed() > patience {
                return Err(Failure::input(format!("{} does not answer: {why}", self.url)));
            }
            if began.elapsed() > TELL && !is_told {
                is_told = true;
                report::message("note", &format!("{} does not answer ({why}); it is asked again", self.url));
            }
            self.stop.pause(wanted.unwrap_or(pause).min(AGAIN_AT_MOST));
            pause = (2 * pause).min(AGAIN_AT_MOST);
        }
    }
}

/// How long after this answer the same may be asked again; `None` when it is an answer.
fn again_after(answer: &Answer, head: &HeaderMap) -> Option<Duration> {
    let is_passing = match answer.status {
        408 | 502 | 503 | 504 => true,
        // Other quotas are used up for longer than anybody waits.
        429 => answer.json()["quota"] == "requests_per_second",
        _ => false,
    };
    let said = || head.get("retry-after")?.to_str().ok()?.parse().ok();
    is_passing.then(|| Duration::from_secs(said().unwrap_or(1)))
}

fn trouble(error: ureq::Error) -> Trouble {
    let text = error.to_string();
    match error {
        // A certificate is no better the next time.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Trouble::Lasting(error.to_string()),
        ureq::Error::Io(error) => Trouble::Passing(error.to_string(), None),
        ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_)
        | ureq::Error::BodyStalled => Trouble::Passing(text, None),
        _ => Trouble::Lasting(text),
    }
}
