//! As much of HTTP as a connection needs that stays open: a request is sent, an answer of a known length read.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;

/// What no answer takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Longest answer, head included.
const MOST: usize = 8 << 20;

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
}

/// What was answered.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// A request as it is sent, so that it is put together once.
pub(crate) fn request(address: SocketAddr, line: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!("{line} HTTP/1.1\r\nHost: {address}\r\n{token}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream, bytes: Vec::new() })
    }

    /// Sends a request, and waits for all of its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.stream.write_all(request)?;
        self.bytes.clear();
        let mut buffer = [0; 16 << 10];
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err("the connection was closed in the middle of an answer".into());
            }
            self.bytes.extend_from_slice(&buffer[..read]);
            if let Some((status, head)) = self.whole()? {
                return Ok(Answer { status, body: &self.bytes[head..] });
            }
            if self.bytes.len() > MOST {
                return Err("an answer has no end".into());
            }
        }
    }

    /// The status and the length of the head, when all of an answer is there. Of a body in chunks there is one chunk, and its
    /// lengths stay around it.
    fn whole(&self) -> Outcome<Option<(u16, usize)>> {
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&self.bytes[..end])?.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("this is no HTTP")?;
        let field =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let body = &self.bytes[end + 4..];
        let is_whole = match field("content-length") {
            Some(length) => body.len() >= length.parse::<usize>()?,
            None if field("transfer-encoding") == Some("chunked") => body.ends_with(b"0\r\n\r\n"),
            None => true,
        };
        Ok(is_whole.then_some((status, end + 4)))
    }
}
