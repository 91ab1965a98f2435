//! Sending a content, or a part of it: `Range: bytes=FROM-TO`.

use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::Problem;
use crate::blobs::Digest;

/// Read and sent at a time: so much that handing it from thread to thread costs little beside.
const PART: u64 = 256 << 10;

/// What is asked for of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// From here, up to there exclusively.
    Part(u64, u64),
    Nothing,
}

/// One range, as everybody asks for; of several, all is sent, as is allowed.
fn wanted(headers: &HeaderMap, len: u64) -> Wanted {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let Some((from, to)) = range.and_then(|range| range.split_once('-')) else { return Wanted::All };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let part = match (from, number(from), number(to)) {
        ("", _, Some(last)) => Wanted::Part(len.saturating_sub(last), len),
        (_, Some(from), None) if to.is_empty() => Wanted::Part(from, len),
        (_, Some(from), Some(to)) if from <= to => Wanted::Part(from, to.saturating_add(1).min(len)),
        _ => return Wanted::All,
    };
    match part {
        Wanted::Part(from, to) if from < to => part,
        _ => Wanted::Nothing,
    }
}

/// Where a part begins that has no end; for what has none yet.
pub(super) fn beginning(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    if !headers.contains_key(header::RANGE) {
        return Ok(None);
    }
    match wanted(headers, u64::MAX) {
        Wanted::Part(from, u64::MAX) => Ok(Some(from)),
        _ => {
            let text = "of what has no end yet only bytes=FROM- can be had";
            Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad-range", text))
        }
    }
}

/// What is read in parts.
trait Source: Send + Sync + 'static {
    fn read(&self, part: &mut [u8], at: u64) -> io::Result<()>;
}

impl Source for File {
    fn read(&self, part: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(part, at)
    }
}

/// A part of a file as a body: read as it is sent, beside the thread that has the connections. A slow disk is slow for whoever
/// reads from it alone.
struct FileBody<S> {
    file: Arc<S>,
    at: u64,
    end: u64,
    /// The part that is being read.
    coming: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl<S: Source> FileBody<S> {
    fn new(file: S, at: u64, end: u64) -> Self {
        Self { file: Arc::new(file), at, end, coming: None }
    }

    fn begin(&self) -> JoinHandle<io::Result<Vec<u8>>> {
        let (file, at, len) = (Arc::clone(&self.file), self.at, PART.min(self.end - self.at));
        tokio::task::spawn_blocking(move || {
            let mut part = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read(&mut part, at).map(|()| part)
        })
    }
}

impl<S: Source> hyper::body::Body for FileBody<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        let mut coming = self.coming.take().unwrap_or_else(|| self.begin());
        let part = match pin!(&mut coming).poll(context) {
            Poll::Ready(part) => part.map_err(io::Error::other).flatten(),
            Poll::Pending => {
                self.coming = Some(coming);
                return Poll::Pending;
            }
        };
        self.at += part.as_ref().map_or(0, |part| part.len() as u64);
        Poll::Ready(Some(part.map(|part| Frame::data(Bytes::from(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

/// Answers with a content, or with the part of it that is asked for.
pub(super) fn send(
    headers: &HeaderMap,
    digest: &Digest,
    file: File,
    content_type: &'static str,
) -> Result<Response, Problem> {
    let len = file.metadata().map_err(|error| Problem::internal(&error.to_string()))?.len();
    let (status, from, to) = match wanted(headers, len) {
        Wanted::All => (StatusCode::OK, 0, len),
        Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Wanted::Nothing => {
            let text = format!("there are {len} bytes");
            return Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad-range", text));
        }
    };
    let mut response = Response::new(Body::new(FileBody::new(file, from, to)));
    *response.status_mut() = status;
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut text = |name: header::HeaderName, text: String| {
        // Digits and letters of our own.
        HeaderValue::from_str(&text).map(|value| answer.insert(name, value)).is_ok()
    };
    text(header::ETAG, format!("\"{digest}\""));
    if status == StatusCode::PARTIAL_CONTENT {
        text(header::CONTENT_RANGE, format!("bytes {from}-{}/{len}", to - 1));
    }
    Ok(response.into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    use http_body_util::BodyExt as _;

    use super::*;

    /// Says of each byte where it is, and in which threads it was asked.
    struct Numbers(Mutex<Vec<ThreadId>>);

    impl Source for Arc<Numbers> {
        fn read(&self, part: &mut [u8], at: u64) -> io::Result<()> {
            self.0.lock().expect("whole").push(thread::current().id());
            part.iter_mut().zip(at..).for_each(|(byte, at)| *byte = (at % 251) as u8);
            Ok(())
        }
    }

    #[test]
    fn a_content_is_read_beside_the_thread_that_has_the_connections() {
        let (from, to) = (7, 2 * PART + 100);
        let numbers = Arc::new(Numbers(Mutex::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let body = FileBody::new(Arc::clone(&numbers), from, to);
        assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(to - from));
        let bytes = runtime.block_on(body.collect()).expect("all of it").to_bytes();
        assert!(bytes.iter().zip(from..).all(|(byte, at)| *byte == (at % 251) as u8));
        assert_eq!(bytes.len() as u64, to - from);
        let threads = numbers.0.lock().expect("whole");
        assert!(threads.len() == 3 && !threads.contains(&thread::current().id()), "{threads:?}");
    }

    #[test]
    fn what_cannot_be_read_cuts_the_answer_off() {
        let place = tempfile::tempfile().expect("a file");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert!(runtime.block_on(FileBody::new(place, 0, 10).collect()).is_err(), "it is shorter");
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        let of = |text: &str, len| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(text).expect("a value"));
            wanted(&headers, len)
        };
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::All);
        assert_eq!(of("bytes=0-0", 10), Wanted::Part(0, 1));
        assert_eq!(of("bytes=3-", 10), Wanted::Part(3, 10));
        assert_eq!(of("bytes=-3", 10), Wanted::Part(7, 10));
        assert_eq!(of("bytes=-99", 10), Wanted::Part(0, 10));
        assert_eq!(of("bytes=5-999", 10), Wanted::Part(5, 10));
        for nothing in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(of(nothing, 10), Wanted::Nothing, "{nothing}");
        }
        for senseless in ["bytes=5-4", "bytes=a-b", "bytes=+1-2", "lines=1-2", "bytes=1", "bytes=0-1,3-4"] {
            assert_eq!(of(senseless, 10), Wanted::All, "{senseless}");
        }
    }
}
